/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/uring.h - requests through io_uring instead of /dev/fuse
 *
 * Linux 6.14 and later can hand requests out through io_uring: a queue for each processor,
 * answered on the processor that asked, without waking another.  Root must allow it
 * (/sys/module/fuse/parameters/enable_uring).  libfuse 3.14 does not know of it: we say so
 * in the answer to INIT, put each request together as it would have been read from
 * /dev/fuse, and catch the answers where libfuse writes them.  FORGET, INTERRUPT and INIT
 * itself still come through /dev/fuse, and notifications go there.
 *
 * Threads: one for each processor, pinned to it, which alone touches its ring.  An answer
 * may be given from any thread; the ring's own thread passes it on.
 */
#pragma once

#include <stdbool.h>
#include <sys/uio.h>

#include <fuse_lowlevel.h>

/* Requests of one processor that can be in hand at once; the kernel takes the entry that was
 * free last, so the memory of many is touched only when many are in hand. */
#define MNE_URING_DEPTH 64u

typedef struct MneUring MneUring;

/* Whose requests they are. */
typedef struct {
	struct fuse_session *session;
	/* Carry out a request that looks as if it had been read from /dev/fuse. */
	void (*carry_out)(void *user, struct fuse_buf *request);
	void *user;
} MneUringClient;

/* Was it built in? */
bool mne_uring_is_built(void);

/* Starts the threads, after the kernel was told in the answer to INIT.  max_payload: bytes of
 * the biggest request or answer, without its headers.  *out_uring is set before the first
 * request comes: its answer is looked for there. */
void mne_uring_start(const MneUringClient *client, size_t max_payload,
		     MneUring *_Atomic *out_uring);
/* Ends the threads, and waits for them. */
void mne_uring_free(MneUring *uring);

/* Is this the answer to a request that came through a ring?  Then it is on its way, and
 * *out_result is what writev(2) would return, or a negative errno. */
bool mne_uring_answer(MneUring *uring, const struct iovec *iov, int count,
		      ssize_t *out_result);

/* Every request that the kernel made before the call has been carried out on return, but
 * for those given to the crew.  Not from a ring's thread. */
void mne_uring_fence(MneUring *uring);
