/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/engines.h - the engines and decorators there are
 */
#pragma once

#include "kv/kv.h"

/* What values name but do not hold, such as bytes in blob segments: it is written before
 * the batch that names it, but the disk may take it later. */
typedef struct {
	/* Does what the value names exist?  Asked after an unclean stop, of batches in the
	 * logs: they are cut so that nothing is missing. */
	bool (*holds)(void *user, MneSlice key, MneSlice value);
	/* Does it say that all batches up to out_behind before its own hold? */
	bool (*vouches)(void *user, MneSlice key, MneSlice value, uint64_t *out_behind);
	/* Make durable all that was named so far, in batches applied or found to hold.
	 * Called before the engine may make such batches durable by itself. */
	int (*settle)(void *user);
	void *user;
} MneKvOutside;

typedef struct {
	const MneKvOutside *outside; /* borrowed until the close; may be NULL */
	size_t write_buffer; /* bytes of the memtable at most; 0: see kv/tuning.c */
	size_t block_cache; /* bytes; 0: see kv/tuning.c */
	bool create; /* make it when missing */
} MneLeveldbOptions;

/* LevelDB in directory path.  -ENOENT when missing and create is off;
 * -STORE_LOCKED when somebody has it open; -KV_CORRUPT when it does not open, or the
 * errno that kept it from opening: -ENOSPC, -EACCES.  After power loss it holds a
 * prefix of what was applied.  A full disk fails an apply and nothing more: reading
 * goes on, and the first apply that finds room again succeeds, once no iterator from
 * before the failure is left. */
int mne_kv_leveldb_open(const char *path, const MneLeveldbOptions *options,
			MneKv **out_kv) MNE_CHECKED;

/* Salvage what can be read of a damaged LevelDB in path (leveldb's repair).
 * -ENOENT, -STORE_LOCKED. */
int mne_kv_leveldb_repair(const char *path) MNE_CHECKED;

/* A sorted map in memory: the contract in a hundred lines. */
MneKv *mne_kv_mem_new(void);

/* Keeps values of keys that keeps() is true of at hand; the next engine must be used
 * through it only.  Takes next. */
typedef bool (*MneKvKeeps)(MneSlice key);
MneKv *mne_kv_cache_new(MneKv *take_next, MneKvKeeps keeps);

/* Logs every call in domain mne-kv and counts and times it.  Takes next. */
MneKv *mne_kv_trace_new(MneKv *take_next);

/* What a faulty call does. */
typedef enum {
	MNE_FAULT_FAIL, /* the call fails with INJECTED and did nothing */
	MNE_FAULT_FAIL_FROM, /* and so do all that follow */
	MNE_FAULT_KILL, /* the process dies by SIGKILL before the call */
	MNE_FAULT_KILL_AFTER, /* … after the call */
} MneFaultKind;

/* The nth call (from 1) of apply, barrier, get or iter does as kind says; 0: none.
 * Reads count only when with_reads.  Takes next. */
MneKv *mne_kv_fault_new(MneKv *take_next, MneFaultKind kind, uint64_t nth,
			bool with_reads);
