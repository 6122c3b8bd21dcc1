/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/handle.c - an open file, whatever it is
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/handle.h"

#include "ns/ctl.h"
#include "ns/frags.h"
#include "ns/txfile.h"
#include "txn/file.h"

#include <fcntl.h>
#include <unistd.h>

struct MneHandle {
	GList link; /* in ns->handles, once it is open */
	MneNs *ns; /* borrowed */
	MneInode *inode; /* borrowed: the kernel holds it as long as the handle */
	MneIdentity self;
	MneFile *file; /* LIVE: owned */
	bool writable;
	bool dropped_suid;
	MneNode node; /* PAST: what it was */
	MneCtlFile *control; /* CTL: owned */
};

static MneHandle *handle_new(MneNs *ns, MneInode *inode)
{
	MneHandle *handle = g_new0(MneHandle, 1);

	handle->ns = ns;
	handle->inode = inode;
	handle->self = mne_inode_identity(inode);
	return handle;
}

static void handle_free(MneHandle *handle)
{
	mne_node_clear(&handle->node);
	g_free(handle);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneHandle, handle_free)

/* It is open. */
static MneHandle *enter(MneHandle *handle)
{
	handle->link.data = handle;
	MNE_WITH_LOCK(&handle->ns->open_lock);
	g_queue_push_head_link(&handle->ns->handles, &handle->link);
	return handle;
}

static void leave(MneHandle *handle)
{
	MNE_WITH_LOCK(&handle->ns->open_lock);
	g_queue_unlink(&handle->ns->handles, &handle->link);
}

static int drop_suid(MneHandle *handle)
{
	MneAttrChange change = { .set = MNE_KILL_SUID };
	MneFound found;

	return mne_ns_setattr(handle->ns, handle->inode, &change, NULL, &found);
}

static int open_live(MneHandle *handle, bool truncate, bool kill_suid)
{
	MneNs *ns = handle->ns;
	MneFinding finding;
	int err;

	mne_inode_find(ns->inodes, handle->inode, &finding);
	do
		err = mne_file_open(mne_ns_store_of(ns, &handle->self), &finding.place,
				    handle->writable, truncate, &handle->file);
	while (mne_inode_retry(ns->inodes, handle->inode, err, &finding));
	MNE_TRY(err);

	handle->dropped_suid = truncate && kill_suid && mne_handle_has_suid(handle);
	err = handle->dropped_suid ? drop_suid(handle) : 0;
	if (err < 0)
		(void)mne_file_close(handle->file, handle->writable);
	return err;
}

static int open_past(MneHandle *handle, bool truncate)
{
	MneFinding finding;

	if (handle->writable || truncate)
		return mne_ns_require_live(handle->inode);
	MNE_TRY(mne_ns_node(handle->ns, handle->inode, &finding, &handle->node));
	mne_inode_set_cached(handle->ns->inodes, handle->inode);
	return 0;
}

bool mne_handle_open_is_slow(MneNs *ns, const MneInode *inode, int flags)
{
	MneIdentity self = mne_inode_identity(inode);

	return (flags & O_ACCMODE) != O_RDONLY && self.object == MNE_OBJECT_LIVE &&
	       mne_file_is_written(mne_ns_store_of(ns, &self), self.rec);
}

int mne_handle_open(MneNs *ns, MneInode *inode, const MneCtlOpen *how, bool kill_suid,
		    MneHandle **out_handle)
{
	g_autoptr(MneHandle) handle = handle_new(ns, inode);
	int flags = how->flags;

	MNE_TRY(mne_ns_require_valid(inode));
	handle->writable = (flags & O_ACCMODE) != O_RDONLY;
	switch (handle->self.object) {
	case MNE_OBJECT_LIVE:
		MNE_TRY(open_live(handle, flags & O_TRUNC, kill_suid));
		break;
	case MNE_OBJECT_PAST: MNE_TRY(open_past(handle, flags & O_TRUNC)); break;
	case MNE_OBJECT_CTL:
		MNE_TRY(mne_ctl_open(ns, handle->self.rec, how, &handle->control));
		break;
	case MNE_OBJECT_TXCTL:
		MNE_TRY(mne_tx_file_open(ns, &handle->self, how, &handle->control));
		break;
	case MNE_OBJECT_TXS:
	case MNE_OBJECT_FRAGS:
	case MNE_OBJECT_FRAG:
	case MNE_OBJECT_CKPTS: return -EISDIR;
	}
	*out_handle = enter(g_steal_pointer(&handle));
	return 0;
}

