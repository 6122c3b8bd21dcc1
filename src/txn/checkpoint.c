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

#include "ckpt/hold.h"
#include "ckpt/value.h"
#include "txn/commit.h"
#include "txn/store.h"
#include "txn/tx.h"
#include "util/log.h"
#include "util/text.h"

void mne_commit_put_ckpt(MneCommit *commit, const MneCkpt *ckpt, MneCkptState state,
			 MneSlice name, const MneCkptTraits *traits)
{
	g_autoptr(GBytes) value = mne_ckpt_encode(ckpt, state, name, traits);
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

static int require_table(const GArray *infos, const GArray *tables, guint i)
{
	uint32_t id = g_array_index(tables, uint32_t, i);
	const MneTableInfo *info = NULL;

	for (guint j = 0; j < infos->len; j++)
		if (g_array_index(infos, MneTableInfo, j).id == id)
			info = &g_array_index(infos, MneTableInfo, j);
	if (!info)
		return mne_throw(NO_TABLE, "the table to checkpoint is gone");
	for (guint j = 0; j < i; j++)
		if (g_array_index(tables, uint32_t, j) == id)
			return mne_throw(CKPT_TWICE, "table %s is given twice",
					 info->name);
	return 0;
}

static int require_tables(MneStore *store, const GArray *tables)
{
	g_autoptr(GArray) infos = NULL;

	if (!tables)
		return 0;
	if (tables->len == 0)
		return mne_throw(CKPT_NO_TABLES, "a checkpoint of no table");
	MNE_TRY(mne_store_tables(store, &infos));
	for (guint i = 0; i < tables->len; i++)
		MNE_TRY(require_table(infos, tables, i));
	return 0;
}

void mne_commit_tell_ckpt(MneStore *store, const char *event, const MneCkpt *ckpt,
			  MneSlice name)
{
	GString *members = g_string_new(",\"checkpoint\":");

	mne_text_add_json(members, name);
	g_string_append_printf(members, ",\"checkpoint_seq\":%" G_GUINT64_FORMAT,
			       ckpt->seq);
	mne_store_tell(store, event, members->str);
	g_string_free(members, TRUE);
}

static int activate(MneStore *store, const MneCkptSpec *spec, MneCkpt **out_ckpt)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_commit_begin_between_closes(store, &commit));
	MNE_TRY(require_free_name(store, spec->name));
	MNE_TRY(require_tables(store, spec->tables));
	if (spec->refuses && mne_store_open_txs(store) > 0)
		return mne_throw(TX_IN_PROGRESS, "transactions are in progress");
	ckpt = mne_ckpt_new(store->ckpts, spec);
	ckpt->id = mne_volume_new_id(store->volume);
	ckpt->seq = commit.seq;
	mne_commit_put_ckpt(&commit, ckpt, MNE_CKPT_ACTIVE, spec->name, &ckpt->traits);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_add(store->ckpts, ckpt);
	mne_commit_tell_ckpt(store, "checkpoint_activated", ckpt, spec->name);
	*out_ckpt = g_steal_pointer(&ckpt);
	return 0;
}

int mne_store_checkpoint(MneStore *store, const MneCkptSpec *spec, MneCkpt **out_ckpt)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	MNE_TRY(mne_ckpt_check_name(spec->name));
	if (spec->traits.note)
		MNE_TRY(mne_ckpt_check_note(mne_slice_str(spec->traits.note)));
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

static int require_unpinned(MneCkpt *ckpt)
{
	if (ckpt->traits.pinned)
		return mne_throw(CKPT_PINNED,
				 "%s is pinned: mnefs ck unpin %s, or mnefs ck drop "
				 "--force %s",
				 ckpt->name, ckpt->name, ckpt->name);
	return 0;
}

static int drop(MneStore *store, MneSlice name, bool by_force)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;
	int err;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find(store, name, &ckpt));
	if (!by_force)
		MNE_TRY(require_unpinned(ckpt));
	MNE_TRY(mne_ckpt_close(ckpt, by_force));
	mne_commit_put_ckpt(&commit, ckpt, MNE_CKPT_DROPPING, name, &ckpt->traits);
	err = mne_commit_apply(&commit);
	if (err < 0) {
		mne_ckpt_reopen(ckpt);
		return err;
	}
	mne_ckpts_set_dropping(store->ckpts, ckpt);
	mne_limit_refresh(store);
	mne_commit_tell_ckpt(store, "checkpoint_deactivated", ckpt, name);
	mne_store_wake(store);
	return mne_commit_finish(&commit);
}

int mne_store_drop(MneStore *store, MneSlice name)
{
	return drop(store, name, false);
}

int mne_store_drop_by_force(MneStore *store, MneSlice name)
{
	return drop(store, name, true);
}

/* What it was, but for what change->set names. */
static void merge(const MneCkptChange *change, MneCkptTraits *io_traits)
{
	if (change->set & MNE_CKPT_SET_PINNED)
		io_traits->pinned = change->traits.pinned;
	if (change->set & MNE_CKPT_SET_EXPIRES)
		io_traits->expires_ns = MAX(change->traits.expires_ns, 0);
	if (change->set & MNE_CKPT_SET_NOTE) {
		g_free(io_traits->note);
		io_traits->note = g_strdup(change->traits.note);
	}
}

int mne_store_change_ckpt(MneStore *store, MneSlice name, const MneCkptChange *change)
{
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneCkptTraits) traits = { 0 };
	g_autoptr(MneCkpt) ckpt = NULL;

	if (change->set & MNE_CKPT_SET_NOTE && change->traits.note)
		MNE_TRY(mne_ckpt_check_note(mne_slice_str(change->traits.note)));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find(store, name, &ckpt));
	mne_ckpt_traits(ckpt, &traits);
	merge(change, &traits);
	mne_commit_put_ckpt(&commit, ckpt, MNE_CKPT_ACTIVE, name, &traits);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_traits(store->ckpts, ckpt, &traits);
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
	mne_commit_put_ckpt(&commit, ckpt, MNE_CKPT_ACTIVE, to, &ckpt->traits);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_name(store->ckpts, ckpt, to);
	mne_commit_tell_ckpt(store, "checkpoint_renamed", ckpt, to);
	return mne_commit_finish(&commit);
}
