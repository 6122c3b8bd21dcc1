/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/reply.c - the border: our answers become the kernel's
 *
 * A reply that fails was for a request that its caller gave up (the kernel says ENOENT):
 * then the kernel counts no lookup, and will never release the handle.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/reply.h"

#include "util/lock.h"
#include "util/log.h"

#include <fcntl.h>

/* How a filesystem breathes: no news. */
static bool is_ordinary(int err)
{
	return mne_err_is(err, ENOENT) || mne_err_is(err, EEXIST) ||
	       mne_err_is(err, ENOTEMPTY) || mne_err_is(err, ENODATA);
}

static bool is_ours(int err)
{
	return ABS(err) >= MNE_E_BASE;
}

static void report(MneMount *mount, const char *op, fuse_ino_t ino, int err)
{
	MneIdentity self = mne_inode_identity(mne_mount_inode(mount, ino));

	if (mne_err_is(err, EIO))
		g_warning("%s of record %" G_GUINT64_FORMAT " of table %u: %s (%s)", op,
			  self.rec, self.table, mne_err_sentence(err),
			  mne_err_name(err));
	else if (is_ours(err) && !is_ordinary(err))
		mne_log_say("%s: %s", op, mne_err_sentence(err));
}

void mne_reply_err(fuse_req_t req, const char *op, fuse_ino_t ino, int err)
{
	g_assert(err < 0);
	mne_lock_assert_none_held();
	report(mne_mount_of(req), op, ino, err);
	mne_stats_error(mne_mount_of(req)->ns->stats, mne_err_errno(err));
	fuse_reply_err(req, mne_err_errno(err));
}

void mne_reply_status(fuse_req_t req, const char *op, fuse_ino_t ino, int err)
{
	if (err < 0)
		mne_reply_err(req, op, ino, err);
	else
		fuse_reply_err(req, 0);
}

struct fuse_entry_param mne_entry_of(MneMount *mount, const MneFound *found)
{
	struct fuse_entry_param entry = {
		.generation = 1,
		.attr = found->attr,
		.attr_timeout = found->attr_timeout,
		.entry_timeout = found->entry_timeout,
	};

	if (found->inode)
		entry.ino = mne_inode_number(mount->ns->inodes, found->inode);
	return entry;
}

static void forget(MneMount *mount, const MneFound *found)
{
	if (found->inode)
		mne_inodes_forget(mount->ns->inodes, found->inode, 1);
}

void mne_reply_found(fuse_req_t req, const MneFound *found)
{
	MneMount *mount = mne_mount_of(req);
	struct fuse_entry_param entry = mne_entry_of(mount, found);

	mne_lock_assert_none_held();
	if (fuse_reply_entry(req, &entry) < 0)
		forget(mount, found);
}

void mne_reply_attr(fuse_req_t req, const MneFound *found)
{
	mne_lock_assert_none_held();
	fuse_reply_attr(req, &found->attr, found->attr_timeout);
}

/* Bytes change only through this mount, so the kernel keeps them from one open to the
 * next.  Nothing happens at flush: a file is committed by its release.
 *
 * Who can only write cannot read what the cache would keep: his bytes go past it, and the
 * kernel does not ask for security.capability first (the write drops it, see ns/handle.c).
 * What others have in the cache there is invalidated by the kernel. */
static void set_info(MneHandle *handle, struct fuse_file_info *info)
{
	info->fh = (uintptr_t)handle;
	info->noflush = 1;
	info->keep_cache = !mne_handle_is_control(handle);
	info->direct_io = mne_handle_is_control(handle) ||
			  (info->flags & O_ACCMODE) == O_WRONLY;
}

void mne_reply_open(fuse_req_t req, MneHandle *handle, struct fuse_file_info *info)
{
	mne_lock_assert_none_held();
	set_info(handle, info);
	if (fuse_reply_open(req, info) < 0)
		mne_handle_close(handle);
}

void mne_reply_create(fuse_req_t req, const MneFound *found, MneHandle *handle,
		      struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	struct fuse_entry_param entry = mne_entry_of(mount, found);

	mne_lock_assert_none_held();
	set_info(handle, info);
	if (fuse_reply_create(req, &entry, info) < 0) {
		mne_handle_close(handle);
		forget(mount, found);
	}
}
