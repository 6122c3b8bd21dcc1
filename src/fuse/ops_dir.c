/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/ops_dir.c - requests about directories, and about the filesystem as a whole
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/crew.h"
#include "fuse/forget.h"
#include "fuse/ops.h"
#include "fuse/reply.h"
#include "ns/stream.h"

#define NAME_BYTES 256u
#define SHORT_END  8u /* bytes: no entry is that small */

static MneStream *stream_of(const struct fuse_file_info *info)
{
	return (MneStream *)(uintptr_t)info->fh; /* NOLINT: it came from an address */
}

void mne_op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	MneStreamKeeps keeps;
	MneStream *stream;
	int err = mne_stream_open(mount->ns, mne_mount_inode(mount, ino), &stream);

	if (err < 0) {
		mne_reply_err(req, "opendir", ino, err);
		return;
	}
	info->fh = (uintptr_t)stream;
	keeps = mne_stream_keeps(stream);
	info->cache_readdir = keeps >= MNE_STREAM_BEGINS;
	info->keep_cache = keeps == MNE_STREAM_PASSES_BY || keeps == MNE_STREAM_GOES_ON;
	if (fuse_reply_open(req, info) < 0)
		mne_stream_close(stream);
}

void mne_op_releasedir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	(void)ino;
	mne_stream_close(stream_of(info));
	fuse_reply_err(req, 0);
}

/* A reply that is being filled. */
typedef struct {
	fuse_req_t req;
	MneMount *mount;
	char *bytes;
	size_t size, used;
	bool with_attr;
	MneKeptEnd end; /* if there is no entry */
} Page;

/* False when it does not fit. */
static bool add_entry(Page *page, const MneStreamEntry *entry)
{
	struct fuse_entry_param param = mne_entry_of(page->mount, &entry->found);
	size_t room = page->size - page->used, needed;
	char name[NAME_BYTES];
	char *at = page->bytes + page->used;

	memcpy(name, entry->name.data, entry->name.len);
	name[entry->name.len] = '\0';
	if (entry->is_dot)
		param.ino = 0; /* no lookup */
	if (page->with_attr)
		needed = fuse_add_direntry_plus(page->req, at, room, name, &param,
						(off_t)entry->position);
	else
		needed = fuse_add_direntry(page->req, at, room, name, &param.attr,
					   (off_t)entry->position);
	if (needed > room)
		return false;
	page->used += needed;
	return true;
}

static int fill(Page *page, MneStream *stream, uint64_t position)
{
	MneStreamEntry entry;
	int got;

	MNE_TRY(mne_stream_start(stream, position));
	while ((got = mne_stream_next(stream, &entry)) > 0 && add_entry(page, &entry))
		mne_stream_take(stream, &entry, page->with_attr);
	if (got == 0 && page->used == 0)
		page->end = mne_stream_end(stream);
	mne_stream_stop(stream);
	/* What was read before a failure is good; the failure comes again. */
	return page->used > 0 ? 0 : got;
}

/* The kernel locks no more for an open directory than each of its pages. */
static void reply_end(fuse_req_t req, fuse_ino_t ino, MneKeptEnd end)
{
	static const char too_short[SHORT_END] = { 0 };

	if (end == MNE_KEPT_DROP)
		mne_forget_inode(mne_mount_of(req), ino, true);
	fuse_reply_buf(req, too_short, end == MNE_KEPT_OPEN ? SHORT_END : 0);
}

static void read_dir(fuse_req_t req, fuse_ino_t ino, Page *page, off_t position,
		     const struct fuse_file_info *info)
{
	g_autofree char *bytes = g_malloc(page->size);
	int err;

	page->req = req;
	page->mount = mne_mount_of(req);
	page->bytes = bytes;
	err = fill(page, stream_of(info), (uint64_t)position);
	if (err < 0)
		mne_reply_err(req, "readdir", ino, err);
	else if (page->used > 0)
		fuse_reply_buf(req, bytes, page->used);
	else
		reply_end(req, ino, page->end);
}

void mne_op_readdir(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position,
		    struct fuse_file_info *info)
{
	Page page = { .size = size };

	read_dir(req, ino, &page, position, info);
}

void mne_op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t position,
			struct fuse_file_info *info)
{
	Page page = { .size = size, .with_attr = true };

	read_dir(req, ino, &page, position, info);
}

static void sync_all(MneMount *mount, MneTask *task)
{
	mne_reply_status(task->req, "fsyncdir", task->ino,
			 mne_store_barrier(mount->store));
}

void mne_op_fsyncdir(fuse_req_t req, fuse_ino_t ino, int datasync,
		     struct fuse_file_info *info)
{
	MneTask task = { .run = sync_all, .req = req, .ino = ino, .with_fence = true };

	(void)datasync;
	(void)info;
	mne_crew_post(mne_mount_of(req)->crew, &task);
}

void mne_op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	MneMount *mount = mne_mount_of(req);
	struct statvfs status;
	int err = mne_ns_statfs(mount->ns, mne_mount_inode(mount, ino), &status);

	if (err < 0)
		mne_reply_err(req, "statfs", ino, err);
	else
		fuse_reply_statfs(req, &status);
}
