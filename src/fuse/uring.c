/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/uring.c - requests through io_uring instead of /dev/fuse
 *
 * An entry is a place for one request at a time.  Registered, it waits in the kernel; with
 * a request in it, it completes; the answer is put into the same place and committed,
 * which also makes it wait for the next.
 *
 *	FETCHING ---completion---> BUSY ---answer---> (committed) FETCHING
 *
 * In memory an entry's payload has a page before it.  The kernel gives header, arguments
 * and payload apart; the first two are copied to just before the payload, and then all
 * lies together as libfuse expects it, without copying the payload.
 *
 * The fence: a request made before it either completes an entry at the next entry of the
 * ring's thread into the kernel, or, when all entries are busy, when one is given back.
 * So a round that began after the fence was asked for, and that found an entry to spare,
 * has carried out all that was made before.
 *
 * The structures are those of include/uapi/linux/fuse.h of Linux 6.14, which the headers of
 * older systems lack.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/uring.h"

#include "util/lock.h"

#include <errno.h>
#include <liburing.h>
#include <linux/fuse.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/sysinfo.h>
#include <unistd.h>

#include <glib.h>

#define DEPTH   MNE_URING_DEPTH
#define PAGE    4096u
#define WAIT_NS 20000
#define LOOKS   50

typedef struct {
	uint64_t flags;
	uint64_t commit_id;
	uint32_t payload_size;
	uint32_t padding;
	uint64_t reserved;
} EntryInOut;

typedef struct {
	char in_out[128]; /* fuse_in_header, fuse_out_header */
	char op_in[128]; /* arguments */
	EntryInOut entry;
} EntryHeader;

enum { CMD_REGISTER = 1, CMD_COMMIT_AND_FETCH = 2 };

typedef struct {
	uint64_t flags;
	uint64_t commit_id;
	uint16_t queue;
	uint8_t padding[6];
} CommandRequest;

typedef struct Queue Queue;

typedef struct Entry {
	Queue *queue;
	EntryHeader *header; /* a page of its own */
	uint8_t *payload; /* with a page before it */
	struct iovec iov[2]; /* what is registered */
	_Atomic uint64_t unique; /* of the request in it; 0: none */
	uint64_t commit_id;
	struct Entry *next_done;
} Entry;

struct Queue {
	MneUring *uring;
	unsigned id; /* the processor */
	pthread_t thread;
	struct io_uring ring;
	Entry entries[DEPTH];
	Entry *current; /* the last whose request was carried out here */
	int wake; /* eventfd */
	uint64_t wake_count; /* what reading it gave */
	MneLock lock;
	Entry *done; /* answered by other threads, to be committed by ours; under lock */
	_Atomic uint64_t fence_asked, fence_done;
	_Atomic bool has_ended;
};

struct MneUring {
	MneUringClient client;
	size_t max_payload;
	_Atomic bool stop;
	pthread_key_t own; /* of a ring's thread: its queue */
	unsigned n;
	Queue queues[];
};

bool mne_uring_is_built(void)
{
	return true;
}

static struct io_uring_sqe *next_sqe(Queue *queue)
{
	struct io_uring_sqe *sqe = io_uring_get_sqe(&queue->ring);

	if (!sqe) {
		io_uring_submit(&queue->ring);
		sqe = io_uring_get_sqe(&queue->ring);
	}
	g_assert(sqe);
	memset(sqe, 0, 2 * sizeof(*sqe)); /* of SQE128 */
	return sqe;
}

static void command(Entry *entry, unsigned what)
{
	struct io_uring_sqe *sqe = next_sqe(entry->queue);
	CommandRequest *request = (void *)sqe->cmd;

	sqe->opcode = IORING_OP_URING_CMD;
	sqe->flags = IOSQE_FIXED_FILE;
	sqe->fd = 0;
	sqe->cmd_op = what;
	sqe->user_data = (uintptr_t)entry;
	if (what == CMD_REGISTER) {
		sqe->addr = (uintptr_t)entry->iov;
		sqe->len = G_N_ELEMENTS(entry->iov);
	}
	request->commit_id = entry->commit_id;
	request->queue = (uint16_t)entry->queue->id;
}

/* user_data 0 is the eventfd's. */
static void listen_for_wake(Queue *queue)
{
	struct io_uring_sqe *sqe = next_sqe(queue);

	io_uring_prep_read(sqe, queue->wake, &queue->wake_count,
			   sizeof(queue->wake_count), 0);
	sqe->user_data = 0;
}

static void wake(Queue *queue)
{
	const uint64_t one = 1;

	if (write(queue->wake, &one, sizeof(one)) != sizeof(one))
		g_debug("waking queue %u: %s", queue->id, g_strerror(errno));
}

static void commit_done(Queue *queue)
{
	Entry *entry;

	mne_lock(&queue->lock);
	entry = queue->done;
	queue->done = NULL;
	mne_unlock(&queue->lock);
	while (entry) {
		Entry *next = entry->next_done;

		command(entry, CMD_COMMIT_AND_FETCH);
		entry = next;
	}
}

