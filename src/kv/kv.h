/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/kv.h - an ordered map with atomic batches: all that mnefs asks of an engine
 *
 * Engines implement MneKvOps; everyone else calls mne_kv_*().  Decorators
 * (trace, fault) are engines that own another engine.
 *
 * Threads: every function may be called from any thread; one iterator or batch
 * belongs to one thread at a time.
 * Ownership: keys and values passed in are borrowed for the call; values handed
 * out are new GBytes; an iterator's slices are valid until it moves.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct MneKv MneKv;
typedef struct MneKvIter MneKvIter;
typedef struct MneKvBatch MneKvBatch;

typedef struct {
	const char *name;

	/* A new GBytes in *out_value; -ENOENT when the key is absent. */
	int (*get)(MneKv *kv, MneSlice key, GBytes **out_value);

	/* An iterator over the state of this moment; see MneKvIterOps. */
	int (*iter)(MneKv *kv, MneKvIter **out_iter);

	/* The state of this moment as a map of its own, to be closed before kv: nothing can
	 * be applied to it.  It may be lost (KV_SNAPSHOT) when the engine heals itself. */
	int (*snapshot)(MneKv *kv, MneKv **out_snapshot);

	/* Apply all of batch or none of it, visible to every later get and iter.  A
	 * process that dies after return loses nothing; a machine may: see barrier.
	 * -ENOSPC, -EIO, -KV_CORRUPT: nothing of the batch was applied. */
	int (*apply)(MneKv *kv, MneKvBatch *batch);

	/* Everything applied before this call survives power loss when it returns. */
	int (*barrier)(MneKv *kv);

	/* Bytes on disk or in memory between two keys, roughly. */
	uint64_t (*size)(MneKv *kv, MneSlice first, MneSlice last);

	/* Statistics for people, a new string; NULL where there are none. */
	char *(*stats)(MneKv *kv);

	/* Release everything.  Cannot fail: what had to be durable, is. */
	void (*close)(MneKv *kv);
} MneKvOps;

/* Engines embed this first. */
struct MneKv {
	const MneKvOps *ops;
};

typedef struct {
	/* Stand at the first key >= key. */
	void (*seek)(MneKvIter *iter, MneSlice key);
	void (*next)(MneKvIter *iter);
	/* Stand at the last key < key (invalid when there is none). */
	void (*seek_before)(MneKvIter *iter, MneSlice key);
	/* Is it at an entry?  false at the end, or after an error: ask status. */
	bool (*valid)(const MneKvIter *iter);
	MneSlice (*key)(const MneKvIter *iter);
	MneSlice (*value)(const MneKvIter *iter);
	int (*status)(const MneKvIter *iter);
	void (*free)(MneKvIter *iter);
} MneKvIterOps;

struct MneKvIter {
	const MneKvIterOps *ops;
};

int mne_kv_get(MneKv *kv, MneSlice key, GBytes **out_value) MNE_CHECKED;
int mne_kv_iter(MneKv *kv, MneKvIter **out_iter) MNE_CHECKED;
int mne_kv_snapshot(MneKv *kv, MneKv **out_snapshot) MNE_CHECKED;
int mne_kv_apply(MneKv *kv, MneKvBatch *batch) MNE_CHECKED;
int mne_kv_barrier(MneKv *kv) MNE_CHECKED;
uint64_t mne_kv_size(MneKv *kv, MneSlice first, MneSlice last);
char *mne_kv_stats(MneKv *kv);
void mne_kv_close(MneKv *kv);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneKv, mne_kv_close)

void mne_kv_iter_seek(MneKvIter *iter, MneSlice key);
void mne_kv_iter_seek_before(MneKvIter *iter, MneSlice key);
void mne_kv_iter_next(MneKvIter *iter);
bool mne_kv_iter_valid(const MneKvIter *iter);
MneSlice mne_kv_iter_key(const MneKvIter *iter);
MneSlice mne_kv_iter_value(const MneKvIter *iter);
int mne_kv_iter_status(const MneKvIter *iter) MNE_CHECKED;
void mne_kv_iter_free(MneKvIter *iter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneKvIter, mne_kv_iter_free)

/* A batch is a list of puts and deletes, applied in order: a later one of the same
 * key wins.  It copies what it is given. */
MneKvBatch *mne_kv_batch_new(void);
void mne_kv_batch_put(MneKvBatch *batch, MneSlice key, MneSlice value);
void mne_kv_batch_del(MneKvBatch *batch, MneSlice key);
void mne_kv_batch_clear(MneKvBatch *batch);
size_t mne_kv_batch_count(const MneKvBatch *batch);
size_t mne_kv_batch_bytes(const MneKvBatch *batch);
void mne_kv_batch_free(MneKvBatch *batch);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneKvBatch, mne_kv_batch_free)

/* For engines: the batch's entries in order.  value.data is NULL for a delete. */
typedef void (*MneKvBatchFunc)(void *user, MneSlice key, MneSlice value,
			       bool is_delete);
void mne_kv_batch_foreach(const MneKvBatch *batch, MneKvBatchFunc func, void *user);
