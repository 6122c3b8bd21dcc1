/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/memtable.h - when LevelDB's memtable becomes a table
 *
 * Threads: one at a time, the one that may write.
 */
#pragma once

#include "kv/engines.h"
#include "kv/wal.h"

typedef struct MneMemtable MneMemtable;

/* flush switches to a new log and makes a table of the old one; it is called in a thread
 * of its own. */
typedef void (*MneMemtableFlush)(void *user);

/* LevelDB's own limit must be at least twice `limit`, so that it is never reached. */
MneMemtable *mne_memtable_new(MneWal *wal, const MneKvOutside *outside, size_t limit,
			      MneMemtableFlush flush, void *user);
/* Waits for a flush that goes on. */
void mne_memtable_free(MneMemtable *memtable);

/* LevelDB begins its thread when there is something to do, and it becomes as the one is who
 * found that.  So the first is found here, by ours. */
void mne_memtable_start(MneMemtable *memtable);

/* A batch is to be written: switch to a new memtable and log if this one is full. */
int mne_memtable_admit(MneMemtable *memtable, const MneKvBatch *batch) MNE_CHECKED;

/* Writing the batch that was admitted last has failed: it must not come back. */
void mne_memtable_undo(MneMemtable *memtable);

/* A barrier was asked for; from any thread. */
void mne_memtable_note_sync(MneMemtable *memtable);

/* Wait for the table being made; the next memtable begins empty. */
void mne_memtable_wait(MneMemtable *memtable);