/* Put the request together before the payload, and carry it out. */
static void carry_out(Entry *entry)
{
	const MneUringClient *client = &entry->queue->uring->client;
	struct fuse_in_header *in = (void *)entry->header->in_out;
	size_t arguments = in->len - sizeof(*in) - entry->header->entry.payload_size;
	uint8_t *start = entry->payload - arguments - sizeof(*in);
	struct fuse_buf request = { .size = in->len, .mem = start };

	memcpy(start, in, sizeof(*in));
	memcpy(start + sizeof(*in), entry->header->op_in, arguments);
	entry->commit_id = entry->header->entry.commit_id;
	atomic_store(&entry->unique, in->unique);
	entry->queue->current = entry;
	client->carry_out(client->user, &request);
}

/* True when it was a request. */
static bool on_completion(Queue *queue, const struct io_uring_cqe *cqe)
{
	Entry *entry = (Entry *)(uintptr_t)cqe->user_data;

	if (!entry) {
		commit_done(queue);
		if (!atomic_load(&queue->uring->stop))
			listen_for_wake(queue);
		return false;
	}
	if (cqe->res == 0) {
		carry_out(entry);
		return true;
	}
	if (cqe->res == -EAGAIN || cqe->res == -EINTR) {
		command(entry, CMD_COMMIT_AND_FETCH);
		return false;
	}
	if (cqe->res != -ENOTCONN && !atomic_load(&queue->uring->stop))
		g_warning("io_uring queue %u: %s", queue->id, g_strerror(-cqe->res));
	atomic_store(&queue->uring->stop, true);
	return false;
}

/* One turn: answers go out and requests come in by one system call. */
static void turn(Queue *queue)
{
	uint64_t fence = atomic_load(&queue->fence_asked);
	struct io_uring_cqe *cqe;
	unsigned head, seen = 0, requests = 0;
	int err = io_uring_submit_and_wait(&queue->ring, 1);

	if (err < 0 && err != -EINTR) {
		g_warning("io_uring queue %u: %s", queue->id, g_strerror(-err));
		atomic_store(&queue->uring->stop, true);
		return;
	}
	io_uring_for_each_cqe(&queue->ring, head, cqe)
	{
		/* An answer does not wait for the requests behind it. */
		if (requests > 0)
			io_uring_submit(&queue->ring);
		requests += on_completion(queue, cqe);
		seen++;
	}
	io_uring_cq_advance(&queue->ring, seen);
	if (requests < DEPTH)
		atomic_store(&queue->fence_done, fence);
}

static void *pages_new(size_t len)
{
	void *pages = aligned_alloc(PAGE, len);

	if (!pages)
		g_error("no memory for io_uring");
	return pages;
}

static void add_entry(Queue *queue, Entry *entry)
{
	size_t max_payload = queue->uring->max_payload;

	entry->queue = queue;
	entry->header = pages_new(PAGE);
	entry->payload = (uint8_t *)pages_new(PAGE + max_payload) + PAGE;
	entry->iov[0] = (struct iovec){ entry->header, sizeof(EntryHeader) };
	entry->iov[1] = (struct iovec){ entry->payload, max_payload };
	command(entry, CMD_REGISTER);
}

static void clear_entry(Entry *entry)
{
	free(entry->header);
	free(entry->payload - PAGE);
}

static void stay_on_processor(unsigned id)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(id, &set);
	(void)sched_setaffinity(0, sizeof(set), &set);
}

static void open_ring(Queue *queue)
{
	struct io_uring_params params = {
		.flags = IORING_SETUP_SQE128 | IORING_SETUP_CQSIZE |
			 IORING_SETUP_SUBMIT_ALL | IORING_SETUP_SINGLE_ISSUER |
			 IORING_SETUP_DEFER_TASKRUN,
		.cq_entries = 4 * DEPTH,
	};
	int fd = fuse_session_fd(queue->uring->client.session);
	int err = io_uring_queue_init_params(2 * DEPTH, &queue->ring, &params);

	if (err < 0)
		g_error("io_uring: %s", g_strerror(-err));
	io_uring_register_files(&queue->ring, &fd, 1);
	io_uring_register_ring_fd(&queue->ring);
}

static void *serve(void *data)
{
	Queue *queue = data;
	MneUring *uring = queue->uring;

	stay_on_processor(queue->id);
	pthread_setspecific(uring->own, queue);
	open_ring(queue);
	for (unsigned i = 0; i < DEPTH; i++)
		add_entry(queue, &queue->entries[i]);
	listen_for_wake(queue);
	while (!atomic_load(&uring->stop))
		turn(queue);
	io_uring_queue_exit(&queue->ring);
	atomic_store(&queue->has_ended, true);
	return NULL;
}

