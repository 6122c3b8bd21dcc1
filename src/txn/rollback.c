/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rollback.c - tables become again what they were at a checkpoint
 *
 * What may differ from the checkpoint of seq C stands under CHANGED(S, key), S >= C.  Of each
 * such key the value at C is written again with the seq of the rollback, or the key is
 * deleted; what stood there is retained for the checkpoint that is made first.  Values
 * keep their seq only where nothing changed: an old seq in the live tables would show in
 * checkpoints that never saw the value.
 *
 * Extents go by the data id they stand under.  If an inode names it at C, they are treated
 * like all keys, and it is no orphan any more; if none does, it is an orphan, and they are
 * left to the reaper.
 *
 * Order of writing.  If all fits into one batch, that is it.  Else the first batch has, besides
 * a part of it, the ROLLBACK key; more batches follow inside the gate; the last removes the
 * key.  The first is the commit: from then on readers see the tables as they were at C
 * (txn/served.h), and whoever opens the store after a crash goes on with the rest before
 * anything else.  Going on is doing it again: what was done already has the rollback's seq.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/rollback.h"

#include "ckpt/set.h"
#include "txn/cut.h"
#include "txn/rolling.h"
#include "util/coding.h"
#include "util/log.h"
#include "view/iter.h"

#define BATCH_BYTES (UINT64_C(16) << 20)
#define APPLY_TRIES 5u

void mne_rollback_clear(MneRollback *rb)
{
	mne_commit_end(&rb->commit);
	g_clear_pointer(&rb->ckpt, mne_ckpt_unref);
	g_clear_pointer(&rb->before, mne_ckpt_unref);
	mne_plan_clear(&rb->plan);
	g_clear_pointer(&rb->data, g_array_unref);
	g_clear_pointer(&rb->done, g_hash_table_unref);
	g_clear_pointer(&rb->late, g_array_unref);
}

static void rollback_begin(MneRollback *rb, MneStore *store)
{
	rb->store = store;
	rb->data = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	rb->late = g_array_new(FALSE, FALSE, sizeof(MneLate));
	rb->done = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
					 (GDestroyNotify)g_bytes_unref, NULL);
}

static uint64_t batch_bytes(void)
{
	uint64_t wanted;

	return mne_debug_has("rollback-batch", &wanted) ? wanted : BATCH_BYTES;
}

static GBytes *restamp(MneSlice value, uint64_t seq)
{
	GByteArray *to = g_byte_array_sized_new((guint)value.len);
	MneSlice payload;
	MneKind kind;
	uint64_t was;

	if (mne_value_open(value, &kind, &was, &payload) < 0)
		return g_byte_array_free_to_bytes(to);
	mne_value_begin(to, kind, seq);
	mne_add_bytes(to, payload);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static int restore_extent(MneRollback *rb, const MneKey *key,
			  const MneRollbackPair *pair)
{
	g_autoptr(GBytes) value = NULL;
	MneSlice payload;
	MneExtent extent;
	MneKeyParts parts;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_key_parse(mne_key_slice(key), &parts));
	if (!mne_rollback_brings_back(rb, parts.id))
		return 0;
	if (!pair->then)
		return mne_commit_del_extent(&rb->commit, key, mne_slice_of(pair->now),
					     rb->plan.before);
	MNE_TRY(mne_value_open(mne_slice_of(pair->then), &kind, &seq, &payload));
	MNE_TRY(mne_extent_decode(payload, parts.offset, &extent));
	value = restamp(mne_slice_of(pair->then), rb->plan.seq);
	mne_commit_live(&rb->commit, extent.ref.segment, (int64_t)extent.len);
	return mne_commit_put(&rb->commit, key, mne_slice_of(value));
}

/* Its bytes are named again: they are no orphan's. */
static int restore_inode(MneRollback *rb, const MneKey *key, GBytes *then)
{
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) node = { 0 };
	MneKey orphan;

	MNE_TRY(mne_node_decode(then, &node));
	if (node.data != 0) {
		mne_key_orphan(&orphan, mne_key_table_of(mne_key_slice(key)),
			       node.data);
		mne_commit_unset(&rb->commit, &orphan);
		mne_limit_reaped(rb->store, node.data);
	}
	node.version = mne_volume_new_id(rb->store->volume);
	node.seq = rb->plan.seq;
	node.ctime = rb->commit.now;
	value = mne_node_encode(&node);
	return mne_commit_put(&rb->commit, key, mne_slice_of(value));
}

