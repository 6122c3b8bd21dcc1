/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/ops_file.c - requests about open files
 *
 * fsync, and what is written to control files, goes to the crew.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/crew.h"
#include "fuse/forget.h"
#include "fuse/ops.h"
#include "fuse/reply.h"
#include "fuse/share.h"
#include "fuse/syncs.h"
#include "fuse/wire.h"
#include "ns/reopen.h"

#include <fcntl.h>
#include <poll.h>

static MneHandle *handle_of(const struct fuse_file_info *info)
{
	return (MneHandle *)(uintptr_t)info->fh; /* NOLINT: it came from an address */
}

static bool wants_kill(const struct fuse_file_info *info)
{
	return info->flags & MNE_WIRE_KILL_SUID;
}

void mne_op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		   struct fuse_file_info *info)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	MneMount *mount = mne_mount_of(req);
	MneMake what = { .mode = mode, .uid = caller->uid, .gid = caller->gid };
	MneSlice slice = mne_slice_str(name);
	MneHandle *handle;
	MneFound found;
	int err;

	if (mne_slice_equal(slice, mne_slice_str(MNE_WIRE_NO_NAME)))
		slice = MNE_SLICE_EMPTY;
	err = mne_handle_create(mount->ns, mne_mount_inode(mount, parent), slice, &what,
				&found, &handle);
	if (err < 0)
		mne_reply_err(req, "create", parent, err);
	else
		mne_reply_create(req, &found, handle, info);
}

/* The kernel asks for it again, before who opened or wrote can make use of the old one. */
static void forget_mode(MneMount *mount, fuse_ino_t ino)
{
	mne_forget_inode(mount, ino, false);
}

static void open_inode(MneMount *mount, MneTask *task)
{
	const struct fuse_ctx *caller = fuse_req_ctx(task->req);
	struct fuse_file_info info = { .flags = (int)task->flags };
	MneCtlOpen how = { info.flags, caller->pid, caller->uid, caller->gid };
	MneHandle *handle;
	int err = mne_handle_open(mount->ns, task->inode, &how, wants_kill(&info),
				  &handle);

	if (mne_err_is(err, ESTALE))
		mne_reopen_failed(mount->ns, caller->pid);
	else
		mne_reopen_done(mount->ns, caller->pid);
	if (err < 0) {
		mne_reply_err(task->req, "open", task->ino, err);
		return;
	}
	if (mne_handle_dropped_suid(handle))
		forget_mode(mount, task->ino);
	mne_reply_open(task->req, handle, &info);
}

/* A writer that closed the file before may not be released yet.  What it wrote is to be
 * committed without what the new one writes: so that release is waited for. */
void mne_op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	MneTask task = {
		.run = open_inode,
		.req = req,
		.ino = ino,
		.inode = mne_mount_inode(mount, ino),
		.flags = (unsigned)info->flags,
	};

	task.with_fence = mne_handle_open_is_slow(mount->ns, task.inode, info->flags);
	if (task.with_fence || mne_ns_is_control(task.inode))
		mne_crew_post(mount->crew, &task);
	else
		open_inode(mount, &task);
}

static void reply_read(fuse_req_t req, fuse_ino_t ino, const char *buffer, ssize_t got)
{
	if (got < 0)
		mne_reply_err(req, "read", ino, (int)got);
	else
		fuse_reply_buf(req, buffer, (size_t)got);
}

static void read_control(MneMount *mount, MneTask *task)
{
	g_autofree char *buffer = g_malloc(task->size);
	MneWaiter waiter = { .handle = task->handle };
	bool waits = task->may_wait && !(task->flags & O_NONBLOCK);
	ssize_t got;

	if (waits)
		mne_crew_wait_begin(mount->crew, task->req, &waiter);
	got = mne_handle_read_control(task->handle, task->offset, buffer, task->size,
				      waits ? &waiter.wait : NULL);
	if (waits)
		mne_crew_wait_end(mount->crew, task->req, &waiter);
	reply_read(task->req, task->ino, buffer, got);
}

void mne_op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		 struct fuse_file_info *info)
{
	MneHandle *handle = handle_of(info);
	MneTask task = {
		.run = read_control,
		.req = req,
		.ino = ino,
		.handle = handle,
		.flags = (unsigned)info->flags,
		.size = size,
		.offset = (uint64_t)offset,
		.may_wait = mne_handle_may_wait(handle),
	};
	g_autofree char *buffer = NULL;

	if (mne_handle_is_control(handle)) {
		mne_crew_post(mne_mount_of(req)->crew, &task);
		return;
	}
	buffer = g_malloc(size);
	reply_read(req, ino, buffer,
		   mne_handle_read(handle, (uint64_t)offset, buffer, size));
}

