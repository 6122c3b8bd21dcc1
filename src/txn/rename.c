/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rename.c - rename(2) inside one table
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/entry.h"
#include "txn/filestate.h"
#include "txn/names.h"

#include <stdio.h>

typedef struct {
	MneStore *store;
	const MneSpot *from, *to;
	unsigned flags;
	MneEntryState source, target;
	MneNode old_dir, new_dir; /* new_dir unused when both are one */
} Rename;

static void rename_clear(Rename *r)
{
	mne_entry_clear(&r->source);
	mne_entry_clear(&r->target);
	mne_node_clear(&r->old_dir);
	mne_node_clear(&r->new_dir);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Rename, rename_clear)

static bool is_same_dir(const Rename *r)
{
	return r->from->dir == r->to->dir;
}

static bool is_exchange(const Rename *r)
{
	return r->flags & RENAME_EXCHANGE;
}

/* Files whose names are not committed yet get committed first: they are named on purpose. */
static int settle(MneStore *store, const MneSpot *spot)
{
	g_autoptr(MneFile) waiting = mne_files_find_name(store->files, spot->table,
							 spot->dir, spot->name);

	return waiting ? mne_file_commit(waiting) : 0;
}

static int settle_open(MneStore *store, const MneSpot *spot)
{
	g_autoptr(MneFile) file = NULL;
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	MNE_TRY(settle(store, spot));
	if (store->files->open == 0 ||
	    mne_view_lookup(&store->live.base, spot->table, spot->dir, spot->name,
			    &table, &node) < 0)
		return 0;
	file = mne_files_find(store->files, node.rec);
	return file ? mne_file_commit(file) : 0;
}

static int settle_all(const Rename *r)
{
	MNE_TRY(settle_open(r->store, r->from));
	return is_exchange(r) ? settle_open(r->store, r->to) : settle(r->store, r->to);
}

static bool is_waiting(MneStore *store, const MneSpot *spot)
{
	g_autoptr(MneFile) waiting = mne_files_find_name(store->files, spot->table,
							 spot->dir, spot->name);

	return waiting != NULL;
}

static int load(Rename *r)
{
	int err;

	MNE_TRY(mne_dir_load(r->store, r->from->table, r->from->dir, &r->old_dir));
	if (!is_same_dir(r))
		MNE_TRY(mne_dir_load(r->store, r->to->table, r->to->dir, &r->new_dir));
	MNE_TRY(mne_entry_load(r->store, r->from, &r->source));
	err = mne_entry_load(r->store, r->to, &r->target);
	return err == -ENOENT ? 0 : err;
}

static int check_target(const Rename *r)
{
	const MneEntryState *target = &r->target;
	bool source_is_dir = mne_node_is_dir(&r->source.node);

	if (is_exchange(r))
		return target->found ? 0 : -ENOENT;
	if (!target->found)
		return 0;
	if (r->flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (mne_node_is_dir(&target->node) && !source_is_dir)
		return -EISDIR;
	if (!mne_node_is_dir(&target->node) && source_is_dir)
		return -ENOTDIR;
	if (source_is_dir)
		return mne_dir_require_empty(r->store, &target->node);
	return 0;
}

static int touch_dirs(Rename *r, MneCommit *commit)
{
	int source_dir = mne_node_is_dir(&r->source.node);
	int target_dir = r->target.found && mne_node_is_dir(&r->target.node);
	int gone = r->target.found && !is_exchange(r);
	uint32_t table = r->from->table;

	if (is_same_dir(r))
		return mne_dir_touch(commit, table, &r->old_dir, -gone,
				     gone ? -target_dir : 0);
	if (is_exchange(r)) {
		MNE_TRY(mne_dir_touch(commit, table, &r->old_dir, 0,
				      target_dir - source_dir));
		return mne_dir_touch(commit, table, &r->new_dir, 0,
				     source_dir - target_dir);
	}
	MNE_TRY(mne_dir_touch(commit, table, &r->old_dir, -1, -source_dir));
	return mne_dir_touch(commit, table, &r->new_dir, 1 - gone,
			     source_dir - target_dir);
}

/* What takes the place of a file that the newest checkpoint may hold must not have the
 * same second: backup tools compare seconds. */
static void bump(Rename *r)
{
	uint64_t newest = mne_ckpts_newest(r->store->ckpts, r->from->table);
	MneNode *node = &r->source.node;
	bool bumped;
	MneKey key;

	if (!mne_node_is_file(node))
		return;
	if (r->target.found && r->target.node.seq <= newest) {
		bumped = mne_node_is_file(&r->target.node) &&
			 mne_mtime_bump(node, r->target.node.mtime.tv_sec);
	} else {
		mne_key_node(&key, r->to->table, r->to->dir, r->to->name);
		bumped = mne_mtime_bump_retained(r->store, &key, node);
	}
	if (bumped)
		mne_store_notify(r->store, node->rec);
}

static int take_away(MneCommit *commit, const MneSpot *spot, const MneEntryState *entry)
{
	MneKey key;

	mne_key_node(&key, spot->table, spot->dir, spot->name);
	return mne_commit_del_entry(commit, &key, entry->kind, entry->node.rec);
}

static int build(Rename *r, MneCommit *commit)
{
	MNE_TRY(touch_dirs(r, commit));
	if (is_exchange(r)) {
		MNE_TRY(take_away(commit, r->from, &r->source));
		MNE_TRY(take_away(commit, r->to, &r->target));
		MNE_TRY(mne_entry_move(commit, &r->source, r->to));
		return mne_entry_move(commit, &r->target, r->from);
	}
	if (r->target.found)
		MNE_TRY(mne_entry_remove(commit, r->to, &r->target));
	bump(r);
	MNE_TRY(take_away(commit, r->from, &r->source));
	return mne_entry_move(commit, &r->source, r->to);
}

/* -EAGAIN: a file was created at one of the names since they were settled. */
static int rename_gated(Rename *r)
{
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(r->store, &commit));
	if (is_waiting(r->store, r->from) || is_waiting(r->store, r->to))
		return -EAGAIN;
	MNE_TRY(load(r));
	MNE_TRY(check_target(r));
	if (r->target.found && r->target.node.rec == r->source.node.rec)
		return 0;

	MNE_TRY(build(r, &commit));
	MNE_TRY(mne_commit_apply(&commit));
	if (r->target.found && !is_exchange(r))
		mne_entry_removed(r->store, &r->target, commit.now);
	else if (r->target.found)
		mne_entry_moved(r->store, &r->target, r->from);
	mne_entry_moved(r->store, &r->source, r->to);
	return mne_commit_finish(&commit);
}

int mne_rename(MneStore *store, const MneSpot *from, const MneSpot *to, unsigned flags,
	       uint64_t *out_moved, uint64_t *out_other)
{
	g_auto(Rename) r = { .store = store, .from = from, .to = to, .flags = flags };
	int err;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE) ||
	    flags == (RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (from->table != to->table)
		return mne_throw(OTHER_TABLE, "a rename stays inside its table");
	if (from->name.len > MNE_NAME_MAX || to->name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;

	do {
		MNE_TRY(settle_all(&r));
		MNE_TRY(mne_limit_admit_spot(store, from, false));
		MNE_TRY(mne_limit_admit_spot(store, to, !is_exchange(&r)));
		err = rename_gated(&r);
	} while (err == -EAGAIN);
	MNE_TRY(err);
	*out_moved = r.source.node.rec;
	*out_other = r.target.found ? r.target.node.rec : 0;
	return 0;
}
