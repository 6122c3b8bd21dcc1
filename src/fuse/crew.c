/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/crew.c - threads for what takes long
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/crew.h"

#include "fuse/forget.h"
#include "fuse/loop.h"
#include "fuse/reply.h"
#include "fuse/uring.h"
#include "fuse/wire.h"
#include "ns/lent.h"
#include "util/lock.h"

enum { SPARE_ENTRIES = 16, MOMENT_US = 50000 };

struct MneCrew {
	MneMount *mount; /* borrowed */
	unsigned max_threads;
	MneLock lock;
	MneCond came;
	MneCond forgot; /* what was stale */
	GQueue tasks; /* of MneTask, owned */
	GArray *threads; /* pthread_t */
	unsigned idle;
	unsigned may_wait; /* tasks that are not done */
	GQueue waiters; /* of what embeds the links */
	bool forgetting; /* somebody is */
	MneLock telling; /* the kernel of what was lent: one at a time */
	bool stopping;
};

static void task_free(MneTask *task)
{
	g_free(task->name);
	g_free(task->new_name);
	g_clear_pointer(&task->bytes, g_bytes_unref);
	g_free(task);
}

MneCrew *mne_crew_new(MneMount *mount, unsigned max_threads)
{
	MneCrew *crew = g_new0(MneCrew, 1);

	crew->mount = mount;
	crew->max_threads = max_threads;
	crew->threads = g_array_new(FALSE, FALSE, sizeof(pthread_t));
	mne_lock_init(&crew->lock, MNE_RANK_CREW);
	mne_lock_init(&crew->telling, MNE_RANK_CREW);
	mne_cond_init(&crew->came);
	mne_cond_init(&crew->forgot);
	g_queue_init(&crew->tasks);
	g_queue_init(&crew->waiters);
	return crew;
}

static MneTask *take(MneCrew *crew)
{
	MneTask *task;

	MNE_WITH_LOCK(&crew->lock);
	crew->idle++;
	while (!crew->stopping && g_queue_is_empty(&crew->tasks))
		mne_cond_wait(&crew->came, &crew->lock);
	crew->idle--;
	task = g_queue_pop_head(&crew->tasks);
	return task;
}

void mne_crew_invalidate_gone(MneMount *mount)
{
	g_autoptr(GArray) gone = mne_inodes_take_gone(mount->ns->inodes);

	for (unsigned i = 0; i < gone->len; i++)
		mne_forget_inode(mount, g_array_index(gone, uint64_t, i), true);
}

static void forget(MneMount *mount, const MneStale *stale)
{
	if (stale->name)
		mne_forget_name(mount, stale->number, mne_slice_of(stale->name));
	else
		mne_forget_inode(mount, stale->number, true);
}

/* One at a time: what another took before must be forgotten, too, when this returns. */
void mne_crew_forget_stale(MneMount *mount)
{
	MneCrew *crew = mount->crew;
	g_autoptr(GArray) stale = NULL;

	mne_lock(&crew->lock);
	while (crew->forgetting)
		mne_cond_wait(&crew->forgot, &crew->lock);
	crew->forgetting = true;
	mne_unlock(&crew->lock);

	stale = mne_ns_take_stale(mount->ns);
	for (unsigned i = 0; i < stale->len; i++)
		forget(mount, &g_array_index(stale, MneStale, i));

	mne_lock(&crew->lock);
	crew->forgetting = false;
	mne_cond_signal(&crew->forgot);
	mne_unlock(&crew->lock);
}

void mne_crew_forget_lent(MneMount *mount)
{
	g_autoptr(GArray) lent = NULL;

	MNE_WITH_LOCK(&mount->crew->telling);
	lent = mne_lent_take(mount->ns->lent);
	for (unsigned i = 0; i < lent->len; i++)
		mne_forget_inode(mount, g_array_index(lent, uint64_t, i), false);
}

static void run(MneMount *mount, MneTask *task)
{
	bool may_drop = task->may_drop;
	int64_t took;

	if (task->with_fence)
		mne_loop_fence(mount->loop);
	task->run(mount, task);
	if (task->is_no_request)
		return;
	took = g_get_monotonic_time() - task->posted;
	mne_stats_request(mount->ns->stats, MNE_OP_CREW, (uint64_t)MAX(took, 0) * 1000);
	if (may_drop)
		mne_crew_invalidate_gone(mount);
}