static MneUring *uring_new(const MneUringClient *client, size_t max_payload)
{
	unsigned n = (unsigned)get_nprocs_conf();
	MneUring *uring = g_malloc0(sizeof(MneUring) + n * sizeof(Queue));

	uring->client = *client;
	uring->max_payload = max_payload;
	uring->n = n;
	pthread_key_create(&uring->own, NULL);
	for (unsigned i = 0; i < n; i++) {
		Queue *queue = &uring->queues[i];

		queue->uring = uring;
		queue->id = i;
		queue->wake = eventfd(0, EFD_CLOEXEC);
		if (queue->wake < 0)
			g_error("eventfd: %s", g_strerror(errno));
		mne_lock_init(&queue->lock, MNE_RANK_QUEUE);
	}
	return uring;
}

void mne_uring_start(const MneUringClient *client, size_t max_payload,
		     MneUring *_Atomic *out_uring)
{
	MneUring *uring = uring_new(client, max_payload);

	atomic_store(out_uring, uring);
	for (unsigned i = 0; i < uring->n; i++)
		if (pthread_create(&uring->queues[i].thread, NULL, serve,
				   &uring->queues[i]) != 0)
			g_error("cannot start a thread for io_uring");
}

void mne_uring_free(MneUring *uring)
{
	if (!uring)
		return;
	atomic_store(&uring->stop, true);
	for (unsigned i = 0; i < uring->n; i++)
		wake(&uring->queues[i]);
	for (unsigned i = 0; i < uring->n; i++) {
		Queue *queue = &uring->queues[i];

		pthread_join(queue->thread, NULL);
		for (unsigned j = 0; j < DEPTH; j++)
			clear_entry(&queue->entries[j]);
		close(queue->wake);
		mne_lock_clear(&queue->lock);
	}
	pthread_key_delete(uring->own);
	g_free(uring);
}

static Entry *find_in(Queue *queue, uint64_t unique)
{
	for (unsigned i = 0; i < DEPTH; i++)
		if (atomic_load(&queue->entries[i].unique) == unique)
			return &queue->entries[i];
	return NULL;
}

/* Most are answered while they are carried out. */
static Entry *find(MneUring *uring, Queue *own, uint64_t unique)
{
	Entry *entry = own ? own->current : NULL;

	if (entry && atomic_load(&entry->unique) == unique)
		return entry;
	entry = NULL;

	for (unsigned i = 0; !entry && i < uring->n; i++)
		entry = find_in(&uring->queues[i], unique);
	return entry;
}

/* The parts behind the header go to the payload. */
static ssize_t fill(Entry *entry, const struct iovec *iov, int count)
{
	struct fuse_out_header *out = (void *)entry->header->in_out;
	size_t len = 0;

	for (int i = 1; i < count; i++) {
		if (len + iov[i].iov_len > entry->queue->uring->max_payload)
			return -E2BIG;
		memcpy(entry->payload + len, iov[i].iov_base, iov[i].iov_len);
		len += iov[i].iov_len;
	}
	memcpy(out, iov[0].iov_base, sizeof(*out));
	out->len = (uint32_t)len;
	entry->header->entry.payload_size = (uint32_t)len;
	return (ssize_t)(sizeof(*out) + len);
}

static void pass_on(Entry *entry)
{
	Queue *queue = entry->queue;

	mne_lock(&queue->lock);
	entry->next_done = queue->done;
	queue->done = entry;
	mne_unlock(&queue->lock);
	wake(queue);
}

bool mne_uring_answer(MneUring *uring, const struct iovec *iov, int count,
		      ssize_t *out_result)
{
	const struct fuse_out_header *out = iov[0].iov_base;
	Queue *own = pthread_getspecific(uring->own);
	Entry *entry = out->unique != 0 ? find(uring, own, out->unique) : NULL;

	if (!entry)
		return false;
	*out_result = fill(entry, iov, count);
	if (*out_result < 0)
		return true;
	atomic_store(&entry->unique, 0);
	if (own == entry->queue)
		command(entry, CMD_COMMIT_AND_FETCH);
	else
		pass_on(entry);
	return true;
}

static bool has_passed(Queue *queue, uint64_t asked)
{
	return atomic_load(&queue->fence_done) >= asked ||
	       atomic_load(&queue->has_ended);
}

/* That takes microseconds, a sleep longer. */
static bool passes_soon(Queue *queue, uint64_t asked)
{
	for (unsigned i = 0; i < LOOKS && !has_passed(queue, asked); i++)
		sched_yield();
	return has_passed(queue, asked);
}

/* Two turns may have to end: the one under way, and the one that counts. */
static void wait_for_fence(Queue *queue, uint64_t asked)
{
	const struct timespec pause = { 0, WAIT_NS };

	for (unsigned tries = 0; !passes_soon(queue, asked); tries++) {
		wake(queue);
		if (tries >= 2)
			nanosleep(&pause, NULL);
	}
}

void mne_uring_fence(MneUring *uring)
{
	g_autofree uint64_t *asked = g_new(uint64_t, uring->n);

	for (unsigned i = 0; i < uring->n; i++) {
		asked[i] = atomic_fetch_add(&uring->queues[i].fence_asked, 1) + 1;
		wake(&uring->queues[i]);
	}
	for (unsigned i = 0; i < uring->n; i++)
		wait_for_fence(&uring->queues[i], asked[i]);
}