static void reply_written(fuse_req_t req, fuse_ino_t ino, ssize_t written)
{
	if (written < 0)
		mne_reply_err(req, "write", ino, (int)written);
	else
		fuse_reply_write(req, (size_t)written);
}

static void write_control(MneMount *mount, MneTask *task)
{
	MneWaiter waiter = { .handle = task->handle };
	bool waits = mne_handle_may_wait(task->handle) && !(task->flags & O_NONBLOCK);
	ssize_t written;

	if (waits)
		mne_crew_wait_begin(mount->crew, task->req, &waiter);
	written = mne_handle_write_control(task->handle, mne_slice_of(task->bytes),
					   waits ? &waiter.wait : NULL);
	if (waits)
		mne_crew_wait_end(mount->crew, task->req, &waiter);
	mne_share_tables(mount);
	mne_crew_forget_stale(mount);
	mne_crew_forget_lent(mount);
	reply_written(task->req, task->ino, written);
}

static ssize_t write_record(MneMount *mount, const MneTask *task, MneSlice bytes)
{
	bool kill = task->flags & MNE_WIRE_KILL_SUID;
	bool drops = kill && mne_handle_has_suid(task->handle);
	ssize_t written = mne_handle_write(task->handle, task->offset, bytes, kill);

	if (written > 0 && drops)
		forget_mode(mount, task->ino);
	return written;
}

/* Past the cache the kernel leaves O_DSYNC to us. */
static void write_synced(MneMount *mount, MneTask *task)
{
	ssize_t written = write_record(mount, task, mne_slice_of(task->bytes));
	int err = written < 0 ? 0 : mne_handle_sync(task->handle);

	reply_written(task->req, task->ino, err < 0 ? err : written);
}

void mne_op_write(fuse_req_t req, fuse_ino_t ino, const char *data, size_t size,
		  off_t offset, struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	bool is_control = mne_handle_is_control(handle_of(info));
	MneTask task = {
		.run = is_control ? write_control : write_synced,
		.req = req,
		.ino = ino,
		.handle = handle_of(info),
		.offset = (uint64_t)offset,
		.flags = (unsigned)info->flags,
		.with_fence = is_control,
		.may_wait = is_control, /* for a directory's lock: see forget_stale */
		.may_drop = is_control,
	};

	if (!is_control && !(info->flags & O_DSYNC)) {
		reply_written(req, ino,
			      write_record(mount, &task, mne_slice(data, size)));
		return;
	}
	task.bytes = g_bytes_new(data, size);
	mne_crew_post(mount->crew, &task);
}

/* Carried out before it is answered: see the fence. */
void mne_op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	mne_handle_close(handle_of(info));
	fuse_reply_err(req, 0);
}

void mne_op_fsync(fuse_req_t req, fuse_ino_t ino, int datasync,
		  struct fuse_file_info *info)
{
	(void)datasync;
	mne_syncs_post(mne_mount_of(req)->syncs, req, ino, handle_of(info));
}

/* Here the kernel does not say whether setuid bits are to be dropped. */
void mne_op_fallocate(fuse_req_t req, fuse_ino_t ino, int mode, off_t offset, off_t len,
		      struct fuse_file_info *info)
{
	MneHandle *handle = handle_of(info);
	bool kill = fuse_req_ctx(req)->uid != 0;
	bool drops = kill && mne_handle_has_suid(handle);
	int err = mne_handle_allocate(handle, mode, (uint64_t)offset, (uint64_t)len,
				      kill);

	if (drops)
		forget_mode(mne_mount_of(req), ino);
	mne_reply_status(req, "fallocate", ino, err);
}

void mne_op_lseek(fuse_req_t req, fuse_ino_t ino, off_t offset, int whence,
		  struct fuse_file_info *info)
{
	uint64_t found;
	int err = offset < 0 ? -ENXIO
			     : mne_handle_seek(handle_of(info), (uint64_t)offset,
					       whence, &found);

	if (err < 0)
		mne_reply_err(req, "lseek", ino, err);
	else
		fuse_reply_lseek(req, (off_t)found);
}

static void tell_poll(void *data)
{
	(void)fuse_lowlevel_notify_poll(data);
	fuse_pollhandle_destroy(data);
}

static void forget_poll(void *data)
{
	fuse_pollhandle_destroy(data);
}

/* poll: NULL when nobody waits for it.  The kernel's answer to a notice takes no lock of a
 * file, so that it can be sent with one of ours held. */
void mne_op_poll(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info,
		 struct fuse_pollhandle *poll)
{
	MneBell bell = { 0 };
	unsigned events = POLLOUT | POLLWRNORM;

	(void)ino;
	if (poll)
		bell = (MneBell){ tell_poll, forget_poll, poll };
	if (mne_handle_poll(handle_of(info), &bell))
		events |= POLLIN | POLLRDNORM;
	mne_bell_clear(&bell);
	fuse_reply_poll(req, events);
}
