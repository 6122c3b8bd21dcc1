/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tx.c - the life of a transaction
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/tx.h"

#include "txn/closing.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "txn/txstate.h"

#define ENTRY_COST 160 /* bytes around a staged key and its value */

/* ---- the moment that is looked at ---- */

/* Waits while it is being committed: then it has ended, or goes on. */
static int enter(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	while (tx->state == MNE_TX_COMMITTING || tx->state == MNE_TX_RENEWING)
		mne_cond_wait(&tx->left, &tx->lock);
	if (tx->state == MNE_TX_COMMITTED || tx->state == MNE_TX_ABORTED)
		return mne_throw(TX_GONE, "the transaction has ended");
	tx->users++;
	return 0;
}

static void leave(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	if (--tx->users == 0)
		mne_cond_broadcast(&tx->left);
}

/* The store's live view is the transaction's. */
static MneTx *tx_of_view(MneView *view)
{
	MneStore *store = (void *)((char *)view - G_STRUCT_OFFSET(MneStore, live.base));

	return store->tx;
}

static int tx_get(MneView *view, MneSlice key, GBytes **out_value)
{
	MneTx *tx = tx_of_view(view);
	int err;

	MNE_TRY(enter(tx));
	err = mne_view_get(&tx->overlay.base, key, out_value);
	leave(tx);
	return err;
}

static int tx_iter(MneView *view, MneSlice prefix, MneSlice from, MneIter **out_iter)
{
	MneTx *tx = tx_of_view(view);
	int err;

	MNE_TRY(enter(tx));
	err = mne_view_iter(&tx->overlay.base, prefix, from, out_iter);
	leave(tx);
	return err;
}

static const MneViewOps tx_view_ops = { "transaction", tx_get, tx_iter };

static MneTx *tx_of_overlay(MneOverlay *overlay)
{
	return (void *)((char *)overlay - G_STRUCT_OFFSET(MneTx, overlay));
}

static uint64_t limit_of(MneTx *tx)
{
	return mne_store_root(tx->of)->txs->mem;
}

static int require_room(MneTx *tx, uint64_t more)
{
	uint64_t limit = limit_of(tx);

	mne_lock_assert_held(&tx->lock);
	if (tx->staged_bytes + mne_reads_bytes(tx->reads) + more <= limit)
		return 0;
	return mne_throw(TX_FULL,
			 "the transaction takes more than %" G_GUINT64_FORMAT
			 " MiB of memory: make it smaller, or mount with -o tx_mem=",
			 limit >> 20);
}

/* Whoever looks which transactions there are, comes by their roots: that is no use. */
static bool is_root(MneSlice key)
{
	MneKey root;

	mne_key_node(&root, MNE_ROOT_TABLE, MNE_ROOT_DIR, MNE_SLICE_EMPTY);
	return mne_slice_equal(key, mne_key_slice(&root));
}

static int note_key(MneOverlay *overlay, MneSlice key)
{
	MneTx *tx = tx_of_overlay(overlay);

	if (!is_root(key))
		tx->used = g_get_monotonic_time();
	MNE_WITH_LOCK(&tx->lock);
	MNE_TRY(require_room(tx, 0));
	mne_reads_add_key(tx->reads, key);
	return 0;
}

static void note_range(MneOverlay *overlay, MneSlice prefix, MneSlice from,
		       MneSlice last, bool ended)
{
	MneTx *tx = tx_of_overlay(overlay);

	tx->used = g_get_monotonic_time();
	MNE_WITH_LOCK(&tx->lock);
	mne_reads_add_range(tx->reads, prefix, from, last, ended);
}

/* Whether somebody changed it since then can no longer be said. */
static void note_late(MneOverlay *overlay, MneSlice prefix)
{
	if (prefix.data[0] != MNE_TAG_EXTENT) /* they change with their inode only */
		mne_tx_add_conflict(tx_of_overlay(overlay), prefix);
}

static const MneOverlayWatch watch = { note_key, note_range, note_late };

/* ---- beginning ---- */

MneStore *mne_store_root(MneStore *store)
{
	while (store->tx)
		store = store->tx->of;
	return store;
}

MneTx *mne_store_tx(MneStore *store)
{
	return store->tx;
}

