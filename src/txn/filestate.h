/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/filestate.h - the inside of an open file, for the files of txn/
 *
 * `node` is the inode as live readers see it.  The bytes of a small file are in `small`;
 * of a bigger one they are, newest first: in `buffer`, one run of bytes gathered from
 * sequential writes; in `pending`, extents whose frames are appended but which no commit
 * names yet (holes among them); and in the store, under node.data, unless `fresh`.
 *
 * Locks: everything but the counts is under `lock`, taken inside the gate when both are
 * needed; handles and writers are under the lock of the set of files.
 */
#pragma once

#include "record/extent.h"
#include "record/node.h"
#include "txn/commit.h"
#include "txn/files.h"

#define MNE_FILE_BUFFER_MAX (1u * 1024 * 1024)
#define MNE_FILES_BUFFER_MAX \
	(64u * 1024 * 1024) /* of all files, but for one write each */

struct MneFile {
	MneRef ref;
	MneStore *store;
	uint64_t rec;
	uint32_t table;
	unsigned handles, writers;

	MneLock lock;
	uint64_t dir; /* where its name stands; dir 0: it has none */
	GBytes *name;
	MneNode node; /* content is empty: see small */
	bool exists; /* a commit has made it */
	bool unlinked;
	bool frozen; /* a transaction is being committed that changes it: writes wait */
	MneCond thawed;
	bool cut; /* its table was rolled back: ROLLED_BACK to all its handles */
	bool left; /* out of the set: its last handle was closed */
	bool dirty;
	int64_t dirty_since; /* monotonic, µs */
	struct timespec committed_mtime;
	struct timespec named; /* when it was given its first name */

	uint64_t coming; /* reserved of the limit of history: see txn/limit.h */

	GByteArray *small; /* the bytes, while node.data == 0 */
	bool fresh; /* nothing is stored under node.data yet */
	uint64_t
		old_data; /* the data id that node.data replaces when committed; 0: none */
	MneExtentList *pending; /* NULL: empty */
	uint64_t buffer_at; /* file offset of buffer */
	GByteArray *buffer; /* NULL: empty */
};

/* ROLLED_BACK when it is cut.  Caller holds the lock. */
int mne_file_require_whole(const MneFile *file) MNE_CHECKED;

static inline MneSlice mne_file_name(const MneFile *file)
{
	return mne_slice_of(file->name);
}

/* Caller holds the lock. */
void mne_file_copy_node(MneFile *file, MneNode *out);
/* The committed inode changed by other means than this file: take it over. */
void mne_file_adopt(MneFile *file, const MneNode *node);
/* Times of a write: now, and in a later second than a version some checkpoint holds. */
void mne_file_touch(MneFile *file);
void mne_file_dirty(MneFile *file);
/* Append the buffer to the blobs as pending extents. */
int mne_file_flush_buffer(MneFile *file) MNE_CHECKED;
/* Forget what is in it. */
void mne_file_drop_buffer(MneFile *file);

/* Is there something that a commit would write?  Caller holds the lock. */
bool mne_file_is_uncommitted(const MneFile *file);
/* Append what is buffered before the gate is taken: a commit has only what came since. */
int mne_file_flush_early(MneFile *file) MNE_CHECKED;
/* Into a commit that has begun; *out_done: there was something. */
int mne_file_commit_held(MneFile *file, MneCommit *commit, bool *out_done) MNE_CHECKED;
/* Commit what is uncommitted; nothing to do is success. */
int mne_file_commit(MneFile *file) MNE_CHECKED;
/* The same as the whole of a commit that has begun.  Caller holds the lock. */
int mne_file_commit_as(MneFile *file, MneCommit *commit) MNE_CHECKED;

/* Big attributes of a file without an inode in the store go.  */
void mne_file_forget_xattrs(MneFile *file);

/* The last name is gone: it lives on as long as it is open.  Caller holds the lock. */
void mne_file_mark_unlinked(MneFile *file, struct timespec now);

/* Keep it as it is until thawed; false: it is uncommitted.  Inside the gate. */
bool mne_file_freeze(MneFile *file);
void mne_file_thaw(MneFile *file);
/* Before changing it.  Caller holds the lock, which is given up while waiting. */
void mne_file_await_thaw(MneFile *file);

/* txn/splice.c: make the store's extents of the file say what `pending` says. */
int mne_file_splice(MneFile *file, MneCommit *commit) MNE_CHECKED;
