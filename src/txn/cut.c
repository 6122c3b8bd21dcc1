/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/cut.c - open files that a rollback takes the ground from
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/cut.h"

#include "txn/filestate.h"

int mne_file_require_whole(const MneFile *file)
{
	if (file->cut)
		return mne_throw(
			ROLLED_BACK,
			"record %" G_GUINT64_FORMAT
			" was open when its table was rolled back; open it again",
			file->rec);
	return 0;
}

static bool stays(const MneFile *file, const MnePlan *plan)
{
	return !mne_plan_has(plan, file->table) ||
	       (file->exists && !file->dirty && !file->unlinked &&
		file->node.seq <= plan->to);
}

GPtrArray *mne_files_cut(MneStore *store, const MnePlan *plan)
{
	g_autoptr(GPtrArray) all = mne_files_all(store->files);
	GPtrArray *cut = g_ptr_array_new_with_free_func((GDestroyNotify)mne_file_unref);

	for (guint i = 0; i < all->len; i++) {
		MneFile *file = all->pdata[i];

		MNE_WITH_LOCK(&file->lock);
		if (stays(file, plan))
			continue;
		file->cut = true;
		g_ptr_array_add(cut, mne_file_ref(file));
	}
	return cut;
}

unsigned mne_files_would_cut(MneStore *store, const MnePlan *plan)
{
	g_autoptr(GPtrArray) all = mne_files_all(store->files);
	unsigned n = 0;

	for (guint i = 0; i < all->len; i++) {
		MneFile *file = all->pdata[i];

		MNE_WITH_LOCK(&file->lock);
		n += !stays(file, plan);
	}
	return n;
}

void mne_files_mend(GPtrArray *cut)
{
	for (guint i = 0; i < cut->len; i++) {
		MneFile *file = cut->pdata[i];

		MNE_WITH_LOCK(&file->lock);
		file->cut = false;
	}
}

/* A name that was never committed goes, and no key tells of it. */
static void say_gone(MneStore *store, const MneFile *file)
{
	MneSlice name = mne_file_name(file);
	MneNotice of_name = { .rec = file->rec,
			      .bytes = true,
			      .dir = file->dir,
			      .name_len = (uint8_t)name.len };
	MneNotice of_dir = { .rec = file->dir, .bytes = true };

	memcpy(of_name.name, name.data, name.len);
	mne_store_notify_of(store, &of_name);
	mne_store_notify_of(store, &of_dir);
}

/* Caller holds the file's lock. */
static void take_out(MneStore *store, MneFile *file)
{
	MneFiles *files = store->files;
	bool taken = false;

	mne_lock(&files->lock);
	if (g_hash_table_lookup(files->by_rec, &file->rec) == file) {
		taken = g_hash_table_remove(files->by_rec, &file->rec);
		files->open--;
	}
	mne_unlock(&files->lock);
	if (!taken)
		return;
	file->left = true;
	mne_limit_settle(file);
	if (!file->exists && !file->unlinked && file->dir != 0) {
		mne_files_remove_name(files, file);
		say_gone(store, file);
	}
	if (file->unlinked && file->node.data != 0)
		mne_files_unhold(files, file->node.data);
	if (file->unlinked && file->old_data != 0)
		mne_files_unhold(files, file->old_data);
	g_clear_pointer(&file->pending, mne_extents_free);
	g_clear_pointer(&file->buffer, g_byte_array_unref);
	g_clear_pointer(&file->small, g_byte_array_unref);
}

void mne_files_cut_off(MneStore *store, GPtrArray *cut)
{
	for (guint i = 0; i < cut->len; i++) {
		MneFile *file = cut->pdata[i];

		MNE_WITH_LOCK(&file->lock);
		take_out(store, file);
	}
}

static bool is_there(MneStore *store, const MneFile *file)
{
	MnePlace place = { .table = file->table,
			   .rec = file->rec,
			   .dir = file->dir,
			   .name = mne_file_name(file) };
	g_auto(MneNode) node = { 0 };

	return mne_view_node(&store->live.base, &place, &node) == 0;
}

/* A cut file is no longer changed by anybody: no lock is needed. */
void mne_files_forget_cut(MneStore *store, GPtrArray *cut)
{
	for (guint i = 0; i < cut->len; i++) {
		MneFile *file = cut->pdata[i];

		if ((file->node.flags & MNE_NODE_BIG_XATTRS) && !is_there(store, file))
			mne_file_forget_xattrs(file);
	}
}
