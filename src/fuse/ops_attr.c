/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/ops_attr.c - requests about attributes
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/ops.h"
#include "fuse/reply.h"

void mne_op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	MneFound found;
	int err = mne_ns_stat(mount->ns, mne_mount_inode(mount, ino), &found);

	(void)info;
	if (err < 0)
		mne_reply_err(req, "getattr", ino, err);
	else
		mne_reply_attr(req, &found);
}

static MneAttrChange change_of(const struct stat *attr, int to_set)
{
	static const struct {
		int theirs;
		unsigned ours;
	} bits[] = {
		{ FUSE_SET_ATTR_MODE, MNE_SET_MODE },
		{ FUSE_SET_ATTR_UID, MNE_SET_UID },
		{ FUSE_SET_ATTR_GID, MNE_SET_GID },
		{ FUSE_SET_ATTR_ATIME, MNE_SET_ATIME },
		{ FUSE_SET_ATTR_MTIME, MNE_SET_MTIME },
		{ FUSE_SET_ATTR_ATIME_NOW, MNE_SET_ATIME_NOW },
		{ FUSE_SET_ATTR_MTIME_NOW, MNE_SET_MTIME_NOW },
		{ FUSE_SET_ATTR_CTIME, MNE_SET_CTIME },
		{ FUSE_SET_ATTR_KILL_SUID, MNE_KILL_SUID },
	};
	MneAttrChange change = {
		.mode = attr->st_mode & 07777,
		.uid = attr->st_uid,
		.gid = attr->st_gid,
		.atime = attr->st_atim,
		.mtime = attr->st_mtim,
		.ctime = attr->st_ctim,
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bits); i++)
		if (to_set & bits[i].theirs)
			change.set |= bits[i].ours;
	/* The kernel says "now" beside a time of its own. */
	if (change.set & MNE_SET_ATIME_NOW)
		change.set &= ~(unsigned)MNE_SET_ATIME;
	if (change.set & MNE_SET_MTIME_NOW)
		change.set &= ~(unsigned)MNE_SET_MTIME;
	return change;
}

/* ftruncate(2), on the handle; then what else is to change. */
static int truncate_open(MneMount *mount, MneInode *inode, MneHandle *handle,
			 const MneAttrChange *change, uint64_t size, MneFound *found)
{
	MNE_TRY(mne_handle_truncate(handle, size, found));
	return change->set ? mne_ns_setattr(mount->ns, inode, change, NULL, found) : 0;
}

void mne_op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *attr, int to_set,
		    struct fuse_file_info *info)
{
	MneMount *mount = mne_mount_of(req);
	MneInode *inode = mne_mount_inode(mount, ino);
	MneAttrChange change = change_of(attr, to_set);
	uint64_t size = (uint64_t)attr->st_size;
	bool resize = to_set & FUSE_SET_ATTR_SIZE;
	MneFound found;
	int err;

	if (resize && info)
		err = truncate_open(mount, inode,
				    (MneHandle *)(uintptr_t)info->fh, /* NOLINT */
				    &change, size, &found);
	else
		err = mne_ns_setattr(mount->ns, inode, &change, resize ? &size : NULL,
				     &found);
	if (err < 0)
		mne_reply_err(req, "setattr", ino, err);
	else
		mne_reply_attr(req, &found);
}

void mne_op_setxattr(fuse_req_t req, fuse_ino_t ino, const char *name,
		     const char *value, size_t size, int flags)
{
	MneMount *mount = mne_mount_of(req);

	mne_reply_status(req, "setxattr", ino,
			 mne_ns_setxattr(mount->ns, mne_mount_inode(mount, ino),
					 mne_slice_str(name), mne_slice(value, size),
					 flags));
}

void mne_op_removexattr(fuse_req_t req, fuse_ino_t ino, const char *name)
{
	MneMount *mount = mne_mount_of(req);

	mne_reply_status(req, "removexattr", ino,
			 mne_ns_setxattr(mount->ns, mne_mount_inode(mount, ino),
					 mne_slice_str(name), MNE_SLICE_EMPTY, 0));
}

/* With size 0 only the length is asked for. */
static void reply_value(fuse_req_t req, fuse_ino_t ino, MneSlice value, size_t size)
{
	if (size == 0)
		fuse_reply_xattr(req, value.len);
	else if (value.len > size)
		mne_reply_err(req, "getxattr", ino, -ERANGE);
	else
		fuse_reply_buf(req, (const char *)value.data, value.len);
}

void mne_op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	MneMount *mount = mne_mount_of(req);
	g_autoptr(GBytes) value = NULL;
	int err = mne_ns_getxattr(mount->ns, mne_mount_inode(mount, ino),
				  mne_slice_str(name), &value);

	if (err < 0)
		mne_reply_err(req, "getxattr", ino, err);
	else
		reply_value(req, ino, mne_slice_of(value), size);
}

void mne_op_listxattr(fuse_req_t req, fuse_ino_t ino, size_t size)
{
	MneMount *mount = mne_mount_of(req);
	g_autoptr(GByteArray) names = g_byte_array_new();
	int err = mne_ns_listxattr(mount->ns, mne_mount_inode(mount, ino), names);

	if (err < 0)
		mne_reply_err(req, "listxattr", ino, err);
	else
		reply_value(req, ino, mne_slice(names->data, names->len), size);
}
