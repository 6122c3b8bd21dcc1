/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/memtable.c - when LevelDB's memtable becomes a table
 *
 * A table is durable, and its log deleted, whenever LevelDB likes; what the batches in it
 * name outside of it must be durable before.  So LevelDB is given a limit that it does not
 * reach, and is made to switch here, after settling that.  The caller has the right to
 * write, so no batch comes between.
 *
 * Whom we ask for a switch answers when the table is made, so a thread does it, and we
 * wait for the new log only.
 *
 * The bytes of a memtable are those of its log, roughly: so this knows, too, when the log
 * comes to the end of the room that was made in it (kv/wal.c).
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/memtable.h"

#include "util/log.h"
#include "util/thread.h"

#include <stdatomic.h>

enum {
	ENTRY = 40, /* bytes of an entry beside key and value */
	ROOM = 1024 * 1024, /* made in a log at a time */
	SYNCS_WORTH_IT = 8, /* since the last time */
	POLL_US = 200,
	POLL_MAX_US = 5000,
};

struct MneMemtable {
	MneWal *wal;
	const MneKvOutside *outside;
	size_t limit;
	size_t bytes; /* at most so many are in it */
	uint64_t batches; /* in it, and in its log */
	size_t ready; /* up to so many the log has room */
	uint64_t worth; /* so many syncs that it is made */
	atomic_uint syncs; /* since it was */
	MneMemtableFlush flush;
	void *user;
	GThread *thread;
	atomic_bool done;
};

MneMemtable *mne_memtable_new(MneWal *wal, const MneKvOutside *outside, size_t limit,
			      MneMemtableFlush flush, void *user)
{
	MneMemtable *memtable = g_new0(MneMemtable, 1);

	memtable->wal = wal;
	memtable->outside = outside;
	memtable->limit = limit;
	memtable->flush = flush;
	memtable->user = user;
	if (!mne_debug_has("log-room", &memtable->worth))
		memtable->worth = SYNCS_WORTH_IT;
	return memtable;
}

static void join(MneMemtable *memtable)
{
	if (memtable->thread)
		g_thread_join(g_steal_pointer(&memtable->thread));
}

void mne_memtable_free(MneMemtable *memtable)
{
	join(memtable);
	g_free(memtable);
}

static void begin_log(MneMemtable *memtable)
{
	memtable->bytes = memtable->ready = 0;
	memtable->batches = 0;
}

void mne_memtable_wait(MneMemtable *memtable)
{
	join(memtable);
	begin_log(memtable);
}

static void *run_flush(void *data)
{
	MneMemtable *memtable = data;

	mne_thread_stay_behind();
	memtable->flush(memtable->user);
	mne_wal_follow(memtable->wal);
	atomic_store(&memtable->done, true);
	return NULL;
}

void mne_memtable_start(MneMemtable *memtable)
{
	memtable->thread = g_thread_new("mne-flush", run_flush, memtable);
	join(memtable);
}

/* Is there a log newer than `before`, when one comes or the thread has given up? */
static bool wait_for_log(MneMemtable *memtable, uint64_t before)
{
	gulong pause = POLL_US;
	bool done = false;

	while (!done) {
		uint64_t newest;

		done = atomic_load(&memtable->done);
		if (mne_wal_newest(memtable->wal, &newest) == 0 && newest > before)
			return true;
		g_usleep(pause);
		pause = MIN(2 * pause, POLL_MAX_US);
	}
	return false;
}

/* A switch that fails is tried again with the next batch: LevelDB may come to its own
 * limit then, but finds everything settled. */
static int switch_now(MneMemtable *memtable)
{
	uint64_t before;

	join(memtable);
	MNE_TRY(memtable->outside->settle(memtable->outside->user));
	MNE_TRY(mne_wal_newest(memtable->wal, &before));
	atomic_store(&memtable->done, false);
	memtable->thread = g_thread_new("mne-flush", run_flush, memtable);
	if (wait_for_log(memtable, before)) {
		begin_log(memtable);
		mne_wal_follow(memtable->wal);
	}
	return 0;
}

void mne_memtable_note_sync(MneMemtable *memtable)
{
	atomic_fetch_add(&memtable->syncs, 1);
}

/* It is a matter of speed: what fails is tried again after as many syncs. */
static void make_room(MneMemtable *memtable)
{
	size_t room = MIN(ROOM, memtable->limit);
	int err;

	if (atomic_load(&memtable->syncs) < memtable->worth)
		return;
	atomic_store(&memtable->syncs, 0);
	err = mne_wal_extend(memtable->wal, room);
	if (err < 0)
		g_debug("no room was made in the log: %s", mne_err_text(err));
	else
		memtable->ready = memtable->bytes + room;
}

int mne_memtable_admit(MneMemtable *memtable, const MneKvBatch *batch)
{
	size_t more = mne_kv_batch_bytes(batch) + ENTRY * mne_kv_batch_count(batch);

	if (memtable->bytes > 0 && memtable->bytes + more > memtable->limit)
		MNE_TRY(switch_now(memtable));
	if (memtable->bytes + more > memtable->ready)
		make_room(memtable);
	memtable->bytes += more;
	memtable->batches++;
	return 0;
}

void mne_memtable_undo(MneMemtable *memtable)
{
	int err = mne_wal_keep(memtable->wal, memtable->batches - 1);

	if (err < 0)
		g_warning("the end of a log cannot be mended: %s", mne_err_text(err));
}
