/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/file.h - an open file, and what was written to it but not committed yet
 *
 * There is one MneFile for each open record, shared by all its handles.  Writes go into its
 * uncommitted state, which every live reader sees at once; they are committed, all in one
 * batch, when the last handle opened for writing closes, at mne_file_sync(), or after
 * commit_seconds.  Until then checkpoints and a crash see the last committed version; a
 * file that was created and never committed they do not see at all.
 *
 *	CLEAN ---write, truncate---> DIRTY ---commit---> CLEAN
 *
 * An unlinked file lives on, uncommitted or not, until its last handle is closed.
 *
 * Threads: all functions, any thread; each file has its own lock (MNE_RANK_FILE).
 */
#pragma once

#include "txn/names.h"
#include "txn/store.h"

typedef struct MneFile MneFile;

/* Open an existing regular file; writable: the handle may write (delays commit until it is
 * closed).  A handle is one call of open or create and must be closed once. */
int mne_file_open(MneStore *store, const MnePlace *place, bool writable, bool truncate,
		  MneFile **out_file) MNE_CHECKED;
/* Create a regular file and open it for writing; with an empty name it has none
 * (O_TMPFILE).  RECORD_EXISTS when the name is taken. */
int mne_file_create(MneStore *store, const MneSpot *spot, const MneMake *what,
		    MneFile **out_file, MneNode *out_node) MNE_CHECKED;
/* writable as at open.  The last writable close commits; a failure is logged, counted,
 * and returned for who can still use it. */
int mne_file_close(MneFile *file, bool writable);

/* Is it open for writing somewhere? */
bool mne_file_is_written(MneStore *store, uint64_t rec);

ssize_t mne_file_read(MneFile *file, uint64_t offset, void *buffer, size_t len)
	MNE_CHECKED;
/* append: offset is ignored, the bytes go to the end.  kill_suid: drop setuid/setgid bits.
 * -ENOSPC, -EFBIG, STORE_FAILED. */
ssize_t mne_file_write(MneFile *file, uint64_t offset, const void *data, size_t len,
		       bool append, bool kill_suid) MNE_CHECKED;
int mne_file_truncate(MneFile *file, uint64_t size) MNE_CHECKED;
/* fallocate(2): mode 0, FALLOC_FL_KEEP_SIZE, PUNCH_HOLE|KEEP_SIZE, ZERO_RANGE; others -EOPNOTSUPP. */
int mne_file_allocate(MneFile *file, int mode, uint64_t offset, uint64_t len)
	MNE_CHECKED;
/* SEEK_DATA, SEEK_HOLE: -ENXIO past the end. */
int mne_file_seek(MneFile *file, uint64_t offset, int whence, uint64_t *out_offset)
	MNE_CHECKED;
/* fsync: commit what is uncommitted, then barrier. */
int mne_file_sync(MneFile *file) MNE_CHECKED;
/* The first half of it: 1 when a barrier has to follow. */
int mne_file_sync_commit(MneFile *file) MNE_CHECKED;
int mne_file_node(MneFile *file, MneNode *out_node) MNE_CHECKED;
uint64_t mne_file_rec(const MneFile *file);
/* Does a write by somebody without the right to keep them drop setuid or setgid bits? */
bool mne_file_has_suid(MneFile *file);
/* false: it has no extended attribute of this name. */
bool mne_file_may_have_xattr(MneFile *file, MneSlice name);

/* truncate(2) by path: open, truncate, close. */
int mne_truncate(MneStore *store, const MnePlace *place, uint64_t size,
		 MneNode *out_node) MNE_CHECKED;
