/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/barrier.c - making durable what was committed, once for many callers
 *
 * Blob bytes first, then the keys that name them.  A failed sync is final: what reached
 * the disk is unknown then, so the store turns read-only and says so.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/tell.h"
#include "txn/txstate.h"
#include "util/log.h"

static int sync_all(MneStore *store)
{
	uint64_t seq = store->volume->seq;
	int64_t began = g_get_monotonic_time();

	MNE_TRY(mne_volume_settle(store->volume));
	MNE_TRY(mne_kv_barrier(store->volume->kv));
	mne_tell_overload(store, "barrier", (g_get_monotonic_time() - began) / 1000,
			  1000 * (int64_t)MAX(store->options.sync_seconds, 1));
	store->barrier.seq = seq;
	store->barrier.count++;
	return 0;
}

static void fail(MneStore *store, int err)
{
	if (atomic_exchange(&store->failed, true))
		return;
	mne_log_say("a sync failed (%s): what of the last changes is on the disk is "
		    "unknown; the store is read-only until it is mounted again",
		    mne_err_sentence(err));
	mne_store_tell(store, "fatal", ",\"what\":\"sync\"");
}

/* Caller holds the lock and found nobody at it: do it for all who came so far. */
static void lead(MneStore *store)
{
	MneBarrier *barrier = &store->barrier;
	uint64_t target;
	int err;

	barrier->running = true;
	target = barrier->requested;
	mne_unlock(&barrier->lock);
	err = sync_all(store);
	if (err < 0)
		fail(store, err);
	mne_lock(&barrier->lock);
	barrier->running = false;
	barrier->finished = target;
	barrier->result = err;
	mne_cond_broadcast(&barrier->done);
}

int mne_store_require_working(MneStore *store)
{
	while (store->tx)
		store = store->tx->of;
	if (store->failed)
		return mne_throw(STORE_FAILED,
				 "the store is read-only since a sync failed: "
				 "see the log, and remount");
	return 0;
}

int mne_store_barrier(MneStore *store)
{
	MneBarrier *barrier = &store->barrier;
	uint64_t ticket;

	if (store->options.read_only || store->tx)
		return 0;
	MNE_TRY(mne_store_require_working(store));
	if (barrier->seq == store->volume->seq)
		return 0;

	MNE_WITH_LOCK(&barrier->lock);
	ticket = ++barrier->requested;
	while (barrier->finished < ticket) {
		if (barrier->running)
			mne_cond_wait(&barrier->done, &barrier->lock);
		else
			lead(store);
	}
	return barrier->result;
}
