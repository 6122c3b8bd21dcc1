/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/files.h - the set of open files, and of names created but not committed yet
 *
 * Readers of the live tables look here first: an uncommitted file is in no table yet, an
 * open one may be newer than its table says.
 *
 * Threads: the set has its own lock (MNE_RANK_FILES).  A file that was found is referenced.
 */
#pragma once

#include "txn/file.h"
#include "util/lock.h"
#include "util/slice.h"

#include <stdatomic.h>

typedef struct MneFiles {
	MneLock lock;
	GHashTable *by_rec; /* &file->rec -> MneFile, a reference each */
	GTree *names; /* PendingName -> MneFile (borrowed: by_rec holds it) */
	GHashTable *dirs; /* &dir id -> PendingDir */
	GHashTable *held; /* data ids of unlinked open files: not to be reaped yet */
	_Atomic unsigned open; /* size of by_rec */
	_Atomic unsigned pending; /* size of names */
	_Atomic uint64_t changes[64]; /* of names, by directory */
	_Atomic uint64_t buffered; /* bytes in the buffers of all */
	_Atomic bool
		stuck; /* the commit of some closed file failed: it is tried again */
} MneFiles;

MneFiles *mne_files_new(void);
/* Files that are left go with it; their store must still point to it. */
void mne_files_free(MneFiles *files);

MneFile *mne_file_ref(MneFile *file);
void mne_file_unref(MneFile *file);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneFile, mne_file_unref)

/* A new reference, or NULL. */
MneFile *mne_files_find(MneFiles *files, uint64_t rec);
/* The same, with one more handle counted. */
MneFile *mne_files_open(MneFiles *files, uint64_t rec, bool writable);
MneFile *mne_files_find_name(MneFiles *files, uint32_t table, uint64_t dir,
			     MneSlice name);

/* Names waiting in a directory, and when the last came: false when none does. */
bool mne_files_dir(MneFiles *files, uint64_t dir, unsigned *out_count,
		   struct timespec *out_mtime);

/* How often names came and went in a directory, and in some others. */
uint64_t mne_files_changes(MneFiles *files, uint64_t dir);

/* Enter the set. */
void mne_files_add(MneFiles *files, MneFile *file);
void mne_files_add_name(MneFiles *files, MneFile *file);
void mne_files_remove_name(MneFiles *files, MneFile *file);
void mne_files_hold(MneFiles *files, uint64_t data);
void mne_files_unhold(MneFiles *files, uint64_t data);
bool mne_files_is_held(MneFiles *files, uint64_t data);

/* Names waiting in a directory that come after `after`, ascending: (name, file) pairs. */
typedef struct {
	GBytes *name;
	MneFile *file; /* reference */
} MnePendingEntry;
GArray *mne_files_list(MneFiles *files, uint32_t table, uint64_t dir, MneSlice after);

/* All open files, with references. */
GPtrArray *mne_files_all(MneFiles *files);
