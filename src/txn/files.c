/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/files.c - the set of open files
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/files.h"

#include "txn/filestate.h"

typedef struct {
	uint32_t table;
	uint64_t dir;
	GBytes *name;
} PendingName;

typedef struct {
	uint64_t dir;
	unsigned count;
	struct timespec mtime;
} PendingDir;

static int compare_names(const void *a, const void *b, void *user)
{
	const PendingName *x = a, *y = b;

	(void)user;
	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->dir != y->dir)
		return x->dir < y->dir ? -1 : 1;
	return mne_slice_compare(mne_slice_of(x->name), mne_slice_of(y->name));
}

static void pending_name_free(void *data)
{
	PendingName *name = data;

	g_bytes_unref(name->name);
	g_free(name);
}

MneFiles *mne_files_new(void)
{
	MneFiles *files = g_new0(MneFiles, 1);

	mne_lock_init(&files->lock, MNE_RANK_FILES);
	files->by_rec = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
					      (GDestroyNotify)mne_file_unref);
	files->names = g_tree_new_full(compare_names, NULL, pending_name_free, NULL);
	files->dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	files->held = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return files;
}

void mne_files_free(MneFiles *files)
{
	g_tree_unref(files->names);
	g_hash_table_unref(files->dirs);
	g_hash_table_unref(files->held);
	g_hash_table_unref(files->by_rec);
	mne_lock_clear(&files->lock);
	g_free(files);
}

MneFile *mne_files_find(MneFiles *files, uint64_t rec)
{
	MneFile *file;

	if (files->open == 0)
		return NULL;
	MNE_WITH_LOCK(&files->lock);
	file = g_hash_table_lookup(files->by_rec, &rec);
	return file ? mne_file_ref(file) : NULL;
}

MneFile *mne_files_open(MneFiles *files, uint64_t rec, bool writable)
{
	MneFile *file;

	MNE_WITH_LOCK(&files->lock);
	file = g_hash_table_lookup(files->by_rec, &rec);
	if (!file)
		return NULL;
	file->handles++;
	file->writers += writable;
	return mne_file_ref(file);
}

MneFile *mne_files_find_name(MneFiles *files, uint32_t table, uint64_t dir,
			     MneSlice name)
{
	g_autoptr(GBytes) bytes = NULL;
	PendingName key = { table, dir, NULL };
	MneFile *file;

	if (files->pending == 0)
		return NULL;
	key.name = bytes = g_bytes_new_static(name.data, name.len);
	MNE_WITH_LOCK(&files->lock);
	file = g_tree_lookup(files->names, &key);
	return file ? mne_file_ref(file) : NULL;
}

bool mne_files_dir(MneFiles *files, uint64_t dir, unsigned *out_count,
		   struct timespec *out_mtime)
{
	const PendingDir *pending;

	if (files->pending == 0)
		return false;
	MNE_WITH_LOCK(&files->lock);
	pending = g_hash_table_lookup(files->dirs, &dir);
	if (!pending)
		return false;
	*out_count = pending->count;
	*out_mtime = pending->mtime;
	return true;
}

static _Atomic uint64_t *changes_of(MneFiles *files, uint64_t dir)
{
	return &files->changes[dir % G_N_ELEMENTS(files->changes)];
}

uint64_t mne_files_changes(MneFiles *files, uint64_t dir)
{
	return *changes_of(files, dir);
}

void mne_files_add(MneFiles *files, MneFile *file)
{
	MNE_WITH_LOCK(&files->lock);
	if (g_hash_table_insert(files->by_rec, &file->rec, mne_file_ref(file)))
		files->open++;
}

void mne_files_add_name(MneFiles *files, MneFile *file)
{
	PendingName *name = g_new0(PendingName, 1);
	PendingDir *dir;

	*name = (PendingName){ file->table, file->dir, g_bytes_ref(file->name) };
	MNE_WITH_LOCK(&files->lock);
	g_tree_insert(files->names, name, file);
	files->pending++;
	atomic_fetch_add(changes_of(files, file->dir), 1);
	dir = g_hash_table_lookup(files->dirs, &file->dir);
	if (!dir) {
		dir = g_new0(PendingDir, 1);
		dir->dir = file->dir;
		g_hash_table_insert(files->dirs, &dir->dir, dir);
	}
	dir->count++;
	dir->mtime = file->node.btime;
}

void mne_files_remove_name(MneFiles *files, MneFile *file)
{
	PendingName key = { file->table, file->dir, file->name };
	PendingDir *dir;

	MNE_WITH_LOCK(&files->lock);
	if (!g_tree_remove(files->names, &key))
		return;
	files->pending--;
	atomic_fetch_add(changes_of(files, file->dir), 1);
	dir = g_hash_table_lookup(files->dirs, &file->dir);
	if (dir && --dir->count == 0)
		g_hash_table_remove(files->dirs, &file->dir);
}

void mne_files_hold(MneFiles *files, uint64_t data)
{
	MNE_WITH_LOCK(&files->lock);
	g_hash_table_add(files->held, g_memdup2(&data, sizeof(data)));
}

void mne_files_unhold(MneFiles *files, uint64_t data)
{
	MNE_WITH_LOCK(&files->lock);
	g_hash_table_remove(files->held, &data);
}

bool mne_files_is_held(MneFiles *files, uint64_t data)
{
	MNE_WITH_LOCK(&files->lock);
	return g_hash_table_contains(files->held, &data);
}

static void pending_entry_clear(void *data)
{
	MnePendingEntry *entry = data;

	g_bytes_unref(entry->name);
	mne_file_unref(entry->file);
}

GArray *mne_files_list(MneFiles *files, uint32_t table, uint64_t dir, MneSlice after)
{
	GArray *list = g_array_new(FALSE, FALSE, sizeof(MnePendingEntry));
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(after);
	PendingName from = { table, dir, bytes };

	g_array_set_clear_func(list, pending_entry_clear);
	if (files->pending == 0)
		return list;
	MNE_WITH_LOCK(&files->lock);
	GTreeNode *node = g_tree_upper_bound(files->names, &from);

	for (; node; node = g_tree_node_next(node)) {
		const PendingName *name = g_tree_node_key(node);
		MnePendingEntry entry;

		if (name->table != table || name->dir != dir)
			break;
		entry.name = g_bytes_ref(name->name);
		entry.file = mne_file_ref(g_tree_node_value(node));
		g_array_append_val(list, entry);
	}
	return list;
}

GPtrArray *mne_files_all(MneFiles *files)
{
	GPtrArray *all = g_ptr_array_new_with_free_func((GDestroyNotify)mne_file_unref);
	GHashTableIter iter;
	gpointer file;

	MNE_WITH_LOCK(&files->lock);
	g_hash_table_iter_init(&iter, files->by_rec);
	while (g_hash_table_iter_next(&iter, NULL, &file))
		g_ptr_array_add(all, mne_file_ref(file));
	return all;
}
