/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/checkpoint.c - activating, dropping and renaming checkpoints
 *
 * A checkpoint is one commit like any other: its seq is that commit's.  As all commits
 * pass the gate one by one, all that applied before it have smaller seqs and are in, all
 * after it have greater ones and are not, over all tables.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/commit.h"
#include "txn/store.h"
#include "util/log.h"

static void put_ckpt(MneCommit *commit, const MneCkpt *ckpt, MneCkptState state,
		     MneSlice name)
{
	g_autoptr(GBytes) value = mne_ckpt_encode(ckpt, state, name);
	MneKey key;

	mne_key_ckpt(&key, ckpt->id);
	mne_commit_set(commit, &key, mne_slice_of(value));
}

static int require_free_name(MneStore *store, MneSlice name)
{
	g_autoptr(MneCkpt) taken = NULL;

	if (mne_ckpts_find(store->ckpts, name, &taken) == 0)
		return mne_throw(CKPT_EXISTS, "a checkpoint %.*s is active",
				 (int)name.len, (const char *)name.data);
	return 0;
}

static int require_tables(MneStore *store, const GArray *tables)
{
	g_autoptr(GArray) infos = NULL;

	if (!tables)
		return 0;
	if (tables->len == 0)
		return mne_throw(NO_TABLE, "a checkpoint of no table");
	MNE_TRY(mne_store_tables(store, &infos));
	for (guint i = 0; i < tables->len; i++) {
		bool found = false;

		for (guint j = 0; j < infos->len && !found; j++)
			found = g_array_index(infos, MneTableInfo, j).id ==
				g_array_index(tables, uint32_t, i);
		if (!found)
			return mne_throw(NO_TABLE, "the table to checkpoint is gone");
	}
	return 0;
}

static int activate(MneStore *store, const MneCkptSpec *spec, MneCkpt **out_ckpt)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(require_free_name(store, spec->name));
	MNE_TRY(require_tables(store, spec->tables));
	ckpt = mne_ckpt_new(store->ckpts, spec);
	ckpt->id = mne_volume_new_id(store->volume);
	ckpt->seq = commit.seq;
	put_ckpt(&commit, ckpt, MNE_CKPT_ACTIVE, spec->name);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_add(store->ckpts, ckpt);
	*out_ckpt = g_steal_pointer(&ckpt);
	return 0;
}

int mne_store_checkpoint(MneStore *store, const MneCkptSpec *spec, MneCkpt **out_ckpt)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_ckpt_check_name(spec->name));
	MNE_TRY(mne_files_commit_closed(store)); /* what was closed is in it */
	MNE_TRY(activate(store, spec, &ckpt));
	MNE_TRY(mne_store_barrier(store));
	*out_ckpt = g_steal_pointer(&ckpt);
	return 0;
}

static int find(MneStore *store, MneSlice name, MneCkpt **out_ckpt)
{
	if (mne_ckpts_find(store->ckpts, name, out_ckpt) == 0)
		return 0;
	return mne_throw(NO_CKPT, "there is no checkpoint %.*s", (int)name.len,
			 (const char *)name.data);
}

int mne_store_drop(MneStore *store, MneSlice name)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find(store, name, &ckpt));
	put_ckpt(&commit, ckpt, MNE_CKPT_DROPPING, name);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_dropping(store->ckpts, ckpt);
	mne_store_wake(store);
	return mne_commit_finish(&commit);
}

int mne_store_rename_ckpt(MneStore *store, MneSlice from, MneSlice to)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_ckpt_check_name(to));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find(store, from, &ckpt));
	if (mne_slice_equal(from, to))
		return 0;
	MNE_TRY(require_free_name(store, to));
	put_ckpt(&commit, ckpt, MNE_CKPT_ACTIVE, to);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_name(store->ckpts, ckpt, to);
	return mne_commit_finish(&commit);
}
