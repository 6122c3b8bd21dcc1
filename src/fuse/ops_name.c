/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/ops_name.c - requests about names
 *
 * Making, dropping and renaming checkpoints goes to the crew, behind a fence.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/crew.h"
#include "fuse/ops.h"
#include "fuse/reply.h"
#include "fuse/share.h"
#include "ns/frags.h"
#include "ns/reopen.h"

#define LOOK_AGAIN 100u

/* The first look at a fragment of a table: from now on its records have several paths. */
static void look_up_shared(MneMount *mount, MneTask *task)
{
	MneIdentity dir = mne_inode_identity(task->inode);
	MneFound found;
	int err;

	mne_ns_share_begin(mount->ns, dir.table, dir.rec);
	mne_share_tables(mount);
	err = mne_ns_lookup(mount->ns, task->inode, mne_slice_str(task->name), &found);
	if (err < 0)
		mne_reply_err(task->req, "lookup", task->ino, err);
	else
		mne_reply_found(task->req, &found);
}

/* In a `.checkpoints` it matters who asks. */
static int look_up_ckpt(fuse_req_t req, const MneIdentity *dir, const char *name,
			MneFound *out)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);
	MneNs *ns = mne_mount_of(req)->ns;
	MneSlice slice = mne_slice_str(name);

	if (!mne_ckpts_dir_find_grave(ns, dir, slice, caller->pid, out))
		return mne_ckpts_dir_lookup_for(ns, dir, slice, caller->pid, out);
	out->attr.st_uid = caller->uid;
	out->attr.st_gid = caller->gid;
	return 0;
}

static int look_up(fuse_req_t req, MneInode *dir, const char *name, MneFound *out)
{
	MneNs *ns = mne_mount_of(req)->ns;
	MneSlice slice = mne_slice_str(name);
	pid_t pid = fuse_req_ctx(req)->pid;
	int err = mne_ns_lookup(ns, dir, slice, out);

	if (err < 0 || !out->inode || !mne_reopen_is_awaited(ns, pid))
		return err;
	for (unsigned i = 0; i < LOOK_AGAIN; i++) {
		if (mne_reopen_keep(ns, pid, out->inode) == 0)
			break;
		mne_inodes_forget(ns->inodes, out->inode, 1);
		err = mne_ns_lookup(ns, dir, slice, out);
		if (err < 0 || !out->inode)
			break;
	}
	return err;
}

void mne_op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	MneMount *mount = mne_mount_of(req);
	MneInode *inode = mne_mount_inode(mount, parent);
	MneIdentity dir = mne_inode_identity(inode);
	MneFound found;
	int err;

	if (mne_ns_share_is_due(mount->ns, inode)) {
		MneTask task = { .run = look_up_shared,
				 .req = req,
				 .ino = parent,
				 .inode = inode,
				 .name = g_strdup(name) };

		mne_crew_post(mount->crew, &task);
		return;
	}

	if (dir.object == MNE_OBJECT_CKPTS)
		err = look_up_ckpt(req, &dir, name, &found);
	else
		err = look_up(req, inode, name, &found);
	if (err < 0)
		mne_reply_err(req, "lookup", parent, err);
	else
		mne_reply_found(req, &found);
}

static void forget(MneMount *mount, fuse_ino_t ino, uint64_t lookups)
{
	mne_inodes_forget(mount->ns->inodes, mne_mount_inode(mount, ino), lookups);
}

void mne_op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	forget(mne_mount_of(req), ino, lookups);
	fuse_reply_none(req);
}

void mne_op_forget_multi(fuse_req_t req, size_t count, struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		forget(mne_mount_of(req), forgets[i].ino, forgets[i].nlookup);
	fuse_reply_none(req);
}

static void make(MneMount *mount, MneTask *task)
{
	MneFound found;
	int err = mne_ns_make(mount->ns, task->inode, mne_slice_str(task->name),
			      &task->make, &found);

	mne_crew_forget_lent(mount);
	if (err < 0)
		mne_reply_err(task->req, "mkdir", task->ino, err);
	else
		mne_reply_found(task->req, &found);
}

static void make_now(fuse_req_t req, fuse_ino_t parent, const char *name,
		     const MneMake *what, const char *op)
{
	MneMount *mount = mne_mount_of(req);
	MneFound found;
	int err = mne_ns_make(mount->ns, mne_mount_inode(mount, parent),
			      mne_slice_str(name), what, &found);

	if (err < 0)
		mne_reply_err(req, op, parent, err);
	else
		mne_reply_found(req, &found);
}

