/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/limit.h - how much may be kept for checkpoints, and what gives way
 *
 * What would retain more than the limit allows is refused (HISTORY_FULL), or the oldest
 * checkpoint that is neither pinned nor held goes first.  Asked is by those who overwrite
 * or replace something a checkpoint can see.  Deleting is never refused, and neither is
 * making something new; what that retains (of a directory at most one inode for each
 * checkpoint) may exceed the limit.
 *
 * Threads: all functions.
 */
#pragma once

#include "txn/names.h"
#include "txn/store.h"

#include <stdatomic.h>

typedef struct {
	uint64_t bytes; /* 0: no limit */
	_Atomic int64_t kept; /* retained, and seen by an active checkpoint */
	_Atomic int64_t coming; /* will be, when all is committed */
	_Atomic int64_t late_bytes; /* … when all is reaped that was deleted */
	GHashTable *
		late; /* data id -> bytes: deleted, not reaped.  For who has the gate */
} MneLimit;

/* Bytes of a data id that go to the reaper with a commit under way. */
typedef struct {
	uint64_t data, bytes;
} MneLate;

struct MneFile;

void mne_limit_init(MneLimit *limit, const MneStoreOptions *options, const char *path);
void mne_limit_clear(MneLimit *limit);
/* The bytes of a data id, of a version that a checkpoint may see, were given to the reaper;
 * they were reaped.  Caller holds the gate. */
void mne_limit_orphaned(MneStore *store, uint64_t data, uint64_t bytes);
void mne_limit_reaped(MneStore *store, uint64_t data);
/* The same for those of a commit that was applied: MneLate. */
void mne_limit_orphaned_all(MneStore *store, const GArray *late);
/* The set of checkpoints changed: count anew.  Caller holds the gate, or nobody else is
 * there yet. */
void mne_limit_refresh(MneStore *store);
/* Bytes were retained. */
void mne_limit_add(MneStore *store, int64_t bytes);

/* Is there room for so many bytes more?  HISTORY_FULL; 1 when a checkpoint gave way: then
 * ask again, with what it is by now.  Caller holds no lock. */
int mne_limit_make_room(MneStore *store, uint64_t bytes) MNE_CHECKED;
/* May the value of seq, of table, be changed, of which so many bytes would be retained?
 * Caller holds no lock: a checkpoint may be dropped. */
int mne_limit_admit(MneStore *store, uint32_t table, uint64_t seq, uint64_t bytes)
	MNE_CHECKED;
/* The same for data bytes of an open file's committed version: those it asked for are
 * reserved until it is committed or given up.  Caller holds no lock. */
int mne_limit_admit_file(struct MneFile *file, uint64_t bytes) MNE_CHECKED;
/* Nothing is reserved for the file any more.  Caller holds its lock, or it is the last. */
void mne_limit_settle(struct MneFile *file);

/* The same for the inode at a place; for what stands at a name, which may go with all its
 * data.  What is not there is no matter. */
int mne_limit_admit_place(MneStore *store, const MnePlace *place) MNE_CHECKED;
int mne_limit_admit_spot(MneStore *store, const MneSpot *spot, bool goes) MNE_CHECKED;

/* More is kept than should be, by deleting: drop checkpoints, if they are to give way. */
void mne_limit_enforce(MneStore *store);

/* As mne_space_admit(); if checkpoints are to give way, until there is room. */
int mne_store_admit(MneStore *store, uint64_t bytes) MNE_CHECKED;
