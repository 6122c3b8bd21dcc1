/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rollback_survey.c - of a rollback: which keys it is about, and what it will keep
 *
 * What is left behind is retained for the checkpoint that is made of it: every value that
 * changed since, once.  If the history has a limit that is asked for before anything is
 * done, outside the gate, as checkpoints may have to give way.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "ckpt/set.h"
#include "txn/rolling.h"
#include "view/iter.h"

#define KEY_COST 128u /* of a key in all the places it is written, without values */

void mne_rollback_pair_clear(MneRollbackPair *pair)
{
	g_clear_pointer(&pair->now, g_bytes_unref);
	g_clear_pointer(&pair->then, g_bytes_unref);
}

static int get_or_null(MneView *view, MneSlice key, GBytes **out_value)
{
	int err = mne_view_get(view, key, out_value);

	return err == -ENOENT ? 0 : err;
}

int mne_rollback_pair(MneRollback *rb, MneSlice key, MneRollbackPair *out)
{
	uint64_t seq;

	MNE_TRY(get_or_null(&rb->store->stored.base, key, &out->now));
	seq = out->now ? mne_value_seq(mne_slice_of(out->now)) : 0;
	if (out->now && (seq <= rb->plan.to || seq == rb->plan.seq))
		return 0;
	MNE_TRY(get_or_null(&rb->ckpt->view, key, &out->then));
	return out->now || out->then;
}

static bool is_concerned(const MneRollback *rb, MneSlice key)
{
	return key.data[0] != MNE_TAG_TABLE && key.data[0] != MNE_TAG_FRAGS &&
	       mne_plan_has(&rb->plan, mne_key_table_of(key));
}

int mne_rollback_each(MneRollback *rb, int (*func)(MneRollback *rb, MneSlice key))
{
	const uint8_t tag = MNE_TAG_CHANGED;
	g_autoptr(MneIter) iter = NULL;
	MneKvIter *kv = NULL;
	MneSlice key, value;
	int got;

	MNE_TRY(mne_kv_iter(rb->store->volume->kv, &kv));
	iter = mne_iter_kv_new(kv, mne_slice(&tag, 1), mne_key_slice(&rb->from));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneKeyParts parts;

		MNE_TRY(mne_key_parse(key, &parts));
		if (parts.seq >= rb->plan.before)
			return 0;
		if (!is_concerned(rb, parts.inner))
			continue;
		memcpy(rb->from.bytes, key.data, key.len);
		rb->from.len = (uint16_t)key.len;
		got = func(rb, parts.inner);
		if (got != 0)
			return got;
	}
	return got;
}

void mne_rollback_from_the_start(MneRollback *rb)
{
	mne_key_changed(&rb->from, rb->plan.to, MNE_SLICE_EMPTY);
}

int mne_rollback_data_of(GBytes *value, uint64_t *out_data)
{
	g_auto(MneNode) node = { 0 };
	MneSlice bytes = value ? mne_slice_of(value) : MNE_SLICE_EMPTY;

	*out_data = 0;
	if (bytes.len == 0 || bytes.data[0] != MNE_KIND_INODE)
		return 0;
	MNE_TRY(mne_node_decode(value, &node));
	*out_data = node.data;
	return 0;
}

static size_t size_of(GBytes *value)
{
	return value ? g_bytes_get_size(value) : 0;
}

/* What was written already, before an interruption, names its data, too. */
static int survey_key(MneRollback *rb, MneSlice key)
{
	g_auto(MneRollbackPair) pair = { 0 };
	uint64_t data;
	int got = mne_rollback_pair(rb, key, &pair);

	MNE_TRY(got);
	if (got > 0)
		rb->bytes += size_of(pair.now) + size_of(pair.then) + 3 * key.len +
			     KEY_COST;
	MNE_TRY(mne_rollback_data_of(got > 0 ? pair.then : pair.now, &data));
	if (data != 0)
		g_array_append_val(rb->data, data);
	return 0;
}

static int compare_u64(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;

	return (x > y) - (x < y);
}

int mne_rollback_survey(MneRollback *rb)
{
	mne_rollback_from_the_start(rb);
	MNE_TRY(mne_rollback_each(rb, survey_key));
	g_array_sort(rb->data, compare_u64);
	return 0;
}

bool mne_rollback_brings_back(const MneRollback *rb, uint64_t data)
{
	return rb->data->len > 0 &&
	       bsearch(&data, rb->data->data, rb->data->len, sizeof(data), compare_u64);
}

/* --- the history ----------------------------------------------------------------- */

/* 1 for an extent of a deleted file that stays deleted: the reaper's already, and counted as
 * such (MneLimit.late). */
static int is_reapers(MneRollback *rb, MneSlice key)
{
	g_autoptr(GBytes) value = NULL;
	MneKeyParts parts;
	MneKey orphan;
	int err;

	MNE_TRY(mne_key_parse(key, &parts));
	if (parts.tag != MNE_TAG_EXTENT || mne_rollback_brings_back(rb, parts.id))
		return 0;
	mne_key_orphan(&orphan, parts.table, parts.id);
	err = mne_kv_get(rb->store->volume->kv, mne_key_slice(&orphan), &value);
	return err == -ENOENT ? 0 : err < 0 ? err : 1;
}

/* A key may come several times, from several checkpoints: it is retained once. */
static int add_kept(MneRollback *rb, MneSlice key)
{
	g_auto(MneRollbackPair) pair = { 0 };
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(key);
	int reapers;

	if (g_hash_table_contains(rb->done, bytes))
		return 0;
	g_hash_table_add(rb->done, g_steal_pointer(&bytes));
	reapers = is_reapers(rb, key);
	if (reapers != 0)
		return MIN(reapers, 0);
	MNE_TRY(mne_rollback_pair(rb, key, &pair));
	if (pair.now && mne_value_seq(mne_slice_of(pair.now)) > rb->plan.to)
		rb->bytes += (uint64_t)mne_tally_size(key, mne_slice_of(pair.now));
	return 0;
}

/* 1 when a checkpoint gave way, and it is to be asked again. */
static int ask(MneRollback *rb)
{
	g_array_set_size(rb->data, 0);
	MNE_TRY(mne_rollback_survey(rb));
	rb->bytes = 0;
	g_hash_table_remove_all(rb->done);
	mne_rollback_from_the_start(rb);
	MNE_TRY(mne_rollback_each(rb, add_kept));
	return mne_limit_make_room(rb->store, rb->bytes);
}

int mne_rollback_admit(MneRollback *rb, const MneRollbackSpec *spec, MneHold **out_hold)
{
	MneProcess self;
	int more;

	if (mne_store_history_limit(rb->store) == 0)
		return 0;
	MNE_TRY(mne_rollback_find(rb, spec));
	rb->plan.seq = rb->plan.before = UINT64_MAX;
	mne_process_meet(&self, getpid());
	MNE_TRY(mne_hold_take(rb->ckpt, &self, out_hold));
	do
		more = ask(rb);
	while (more > 0);
	return more;
}