static void done(MneCrew *crew, MneTask *task)
{
	if (task->may_wait) {
		MNE_WITH_LOCK(&crew->lock);
		crew->may_wait--;
	}
	task_free(task);
}

static void *work(void *data)
{
	MneCrew *crew = data;
	MneTask *task;

	while ((task = take(crew))) {
		run(crew->mount, task);
		done(crew, task);
	}
	return NULL;
}

/* Caller holds the lock. */
static void add_thread(MneCrew *crew)
{
	pthread_t thread;

	if (pthread_create(&thread, NULL, work, crew) == 0)
		g_array_append_val(crew->threads, thread);
	else if (crew->threads->len == 0)
		g_error("cannot start a thread");
}

static bool enqueue(MneCrew *crew, MneTask *task)
{
	MNE_WITH_LOCK(&crew->lock);
	if (crew->stopping)
		return false;
	g_queue_push_tail(&crew->tasks, task);
	crew->may_wait += task->may_wait;
	if (g_queue_get_length(&crew->tasks) > crew->idle &&
	    crew->threads->len < crew->max_threads + crew->may_wait)
		add_thread(crew);
	mne_cond_signal(&crew->came);
	return true;
}

bool mne_crew_try(MneCrew *crew, const MneTask *task)
{
	MneTask *copy = g_memdup2(task, sizeof(*task));

	copy->posted = g_get_monotonic_time();
	if (enqueue(crew, copy))
		return true;
	if (!copy->is_no_request)
		mne_reply_err(copy->req, "unmount", copy->ino, -ESHUTDOWN);
	task_free(copy);
	return false;
}

void mne_crew_post(MneCrew *crew, const MneTask *task)
{
	(void)mne_crew_try(crew, task);
}

static void end_wait(MneWaiter *waiter)
{
	atomic_store(&waiter->wait.over, true);
	mne_handle_wake(waiter->handle);
}

static void on_interrupt(fuse_req_t req, void *data)
{
	(void)req;
	end_wait(data);
}

static void join_waiters(MneCrew *crew, MneWaiter *waiter)
{
	MNE_WITH_LOCK(&crew->lock);
	g_queue_push_tail_link(&crew->waiters, &waiter->link);
	if (crew->stopping)
		atomic_store(&waiter->wait.over, true);
}

/* Over io_uring each request that is not answered holds one of the entries of a processor;
 * when all are held nothing goes on there.  Who would take one of the last waits for a
 * moment only, and is told to ask again (EINTR). */
static bool are_too_many(MneCrew *crew)
{
	MNE_WITH_LOCK(&crew->lock);
	return atomic_load(&crew->mount->uring) &&
	       g_queue_get_length(&crew->waiters) > MNE_URING_DEPTH - SPARE_ENTRIES;
}

void mne_crew_wait_begin(MneCrew *crew, fuse_req_t req, MneWaiter *waiter)
{
	waiter->link = (GList){ .data = waiter };
	atomic_init(&waiter->wait.over, false);
	join_waiters(crew, waiter);
	fuse_req_interrupt_func(req, on_interrupt, waiter);
	if (!are_too_many(crew))
		return;
	g_usleep(MOMENT_US);
	atomic_store(&waiter->wait.over, true);
}

void mne_crew_wait_end(MneCrew *crew, fuse_req_t req, MneWaiter *waiter)
{
	fuse_req_interrupt_func(req, NULL, NULL);
	MNE_WITH_LOCK(&crew->lock);
	g_queue_unlink(&crew->waiters, &waiter->link);
}

static void tell_to_stop(MneCrew *crew)
{
	MNE_WITH_LOCK(&crew->lock);
	crew->stopping = true;
	for (GList *at = crew->waiters.head; at; at = at->next)
		end_wait(at->data);
	mne_cond_broadcast(&crew->came);
}

void mne_crew_stop(MneCrew *crew)
{
	tell_to_stop(crew);
	for (unsigned i = 0; i < crew->threads->len; i++)
		pthread_join(g_array_index(crew->threads, pthread_t, i), NULL);
}

void mne_crew_free(MneCrew *crew)
{
	g_array_unref(crew->threads);
	mne_lock_clear(&crew->lock);
	mne_lock_clear(&crew->telling);
	mne_cond_clear(&crew->came);
	mne_cond_clear(&crew->forgot);
	g_free(crew);
}
