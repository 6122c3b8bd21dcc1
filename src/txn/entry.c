/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/entry.c - what stands at a name in a live directory
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/entry.h"

#include "txn/filestate.h"
#include "view/iter.h"

void mne_entry_clear(MneEntryState *entry)
{
	mne_node_clear(&entry->node);
	entry->found = false;
}

int mne_entry_load(MneStore *store, const MneSpot *spot, MneEntryState *out)
{
	g_autoptr(GBytes) value = NULL;
	MneSlice bytes;
	MneKey key;

	if (spot->name.len == 0)
		return -ENOENT;
	mne_key_node(&key, spot->table, spot->dir, spot->name);
	MNE_TRY(mne_view_get(&store->live.base, mne_key_slice(&key), &value));
	bytes = mne_slice_of(value);
	out->kind = bytes.len > 0 ? bytes.data[0] : 0;
	MNE_TRY(mne_view_follow(&store->live.base, spot->table, value, &out->node));
	out->found = true;
	return 0;
}

int mne_entry_remove_xattrs(MneCommit *commit, uint32_t table, const MneNode *node)
{
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey prefix, at;
	int got;

	if (!(node->flags & MNE_NODE_BIG_XATTRS))
		return 0;
	mne_key_xattr(&prefix, table, node->rec, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(&commit->store->live.base, mne_key_slice(&prefix),
			      mne_key_slice(&prefix), &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		mne_key_xattr(&at, table, node->rec,
			      mne_slice(key.data + prefix.len, key.len - prefix.len));
		MNE_TRY(mne_commit_del(commit, &at));
	}
	return got;
}

static int remove_inode(MneCommit *commit, const MneSpot *spot, MneEntryState *entry)
{
	MneNode *node = &entry->node;
	MneKey key;

	MNE_TRY(mne_entry_remove_xattrs(commit, spot->table, node));
	mne_commit_orphan(commit, spot->table, node->data);
	node->nlink = 0;
	if (entry->kind == MNE_KIND_INODE)
		return 0; /* gone with its name */
	mne_place_key(spot->table, node, spot->dir, spot->name, &key);
	return mne_commit_del(commit, &key);
}

int mne_entry_remove(MneCommit *commit, const MneSpot *spot, MneEntryState *entry)
{
	MneNode *node = &entry->node;
	MneKey key;

	mne_key_node(&key, spot->table, spot->dir, spot->name);
	MNE_TRY(mne_commit_del_entry(commit, &key, entry->kind, node->rec));
	if (entry->kind != MNE_KIND_LINK || node->nlink <= 1)
		return remove_inode(commit, spot, entry);

	node->nlink--;
	node->ctime = commit->now;
	mne_key_inode(&key, spot->table, node->rec);
	return mne_commit_node(commit, &key, node);
}

void mne_file_changed(MneFile *file, const MneNode *node)
{
	MNE_WITH_LOCK(&file->lock);
	mne_file_adopt(file, node);
}

void mne_entry_removed(MneStore *store, MneEntryState *entry, struct timespec now)
{
	g_autoptr(MneFile) file = mne_files_find(store->files, entry->node.rec);

	if (file && entry->node.nlink > 0) {
		mne_file_changed(file, &entry->node);
	} else if (file) {
		MNE_WITH_LOCK(&file->lock);
		mne_file_mark_unlinked(file, now);
	}
	if (entry->node.nlink > 0 || entry->node.data == 0)
		return;
	if (entry->node.seq <= mne_ckpts_newest(store->ckpts, MNE_ROOT_TABLE))
		mne_limit_orphaned(store, entry->node.data, entry->node.stored);
	mne_store_wake(store);
}

int mne_entry_move(MneCommit *commit, MneEntryState *entry, const MneSpot *to)
{
	MneNode *node = &entry->node;
	MneKey key;

	node->ctime = commit->now;
	if (mne_node_is_dir(node)) {
		node->parent = to->dir;
		node->name = to->name;
	}
	mne_key_node(&key, to->table, to->dir, to->name);
	if (entry->kind != MNE_KIND_INODE) {
		MNE_TRY(mne_commit_ref(commit, &key, entry->kind, node->rec,
				       node->mode));
		mne_place_key(to->table, node, to->dir, to->name, &key);
	}
	return mne_commit_node(commit, &key, node);
}

void mne_entry_moved(MneStore *store, MneEntryState *entry, const MneSpot *to)
{
	g_autoptr(MneFile) file = mne_files_find(store->files, entry->node.rec);

	if (!file)
		return;
	MNE_WITH_LOCK(&file->lock);
	file->dir = to->dir;
	g_bytes_unref(file->name);
	file->name = mne_slice_to_bytes(to->name);
	mne_file_adopt(file, &entry->node);
}

int mne_dir_require_empty(MneStore *store, const MneNode *dir)
{
	struct timespec mtime;
	unsigned count;

	if (dir->entries > 0 || mne_files_dir(store->files, dir->rec, &count, &mtime))
		return -ENOTEMPTY;
	return 0;
}
