/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/kv.c - dispatch to the engine, and batches
 *
 * A batch is one flat buffer of entries, so that filling it allocates only when the
 * buffer grows and an engine walks it front to back:
 *
 *   key_len:32 value_len:32 op:8 (and padding) key value
 *
 * The numbers are in the machine's order: a batch never leaves memory.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/kv.h"

enum { OP_PUT, OP_DEL };

enum { FIRST_ROOM = 512 };

typedef struct {
	uint32_t key_len;
	uint32_t value_len;
	uint8_t op;
} EntryHead;

struct MneKvBatch {
	uint8_t *entries;
	size_t len;
	size_t room;
	size_t count;
};

int mne_kv_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	return kv->ops->get(kv, key, out_value);
}

int mne_kv_iter(MneKv *kv, MneKvIter **out_iter)
{
	return kv->ops->iter(kv, out_iter);
}

int mne_kv_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	return kv->ops->snapshot(kv, out_snapshot);
}

int mne_kv_apply(MneKv *kv, MneKvBatch *batch)
{
	return kv->ops->apply(kv, batch);
}

int mne_kv_barrier(MneKv *kv)
{
	return kv->ops->barrier(kv);
}

uint64_t mne_kv_size(MneKv *kv, MneSlice first, MneSlice last)
{
	return kv->ops->size(kv, first, last);
}

char *mne_kv_stats(MneKv *kv)
{
	return kv->ops->stats(kv);
}

void mne_kv_close(MneKv *kv)
{
	if (kv)
		kv->ops->close(kv);
}

void mne_kv_iter_seek(MneKvIter *iter, MneSlice key)
{
	iter->ops->seek(iter, key);
}

void mne_kv_iter_seek_before(MneKvIter *iter, MneSlice key)
{
	iter->ops->seek_before(iter, key);
}

void mne_kv_iter_next(MneKvIter *iter)
{
	iter->ops->next(iter);
}

bool mne_kv_iter_valid(const MneKvIter *iter)
{
	return iter->ops->valid(iter);
}

MneSlice mne_kv_iter_key(const MneKvIter *iter)
{
	return iter->ops->key(iter);
}

MneSlice mne_kv_iter_value(const MneKvIter *iter)
{
	return iter->ops->value(iter);
}

int mne_kv_iter_status(const MneKvIter *iter)
{
	return iter->ops->status(iter);
}

void mne_kv_iter_free(MneKvIter *iter)
{
	if (iter)
		iter->ops->free(iter);
}

MneKvBatch *mne_kv_batch_new(void)
{
	return g_new0(MneKvBatch, 1);
}

static void require_room(MneKvBatch *batch, size_t more)
{
	if (batch->room - batch->len >= more)
		return;

	batch->room = MAX(batch->len + more, 2 * batch->room);
	batch->room = MAX(batch->room, FIRST_ROOM);
	batch->entries = g_realloc(batch->entries, batch->room);
}

static void append(MneKvBatch *batch, const void *data, size_t len)
{
	if (len > 0)
		memcpy(batch->entries + batch->len, data, len);
	batch->len += len;
}

static void add_entry(MneKvBatch *batch, uint8_t op, MneSlice key, MneSlice value)
{
	EntryHead head = { 0 };

	g_assert(key.len <= UINT32_MAX && value.len <= UINT32_MAX);
	head.op = op;
	head.key_len = (uint32_t)key.len;
	head.value_len = (uint32_t)value.len;
	require_room(batch, sizeof(head) + key.len + value.len);
	append(batch, &head, sizeof(head));
	append(batch, key.data, key.len);
	append(batch, value.data, value.len);
	batch->count++;
}

void mne_kv_batch_put(MneKvBatch *batch, MneSlice key, MneSlice value)
{
	add_entry(batch, OP_PUT, key, value);
}

void mne_kv_batch_del(MneKvBatch *batch, MneSlice key)
{
	add_entry(batch, OP_DEL, key, MNE_SLICE_EMPTY);
}

void mne_kv_batch_clear(MneKvBatch *batch)
{
	batch->len = 0;
	batch->count = 0;
}

size_t mne_kv_batch_count(const MneKvBatch *batch)
{
	return batch->count;
}

size_t mne_kv_batch_bytes(const MneKvBatch *batch)
{
	return batch->len;
}

void mne_kv_batch_free(MneKvBatch *batch)
{
	if (!batch)
		return;

	g_free(batch->entries);
	g_free(batch);
}

void mne_kv_batch_foreach(const MneKvBatch *batch, MneKvBatchFunc func, void *user)
{
	const uint8_t *at = batch->entries;

	for (size_t i = 0; i < batch->count; i++) {
		MneSlice key, value;
		EntryHead head;

		memcpy(&head, at, sizeof(head));
		key = mne_slice(at + sizeof(head), head.key_len);
		value = mne_slice(key.data + key.len, head.value_len);
		at = value.data + value.len;
		if (head.op == OP_DEL)
			value = MNE_SLICE_EMPTY;
		func(user, key, value, head.op == OP_DEL);
	}
}
