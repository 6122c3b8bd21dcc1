/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/work.c - what goes on in the background: barriers, late commits, reclaiming
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/internal.h"
#include "util/thread.h"

#define NOTICES_MOST 4096u

void mne_store_wake(MneStore *store)
{
	MNE_WITH_LOCK(&store->worker.lock);
	store->worker.pending = true;
	mne_cond_signal(&store->worker.wake);
}

/* Caller holds the lock. */
static void put_notice(MneNotices *notices, const MneNotice *notice)
{
	g_queue_push_tail(&notices->queue, g_memdup2(notice, sizeof(*notice)));
	notices->put++;
	mne_cond_signal(&notices->came);
}

void mne_store_notify_of(MneStore *store, const MneNotice *notice)
{
	MNE_WITH_LOCK(&store->notices.lock);
	put_notice(&store->notices, notice);
}

void mne_store_notify(MneStore *store, uint64_t rec)
{
	mne_store_notify_of(store, &(MneNotice){ .rec = rec });
}

void mne_store_notify_patiently(MneStore *store, const MneNotice *notice)
{
	MneNotices *notices = &store->notices;

	mne_lock_assert_none_held();
	MNE_WITH_LOCK(&notices->lock);
	while (notices->served && g_queue_get_length(&notices->queue) >= NOTICES_MOST)
		mne_cond_wait(&notices->went, &notices->lock);
	if (notices->served)
		put_notice(notices, notice);
}

void mne_store_await_notices(MneStore *store)
{
	MneNotices *notices = &store->notices;
	uint64_t all;

	mne_lock_assert_none_held();
	MNE_WITH_LOCK(&notices->lock);
	all = notices->put;
	while (notices->served && notices->done < all)
		mne_cond_wait(&notices->went, &notices->lock);
}

void mne_store_serve_notices(MneStore *store, bool on)
{
	MNE_WITH_LOCK(&store->notices.lock);
	store->notices.served = on;
	mne_cond_broadcast(&store->notices.went);
}

void mne_store_notify_dropped(MneStore *store)
{
	MneNotice notice = { .dropped = true };

	MNE_WITH_LOCK(&store->notices.lock);
	put_notice(&store->notices, &notice);
}

void mne_store_wake_notices(MneStore *store)
{
	mne_store_notify(store, 0);
}

bool mne_store_next_notice(MneStore *store, unsigned milliseconds, MneNotice *out)
{
	g_autofree MneNotice *notice = NULL;

	MneNotices *notices = &store->notices;

	MNE_WITH_LOCK(&notices->lock);
	notices->done += notices->in_hand;
	notices->in_hand = false;
	mne_cond_broadcast(&notices->went);
	if (g_queue_is_empty(&notices->queue))
		(void)mne_cond_wait_ms(&notices->came, &notices->lock, milliseconds);
	notice = g_queue_pop_head(&notices->queue);
	if (!notice)
		return false;
	notices->in_hand = true;
	*out = *notice;
	return true;
}

static bool step(MneStore *store, const char *what, int (*func)(MneStore *))
{
	int got = func(store);

	if (got < 0)
		g_warning("%s: %s", what, mne_err_sentence(got));
	return got > 0;
}

bool mne_store_work(MneStore *store)
{
	MNE_WITH_LOCK(&store->working);
	/* What is deleted is soon counted as history, however much is reclaimed. */
	return step(store, "reaping deleted files", mne_orphan_step) ||
	       step(store, "reclaiming a checkpoint", mne_reclaim_step) ||
	       step(store, "reclaiming a bookmark", mne_bookmark_step) ||
	       step(store, "moving records between fragments", mne_split_step) ||
	       step(store, "sweeping segments", mne_sweep_step);
}

/* Sleep until woken, told to stop, or a second has gone; true: there is work. */
static bool wait_for_work(MneWorker *worker, bool more)
{
	MNE_WITH_LOCK(&worker->lock);
	if (!more && !worker->stop && !worker->pending)
		(void)mne_cond_wait_ms(&worker->wake, &worker->lock, 1000);
	more = more || worker->pending;
	worker->pending = false;
	return more;
}

static bool is_stopped(MneWorker *worker)
{
	MNE_WITH_LOCK(&worker->lock);
	return worker->stop;
}

static void *work_loop(void *data)
{
	MneStore *store = data;
	int64_t barrier_at = g_get_monotonic_time();
	bool more = true;

	mne_thread_stay_behind();
	while (!is_stopped(&store->worker)) {
		int64_t now;

		if (wait_for_work(&store->worker, more) || mne_split_is_wanted(store))
			more = mne_store_work(store);
		mne_limit_enforce(store);
		now = g_get_monotonic_time();
		if (mne_files_commit_old(store, (int64_t)store->options.commit_seconds *
							1000) < 0)
			g_debug("some files stay uncommitted: tried again later");
		if (store->options.sync_seconds > 0 && !store->failed &&
		    now - barrier_at >=
			    (int64_t)store->options.sync_seconds * 1000000) {
			if (mne_store_barrier(store) < 0)
				g_debug("background barrier failed");
			barrier_at = now;
		}
	}
	return NULL;
}

void mne_worker_start(MneStore *store)
{
	store->worker.running = pthread_create(&store->worker.thread, NULL, work_loop,
					       store) == 0;
	if (!store->worker.running)
		g_warning("no thread for background work: nothing will be reclaimed");
}

void mne_worker_stop(MneStore *store)
{
	if (!store->worker.running)
		return;
	mne_lock(&store->worker.lock);
	store->worker.stop = true;
	mne_cond_signal(&store->worker.wake);
	mne_unlock(&store->worker.lock);
	pthread_join(store->worker.thread, NULL);
	store->worker.running = false;
}
