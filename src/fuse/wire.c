/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/wire.c - what the protocol can do and libfuse 3.14 does not pass on
 *
 * What the kernel writes is trusted: a request is as long as its header says.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/wire.h"

#include "fuse/uring.h"
#include "util/log.h"

#include <linux/fuse.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

/* FUSE_OVER_IO_URING, bit 41 of the flags: newer than our headers. */
#define FLAG2_OVER_IO_URING (UINT32_C(1) << 9)

static void touch_open(void *payload)
{
	struct fuse_open_in *open = payload;

	if (open->open_flags & FUSE_OPEN_KILL_SUIDGID)
		open->flags |= MNE_WIRE_KILL_SUID;
}

static void touch_create(void *payload)
{
	struct fuse_create_in *create = payload;

	if (create->open_flags & FUSE_OPEN_KILL_SUIDGID)
		create->flags |= MNE_WIRE_KILL_SUID;
}

static void touch_write(void *payload)
{
	struct fuse_write_in *write = payload;

	if (write->write_flags & FUSE_WRITE_KILL_SUIDGID)
		write->flags |= MNE_WIRE_KILL_SUID;
}

static void touch_init(MneMount *mount, const struct fuse_in_header *header)
{
	const struct fuse_init_in *init = (const void *)(header + 1);

	mount->init_unique = header->unique;
	mount->kernel_kills_late = init->flags & FUSE_HANDLE_KILLPRIV_V2;
	mount->kernel_has_uring = (init->flags & FUSE_INIT_EXT) &&
				  (init->flags2 & FLAG2_OVER_IO_URING);
}

static void touch(MneMount *mount, struct fuse_in_header *header)
{
	switch (header->opcode) {
	case FUSE_OPEN: touch_open(header + 1); break;
	case FUSE_CREATE: touch_create(header + 1); break;
	case FUSE_WRITE: touch_write(header + 1); break;
	case FUSE_INIT: touch_init(mount, header); break;
	case FUSE_TMPFILE: /* the same payload, and its name is MNE_WIRE_NO_NAME */
		touch_create(header + 1);
		header->opcode = FUSE_CREATE;
		break;
	default: break;
	}
}

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + (uint64_t)now.tv_nsec;
}

void mne_wire_process(MneMount *mount, struct fuse_buf *request)
{
	const struct fuse_in_header *header = request->mem;
	unsigned op = request->size >= sizeof(*header) ? header->opcode : 0;
	uint64_t began = now_ns();

	if (mne_log_traces())
		g_debug("request %s", mne_wire_names()[MIN(op, MNE_N_OPS - 1)]);
	if (op == FUSE_RELEASE)
		mne_store_closing(mount->store, true);
	fuse_session_process_buf(mount->session, request);
	if (op == FUSE_RELEASE)
		mne_store_closing(mount->store, false);
	mne_stats_request(mount->ns->stats, op, now_ns() - began);
}

/* A request of a ring has not been through wire_read(). */
static void carry_out(void *user, struct fuse_buf *request)
{
	touch(user, request->mem);
	mne_wire_process(user, request);
}

static ssize_t wire_read(int fd, void *buffer, size_t len, void *user)
{
	ssize_t got = read(fd, buffer, len);

	if (got >= (ssize_t)sizeof(struct fuse_in_header))
		touch(user, buffer);
	return got;
}

static bool wants_uring(const MneMount *mount)
{
	return mount->may_use_uring && mount->kernel_has_uring;
}

static bool is_init_reply(const MneMount *mount, const struct iovec *iov)
{
	const struct fuse_out_header *header = iov[0].iov_base;

	uint64_t unique = mount->init_unique;

	return G_UNLIKELY(unique != 0) && header->unique == unique;
}