static int restore_value(MneRollback *rb, const MneKey *key, GBytes *then)
{
	g_autoptr(GBytes) value = NULL;
	MneSlice bytes = mne_slice_of(then);

	if (bytes.len > 0 && bytes.data[0] == MNE_KIND_INODE)
		return restore_inode(rb, key, then);
	value = restamp(bytes, rb->plan.seq);
	return mne_commit_put(&rb->commit, key, mne_slice_of(value));
}

static void count(MneRollback *rb, MneSlice key, const MneRollbackPair *pair)
{
	MneKeyParts parts;
	bool is_name = mne_key_parse(key, &parts) == 0 &&
		       ((parts.tag == MNE_TAG_NODE && parts.name.len > 0) ||
			parts.tag == MNE_TAG_INODE);

	if (!is_name || (parts.tag == MNE_TAG_INODE && !(pair->now && pair->then)))
		return;
	rb->result.returned += !pair->now;
	rb->result.removed += !pair->then;
	rb->result.changed += pair->now && pair->then;
}

/* Bytes that nothing will name. */
static int give_up(MneRollback *rb, uint32_t table, GBytes *now)
{
	g_auto(MneNode) node = { 0 };
	MneLate late;

	if (!now || mne_slice_of(now).data[0] != MNE_KIND_INODE)
		return 0;
	MNE_TRY(mne_node_decode(now, &node));
	if (node.data == 0 || mne_rollback_brings_back(rb, node.data))
		return 0;
	mne_commit_orphan(&rb->commit, table, node.data);
	late = (MneLate){ .data = node.data, .bytes = node.stored };
	g_array_append_val(rb->late, late);
	return 0;
}

static int restore_pair(MneRollback *rb, MneSlice bytes, const MneRollbackPair *pair)
{
	MneKey key;

	memcpy(key.bytes, bytes.data, bytes.len);
	key.len = (uint16_t)bytes.len;
	if (bytes.data[0] == MNE_TAG_EXTENT)
		return restore_extent(rb, &key, pair);
	MNE_TRY(give_up(rb, mne_key_table_of(bytes), pair->now));
	count(rb, bytes, pair);
	return pair->then ? restore_value(rb, &key, pair->then)
			  : mne_commit_del(&rb->commit, &key);
}

/* A key may come several times, from several checkpoints. */
static int restore_key(MneRollback *rb, MneSlice key)
{
	g_autoptr(GBytes) bytes = NULL;
	g_auto(MneRollbackPair) pair = { 0 };
	int got;

	if (mne_kv_batch_bytes(rb->store->batch) >= batch_bytes())
		return 1;
	bytes = mne_slice_to_bytes(key);
	if (g_hash_table_contains(rb->done, bytes))
		return 0;
	got = mne_rollback_pair(rb, key, &pair);
	if (got <= 0)
		return got;
	g_hash_table_add(rb->done, g_steal_pointer(&bytes));
	return restore_pair(rb, key, &pair);
}

/* 1 when more is to be done in another batch. */
static int fill(MneRollback *rb)
{
	int more;

	g_hash_table_remove_all(rb->done);
	more = mne_rollback_each(rb, restore_key);
	return more == 0 ? mne_rollback_spread(rb) : more;
}

static void put_plan(MneRollback *rb)
{
	g_autoptr(GBytes) value = mne_plan_encode(&rb->plan);
	MneKey key;

	mne_key_rollback(&key);
	mne_commit_set(&rb->commit, &key, mne_slice_of(value));
}

static void remove_plan(MneRollback *rb)
{
	MneKey key;

	mne_key_rollback(&key);
	mne_commit_unset(&rb->commit, &key);
}

/* There is no way back any more: what fails is tried again. */
static int apply_patiently(MneRollback *rb)
{
	int err = mne_commit_apply(&rb->commit);

	for (unsigned i = 1; err < 0 && i < APPLY_TRIES; i++) {
		g_usleep(i * 50000);
		err = mne_commit_apply(&rb->commit);
	}
	return err;
}

static void applied(MneRollback *rb)
{
	mne_limit_orphaned_all(rb->store, rb->late);
	g_array_set_size(rb->late, 0);
}

static int next_batch(MneRollback *rb)
{
	int more;

	mne_commit_next(&rb->commit);
	more = fill(rb);
	MNE_TRY(more);
	if (!more)
		remove_plan(rb);
	MNE_TRY(apply_patiently(rb));
	applied(rb);
	return more;
}

