/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txs.c - the transactions that are open in a store, and what they keep alive
 *
 * A transaction reads the extents of its moment; the segments they lie in must not go.  A
 * segment in which nothing is live any more is a grave: it is removed when every
 * transaction that began before it became one has ended.  Those that begin later see
 * nothing in it.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/txstate.h"

#define DEFAULT_MEM (UINT64_C(256) << 20)

MneTxs *mne_txs_new(void)
{
	MneTxs *txs = g_new0(MneTxs, 1);

	mne_lock_init(&txs->lock, MNE_RANK_READS);
	g_queue_init(&txs->open);
	txs->mem = DEFAULT_MEM;
	mne_tx_locks_init(&txs->locks);
	txs->graves = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					    g_free);
	return txs;
}

void mne_txs_free(MneTxs *txs)
{
	if (!txs)
		return;
	g_assert(g_queue_is_empty(&txs->open));
	g_hash_table_unref(txs->graves);
	mne_tx_locks_clear(&txs->locks);
	mne_recent_clear(&txs->recent);
	mne_lock_clear(&txs->lock);
	g_free(txs);
}

/* Nobody asks when none is open: and none can begin meanwhile. */
void mne_txs_note(MneStore *live, uint64_t seq, MneSlice key)
{
	MneTxs *txs = live->txs;

	mne_lock_assert_held(&live->gate);
	if (atomic_load(&txs->n_open) > 0)
		mne_recent_note(&txs->recent, seq, key);
	else
		mne_recent_clear(&txs->recent);
}

GPtrArray *mne_txs_all(MneStore *live)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)mne_tx_unref);

	MNE_WITH_LOCK(&live->txs->lock);
	for (GList *link = live->txs->open.head; link; link = link->next)
		g_ptr_array_add(all, mne_tx_ref(link->data));
	return all;
}

int mne_tx_foreach_staged(MneTx *tx, MneTxStagedFunc func, void *user)
{
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(tx->store->volume->kv, &iter));
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter))
		MNE_TRY(func(user, mne_kv_iter_key(iter), mne_kv_iter_value(iter)));
	return mne_kv_iter_status(iter);
}

void mne_store_set_tx_mem(MneStore *store, uint64_t bytes)
{
	MNE_WITH_LOCK(&store->txs->lock);
	store->txs->mem = bytes;
}

unsigned mne_store_open_txs(MneStore *store)
{
	MNE_WITH_LOCK(&store->txs->lock);
	return g_queue_get_length(&store->txs->open);
}

/* Caller holds the lock. */
static bool is_older_open(MneTxs *txs, uint64_t epoch)
{
	const MneTx *oldest = g_queue_peek_head(&txs->open);

	return oldest && oldest->epoch < epoch;
}

bool mne_txs_may_remove(MneStore *live, uint64_t segment)
{
	MneTxs *txs = live->txs;
	const uint64_t *since;

	MNE_WITH_LOCK(&txs->lock);
	since = g_hash_table_lookup(txs->graves, &segment);
	if (since)
		return !is_older_open(txs, *since);
	if (g_queue_is_empty(&txs->open))
		return true;
	g_hash_table_insert(txs->graves, g_memdup2(&segment, sizeof(segment)),
			    g_memdup2(&txs->epochs, sizeof(txs->epochs)));
	return false;
}

void mne_txs_removed(MneStore *live, uint64_t segment)
{
	MNE_WITH_LOCK(&live->txs->lock);
	g_hash_table_remove(live->txs->graves, &segment);
}

bool mne_txs_is_grave(MneStore *live, uint64_t segment)
{
	const uint64_t *since;

	MNE_WITH_LOCK(&live->txs->lock);
	since = g_hash_table_lookup(live->txs->graves, &segment);
	return since && is_older_open(live->txs, *since);
}
