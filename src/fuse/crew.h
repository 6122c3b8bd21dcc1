/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/crew.h - threads for what takes long, so that the readers never wait
 *
 * A task answers its request from a thread of the crew; the request stays valid until
 * then.  Threads are started when they are needed, up to a limit.
 */
#pragma once

#include "fuse/mount.h"
#include "ns/handle.h"

/* What a task may need; copied from the request, which is gone when the handler returns. */
typedef struct MneTask {
	void (*run)(MneMount *mount, struct MneTask *task);
	fuse_req_t req;
	fuse_ino_t ino;
	MneInode *inode, *other; /* the kernel holds them until the answer */
	MneHandle *handle; /* the same */
	char *name, *new_name; /* owned */
	GBytes *bytes; /* owned */
	unsigned flags;
	MneMake make;
	size_t size; /* of a read */
	uint64_t offset;
	bool with_fence; /* run mne_loop_fence() first */
	bool may_wait; /* for others to do something: does not count as a busy thread */
	bool is_no_request; /* req and ino are not set: who runs it answers, and counts */
	bool may_drop; /* a checkpoint may be dropped: tell the kernel afterwards */
	int64_t posted; /* monotonic microseconds; set by mne_crew_post() */
} MneTask;

MneCrew *mne_crew_new(MneMount *mount, unsigned max_threads);
/* The kernel may still show bytes of checkpoints that are gone: tell it. */
void mne_crew_invalidate_gone(MneMount *mount);
/* Runs what was posted; what is posted from now on is answered with ESHUTDOWN. */
void mne_crew_stop(MneCrew *crew);
/* It was stopped, and nobody posts any more. */
void mne_crew_free(MneCrew *crew);

/* Around what may wait, by a task that may: wait is over when the kernel takes the request
 * back, or when the crew stops. */
typedef struct {
	GList link;
	MneHandle *handle; /* woken, then */
	MneCtlWait wait;
} MneWaiter;
void mne_crew_wait_begin(MneCrew *crew, fuse_req_t req, MneWaiter *waiter);
void mne_crew_wait_end(MneCrew *crew, fuse_req_t req, MneWaiter *waiter);

/* Tell the kernel what a transaction changed behind its back.  Holding no lock, and not from
 * a reader's thread.  It waits for who changes, or syncs, a directory in question, and he
 * for us: so a task that calls it may wait. */
void mne_crew_forget_stale(MneMount *mount);

/* Checkpoints may have been made or dropped: tell the kernel, before that is answered, what
 * it must not believe any more of the others.  It waits for nobody but who does the same. */
void mne_crew_forget_lent(MneMount *mount);

/* A copy of task is run; it owns what task owns. */
void mne_crew_post(MneCrew *crew, const MneTask *task);
/* The same of a task that is no request; false: the crew has stopped. */
bool mne_crew_try(MneCrew *crew, const MneTask *task);
