/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/wal.h - LevelDB's log files, handled from outside
 *
 * Threads: everything may be called from any thread.
 */
#pragma once

#include "kv/engines.h"
#include "util/error.h"

#include <stdint.h>

typedef struct MneWal MneWal;

/* The log files in LevelDB's directory path, which is locked until the close:
 * -STORE_LOCKED when it is open already, here or in another process. */
int mne_wal_open(const char *path, MneWal **out_wal) MNE_CHECKED;
void mne_wal_close(MneWal *wal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneWal, mne_wal_close)

/* Before LevelDB opens, or repairs: drop what comes after the first damage in the logs, so that
 * it recovers a prefix of what was applied; and, if outside is not NULL, what names
 * something that is not there. */
int mne_wal_cut(MneWal *wal, const MneKvOutside *outside) MNE_CHECKED;

/* The number of the newest log, 0 when there is none.  As with the next two, the caller has the
 * right to write to LevelDB. */
int mne_wal_newest(MneWal *wal, uint64_t *out_number) MNE_CHECKED;

/* Make the newest log longer by so many zeros, if the disk has plenty of room: -ENOSPC. */
int mne_wal_extend(MneWal *wal, size_t bytes) MNE_CHECKED;

/* After a failed write: the newest log ends after so many records, and at most the one that
 * failed is behind: else nothing is cut off, -KV_CORRUPT.  The bytes that were not written
 * any more may be there, if they are zeros. */
int mne_wal_keep(MneWal *wal, uint64_t records) MNE_CHECKED;

/* What LevelDB wrote before this call survives power loss when it returns 0. */
int mne_wal_sync(MneWal *wal) MNE_CHECKED;

/* LevelDB has switched, or has deleted a log.  Told before anything is written to the new
 * one, the next sync misses no failure. */
void mne_wal_follow(MneWal *wal);

/* The database is closed and opened while others may sync: begins, or ends. */
void mne_wal_reopening(MneWal *wal, bool begins);

/* -ENOSPC when the disk has no room for replaying the logs and `more` bytes, `less` those that
 * will be given back before. */
int mne_wal_require_room(MneWal *wal, uint64_t more, uint64_t less) MNE_CHECKED;