/* All batches but the first.  If it cannot be finished nobody may write any more; readers see
 * the tables as they will be, and the next mount goes on. */
static int finish_batches(MneRollback *rb)
{
	int more;

	do
		more = next_batch(rb);
	while (more > 0);
	if (more < 0) {
		rb->store->failed = true;
		g_warning(
			"a rollback could not be finished: %s; the store is read-only "
			"until it is mounted again, which goes on with it",
			mne_err_sentence(more));
		return more;
	}
	mne_served_end(&rb->store->live);
	return 0;
}

int mne_rollback_name(MneRollback *rb)
{
	static const char *const formats[] = { "pre-rollback-%Y-%m-%dT%H%MZ",
					       "pre-rollback-%Y-%m-%dT%H%M%SZ" };
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();

	for (unsigned i = 0; i < 1000; i++) {
		g_autofree char *name = g_date_time_format(now, formats[MIN(i, 1)]);
		g_autofree char *numbered = g_strdup_printf("%s-%u", name, i);
		g_autoptr(MneCkpt) taken = NULL;

		g_strlcpy(rb->result.before, i > 1 ? numbered : name,
			  sizeof(rb->result.before));
		if (mne_ckpts_find(rb->store->ckpts, mne_slice_str(rb->result.before),
				   &taken) < 0)
			return 0;
	}
	return mne_throw(CKPT_EXISTS, "too many checkpoints of this second");
}

/* Into the batch: the checkpoint of what is left behind. */
static int make_checkpoint(MneRollback *rb, const MneRollbackSpec *spec)
{
	MneCkptSpec what = { .uid = spec->uid, .gid = spec->gid };

	MNE_TRY(mne_rollback_name(rb));
	what.name = mne_slice_str(rb->result.before);
	what.tables = rb->plan.whole ? NULL : rb->plan.tables;
	rb->before = mne_ckpt_new(rb->store->ckpts, &what);
	rb->before->id = mne_volume_new_id(rb->store->volume);
	rb->before->seq = rb->plan.before;
	mne_commit_put_ckpt(&rb->commit, rb->before, MNE_CKPT_ACTIVE, what.name,
			    &rb->before->traits);
	mne_ckpts_add(rb->store->ckpts, rb->before);
	return 0;
}

int mne_rollback_find(MneRollback *rb, const MneRollbackSpec *spec)
{
	if (mne_ckpts_find(rb->store->ckpts, spec->name, &rb->ckpt) < 0)
		return mne_throw(NO_CKPT, "there is no checkpoint %.*s",
				 (int)spec->name.len, (const char *)spec->name.data);
	MNE_TRY(mne_rollback_choose(rb, spec->tables));
	rb->plan.ckpt = rb->ckpt->id;
	rb->plan.to = rb->ckpt->seq;
	return 0;
}

static int make_plan(MneRollback *rb, const MneRollbackSpec *spec)
{
	MNE_TRY(mne_rollback_find(rb, spec));
	rb->plan.before = rb->commit.seq;
	rb->plan.seq = rb->commit.seq + 1;
	rb->commit.seq = rb->plan.seq;
	return 0;
}

/* The first batch, which is all there is or has the plan in it: 1 when more are to come. */
static int first_batch(MneRollback *rb, const MneRollbackSpec *spec)
{
	int more;

	MNE_TRY(make_checkpoint(rb, spec));
	MNE_TRY(mne_rollback_tables(rb));
	mne_rollback_from_the_start(rb);
	more = fill(rb);
	if (more > 0)
		put_plan(rb);
	return more;
}

static int apply_first(MneRollback *rb, const MneRollbackSpec *spec, bool more,
		       GPtrArray *cut)
{
	MneStore *store = rb->store;
	int err;

	if (more)
		mne_served_begin(&store->live, rb->ckpt, &rb->plan);
	err = mne_commit_apply(&rb->commit);
	if (err < 0) {
		mne_served_end(&store->live);
		mne_files_mend(cut);
		return err;
	}
	applied(rb);
	mne_commit_tell_ckpt(store, "checkpoint_activated", rb->before,
			     mne_slice_str(rb->result.before));
	mne_commit_tell_ckpt(store, "rolled_back", rb->ckpt, spec->name);
	mne_files_cut_off(store, cut);
	rb->result.cut = cut->len;
	return 0;
}

