/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/names.c - making, linking and removing names, each one commit
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/names.h"

#include "txn/attr.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "view/iter.h"

static int check_length(MneSlice name)
{
	return name.len > MNE_NAME_MAX ? -ENAMETOOLONG : 0;
}

static int put_new(MneCommit *commit, const MneSpot *spot, MneNode *node)
{
	MneKey key;

	mne_key_node(&key, spot->table, spot->dir, spot->name);
	if (!mne_node_is_dir(node))
		return mne_commit_node(commit, &key, node);

	MNE_TRY(mne_commit_ref(commit, &key, MNE_KIND_DIRREF, node->rec, node->mode));
	mne_key_node(&key, spot->table, node->rec, MNE_SLICE_EMPTY);
	return mne_commit_node(commit, &key, node);
}

int mne_make(MneStore *store, const MneSpot *spot, const MneMake *what,
	     MneNode *out_node)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) parent = { 0 };
	MneNode node;

	MNE_TRY(check_length(spot->name));
	MNE_TRY(mne_store_admit(store, 512 + what->target.len));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_dir_load(store, spot->table, spot->dir, &parent));
	MNE_TRY(mne_spot_require_free(store, spot));

	mne_node_new(store, &parent, what, commit.now, &node);
	if (mne_node_is_dir(&node)) {
		node.parent = spot->dir;
		node.name = spot->name;
	} else if (S_ISLNK(node.mode)) {
		node.content = what->target;
		node.size = what->target.len;
	}
	MNE_TRY(put_new(&commit, spot, &node));
	MNE_TRY(mne_dir_touch(&commit, spot->table, &parent, 1,
			      mne_node_is_dir(&node)));
	MNE_TRY(mne_commit_apply(&commit));

	node.name = node.content = MNE_SLICE_EMPTY;
	*out_node = node;
	return mne_commit_finish(&commit);
}

/* A nameless file gets its first name: it is committed there, now. */
static int name_tmpfile(MneCommit *commit, MneFile *file, const MneSpot *spot)
{
	MNE_WITH_LOCK(&file->lock);
	int err;

	if (file->unlinked || file->exists || file->dir != 0)
		return -ENOENT;
	file->dir = spot->dir;
	g_bytes_unref(file->name);
	file->name = mne_slice_to_bytes(spot->name);
	file->node.ctime = file->named = commit->now;
	file->node.nlink = 1;
	err = mne_file_commit_as(file, commit);
	if (err < 0)
		file->dir = file->node.nlink = 0;
	return err;
}

/* The names of a hard-linked file only refer to its inode. */
static int put_links(MneCommit *commit, const MnePlace *place, const MneSpot *spot,
		     MneNode *node)
{
	MneKey key;

	if (!(node->flags & MNE_NODE_LINKED)) {
		mne_key_node(&key, place->table, place->dir, place->name);
		MNE_TRY(mne_commit_ref(commit, &key, MNE_KIND_LINK, node->rec,
				       node->mode));
		node->flags |= MNE_NODE_LINKED;
	}
	mne_key_node(&key, spot->table, spot->dir, spot->name);
	MNE_TRY(mne_commit_ref(commit, &key, MNE_KIND_LINK, node->rec, node->mode));
	node->nlink++;
	node->ctime = commit->now;
	mne_key_inode(&key, place->table, node->rec);
	return mne_commit_node(commit, &key, node);
}

static int link_gated(MneStore *store, const MnePlace *place, const MneSpot *spot)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneFile) file = NULL;
	g_auto(MneNode) parent = { 0 };
	g_auto(MneNode) node = { 0 };
	int err;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_dir_load(store, spot->table, spot->dir, &parent));
	MNE_TRY(mne_spot_require_free(store, spot));
	file = mne_files_find(store->files, place->rec);
	err = mne_view_node(&store->live.base, place, &node);
	if (err == -ESTALE) {
		MNE_TRY(file ? name_tmpfile(&commit, file, spot) : -ENOENT);
		return mne_commit_finish(&commit);
	}
	MNE_TRY(err);
	if (mne_node_is_dir(&node))
		return -EPERM;
	if (node.nlink >= 65000)
		return -EMLINK;

	MNE_TRY(put_links(&commit, place, spot, &node));
	MNE_TRY(mne_dir_touch(&commit, spot->table, &parent, 1, 0));
	MNE_TRY(mne_commit_apply(&commit));
	if (file)
		mne_file_changed(file, &node);
	return mne_commit_finish(&commit);
}

int mne_link(MneStore *store, const MnePlace *place, const MneSpot *spot,
	     MneNode *out_node)
{
	g_autoptr(MneFile) file = mne_files_find(store->files, place->rec);

	MNE_TRY(check_length(spot->name));
	MNE_TRY(mne_store_admit(store, 512));
	if (place->table != spot->table)
		return mne_throw(OTHER_TABLE, "a link stays inside its table");
	if (file)
		MNE_TRY(mne_file_commit(file));
	MNE_TRY(link_gated(store, place, spot));
	return mne_live_node(store, place, out_node);
}

/* A file that was created and not committed: nothing but its directory's times changes. */
static int unlink_waiting(MneCommit *commit, MneFile *file, MneNode *parent,
			  uint64_t *out_rec)
{
	MNE_TRY(mne_dir_touch(commit, file->table, parent, 0, 0));
	MNE_WITH_LOCK(&file->lock);
	MNE_TRY(mne_commit_apply(commit));
	*out_rec = file->rec;
	mne_file_mark_unlinked(file, commit->now);
	return 0;
}

int mne_unlink(MneStore *store, const MneSpot *spot, uint64_t *out_rec)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) parent = { 0 };
	g_auto(MneEntryState) entry = { 0 };

	MNE_TRY(check_length(spot->name));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_dir_load(store, spot->table, spot->dir, &parent));

	g_autoptr(MneFile) waiting = mne_files_find_name(store->files, spot->table,
							 spot->dir, spot->name);

	if (waiting)
		return unlink_waiting(&commit, waiting, &parent, out_rec);

	MNE_TRY(mne_entry_load(store, spot, &entry));
	if (entry.kind == MNE_KIND_DIRREF)
		return -EISDIR;
	MNE_TRY(mne_entry_remove(&commit, spot, &entry));
	MNE_TRY(mne_dir_touch(&commit, spot->table, &parent, -1, 0));
	MNE_TRY(mne_commit_apply(&commit));
	mne_entry_removed(store, &entry, commit.now);
	*out_rec = entry.node.rec;
	return mne_commit_finish(&commit);
}

int mne_rmdir(MneStore *store, const MneSpot *spot, uint64_t *out_rec)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) parent = { 0 };
	g_auto(MneEntryState) entry = { 0 };

	MNE_TRY(check_length(spot->name));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_dir_load(store, spot->table, spot->dir, &parent));

	g_autoptr(MneFile) waiting = mne_files_find_name(store->files, spot->table,
							 spot->dir, spot->name);

	if (waiting)
		return -ENOTDIR;
	MNE_TRY(mne_entry_load(store, spot, &entry));
	if (entry.kind != MNE_KIND_DIRREF)
		return -ENOTDIR;
	MNE_TRY(mne_dir_require_empty(store, &entry.node));
	MNE_TRY(mne_entry_remove(&commit, spot, &entry));
	MNE_TRY(mne_dir_touch(&commit, spot->table, &parent, -1, -1));
	MNE_TRY(mne_commit_apply(&commit));
	*out_rec = entry.node.rec;
	return mne_commit_finish(&commit);
}
