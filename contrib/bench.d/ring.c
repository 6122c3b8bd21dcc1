/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/ring.c - requests to the null file system through io_uring
 *
 * src/fuse/uring.c does it; this is what src/fuse/wire.c is to mnefs, without the rest:
 * the answer to INIT says that we take part.
 */
#include "config.h"

#include "ring.h"

#include "fuse/uring.h"

#include <linux/fuse.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

#define OVER_IO_URING (UINT32_C(1) << 9) /* of flags2: newer than our headers */

enum { MAX_PAYLOAD = 1 << 20 };

static struct {
	struct fuse_session *session;
	MneUring *_Atomic uring;
	uint64_t init; /* the request, when the kernel offers it */
} ring;

static ssize_t read_request(int fd, void *buffer, size_t len, void *user)
{
	ssize_t got = read(fd, buffer, len);
	const struct fuse_in_header *header = buffer;
	const struct fuse_init_in *init = (const void *)(header + 1);

	(void)user;
	if (got >= (ssize_t)(sizeof(*header) + sizeof(*init)) &&
	    header->opcode == FUSE_INIT && (init->flags & FUSE_INIT_EXT) &&
	    (init->flags2 & OVER_IO_URING))
		ring.init = header->unique;
	return got;
}

static void carry_out(void *user, struct fuse_buf *request)
{
	(void)user;
	fuse_session_process_buf(ring.session, request);
}

static ssize_t answer_init(int fd, struct iovec *iov, int count)
{
	const MneUringClient client = { ring.session, carry_out, NULL };
	struct fuse_init_out *init = iov[1].iov_base;
	ssize_t result;

	ring.init = 0;
	init->flags |= FUSE_INIT_EXT;
	init->flags2 |= OVER_IO_URING;
	result = writev(fd, iov, count);
	mne_uring_start(&client, MAX_PAYLOAD, &ring.uring);
	return result;
}

static ssize_t write_answer(int fd, struct iovec *iov, int count, void *user)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	MneUring *uring = ring.uring;
	ssize_t result;

	(void)user;
	if (uring && mne_uring_answer(uring, iov, count, &result))
		return result;
	if (ring.init && header->unique == ring.init && count > 1)
		return answer_init(fd, iov, count);
	return writev(fd, iov, count);
}

int ring_attach(struct fuse_session *session)
{
	static const struct fuse_custom_io io = { .read = read_request,
						  .writev = write_answer };

	ring.session = session;
	return mne_uring_is_built()
		       ? fuse_session_custom_io(session, &io, fuse_session_fd(session))
		       : 0;
}

void ring_detach(void)
{
	mne_uring_free(ring.uring);
	ring.uring = NULL;
}