/* What `of` holds at this moment, by which all is read. */
static int take_moment_gated(MneTx *tx)
{
	MneStore *of = tx->of;
	MneTx *outer = of->tx;

	if (outer)
		MNE_TRY(mne_tx_require_open(outer));
	MNE_TRY(mne_kv_snapshot(of->volume->kv, &tx->moment));
	tx->base_seq = of->volume->seq;
	if (!outer)
		mne_recent_start(&of->txs->recent, tx->base_seq);
	tx->first_id = mne_volume_next_id(of->volume);
	if (outer) {
		mne_overlay_init(&tx->outer_base, tx->moment, outer->below, NULL);
		tx->below = &tx->outer_base.base;
	} else {
		tx->frags = mne_frags_new(of->modules);
		MNE_TRY(mne_frags_load(tx->frags, tx->moment));
		mne_live_view_init(&tx->live_base, tx->moment, tx->frags,
				   of->volume->blob);
		tx->below = &tx->live_base.base;
	}
	return 0;
}

static int take_moment(MneTx *tx)
{
	int err;

	mne_gate_lock_between_closes(tx->of);
	err = take_moment_gated(tx);
	mne_unlock(&tx->of->gate);
	return err;
}

static void free_parts(MneTx *tx)
{
	g_clear_pointer(&tx->store, mne_store_free_staged);
	g_clear_pointer(&tx->moment, mne_kv_close);
	g_clear_pointer(&tx->frags, mne_frags_free);
	g_clear_pointer(&tx->reads, mne_reads_free);
	g_clear_pointer(&tx->segments, g_hash_table_unref);
	g_clear_pointer(&tx->conflicts, g_ptr_array_unref);
	g_clear_pointer(&tx->outer, mne_tx_unref);
	g_free(tx->label);
	g_free(tx->activity);
	g_free(tx->lost_to);
	mne_cond_clear(&tx->left);
	mne_lock_clear(&tx->lock);
	g_free(tx);
}

static MneTx *tx_alloc(MneStore *of)
{
	MneTx *tx = g_new0(MneTx, 1);

	mne_ref_init(&tx->ref);
	mne_lock_init(&tx->lock, MNE_RANK_READS);
	mne_cond_init(&tx->left);
	tx->of = of;
	tx->outer = of->tx ? mne_tx_ref(of->tx) : NULL;
	tx->reads = mne_reads_new();
	tx->segments = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	tx->conflicts = g_ptr_array_new_with_free_func(g_free);
	tx->began = g_get_monotonic_time();
	tx->used = tx->began;
	return tx;
}

/* Before the moment is taken, so that no segment it names goes. */
static void enroll(MneTx *tx)
{
	MneTxs *txs = mne_store_root(tx->of)->txs;

	tx->lock_timeout = mne_tx_locks_timeout(&txs->locks);
	mne_lock(&txs->lock);
	tx->epoch = txs->epochs++;
	tx->born = tx->epoch + 1;
	g_queue_push_tail(&txs->open, tx);
	atomic_fetch_add(&txs->n_open, 1);
	mne_unlock(&txs->lock);
	if (!tx->outer)
		return;
	MNE_WITH_LOCK(&tx->outer->lock);
	tx->outer->inner++;
}

static void retire(MneTx *tx)
{
	MneStore *live = mne_store_root(tx->of);

	mne_lock(&live->txs->lock);
	g_queue_remove(&live->txs->open, tx);
	atomic_fetch_sub(&live->txs->n_open, 1);
	mne_unlock(&live->txs->lock);
	mne_store_wake(live);
	if (!tx->outer)
		return;
	MNE_WITH_LOCK(&tx->outer->lock);
	tx->outer->inner--;
}

int mne_tx_begin(MneStore *of, MneTx **out_tx)
{
	MneTx *tx;
	int err;

	if (of->options.read_only)
		return -EROFS;
	MNE_TRY(mne_store_require_working(of));
	MNE_TRY(mne_files_commit_closed(of)); /* what was closed is in it */
	tx = tx_alloc(of);
	tx->store = mne_store_new_staged(tx, 0); /* whoever sees it enrolled sees it */
	enroll(tx);
	err = take_moment(tx);
	if (err < 0) {
		g_clear_pointer(&tx->moment, mne_kv_close);
		retire(tx);
		mne_tx_unref(tx);
		return err;
	}
	tx->store->volume->seq = tx->base_seq;
	tx->store->live.base = (MneView){ .ops = &tx_view_ops,
					  .blob = of->volume->blob };
	mne_overlay_init(&tx->overlay, tx->store->volume->kv, tx->below, &watch);
	mne_lock(&tx->lock);
	tx->begun = true;
	mne_unlock(&tx->lock);
	*out_tx = tx;
	return 0;
}

MneTx *mne_tx_ref(MneTx *tx)
{
	mne_ref_get(&tx->ref);
	return tx;
}

