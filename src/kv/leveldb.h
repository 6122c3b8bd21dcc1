/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/leveldb.h - the inside of the engine on disk, for the two files that make it
 */
#pragma once

#include "kv/engines.h"
#include "kv/memtable.h"
#include "kv/wal.h"
#include "util/lock.h"

#include <stdatomic.h>

#include <leveldb/c.h>

typedef struct {
	MneKv base;
	char *path;
	MneWal *wal;
	const MneKvOutside *outside; /* or NULL */
	size_t buffer; /* of a memtable */
	leveldb_options_t *options;
	leveldb_cache_t *cache;
	leveldb_filterpolicy_t *bloom; /* or NULL */
	leveldb_readoptions_t *reading;
	leveldb_writeoptions_t *writing;

	MneLock lock; /* of all below */
	MneCond changed;
	leveldb_t *db; /* changed by the pen's holder; NULL after a failed reopening */
	unsigned users; /* gets and iterators inside db */
	bool draining; /* nobody new may enter */
	bool pen_taken;
	leveldb_writebatch_t *translated; /* the pen's holder's; keeps its room */
	MneMemtable *memtable; /* the pen's holder's; NULL: LevelDB's own affair */
	int broken; /* why the last apply failed; only the pen's holder asks */
	GQueue snapshots; /* of MneLevelSnapshot: lost by a reopening */
	atomic_uint heals;
} MneLevelKv;

/* LevelDB copies from it even when there is nothing to copy. */
static inline const char *mne_level_chars(MneSlice slice)
{
	return slice.data ? (const char *)slice.data : "";
}

/* Takes LevelDB's message; NULL is success. */
int mne_level_error(const char *doing, char *text);

/* db stays open until leave(). */
int mne_level_enter(MneLevelKv *kv, leveldb_t **out_db) MNE_CHECKED;
void mne_level_leave(MneLevelKv *kv);

/* kv/leveldb_read.c */
int mne_level_get(MneKv *kv, MneSlice key, GBytes **out_value);
int mne_level_iter(MneKv *kv, MneKvIter **out_iter);
int mne_level_snapshot(MneKv *kv, MneKv **out_snapshot);
uint64_t mne_level_size(MneKv *kv, MneSlice first, MneSlice last);
char *mne_level_stats(MneKv *kv);
/* The database is about to be closed: its snapshots answer KV_SNAPSHOT from now on. */
void mne_level_lose_snapshots(MneLevelKv *kv);