/* Everything before the first batch is applied can be given up. */
static int begin_rolling(MneRollback *rb, const MneRollbackSpec *spec,
			 GPtrArray **out_cut)
{
	g_autoptr(GPtrArray) cut = NULL;
	int more;

	MNE_TRY(make_plan(rb, spec));
	MNE_TRY(mne_rollback_survey(rb));
	MNE_TRY(mne_space_admit(&rb->store->space, rb->bytes));
	more = first_batch(rb, spec);
	MNE_TRY(more);
	cut = mne_files_cut(rb->store, &rb->plan);
	MNE_TRY(apply_first(rb, spec, more, cut));
	*out_cut = g_steal_pointer(&cut);
	return more;
}

/* The checkpoint is in the set from the moment something is retained for it; that is seen
 * early, but is true: nothing has changed yet. */
static int roll(MneRollback *rb, const MneRollbackSpec *spec, GPtrArray **out_cut)
{
	int more = begin_rolling(rb, spec, out_cut);

	if (more < 0 && rb->before) {
		mne_ckpts_set_dropping(rb->store->ckpts, rb->before);
		mne_ckpts_remove(rb->store->ckpts, rb->before);
	}
	return more > 0 ? finish_batches(rb) : more;
}

static int roll_gated(MneRollback *rb, const MneRollbackSpec *spec, GPtrArray **out_cut,
		      MneWritten **out_written)
{
	int err = mne_commit_begin_between_closes(rb->store, &rb->commit);

	if (err == 0)
		err = roll(rb, spec, out_cut);
	if (err == 0)
		err = mne_written_open(rb->store, rb->before, out_written);
	mne_commit_end(&rb->commit);
	return err;
}

static int admit(MneStore *store, const MneRollbackSpec *spec, MneHold **out_hold)
{
	g_auto(MneRollback) rb = { 0 };

	rollback_begin(&rb, store);
	return mne_rollback_admit(&rb, spec, out_hold);
}

int mne_store_rollback(MneStore *store, const MneRollbackSpec *spec,
		       MneRollbackResult *out_result, MneWritten **out_written)
{
	g_autoptr(GPtrArray) cut = NULL;
	g_auto(MneRollback) rb = { 0 };
	g_autoptr(MneHold) hold = NULL;

	MNE_TRY(mne_files_commit_closed(store));
	MNE_TRY(admit(store, spec, &hold));
	rollback_begin(&rb, store);
	MNE_TRY(roll_gated(&rb, spec, &cut, out_written));
	mne_files_forget_cut(store, cut);
	mne_store_wake(store);
	*out_result = rb.result;
	return 0;
}

static int find_ckpt(MneStore *store, uint64_t id, MneCkpt **out_ckpt)
{
	g_autoptr(GPtrArray) all = mne_ckpts_list(store->ckpts);

	for (guint i = 0; i < all->len; i++) {
		MneCkpt *ckpt = all->pdata[i];

		if (ckpt->id != id)
			continue;
		*out_ckpt = mne_ckpt_ref(ckpt);
		return 0;
	}
	return mne_throw(VALUE_CORRUPT, "the checkpoint of an interrupted rollback is "
					"not there");
}

static int load_plan(MneRollback *rb)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	mne_key_rollback(&key);
	MNE_TRY(mne_kv_get(rb->store->volume->kv, mne_key_slice(&key), &value));
	MNE_TRY(mne_plan_decode(mne_slice_of(value), &rb->plan));
	return find_ckpt(rb->store, rb->plan.ckpt, &rb->ckpt);
}

static int go_on(MneRollback *rb)
{
	MNE_TRY(mne_commit_begin(rb->store, &rb->commit));
	rb->commit.seq = rb->plan.seq;
	MNE_TRY(mne_rollback_survey(rb));
	mne_rollback_from_the_start(rb);
	MNE_TRY(finish_batches(rb));
	mne_log_say("a rollback that had been interrupted was finished");
	return 0;
}

int mne_rollback_resume(MneStore *store)
{
	g_auto(MneRollback) rb = { 0 };
	int err;

	rollback_begin(&rb, store);
	err = load_plan(&rb);
	if (err == -ENOENT)
		return 0;
	MNE_TRY(err);
	mne_served_begin(&store->live, rb.ckpt, &rb.plan);
	if (store->options.read_only)
		return 0;
	err = go_on(&rb);
	return store->failed ? 0 : err;
}