void mne_tx_unref(MneTx *tx)
{
	if (!tx || !mne_ref_put(&tx->ref))
		return;
	g_assert(!tx->moment && !tx->locks);
	free_parts(tx);
}

MneStore *mne_tx_store(MneTx *tx)
{
	return tx->store;
}

int mne_tx_require_open(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	while (tx->state == MNE_TX_RENEWING)
		mne_cond_wait(&tx->left, &tx->lock);
	if (tx->state == MNE_TX_OPEN)
		return 0;
	if (tx->state == MNE_TX_CONFLICT)
		return mne_throw(TX_CONFLICT,
				 "the transaction has failed: begin it again");
	return mne_throw(TX_GONE, "the transaction has ended");
}

/* ---- staging ---- */

typedef struct {
	MneTx *tx;
	MneKvBatch *batch;
	uint64_t bytes;
} Staging;

static void stage_one(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	Staging *staging = user;

	mne_kv_batch_put(staging->batch, key, is_delete ? MNE_SLICE_EMPTY : value);
	staging->bytes += key.len + value.len + ENTRY_COST;
}

static uint64_t exact_bytes(MneTx *tx)
{
	g_autoptr(MneKvIter) iter = NULL;
	uint64_t bytes = 0;

	if (mne_kv_iter(tx->store->volume->kv, &iter) < 0)
		return UINT64_MAX / 2;
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter))
		bytes += mne_kv_iter_key(iter).len + mne_kv_iter_value(iter).len +
			 ENTRY_COST;
	return bytes;
}

static int admit_counted(MneTx *tx, const Staging *staging, const uint64_t *exact)
{
	MNE_WITH_LOCK(&tx->lock);
	if (exact)
		tx->staged_bytes = *exact;
	return require_room(tx, staging->bytes);
}

/* What was staged twice was counted twice: before refusing, it is counted anew. */
static int admit(MneTx *tx, const Staging *staging)
{
	uint64_t exact;

	if (admit_counted(tx, staging, NULL) == 0)
		return 0;
	exact = exact_bytes(tx);
	return admit_counted(tx, staging, &exact);
}

static void count_staged(MneTx *tx, const Staging *staging, const MneCommit *commit)
{
	GHashTableIter iter;
	gpointer segment, delta;

	MNE_WITH_LOCK(&tx->lock);
	tx->staged_bytes += staging->bytes;
	tx->writes += mne_kv_batch_count(staging->batch);
	if (!commit->live)
		return;
	g_hash_table_iter_init(&iter, commit->live);
	while (g_hash_table_iter_next(&iter, &segment, &delta))
		if (!g_hash_table_contains(tx->segments, segment))
			g_hash_table_add(tx->segments,
					 g_memdup2(segment, sizeof(uint64_t)));
}

int mne_tx_stage(MneTx *tx, MneCommit *commit)
{
	MneStore *store = tx->store;
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	Staging staging = { tx, batch, 0 };

	tx->used = g_get_monotonic_time();
	mne_kv_batch_foreach(store->batch, stage_one, &staging);
	MNE_TRY(admit(tx, &staging));
	MNE_TRY(mne_kv_apply(store->volume->kv, batch));
	count_staged(tx, &staging, commit);
	store->volume->seq = commit->seq;
	store->commits++;
	return 0;
}

void mne_tx_add_segments(MneTx *tx, GHashTable *segments)
{
	GHashTableIter iter;
	gpointer segment;

	MNE_WITH_LOCK(&tx->lock);
	g_hash_table_iter_init(&iter, tx->segments);
	while (g_hash_table_iter_next(&iter, &segment, NULL))
		if (!g_hash_table_contains(segments, segment))
			g_hash_table_add(segments,
					 g_memdup2(segment, sizeof(uint64_t)));
}

/* ---- ending ---- */

static int close_for_commit(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	while (tx->state == MNE_TX_RENEWING)
		mne_cond_wait(&tx->left, &tx->lock);
	if (tx->state != MNE_TX_OPEN)
		return mne_throw(TX_GONE, "the transaction has ended");
	if (tx->inner > 0)
		return mne_throw(TX_BUSY, "a transaction inside this one is open");
	tx->state = MNE_TX_COMMITTING;
	while (tx->users > 0)
		mne_cond_wait(&tx->left, &tx->lock);
	return 0;
}

/* Who has failed keeps nobody waiting. */
static void reopen(MneTx *tx, bool failed)
{
	mne_lock(&tx->lock);
	tx->state = failed ? MNE_TX_CONFLICT : MNE_TX_OPEN;
	mne_cond_broadcast(&tx->left);
	mne_unlock(&tx->lock);
	if (failed && !tx->outer)
		mne_tx_release_locks(tx);
}

