/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/loop.c - the threads that read requests from the kernel and carry them out
 *
 * A reader counts its passes; a pass begins before it reads and ends when the request was
 * carried out.  The fence notes the counts and waits until each has moved.  A reader that
 * waits for a request is woken by a signal, again and again, because one can come just
 * before the read begins.  Woken, it has moved within microseconds: who waits looks again
 * at once some times, and sleeps, which takes longer than asked for, only then.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/loop.h"

#include "fuse/uring.h"
#include "fuse/wire.h"

#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <time.h>
#include <unistd.h>

#define WAKE_SIGNAL     SIGUSR2
#define FIRST_WAIT_NS   20000
#define LONGEST_WAIT_NS 1000000
#define LOOKS           50

typedef struct {
	MneLoop *loop;
	pthread_t thread;
	_Atomic uint64_t passes;
	_Atomic bool is_reading;
	_Atomic bool has_ended;
} Reader;

struct MneLoop {
	MneMount *mount; /* borrowed */
	_Atomic unsigned running;
	unsigned n;
	Reader readers[];
};

/* False when the connection is gone. */
static bool pass(Reader *reader, struct fuse_buf *request)
{
	MneMount *mount = reader->loop->mount;
	int got;

	atomic_fetch_add(&reader->passes, 1);
	atomic_store_explicit(&reader->is_reading, true, memory_order_relaxed);
	got = fuse_session_receive_buf(mount->session, request);
	atomic_store_explicit(&reader->is_reading, false, memory_order_relaxed);
	if (got == -EINTR || got == -EAGAIN)
		return true;
	if (got <= 0)
		return false;
	mne_wire_process(mount, request);
	return true;
}

static void *read_requests(void *data)
{
	Reader *reader = data;
	MneLoop *loop = reader->loop;
	struct fuse_buf request = { .mem = NULL };

	while (!fuse_session_exited(loop->mount->session) && pass(reader, &request))
		;
	free(request.mem); /* libfuse allocated it */
	atomic_store(&reader->has_ended, true);
	if (atomic_fetch_sub(&loop->running, 1) == 1)
		kill(getpid(), SIGTERM);
	return NULL;
}

static void do_nothing(int number)
{
	(void)number;
}

/* Without SA_RESTART: a read that is interrupted returns. */
static void install_wake_signal(void)
{
	struct sigaction action = { .sa_handler = do_nothing };

	sigaction(WAKE_SIGNAL, &action, NULL);
}

MneLoop *mne_loop_new(MneMount *mount, unsigned readers)
{
	MneLoop *loop = g_malloc0(sizeof(MneLoop) + readers * sizeof(Reader));

	install_wake_signal();
	loop->mount = mount;
	loop->n = readers;
	atomic_store(&loop->running, readers);
	mount->loop = loop;
	for (unsigned i = 0; i < readers; i++) {
		loop->readers[i].loop = loop;
		if (pthread_create(&loop->readers[i].thread, NULL, read_requests,
				   &loop->readers[i]) != 0)
			g_error("cannot start a thread");
	}
	return loop;
}

static void wake(Reader *reader)
{
	if (atomic_load_explicit(&reader->is_reading, memory_order_relaxed))
		pthread_kill(reader->thread, WAKE_SIGNAL);
}

static bool has_moved(Reader *reader, uint64_t from)
{
	return atomic_load(&reader->has_ended) || atomic_load(&reader->passes) != from;
}

static bool moves_soon(Reader *reader, uint64_t from)
{
	for (unsigned i = 0; i < LOOKS && !has_moved(reader, from); i++)
		sched_yield();
	return has_moved(reader, from);
}

static void wait_until_moved(Reader *reader, uint64_t from)
{
	struct timespec wait = { 0, FIRST_WAIT_NS };

	while (!moves_soon(reader, from)) {
		wake(reader);
		if (moves_soon(reader, from))
			return;
		nanosleep(&wait, NULL);
		wait.tv_nsec = MIN(wait.tv_nsec * 2, LONGEST_WAIT_NS);
	}
}

void mne_loop_fence(MneLoop *loop)
{
	g_autofree uint64_t *from = g_new0(uint64_t, loop->n);
	MneUring *uring = atomic_load(&loop->mount->uring);

	for (unsigned i = 0; i < loop->n; i++) {
		from[i] = atomic_load(&loop->readers[i].passes);
		wake(&loop->readers[i]);
	}
	for (unsigned i = 0; i < loop->n; i++)
		wait_until_moved(&loop->readers[i], from[i]);
	if (uring)
		mne_uring_fence(uring);
}

void mne_loop_free(MneLoop *loop)
{
	fuse_session_exit(loop->mount->session);
	for (unsigned i = 0; i < loop->n; i++) {
		Reader *reader = &loop->readers[i];

		while (!atomic_load(&reader->has_ended)) {
			struct timespec wait = { 0, LONGEST_WAIT_NS };

			wake(reader);
			nanosleep(&wait, NULL);
		}
		pthread_join(reader->thread, NULL);
	}
	loop->mount->loop = NULL;
	g_free(loop);
}
