/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/syncs.c - fsyncs that wait for the disk together
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/syncs.h"

#include "fuse/crew.h"
#include "fuse/reply.h"
#include "fuse/wire.h"
#include "util/lock.h"

enum { SHORT_US = 1000, GATHER_MAX_US = 2000 };

typedef struct {
	fuse_req_t req;
	fuse_ino_t ino;
	MneHandle *handle;
	int64_t posted; /* monotonic microseconds */
	int result; /* of committing: 1 when a barrier has to follow */
} Sync;

struct MneSyncs {
	MneMount *mount; /* borrowed */
	MneLock lock;
	MneCond all_back;
	GArray *come; /* of Sync */
	bool served; /* somebody will look at them */
	guint together; /* who had come when the last barrier ended, and whom it was for */
	int64_t until; /* they are waited for so long; monotonic microseconds */
};

MneSyncs *mne_syncs_new(MneMount *mount)
{
	MneSyncs *syncs = g_new0(MneSyncs, 1);

	syncs->mount = mount;
	syncs->come = g_array_new(FALSE, FALSE, sizeof(Sync));
	mne_lock_init(&syncs->lock, MNE_RANK_CREW);
	mne_cond_init(&syncs->all_back);
	return syncs;
}

void mne_syncs_free(MneSyncs *syncs)
{
	g_array_unref(syncs->come);
	mne_lock_clear(&syncs->lock);
	mne_cond_clear(&syncs->all_back);
	g_free(syncs);
}

/* Caller holds the lock.  Those who were answered are on their way with the next change: if
 * the disk is slow, a barrier is put off until they can share it, but not for long. */
static void gather(MneSyncs *syncs)
{
	int64_t pause;

	while (syncs->come->len < syncs->together &&
	       (pause = syncs->until - g_get_monotonic_time()) > 0)
		mne_cond_wait_us(&syncs->all_back, &syncs->lock, pause);
}

static void note_end(MneSyncs *syncs, guint served, int64_t began)
{
	int64_t now = g_get_monotonic_time();
	int64_t took = now - began;

	MNE_WITH_LOCK(&syncs->lock);
	syncs->together = served + syncs->come->len;
	syncs->until = took < SHORT_US ? now : now + MIN(took / 4, GATHER_MAX_US);
}

/* NULL: there are none, and whoever comes next has to find somebody. */
static GArray *take(MneSyncs *syncs)
{
	GArray *taken;

	MNE_WITH_LOCK(&syncs->lock);
	if (syncs->come->len == 0) {
		syncs->served = false;
		return NULL;
	}
	gather(syncs);
	taken = syncs->come;
	syncs->come = g_array_new(FALSE, FALSE, sizeof(Sync));
	return taken;
}

static void answer(MneMount *mount, const Sync *sync, int barrier)
{
	int err = sync->result > 0 ? barrier : sync->result;
	int64_t took = g_get_monotonic_time() - sync->posted;

	mne_reply_status(sync->req, "fsync", sync->ino, err);
	mne_stats_request(mount->ns->stats, MNE_OP_CREW, (uint64_t)MAX(took, 0) * 1000);
}

static void serve(MneMount *mount, GArray *syncs)
{
	int64_t began = g_get_monotonic_time();
	bool needs_barrier = false;
	int err = 0;

	for (guint i = 0; i < syncs->len; i++) {
		Sync *sync = &g_array_index(syncs, Sync, i);

		sync->result = mne_handle_commit(sync->handle);
		needs_barrier |= sync->result > 0;
	}
	if (needs_barrier)
		err = mne_store_barrier(mount->store);
	note_end(mount->syncs, syncs->len, began);
	for (guint i = 0; i < syncs->len; i++)
		answer(mount, &g_array_index(syncs, Sync, i), err);
}

static void serve_all(MneMount *mount, MneTask *task)
{
	GArray *syncs;

	(void)task;
	while ((syncs = take(mount->syncs))) {
		serve(mount, syncs);
		g_array_unref(syncs);
	}
}

static void refuse_all(MneMount *mount)
{
	GArray *syncs;

	while ((syncs = take(mount->syncs))) {
		for (guint i = 0; i < syncs->len; i++) {
			Sync *sync = &g_array_index(syncs, Sync, i);

			sync->result = -ESHUTDOWN;
			answer(mount, sync, 0);
		}
		g_array_unref(syncs);
	}
}

/* Is somebody to be found who serves? */
static bool append(MneSyncs *syncs, const Sync *sync)
{
	bool was_served;

	MNE_WITH_LOCK(&syncs->lock);
	g_array_append_val(syncs->come, *sync);
	if (syncs->come->len == syncs->together)
		mne_cond_signal(&syncs->all_back);
	was_served = syncs->served;
	syncs->served = true;
	return !was_served;
}

void mne_syncs_post(MneSyncs *syncs, fuse_req_t req, fuse_ino_t ino, MneHandle *handle)
{
	const Sync sync = { req, ino, handle, g_get_monotonic_time(), 0 };
	const MneTask task = { .run = serve_all, .is_no_request = true };

	if (append(syncs, &sync) && !mne_crew_try(syncs->mount->crew, &task))
		refuse_all(syncs->mount);
}