static MneMake what_of(fuse_req_t req, mode_t mode, dev_t rdev, MneSlice target)
{
	const struct fuse_ctx *caller = fuse_req_ctx(req);

	return (MneMake){
		.mode = mode,
		.uid = caller->uid,
		.gid = caller->gid,
		.rdev = rdev,
		.target = target,
	};
}

void mne_op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		  dev_t rdev)
{
	MneMake what = what_of(req, mode, rdev, MNE_SLICE_EMPTY);

	make_now(req, parent, name, &what, "mknod");
}

void mne_op_symlink(fuse_req_t req, const char *target, fuse_ino_t parent,
		    const char *name)
{
	MneMake what = what_of(req, S_IFLNK | 0777, 0, mne_slice_str(target));

	make_now(req, parent, name, &what, "symlink");
}

void mne_op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	MneMount *mount = mne_mount_of(req);
	MneInode *inode = mne_mount_inode(mount, parent);
	MneMake what = what_of(req, S_IFDIR | mode, 0, MNE_SLICE_EMPTY);
	MneTask task = {
		.run = make,
		.req = req,
		.ino = parent,
		.inode = inode,
		.make = what,
		.with_fence = true,
	};

	if (!mne_ns_is_slow(inode)) {
		make_now(req, parent, name, &what, "mkdir");
		return;
	}
	task.name = g_strdup(name);
	mne_crew_post(mount->crew, &task);
}

void mne_op_readlink(fuse_req_t req, fuse_ino_t ino)
{
	MneMount *mount = mne_mount_of(req);
	g_autofree char *target = NULL;
	int err = mne_ns_readlink(mount->ns, mne_mount_inode(mount, ino), &target);

	if (err < 0)
		mne_reply_err(req, "readlink", ino, err);
	else
		fuse_reply_readlink(req, target);
}

void mne_op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	MneMount *mount = mne_mount_of(req);

	mne_reply_status(req, "unlink", parent,
			 mne_ns_remove(mount->ns, mne_mount_inode(mount, parent),
				       mne_slice_str(name), false, 0));
}

static void remove_dir(MneMount *mount, MneTask *task)
{
	int err = mne_ns_remove(mount->ns, task->inode, mne_slice_str(task->name), true,
				fuse_req_ctx(task->req)->pid);

	if (mne_ns_is_slow(task->inode))
		mne_crew_forget_lent(mount);
	mne_reply_status(task->req, "rmdir", task->ino, err);
}

void mne_op_rmdir(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	MneMount *mount = mne_mount_of(req);
	MneTask task = {
		.run = remove_dir,
		.req = req,
		.ino = parent,
		.inode = mne_mount_inode(mount, parent),
		.with_fence = true, /* a hold that was closed before is over */
		.may_drop = true,
	};
	bool is_slow = mne_ns_is_slow(task.inode);

	task.name = g_strdup(name);
	if (is_slow) {
		mne_crew_post(mount->crew, &task);
		return;
	}
	remove_dir(mount, &task);
	g_free(task.name);
}

static void rename_one(MneMount *mount, MneTask *task)
{
	mne_reply_status(task->req, "rename", task->ino,
			 mne_ns_rename(mount->ns, task->inode,
				       mne_slice_str(task->name), task->other,
				       mne_slice_str(task->new_name), task->flags));
}

void mne_op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		   fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	MneMount *mount = mne_mount_of(req);
	MneTask task = {
		.run = rename_one,
		.req = req,
		.ino = parent,
		.inode = mne_mount_inode(mount, parent),
		.other = mne_mount_inode(mount, new_parent),
		.flags = flags,
	};
	bool is_slow = mne_ns_is_slow(task.inode);

	task.name = g_strdup(name);
	task.new_name = g_strdup(new_name);
	if (is_slow) {
		mne_crew_post(mount->crew, &task);
		return;
	}
	rename_one(mount, &task);
	g_free(task.name);
	g_free(task.new_name);
}

void mne_op_link(fuse_req_t req, fuse_ino_t ino, fuse_ino_t parent, const char *name)
{
	MneMount *mount = mne_mount_of(req);
	MneFound found;
	int err = mne_ns_link(mount->ns, mne_mount_inode(mount, ino),
			      mne_mount_inode(mount, parent), mne_slice_str(name),
			      &found);

	if (err < 0)
		mne_reply_err(req, "link", ino, err);
	else
		mne_reply_found(req, &found);
}