static int require_room_for_files(MneNs *ns, const MneInode *parent, MneSlice name)
{
	MneIdentity dir = mne_inode_identity(parent);
	bool at_root = dir.table == MNE_ROOT_TABLE;

	MNE_TRY(mne_ns_require_live(parent));
	MNE_TRY(mne_name_check(name));
	MNE_TRY(mne_frag_check_name(ns, &dir, name));
	if (at_root)
		return mne_throw(ROOT_ONLY_TABLES,
				 "only tables can stand at the root: mkdir one, "
				 "and put %.*s into it",
				 (int)name.len, (const char *)name.data);
	return 0;
}

int mne_handle_create(MneNs *ns, MneInode *parent, MneSlice name, const MneMake *what,
		      MneFound *out, MneHandle **out_handle)
{
	MneIdentity dir = mne_inode_identity(parent);
	MneSpot spot = { dir.table, dir.rec, name };
	g_auto(MneNode) node = { 0 };
	MneFile *file;

	MNE_TRY(require_room_for_files(ns, parent, name));
	MNE_TRY(mne_file_create(mne_ns_store_of(ns, &dir), &spot, what, &file, &node));
	mne_ns_found_live(ns, &dir, dir.table, &node, name, out);

	MneHandle *handle = handle_new(ns, out->inode);

	handle->writable = true;
	handle->file = file;
	*out_handle = enter(handle);
	return 0;
}

void mne_handle_close(MneHandle *handle)
{
	leave(handle);
	if (handle->file)
		(void)mne_file_close(handle->file, handle->writable);
	if (handle->control)
		handle->control->ops->close(handle->control);
	handle_free(handle);
}

bool mne_handle_is_control(const MneHandle *handle)
{
	return handle->control != NULL;
}

bool mne_handle_may_wait(const MneHandle *handle)
{
	return handle->control && handle->control->ops->wake;
}

void mne_handle_wake(MneHandle *handle)
{
	handle->control->ops->wake(handle->control);
}

bool mne_handle_poll(MneHandle *handle, MneBell *io_bell)
{
	if (!handle->control || !handle->control->ops->poll)
		return true;
	return handle->control->ops->poll(handle->control, io_bell);
}

ssize_t mne_handle_read_control(MneHandle *handle, uint64_t offset, void *buffer,
				size_t len, const MneCtlWait *wait)
{
	const MneCtlFileOps *ops = handle->control->ops;

	if (!ops->read)
		return -EACCES;
	return ops->read(handle->control, offset, buffer, len, wait);
}

ssize_t mne_handle_write_control(MneHandle *handle, MneSlice bytes,
				 const MneCtlWait *wait)
{
	const MneCtlFileOps *ops = handle->control->ops;

	if (!ops->write)
		return -EACCES;
	MNE_TRY(ops->write(handle->control, bytes, wait));
	return (ssize_t)bytes.len;
}

ssize_t mne_handle_read(MneHandle *handle, uint64_t offset, void *buffer, size_t len)
{
	if (handle->self.tx)
		MNE_TRY(mne_ns_require_valid(handle->inode));
	if (handle->file)
		return mne_file_read(handle->file, offset, buffer, len);
	MNE_TRY(mne_ns_require_valid(handle->inode));
	return mne_view_read(&handle->self.ckpt->view, handle->self.table,
			     &handle->node, offset, buffer, len);
}

