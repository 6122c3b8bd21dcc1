/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/renew.c - an open transaction moves on to the present
 *
 * What it has read and what it writes is held against the live tables, as at a commit; if
 * nobody changed any of it, it might as well have begun now, and from here on it has.  Of
 * what it staged, only the inodes of directories say how it was before: they get what
 * others added.  If somebody did, it has failed.
 *
 * Meanwhile its readers wait in enter(), and its writers for their gate's owner in
 * mne_tx_require_open().  An iterator may still stand in the moment that was; what it read
 * there cannot be told from a conflict any more, and so counts as one.
 *
 * The epoch stays: segments that the old moment named are kept to the end.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/closing.h"
#include "txn/txstate.h"

/* 0: an inner one is open, so that nothing may move.  1: readers and writers wait. */
static int stop_others(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->store->gate); /* who was in it is out */
	MNE_TRY(mne_tx_require_open(tx));
	MNE_WITH_LOCK(&tx->lock);
	if (tx->state != MNE_TX_OPEN)
		return mne_throw(TX_GONE, "the transaction has ended");
	if (tx->inner > 0)
		return 0;
	tx->state = MNE_TX_RENEWING;
	while (tx->users > 0)
		mne_cond_wait(&tx->left, &tx->lock);
	return 1;
}

static void let_go_on(MneTx *tx, MneTxState state)
{
	MNE_WITH_LOCK(&tx->lock);
	tx->state = state;
	mne_cond_broadcast(&tx->left);
}

/* What stands there now, if somebody changed it since the moment; else NULL. */
static int changed_since(MneTx *tx, MneSlice key, GBytes **out_now)
{
	g_autoptr(GBytes) now = NULL;
	int err = mne_view_get(&tx->of->live.base, key, &now);

	if (err == -ENOENT)
		return 0;
	MNE_TRY(err);
	if (mne_value_seq(mne_slice_of(now)) > tx->base_seq)
		*out_now = g_steal_pointer(&now);
	return 0;
}

static bool is_dir_inode(MneSlice key, MneKeyParts *out)
{
	return key.data[0] == MNE_TAG_NODE && mne_key_parse(key, out) == 0 &&
	       out->name.len == 0;
}

/* ---- directories that were looked at ---- */

typedef struct {
	MneTx *tx;
	GArray *changes;
} Looked;

static int note_dir(void *user, MneSlice key)
{
	const Looked *looked = user;
	g_autoptr(GBytes) now = NULL;
	MneTxChange change = { 0 };
	MneKeyParts parts;

	if (!is_dir_inode(key, &parts))
		return 0;
	MNE_TRY(changed_since(looked->tx, key, &now));
	if (!now)
		return 0;
	change.table = parts.table;
	change.rec = parts.id;
	g_array_append_val(looked->changes, change);
	return 0;
}

/* ---- directories that were changed ---- */

typedef struct {
	MneTx *tx;
	MneKvBatch *batch;
} Rebase;

static int rebase_dir(void *user, MneSlice key, MneSlice staged)
{
	const Rebase *rebase = user;
	g_autoptr(GBytes) now = NULL;
	g_autoptr(GBytes) value = NULL;
	g_autoptr(GBytes) merged = NULL;
	g_auto(MneNode) node = { 0 };
	MneKeyParts parts;

	if (staged.len == 0 || !is_dir_inode(key, &parts))
		return 0;
	MNE_TRY(changed_since(rebase->tx, key, &now));
	if (!now)
		return 0;
	value = mne_slice_to_bytes(staged);
	MNE_TRY(mne_node_decode(value, &node));
	MNE_TRY(mne_tx_merge_dir(rebase->tx, key, now, &node));
	merged = mne_node_encode(&node);
	mne_kv_batch_put(rebase->batch, key, mne_slice_of(merged));
	return 0;
}

/* ---- the moment ---- */

void mne_present_clear(MnePresent *present)
{
	g_clear_pointer(&present->moment, mne_kv_close);
	g_clear_pointer(&present->frags, mne_frags_free);
}

int mne_tx_take_present(MneTx *tx, MnePresent *out)
{
	mne_lock_assert_held(&tx->of->gate);
	MNE_TRY(mne_kv_snapshot(tx->of->volume->kv, &out->moment));
	out->frags = mne_frags_new(tx->of->modules);
	return mne_frags_load(out->frags, out->moment);
}

/* What was is left in present, to be freed. */
static void enter_present(MneTx *tx, MnePresent *present)
{
	const MnePresent was = { tx->moment, tx->frags };
	MneStore *of = tx->of;

	MNE_WITH_LOCK(&tx->lock);
	tx->moment = present->moment;
	tx->frags = present->frags;
	*present = was;
	mne_live_view_init(&tx->live_base, tx->moment, tx->frags, of->volume->blob);
	tx->overlay.moment++;
	tx->base_seq = of->volume->seq;
	tx->first_id = mne_volume_next_id(of->volume);
	tx->store->volume->seq = MAX(tx->store->volume->seq, tx->base_seq);
}

/* In the gate of the live tables. */
static int move(MneTx *tx, const MneReads *reads, GArray *changes)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	Looked looked = { tx, changes };
	Rebase rebase = { tx, batch };
	g_auto(MnePresent) present = { 0 };

	MNE_TRY(mne_tx_validate(tx, reads));
	MNE_TRY(mne_reads_foreach(reads, note_dir, NULL, &looked));
	MNE_TRY(mne_tx_foreach_staged(tx, rebase_dir, &rebase));
	MNE_TRY(mne_tx_take_present(tx, &present));
	MNE_TRY(mne_kv_apply(tx->store->volume->kv, batch));
	enter_present(tx, &present);
	return 0;
}

static int move_gated(MneTx *tx, GArray *changes)
{
	g_autoptr(MneReads) reads = NULL;
	int err;

	if (tx->of->volume->seq == tx->base_seq)
		return 0;
	reads = mne_tx_take_reads(tx);
	err = move(tx, reads, changes);
	mne_tx_add_reads(tx, reads);
	return err;
}

static int move_in_gate(MneTx *tx, GArray *changes)
{
	int err;

	mne_gate_lock_between_closes(tx->of);
	err = move_gated(tx, changes);
	mne_unlock(&tx->of->gate);
	return err;
}

int mne_tx_renew(MneTx *tx, GArray *changes)
{
	int err, stopped;

	g_assert(!tx->outer);
	MNE_TRY(mne_files_commit_closed(tx->of));
	stopped = stop_others(tx);
	if (stopped <= 0)
		return stopped;
	err = move_in_gate(tx, changes);
	let_go_on(tx, mne_err_is(err, ECANCELED) ? MNE_TX_CONFLICT : MNE_TX_OPEN);
	if (mne_err_is(err, ECANCELED))
		mne_tx_release_locks(tx);
	return err;
}