static bool take_for_failure(MneTx *tx, const char *lost, const char *culprit)
{
	MNE_WITH_LOCK(&tx->lock);
	while (tx->state == MNE_TX_RENEWING)
		mne_cond_wait(&tx->left, &tx->lock);
	if (tx->state != MNE_TX_OPEN)
		return false;
	tx->state = MNE_TX_CONFLICT;
	g_ptr_array_add(tx->conflicts, g_strconcat("lock ", lost, NULL));
	tx->lost_to = g_strdup(culprit);
	return true;
}

void mne_tx_fail_for_lock(MneTx *tx, const char *lost, const char *culprit)
{
	if (take_for_failure(tx, lost, culprit))
		mne_tx_release_locks(tx);
}

/* No more reads; the moment is let go. */
static void end(MneTx *tx, MneTxState state)
{
	MneKv *moment;

	mne_lock(&tx->lock);
	tx->state = state;
	mne_cond_broadcast(&tx->left);
	while (tx->users > 0)
		mne_cond_wait(&tx->left, &tx->lock);
	moment = g_steal_pointer(&tx->moment);
	mne_unlock(&tx->lock);
	mne_kv_close(moment);
	retire(tx);
	if (!tx->outer)
		mne_tx_release_locks(tx);
}

MneReads *mne_tx_take_reads(MneTx *tx)
{
	MneReads *reads;

	MNE_WITH_LOCK(&tx->lock);
	reads = tx->reads;
	tx->reads = mne_reads_new();
	return reads;
}

void mne_tx_add_reads(MneTx *tx, const MneReads *reads)
{
	MNE_WITH_LOCK(&tx->lock);
	mne_reads_add_all(tx->reads, reads);
}

/* Who is in the gate now finishes; nobody comes after.  What an inner transaction has
 * read, the outer one has then. */
static int commit_closed(MneTx *tx, GArray *changes)
{
	g_autoptr(MneReads) reads = NULL;
	int err;

	mne_lock(&tx->store->gate);
	mne_unlock(&tx->store->gate);
	reads = mne_tx_take_reads(tx);
	err = mne_tx_fold(tx, reads, changes);
	if (err < 0)
		mne_tx_add_reads(tx, reads);
	else if (tx->outer)
		mne_tx_add_reads(tx->outer, reads);
	return err;
}

static void change_clear(void *data)
{
	g_clear_pointer(&((MneTxChange *)data)->name, g_bytes_unref);
}

int mne_tx_commit(MneTx *tx, bool durable, GArray **out_changes)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));
	int err;

	g_array_set_clear_func(changes, change_clear);
	MNE_TRY(mne_tx_require_open(tx));
	MNE_TRY(mne_files_commit_old(tx->store, 0));
	MNE_TRY(close_for_commit(tx));
	err = commit_closed(tx, changes);
	if (err < 0) {
		reopen(tx, mne_err_is(err, ECANCELED));
		return err;
	}
	end(tx, MNE_TX_COMMITTED);
	if (out_changes)
		*out_changes = g_steal_pointer(&changes);
	return durable ? mne_store_barrier(tx->of) : 0;
}

static GPtrArray *inner_of(MneTx *tx)
{
	GPtrArray *all = mne_txs_all(mne_store_root(tx->of));

	for (guint i = all->len; i > 0; i--)
		if (((MneTx *)all->pdata[i - 1])->outer != tx)
			g_ptr_array_remove_index_fast(all, i - 1);
	return all;
}

static bool take_for_abort(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	while (tx->state == MNE_TX_COMMITTING || tx->state == MNE_TX_RENEWING)
		mne_cond_wait(&tx->left, &tx->lock);
	if (!tx->begun || (tx->state != MNE_TX_OPEN && tx->state != MNE_TX_CONFLICT))
		return false;
	tx->state = MNE_TX_ABORTED;
	return true;
}

void mne_tx_abort(MneTx *tx)
{
	g_autoptr(GPtrArray) inner = NULL;
	g_autoptr(MneReads) reads = NULL;

	if (!take_for_abort(tx))
		return;
	inner = inner_of(tx);
	for (guint i = 0; i < inner->len; i++)
		mne_tx_abort(inner->pdata[i]);
	end(tx, MNE_TX_ABORTED);
	reads = mne_tx_take_reads(tx);
	if (tx->outer)
		mne_tx_add_reads(tx->outer, reads);
}
