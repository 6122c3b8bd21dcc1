/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tables.c - making, dropping and renaming tables
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "table/schema.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "txn/frags.h"
#include "txn/names.h"
#include "view/iter.h"

#include <stdio.h>

static int root_load(MneStore *store, MneNode *out)
{
	return mne_dir_load(store, MNE_ROOT_TABLE, MNE_ROOT_DIR, out);
}

int mne_table_load(MneStore *store, MneSlice name, MneTable *out)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	mne_key_table(&key, name);
	MNE_TRY(mne_view_get(&store->live.base, mne_key_slice(&key), &value));
	return mne_table_decode(mne_slice_of(value), out);
}

static int table_put(MneCommit *commit, MneSlice name, MneTable *table)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	table->seq = commit->seq;
	value = mne_table_encode(table);
	mne_key_table(&key, name);
	return mne_commit_put(commit, &key, mne_slice_of(value));
}

static int require_no_table(MneStore *store, MneSlice name)
{
	MneTable table;
	int err = mne_table_load(store, name, &table);

	if (err == 0)
		return -EEXIST;
	return err == -ENOENT ? 0 : err;
}

int mne_table_create(MneStore *store, MneSlice name, const MneMake *what,
		     uint32_t *out_table, MneNode *out_node)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) root = { 0 };
	MneTable table = { .storage = MNE_STORAGE_DISC_COPIES,
			   .fragments = 1,
			   .version = 1 };
	MneNode node;
	MneKey key;

	MNE_TRY(mne_store_admit(store, 1024));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(require_no_table(store, name));
	MNE_TRY(root_load(store, &root));

	table.id = mne_volume_new_table(store->volume, store->batch);
	table.cookie = ((uint64_t)g_random_int() << 32) | g_random_int();
	mne_node_new(store, &root, what, commit.now, &node);
	node.parent = MNE_ROOT_DIR;
	node.name = name;
	table.dir = node.rec;

	MNE_TRY(table_put(&commit, name, &table));
	mne_key_node(&key, table.id, node.rec, MNE_SLICE_EMPTY);
	MNE_TRY(mne_commit_node(&commit, &key, &node));
	MNE_TRY(mne_dir_touch(&commit, MNE_ROOT_TABLE, &root, 1, 1));
	MNE_TRY(mne_commit_apply(&commit));
	node.name = MNE_SLICE_EMPTY;
	*out_table = table.id;
	*out_node = node;
	return mne_commit_finish(&commit);
}

/* Into the commit: the empty table goes. */
static int remove_table(MneCommit *commit, MneSlice name, const MneTable *table)
{
	g_auto(MneNode) dir = { 0 };
	MneKey key;

	MNE_TRY(mne_dir_load(commit->store, table->id, table->dir, &dir));
	MNE_TRY(mne_dir_require_empty(commit->store, &dir));
	MNE_TRY(mne_entry_remove_xattrs(commit, table->id, &dir));
	MNE_TRY(mne_frags_drop(commit, table->id));
	mne_key_table(&key, name);
	MNE_TRY(mne_commit_del(commit, &key));
	mne_key_node(&key, table->id, table->dir, MNE_SLICE_EMPTY);
	return mne_commit_del(commit, &key);
}

int mne_table_drop(MneStore *store, MneSlice name, uint64_t *out_rec)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) root = { 0 };
	MneTable table;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_table_load(store, name, &table));
	MNE_TRY(root_load(store, &root));
	MNE_TRY(remove_table(&commit, name, &table));
	MNE_TRY(mne_dir_touch(&commit, MNE_ROOT_TABLE, &root, -1, -1));
	MNE_TRY(mne_commit_apply(&commit));
	*out_rec = table.dir;
	return mne_commit_finish(&commit);
}

static int move_table(MneCommit *commit, MneTable *table, MneSlice to)
{
	g_auto(MneNode) dir = { 0 };
	MneKey key;

	MNE_TRY(mne_dir_load(commit->store, table->id, table->dir, &dir));
	dir.name = to;
	dir.ctime = commit->now;
	mne_key_node(&key, table->id, table->dir, MNE_SLICE_EMPTY);
	MNE_TRY(mne_commit_node(commit, &key, &dir));
	table->version++;
	return table_put(commit, to, table);
}

static int rename_into(MneCommit *commit, MneSlice from, MneSlice to, unsigned flags)
{
	MneStore *store = commit->store;
	g_auto(MneNode) root = { 0 };
	MneTable source, target;
	MneKey key;
	int gone, err;

	MNE_TRY(mne_table_load(store, from, &source));
	MNE_TRY(root_load(store, &root));
	err = mne_table_load(store, to, &target);
	if (err < 0 && err != -ENOENT)
		return err;
	gone = err == 0;
	if (gone && (flags & RENAME_NOREPLACE))
		return -EEXIST;
	if (!gone && (flags & RENAME_EXCHANGE))
		return -ENOENT;

	if (flags & RENAME_EXCHANGE) {
		MNE_TRY(move_table(commit, &target, from));
		MNE_TRY(move_table(commit, &source, to));
		return mne_dir_touch(commit, MNE_ROOT_TABLE, &root, 0, 0);
	}
	if (gone)
		MNE_TRY(remove_table(commit, to, &target));
	mne_key_table(&key, from);
	MNE_TRY(mne_commit_del(commit, &key));
	MNE_TRY(move_table(commit, &source, to));
	return mne_dir_touch(commit, MNE_ROOT_TABLE, &root, -gone, -gone);
}

int mne_table_rename(MneStore *store, MneSlice from, MneSlice to, unsigned flags)
{
	g_auto(MneCommit) commit = { 0 };

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	MNE_TRY(mne_commit_begin(store, &commit));
	if (mne_slice_equal(from, to))
		return require_no_table(store, from) == -EEXIST ? 0 : -ENOENT;
	MNE_TRY(rename_into(&commit, from, to, flags));
	MNE_TRY(mne_commit_apply(&commit));
	return mne_commit_finish(&commit);
}

static int add_info(MneStore *store, MneSlice name, MneSlice value, GArray *infos)
{
	MneTableInfo info = { 0 };
	g_auto(MneNode) dir = { 0 };
	MneTable table;

	MNE_TRY(mne_table_decode(value, &table));
	MNE_TRY(mne_dir_load(store, table.id, table.dir, &dir));
	info.id = table.id;
	info.dir = table.dir;
	info.cookie = table.cookie;
	info.version = table.version;
	info.records = dir.entries;
	memcpy(info.name, name.data, MIN(name.len, sizeof(info.name) - 1));
	g_array_append_val(infos, info);
	return 0;
}

int mne_store_tables(MneStore *store, GArray **out_tables)
{
	g_autoptr(GArray) infos = g_array_new(FALSE, FALSE, sizeof(MneTableInfo));
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey prefix;
	int got;

	mne_key_table(&prefix, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(&store->live.base, mne_key_slice(&prefix),
			      mne_key_slice(&prefix), &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneSlice name = mne_slice(key.data + prefix.len, key.len - prefix.len);
		int err = add_info(store, name, value, infos);

		if (err < 0 && err != -ENOENT)
			return err;
	}
	MNE_TRY(got);
	*out_tables = g_steal_pointer(&infos);
	return 0;
}