/* The kernel does this itself for what goes through its cache. */
static int drop_capability(MneHandle *handle)
{
	const MneSlice name = mne_slice_str("security.capability");
	int err;

	if (!mne_file_may_have_xattr(handle->file, name))
		return 0;
	err = mne_ns_setxattr(handle->ns, handle->inode, name, MNE_SLICE_EMPTY, 0);
	return mne_err_is(err, ENODATA) ? 0 : err;
}

bool mne_handle_has_suid(MneHandle *handle)
{
	return handle->file && mne_file_has_suid(handle->file);
}

bool mne_handle_dropped_suid(const MneHandle *handle)
{
	return handle->dropped_suid;
}

ssize_t mne_handle_write(MneHandle *handle, uint64_t offset, MneSlice bytes,
			 bool kill_suid)
{
	if (!handle->file)
		return -EBADF;
	if (handle->self.tx)
		MNE_TRY(mne_ns_require_valid(handle->inode));
	MNE_TRY(drop_capability(handle));
	return mne_file_write(handle->file, offset, bytes.data, bytes.len, false,
			      kill_suid);
}

int mne_handle_truncate(MneHandle *handle, uint64_t size, MneFound *out)
{
	if (mne_handle_is_control(handle))
		return mne_ns_stat(handle->ns, handle->inode, out);
	if (!handle->file || !handle->writable)
		return -EBADF;
	MNE_TRY(mne_file_truncate(handle->file, size));
	return mne_ns_stat(handle->ns, handle->inode, out);
}

int mne_handle_allocate(MneHandle *handle, int mode, uint64_t offset, uint64_t len,
			bool kill_suid)
{
	if (!handle->file)
		return -EOPNOTSUPP;
	if (kill_suid && mne_handle_has_suid(handle))
		MNE_TRY(drop_suid(handle));
	return mne_file_allocate(handle->file, mode, offset, len);
}

/* Where data begins, or a hole, at or after offset in the extents of a file. */
static uint64_t seek_in(const GArray *extents, uint64_t offset, uint64_t size,
			int whence)
{
	for (unsigned i = 0; i < extents->len; i++) {
		const MneExtent *extent = &g_array_index(extents, MneExtent, i);

		if (mne_extent_is_hole(extent) || mne_extent_end(extent) <= offset)
			continue;
		if (whence == SEEK_DATA)
			return MAX(offset, extent->offset);
		if (extent->offset > offset)
			return offset;
		offset = mne_extent_end(extent);
	}
	return whence == SEEK_DATA ? size : MIN(offset, size);
}

static int seek_past(MneHandle *handle, uint64_t offset, int whence,
		     uint64_t *out_offset)
{
	g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(MneExtent));
	const MneNode *node = &handle->node;
	uint64_t found;

	MNE_TRY(mne_ns_require_valid(handle->inode));
	if (offset >= node->size)
		return -ENXIO;
	if (node->data == 0) { /* inline: one piece */
		*out_offset = whence == SEEK_DATA ? offset : node->size;
		return 0;
	}
	MNE_TRY(mne_view_extents(&handle->self.ckpt->view, handle->self.table,
				 node->data, offset, node->size - offset, extents));
	found = seek_in(extents, offset, node->size, whence);
	if (whence == SEEK_DATA && found >= node->size)
		return -ENXIO;
	*out_offset = found;
	return 0;
}

int mne_handle_seek(MneHandle *handle, uint64_t offset, int whence,
		    uint64_t *out_offset)
{
	if (whence != SEEK_DATA && whence != SEEK_HOLE)
		return -EINVAL;
	if (handle->file)
		return mne_file_seek(handle->file, offset, whence, out_offset);
	return mne_handle_is_control(handle)
		       ? -EINVAL
		       : seek_past(handle, offset, whence, out_offset);
}

int mne_handle_sync(MneHandle *handle)
{
	if (handle->file)
		return mne_file_sync(handle->file);
	return mne_handle_commit(handle);
}

int mne_handle_commit(MneHandle *handle)
{
	if (handle->file)
		return mne_file_sync_commit(handle->file);
	if (handle->control)
		return 0;
	return mne_ns_require_valid(handle->inode);
}
