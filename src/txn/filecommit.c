/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/filecommit.c - what was written to an open file becomes its record, and durable
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/attr.h"
#include "txn/entry.h"
#include "txn/file.h"
#include "txn/filestate.h"

bool mne_file_is_uncommitted(const MneFile *file)
{
	return file->dirty && !file->unlinked && !file->cut &&
	       (file->exists || file->dir != 0);
}

/* Over what the newest checkpoint holds here, if the live version is not that any more:
 * what was deleted before the file was made, or what it was before its attributes or its
 * names changed. */
static void bump_over_retained(MneFile *file)
{
	MneKey key;

	mne_key_node(&key, file->table, file->dir, mne_file_name(file));
	(void)mne_mtime_bump_retained(file->store, &key, &file->node);
	if (!(file->node.flags & MNE_NODE_LINKED))
		return;
	mne_key_inode(&key, file->table, file->rec);
	(void)mne_mtime_bump_retained(file->store, &key, &file->node);
}

static void settle_mtime(MneFile *file)
{
	uint64_t newest = mne_ckpts_newest(file->store->ckpts, file->table);
	struct timespec before = file->node.mtime;
	bool changed = before.tv_sec != file->committed_mtime.tv_sec ||
		       before.tv_nsec != file->committed_mtime.tv_nsec;

	if (!file->exists || (changed && file->node.seq > newest))
		bump_over_retained(file);
	else if (changed)
		(void)mne_mtime_bump(&file->node, file->committed_mtime.tv_sec);
	if (before.tv_sec != file->node.mtime.tv_sec)
		mne_store_notify(file->store, file->rec);
}

static struct timespec later(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec > b.tv_sec ? a : b;
	return a.tv_nsec > b.tv_nsec ? a : b;
}

static int commit_parent(MneFile *file, MneCommit *commit)
{
	g_auto(MneNode) parent = { 0 };

	MNE_TRY(mne_dir_load(file->store, file->table, file->dir, &parent));
	/* It changed when the name came, not when it is committed. */
	commit->now = later(parent.mtime, file->named);
	return mne_dir_touch(commit, file->table, &parent, 1, 0);
}

static int commit_into(MneFile *file, MneCommit *commit)
{
	MneNode node;
	MneKey key;

	MNE_TRY(mne_file_flush_buffer(file));
	settle_mtime(file);
	MNE_TRY(mne_file_splice(file, commit));
	mne_commit_orphan(commit, file->table, file->old_data);
	if (!file->exists)
		MNE_TRY(commit_parent(file, commit));

	node = file->node;
	if (file->node.data == 0 && file->small) {
		node.content = mne_slice(file->small->data, file->small->len);
		node.stored = file->small->len;
	}
	mne_place_key(file->table, &node, file->dir, mne_file_name(file), &key);
	MNE_TRY(mne_commit_node(commit, &key, &node));
	file->node.seq = node.seq;
	file->node.version = node.version;
	file->node.stored = node.stored;
	return 0;
}

static void committed(MneFile *file)
{
	if (!file->exists)
		mne_files_remove_name(file->store->files, file);
	if (file->old_data != 0)
		mne_store_wake(file->store);
	file->exists = true;
	file->dirty = false;
	file->fresh = false;
	if (file->old_data != 0)
		mne_limit_orphaned(file->store, file->old_data, file->coming);
	mne_limit_settle(file);
	file->old_data = 0;
	file->committed_mtime = file->node.mtime;
	g_clear_pointer(&file->pending, mne_extents_free);
	mne_file_drop_buffer(file);
}

int mne_file_commit_as(MneFile *file, MneCommit *commit)
{
	const MneNode before = file->node;
	int err;

	mne_lock_assert_held(&file->lock);
	err = commit_into(file, commit);
	if (err == 0)
		err = mne_commit_apply(commit);
	if (err < 0) {
		file->node.seq = before.seq;
		file->node.version = before.version;
		file->node.stored = before.stored;
		return err;
	}
	committed(file);
	return 0;
}

int mne_file_flush_early(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	return mne_file_is_uncommitted(file) ? mne_file_flush_buffer(file) : 0;
}

int mne_file_commit_held(MneFile *file, MneCommit *commit, bool *out_done)
{
	MNE_WITH_LOCK(&file->lock);
	*out_done = mne_file_is_uncommitted(file);
	return *out_done ? mne_file_commit_as(file, commit) : 0;
}

static int commit_gated(MneFile *file, bool *out_done)
{
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(file->store, &commit));
	return mne_file_commit_held(file, &commit, out_done);
}

static int commit_only(MneFile *file, bool *out_done)
{
	MNE_TRY(mne_file_flush_early(file));
	return commit_gated(file, out_done);
}

int mne_file_commit(MneFile *file)
{
	bool done = false;

	MNE_TRY(commit_only(file, &done));
	if (done && file->store->options.sync_seconds == MNE_SYNC_COMMIT)
		return mne_store_barrier(file->store);
	return 0;
}

static int require_whole(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	return mne_file_require_whole(file);
}

int mne_file_sync_commit(MneFile *file)
{
	bool done = false;

	MNE_TRY(require_whole(file));
	MNE_TRY(commit_only(file, &done));
	return file->store->tx ? 0 : 1;
}

int mne_file_sync(MneFile *file)
{
	int more = mne_file_sync_commit(file);

	return more > 0 ? mne_store_barrier(file->store) : more;
}