static void touch_init_reply(const struct iovec *iov, int count, const MneMount *mount)
{
	const struct fuse_out_header *header = iov[0].iov_base;
	struct fuse_init_out *init;

	if (header->error || count < 2 || iov[1].iov_len < sizeof(*init))
		return;
	init = iov[1].iov_base;
	if (mount->kernel_kills_late) {
		init->flags &= ~(uint32_t)FUSE_HANDLE_KILLPRIV;
		init->flags |= FUSE_HANDLE_KILLPRIV_V2;
	}
	if (wants_uring(mount)) {
		init->flags |= FUSE_INIT_EXT;
		init->flags2 |= FLAG2_OVER_IO_URING;
	}
}

/* The kernel waits with requests until every queue has registered. */
static void after_init(MneMount *mount)
{
	const MneUringClient client = { mount->session, carry_out, mount };

	mount->init_unique = 0;
	if (wants_uring(mount))
		mne_uring_start(&client, MNE_MAX_WRITE, &mount->uring);
	atomic_store(&mount->ns->over_uring, wants_uring(mount));
	atomic_store(&mount->is_ready, true);
}

static ssize_t wire_writev(int fd, struct iovec *iov, int count, void *user)
{
	MneMount *mount = user;
	MneUring *uring = atomic_load_explicit(&mount->uring, memory_order_acquire);
	bool is_init = is_init_reply(mount, iov);
	ssize_t result;

	if (uring && mne_uring_answer(uring, iov, count, &result))
		return result;
	if (is_init)
		touch_init_reply(iov, count, mount);
	result = writev(fd, iov, count);
	if (is_init)
		after_init(mount);
	return result;
}

int mne_wire_attach(MneMount *mount)
{
	static const struct fuse_custom_io io = { .read = wire_read,
						  .writev = wire_writev };

	return fuse_session_custom_io(mount->session, &io,
				      fuse_session_fd(mount->session));
}

const char *const *mne_wire_names(void)
{
	static const char *const names[MNE_N_OPS] = {
		[MNE_OP_CREW] = "crew",
		[FUSE_LOOKUP] = "lookup",
		[FUSE_FORGET] = "forget",
		[FUSE_GETATTR] = "getattr",
		[FUSE_SETATTR] = "setattr",
		[FUSE_READLINK] = "readlink",
		[FUSE_SYMLINK] = "symlink",
		[FUSE_MKNOD] = "mknod",
		[FUSE_MKDIR] = "mkdir",
		[FUSE_UNLINK] = "unlink",
		[FUSE_RMDIR] = "rmdir",
		[FUSE_RENAME] = "rename",
		[FUSE_LINK] = "link",
		[FUSE_OPEN] = "open",
		[FUSE_READ] = "read",
		[FUSE_WRITE] = "write",
		[FUSE_STATFS] = "statfs",
		[FUSE_RELEASE] = "release",
		[FUSE_FSYNC] = "fsync",
		[FUSE_SETXATTR] = "setxattr",
		[FUSE_GETXATTR] = "getxattr",
		[FUSE_LISTXATTR] = "listxattr",
		[FUSE_REMOVEXATTR] = "removexattr",
		[FUSE_FLUSH] = "flush",
		[FUSE_INIT] = "init",
		[FUSE_OPENDIR] = "opendir",
		[FUSE_READDIR] = "readdir",
		[FUSE_RELEASEDIR] = "releasedir",
		[FUSE_FSYNCDIR] = "fsyncdir",
		[FUSE_ACCESS] = "access",
		[FUSE_CREATE] = "create",
		[FUSE_INTERRUPT] = "interrupt",
		[FUSE_IOCTL] = "ioctl",
		[FUSE_POLL] = "poll",
		[FUSE_BATCH_FORGET] = "batch_forget",
		[FUSE_FALLOCATE] = "fallocate",
		[FUSE_READDIRPLUS] = "readdirplus",
		[FUSE_RENAME2] = "rename2",
		[FUSE_LSEEK] = "lseek",
		[FUSE_COPY_FILE_RANGE] = "copy_file_range",
		[FUSE_SYNCFS] = "syncfs",
	};

	return names;
}
