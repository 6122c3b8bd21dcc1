/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/attr.c - changing attributes, each change one commit
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/attr.h"

#include "record/xattr.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "util/coding.h"
#include "view/iter.h"

#include <sys/xattr.h>

/* The inode in hand: of an open file with uncommitted changes it is only in memory. */
typedef struct {
	MneCommit commit;
	MneFile *file; /* reference, locked; NULL: not open */
	MneNode node; /* with content */
	bool in_memory;
} Change;

static void change_end(Change *change)
{
	mne_node_clear(&change->node);
	if (change->file)
		mne_unlock(&change->file->lock);
	g_clear_pointer(&change->file, mne_file_unref);
	mne_commit_end(&change->commit);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Change, change_end)

static int change_begin(Change *change, MneStore *store, const MnePlace *place)
{
	MNE_TRY(mne_commit_begin(store, &change->commit));
	if (!place->is_dir)
		change->file = mne_files_find(store->files, place->rec);
	if (!change->file)
		return mne_view_node(&store->live.base, place, &change->node);

	MneFile *file = change->file;

	mne_lock(&file->lock);
	mne_node_copy(&file->node, &change->node);
	if (file->node.data == 0 && file->small)
		change->node.content = mne_slice(file->small->data, file->small->len);
	change->in_memory = file->dirty || file->unlinked || !file->exists;
	return 0;
}

/* The file's own node becomes what the change made; its slices may point into it. */
static void give_to_file(Change *change)
{
	MneFile *file = change->file;

	mne_node_clear(&file->node);
	mne_node_copy(&change->node, &file->node);
	file->node.content = MNE_SLICE_EMPTY;
	if (change->in_memory)
		mne_file_dirty(file);
	else
		file->committed_mtime = file->node.mtime;
}

/* Big attributes are stored at once, even when the inode waits: the stored one then says
 * so in the same commit, of whatever else it waits for. */
static int put_stored(Change *change)
{
	const MneFile *file = change->file;
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) stored = { 0 };
	MneKey key;

	if (!file->exists || file->unlinked)
		return 0;
	mne_place_key(file->table, &file->node, file->dir, mne_file_name(file), &key);
	MNE_TRY(mne_view_get(&file->store->live.base, mne_key_slice(&key), &value));
	MNE_TRY(mne_node_decode(value, &stored));
	stored.xattrs = change->node.xattrs;
	stored.flags |= change->node.flags & MNE_NODE_BIG_XATTRS;
	stored.ctime = change->commit.now;
	MNE_TRY(mne_commit_node(&change->commit, &key, &stored));
	change->node.seq = stored.seq;
	change->node.version = stored.version;
	return 0;
}

static int change_apply(Change *change, const MnePlace *place)
{
	MneKey key;

	if (!change->in_memory) {
		mne_place_key(place->table, &change->node,
			      change->file ? change->file->dir : place->dir,
			      change->file ? mne_file_name(change->file) : place->name,
			      &key);
		MNE_TRY(mne_commit_node(&change->commit, &key, &change->node));
	}
	if (mne_kv_batch_count(change->commit.store->batch) > 0) {
		if (change->in_memory)
			MNE_TRY(put_stored(change));
		MNE_TRY(mne_commit_apply(&change->commit));
	}
	if (change->file)
		give_to_file(change);
	return 0;
}

static void set_times(MneNode *node, const MneAttrChange *change, struct timespec now)
{
	if (change->set & MNE_SET_ATIME)
		node->atime = change->atime;
	if (change->set & MNE_SET_ATIME_NOW)
		node->atime = now;
	if (change->set & MNE_SET_MTIME) {
		node->mtime = change->mtime;
		node->flags |= MNE_NODE_MTIME_SET;
	}
	if (change->set & MNE_SET_MTIME_NOW) {
		node->mtime = now;
		node->flags &= ~(uint32_t)MNE_NODE_MTIME_SET;
	}
	node->ctime = change->set & MNE_SET_CTIME ? change->ctime : now;
}

static void set_attrs(MneNode *node, const MneAttrChange *change, struct timespec now)
{
	if (change->set & MNE_SET_MODE)
		node->mode = (node->mode & S_IFMT) | (change->mode & 07777);
	if (change->set & MNE_SET_UID)
		node->uid = change->uid;
	if (change->set & MNE_SET_GID)
		node->gid = change->gid;
	if (change->set & MNE_KILL_SUID)
		mne_node_drop_suid(node);
	set_times(node, change, now);
}

static void hand_out(const Change *change, MneNode *out_node)
{
	mne_node_copy(&change->node, out_node);
	if (change->node.data == 0)
		out_node->stored = change->node.content.len;
	if (change->file)
		out_node->content = MNE_SLICE_EMPTY;
}

static int setattr_gated(MneStore *store, const MnePlace *place,
			 const MneAttrChange *what, MneNode *out_node)
{
	g_auto(Change) change = { 0 };

	MNE_TRY(change_begin(&change, store, place));
	set_attrs(&change.node, what, change.commit.now);
	MNE_TRY(change_apply(&change, place));
	hand_out(&change, out_node);
	return 0;
}

static int finish(MneStore *store)
{
	if (store->options.sync_seconds == MNE_SYNC_COMMIT)
		return mne_store_barrier(store);
	return 0;
}

int mne_setattr(MneStore *store, const MnePlace *place, const MneAttrChange *change,
		MneNode *out_node)
{
	MNE_TRY(mne_limit_admit_place(store, place));
	MNE_TRY(setattr_gated(store, place, change, out_node));
	return finish(store);
}

