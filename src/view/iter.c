/* SPDX-License-Identifier: Apache-2.0
 *
 * view/iter.c - sorted iterators over keys and values
 */
#define G_LOG_DOMAIN "mne-view"

#include "config.h"

#include "view/iter.h"

int mne_iter_next(MneIter *iter, MneSlice *out_key, MneSlice *out_value)
{
	return iter->ops->next(iter, out_key, out_value);
}

void mne_iter_free(MneIter *iter)
{
	if (iter)
		iter->ops->free(iter);
}

typedef struct {
	MneIter base;
	MneKvIter *kv; /* owned */
	MneKey prefix;
	MneKey from;
	bool started;
} KvRange;

static int range_next(MneIter *iter, MneSlice *out_key, MneSlice *out_value)
{
	KvRange *range = (KvRange *)iter;
	MneSlice key;

	if (range->started)
		mne_kv_iter_next(range->kv);
	else
		mne_kv_iter_seek(range->kv, mne_key_slice(&range->from));
	range->started = true;

	if (!mne_kv_iter_valid(range->kv))
		return mne_kv_iter_status(range->kv);
	key = mne_kv_iter_key(range->kv);
	if (!mne_slice_has_prefix(key, mne_key_slice(&range->prefix)))
		return 0;
	*out_key = key;
	*out_value = mne_kv_iter_value(range->kv);
	return 1;
}

static void range_free(MneIter *iter)
{
	KvRange *range = (KvRange *)iter;

	mne_kv_iter_free(range->kv);
	g_free(range);
}

static const MneIterOps range_ops = { range_next, range_free };

static void key_set(MneKey *key, MneSlice bytes)
{
	g_assert(bytes.len <= MNE_KEY_MAX);
	if (bytes.len > 0)
		memcpy(key->bytes, bytes.data, bytes.len);
	key->len = (uint16_t)bytes.len;
}

MneIter *mne_iter_kv_new(MneKvIter *take_kv_iter, MneSlice prefix, MneSlice from)
{
	KvRange *range = g_new0(KvRange, 1);

	range->base.ops = &range_ops;
	range->kv = take_kv_iter;
	key_set(&range->prefix, prefix);
	key_set(&range->from, mne_slice_compare(from, prefix) < 0 ? prefix : from);
	return &range->base;
}