/* Is it there, and may it be?  out_big: it has a key of its own. */
static int check_old(Change *change, const MnePlace *place, MneSlice name, int flags,
		     bool *out_big)
{
	g_autoptr(GBytes) old = NULL;
	MneSlice small;
	int err = mne_view_xattr(&change->commit.store->live.base, place->table,
				 &change->node, name, &old);

	if (err == 0 && (flags & XATTR_CREATE))
		return -EEXIST;
	if (err == -ENODATA && (flags & XATTR_REPLACE))
		return -ENODATA;
	if (err < 0 && err != -ENODATA)
		return err;
	*out_big = err == 0 &&
		   mne_xattrs_get(change->node.xattrs, name, &small) == -ENODATA;
	return 0;
}

/* What a file's attributes come to. */
typedef struct {
	uint64_t bytes, names;
} Room;

static void room_add(Room *room, MneSlice name, MneSlice value)
{
	room->bytes += name.len + value.len;
	room->names += name.len + 1;
}

/* Those that stay when name is set. */
static int others_take(Change *change, const MnePlace *place, MneSlice name, Room *out)
{
	g_autoptr(MneIter) iter = NULL;
	MneSlice each, key, value;
	MneKey prefix;
	size_t at = 0;
	int got;

	while ((got = mne_xattrs_next(change->node.xattrs, &at, &each, &value)) > 0)
		if (!mne_slice_equal(each, name))
			room_add(out, each, value);
	if (got < 0 || !(change->node.flags & MNE_NODE_BIG_XATTRS))
		return got;
	mne_key_xattr(&prefix, place->table, change->node.rec, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(&change->commit.store->live.base, mne_key_slice(&prefix),
			      mne_key_slice(&prefix), &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		each = mne_slice(key.data + prefix.len, key.len - prefix.len);
		if (!mne_slice_equal(each, name))
			room_add(out, each, value);
	}
	return got;
}

/* A file goes in one batch, its attributes with it, and so do the images of them that a
 * checkpoint needs: so they have a limit together. */
static int require_room(Change *change, const MnePlace *place, MneSlice name,
			MneSlice value)
{
	Room room = { 0 };

	MNE_TRY(others_take(change, place, name, &room));
	room_add(&room, name, value);
	if (room.bytes <= MNE_XATTRS_MAX && room.names <= MNE_XATTR_NAMES_MAX)
		return 0;
	return mne_throw(
		XATTRS_FULL,
		"the attributes of a file have up to %u MiB together, and their "
		"names %u KiB",
		MNE_XATTRS_MAX >> 20, MNE_XATTR_NAMES_MAX >> 10);
}

static int put_big(Change *change, const MneKey *key, MneSlice value)
{
	g_autoptr(GByteArray) to = g_byte_array_sized_new((guint)value.len + 16);

	mne_value_begin(to, MNE_KIND_XATTR, change->commit.seq);
	mne_add_bytes(to, value);
	mne_value_end(to);
	change->node.flags |= MNE_NODE_BIG_XATTRS;
	return mne_commit_put(&change->commit, key, mne_slice(to->data, to->len));
}

static int setxattr_gated(MneStore *store, const MnePlace *place, MneSlice name,
			  MneSlice value, int flags)
{
	g_auto(Change) change = { 0 };
	g_autoptr(GByteArray) list = NULL;
	g_autoptr(GBytes) owner = NULL;
	bool was_big = false, is_big;
	MneKey key;

	MNE_TRY(change_begin(&change, store, place));
	MNE_TRY(check_old(&change, place, name, flags, &was_big));
	is_big = value.len > MNE_XATTR_INLINE_MAX ||
		 change.node.xattrs.len + name.len + value.len > MNE_XATTRS_INLINE_MAX;
	is_big = is_big && value.data;

	mne_key_xattr(&key, place->table, change.node.rec, name);
	if (is_big) {
		MNE_TRY(require_room(&change, place, name, value));
		MNE_TRY(put_big(&change, &key, value));
	} else if (was_big)
		MNE_TRY(mne_commit_del(&change.commit, &key));

	list = mne_xattrs_with(change.node.xattrs, name,
			       is_big ? MNE_SLICE_EMPTY : value);
	owner = g_byte_array_free_to_bytes(g_steal_pointer(&list));
	change.node.xattrs = mne_slice_of(owner);
	change.node.ctime = change.commit.now;

	/* The inode with its new list, encoded and decoded: its slices then share one owner. */
	g_autoptr(GBytes) whole = mne_node_encode(&change.node);
	MneNode fresh = { 0 };

	MNE_TRY(mne_node_decode(whole, &fresh));
	mne_node_clear(&change.node);
	change.node = fresh;
	return change_apply(&change, place);
}

static int admit_attribute(MneStore *store, const MnePlace *place, MneSlice value)
{
	MNE_TRY(mne_store_admit(store, value.len + 512));
	return mne_limit_admit_place(store, place);
}

int mne_setxattr(MneStore *store, const MnePlace *place, MneSlice name, MneSlice value,
		 int flags)
{
	if (name.len == 0 || name.len > MNE_NAME_MAX)
		return -ERANGE;
	if (value.len > MNE_XATTR_VALUE_MAX)
		return -E2BIG;
	if (!value.data)
		flags = XATTR_REPLACE;
	else
		MNE_TRY(admit_attribute(store, place, value));
	MNE_TRY(setxattr_gated(store, place, name, value, flags));
	return finish(store);
}
