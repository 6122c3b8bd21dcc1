/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/commit.c - the one writer: retain, count, apply
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/commit.h"

#include "ckpt/stub.h"
#include "txn/closing.h"
#include "txn/tell.h"
#include "txn/txstate.h"
#include "util/coding.h"

#define SLOW_COMMIT_MS 1000

static int require_writable(MneStore *store)
{
	if (store->options.read_only)
		return -EROFS;
	return mne_store_require_working(store);
}

/* With the gate held, which is given up when it fails. */
static int begin(MneStore *store, MneCommit *out)
{
	int err = store->tx ? mne_tx_require_open(store->tx) : 0;

	if (err < 0) {
		mne_unlock(&store->gate);
		return err;
	}
	mne_kv_batch_clear(store->batch);
	*out = (MneCommit){ .store = store,
			    .seq = store->volume->seq + 1,
			    .held = true };
	clock_gettime(CLOCK_REALTIME, &out->now);
	return 0;
}

int mne_commit_begin(MneStore *store, MneCommit *out)
{
	MNE_TRY(require_writable(store));
	mne_lock(&store->gate);
	return begin(store, out);
}

int mne_commit_begin_between_closes(MneStore *store, MneCommit *out)
{
	MNE_TRY(require_writable(store));
	mne_gate_lock_between_closes(store);
	return begin(store, out);
}

void mne_commit_next(MneCommit *commit)
{
	mne_kv_batch_clear(commit->store->batch);
	g_clear_pointer(&commit->live, g_hash_table_unref);
	g_clear_pointer(&commit->cells, g_array_unref);
	g_clear_pointer(&commit->kept, g_hash_table_unref);
	g_clear_pointer(&commit->telling, mne_telling_free);
	commit->orphans = 0;
	commit->moves_only = true;
}

void mne_commit_end(MneCommit *commit)
{
	g_clear_pointer(&commit->live, g_hash_table_unref);
	g_clear_pointer(&commit->frags, mne_frag_map_unref);
	g_clear_pointer(&commit->frags_gone, g_array_unref);
	g_clear_pointer(&commit->cells, g_array_unref);
	g_clear_pointer(&commit->kept, g_hash_table_unref);
	g_clear_pointer(&commit->telling, mne_telling_free);
	if (commit->held)
		mne_unlock(&commit->store->gate);
	commit->held = false;
}

static void put_live(MneCommit *commit, uint64_t segment, int64_t live)
{
	g_autoptr(GByteArray) value = g_byte_array_new();
	MneKey key;

	mne_key_segment(&key, segment);
	mne_value_begin(value, MNE_KIND_SEGMENT, commit->seq);
	mne_add_be64(value, (uint64_t)live);
	mne_value_end(value);
	mne_kv_batch_put(commit->store->batch, mne_key_slice(&key),
			 mne_slice(value->data, value->len));
}

/* Persist the new live counts in the same batch; undone when it fails. */
static void add_live(MneCommit *commit, int sign, bool persist)
{
	GHashTableIter iter;
	gpointer segment, delta;

	if (!commit->live)
		return;
	g_hash_table_iter_init(&iter, commit->live);
	while (g_hash_table_iter_next(&iter, &segment, &delta)) {
		int64_t live = mne_blob_add_live(commit->store->volume->blob,
						 *(uint64_t *)segment,
						 sign * *(int64_t *)delta);

		if (persist)
			put_live(commit, *(uint64_t *)segment, live);
	}
}

/* All writers wait meanwhile. */
static int apply(MneStore *store)
{
	int64_t began = g_get_monotonic_time();
	int err = mne_volume_apply(store->volume, store->batch);

	mne_tell_overload(store, "commit", (g_get_monotonic_time() - began) / 1000,
			  SLOW_COMMIT_MS);
	return err;
}

int mne_commit_apply(MneCommit *commit)
{
	MneStore *store = commit->store;
	MneVolume *volume = store->volume;
	uint64_t id_limit = volume->id_limit, seq_limit = volume->seq_limit;
	uint64_t told = volume->told;
	int err;

	if (store->tx)
		return mne_tx_stage(store->tx, commit);
	add_live(commit, 1, true);
	mne_commit_put_tally(commit);
	mne_volume_reserve(volume, store->batch);
	err = apply(store);
	if (err < 0) {
		add_live(commit, -1, false);
		volume->id_limit = id_limit;
		volume->seq_limit = seq_limit;
		volume->told = told;
		return err;
	}
	mne_commit_tallied(commit);
	if (!commit->moves_only)
		volume->seq = commit->seq;
	if (commit->frags)
		mne_frags_set(store->frags, commit->frags);
	for (guint i = 0; commit->frags_gone && i < commit->frags_gone->len; i++)
		mne_frags_remove(store->frags,
				 g_array_index(commit->frags_gone, uint32_t, i));
	if (commit->telling)
		mne_tell_all(store, commit->telling, commit->seq, commit->by);
	store->orphans += commit->orphans;
	store->commits++;
	return 0;
}

int mne_commit_finish(MneCommit *commit)
{
	mne_commit_end(commit);
	if (commit->store->options.sync_seconds == MNE_SYNC_COMMIT)
		return mne_store_barrier(commit->store);
	return 0;
}

/* What stands at key now is kept for the newest checkpoint.  makes: so is that nothing
 * stands there. */
static int retain_now(MneCommit *commit, MneSlice key, bool makes)
{
	MneStore *store = commit->store;
	uint32_t table = mne_key_table_of(key);
	uint64_t newest = mne_ckpts_newest(store->ckpts, table);
	uint64_t bookmark = mne_ckpts_newest(store->bookmarks, table);
	g_autoptr(GBytes) now = NULL;
	int err;

	if (newest == 0 && bookmark == 0)
		return 0;
	err = mne_view_get(&store->stored.base, key, &now);
	if (err < 0 && err != -ENOENT)
		return err;
	if (!now && !makes)
		return 0;
	mne_commit_retain(commit, newest, key, mne_slice_of(now));
	return mne_stub_retain(bookmark, key, mne_slice_of(now), store->batch);
}

/* Only who moves records changes where they stand.  To all others, who put back the values
 * of a checkpoint, say, that is no part of a table. */
static bool is_not_his(const MneCommit *commit, const MneKey *key)
{
	return key->bytes[0] == MNE_TAG_FRAGS && !commit->spreads;
}

/* For transactions that are open. */
static void note(const MneCommit *commit, const MneKey *key)
{
	if (!commit->store->tx)
		mne_txs_note(commit->store, commit->seq, mne_key_slice(key));
}

int mne_commit_put(MneCommit *commit, const MneKey *key, MneSlice value)
{
	if (is_not_his(commit, key))
		return 0;
	note(commit, key);
	MNE_TRY(retain_now(commit, mne_key_slice(key), true));
	MNE_TRY(mne_tell_note(commit->store, &commit->telling, mne_key_slice(key),
			      value));
	return mne_live_put(&commit->store->stored, commit->store->batch,
			    mne_key_slice(key), value);
}

int mne_commit_del(MneCommit *commit, const MneKey *key)
{
	if (is_not_his(commit, key))
		return 0;
	note(commit, key);
	MNE_TRY(retain_now(commit, mne_key_slice(key), false));
	MNE_TRY(mne_tell_note(commit->store, &commit->telling, mne_key_slice(key),
			      MNE_SLICE_EMPTY));
	return mne_live_del(&commit->store->stored, commit->store->batch,
			    mne_key_slice(key));
}

int mne_commit_node(MneCommit *commit, const MneKey *key, MneNode *node)
{
	uint64_t newest = mne_ckpts_newest(commit->store->ckpts,
					   mne_key_table_of(mne_key_slice(key)));
	g_autoptr(GBytes) value = NULL;

	if (node->seq != 0 && node->seq <= newest)
		node->version = mne_volume_new_id(commit->store->volume);
	node->seq = commit->seq;
	value = mne_node_encode(node);
	return mne_commit_put(commit, key, mne_slice_of(value));
}

/* The NAME key beside the NODE key of a name. */
static int name_key(const MneKey *entry, uint64_t rec, MneKey *out)
{
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(mne_key_slice(entry), &parts));
	mne_key_name(out, parts.table, rec, parts.id, parts.name);
	return 0;
}

int mne_commit_ref(MneCommit *commit, const MneKey *key, MneKind kind, uint64_t rec,
		   uint32_t mode)
{
	g_autoptr(GBytes) value = mne_ref_encode(kind, commit->seq, rec, mode);
	MneKey name;

	if (kind == MNE_KIND_LINK) {
		MNE_TRY(name_key(key, rec, &name));
		MNE_TRY(mne_commit_put(commit, &name, mne_slice_of(value)));
	}
	return mne_commit_put(commit, key, mne_slice_of(value));
}

int mne_commit_del_entry(MneCommit *commit, const MneKey *key, MneKind kind,
			 uint64_t rec)
{
	MneKey name;

	if (kind == MNE_KIND_LINK) {
		MNE_TRY(name_key(key, rec, &name));
		MNE_TRY(mne_commit_del(commit, &name));
	}
	return mne_commit_del(commit, key);
}

int mne_commit_extent(MneCommit *commit, uint32_t table, uint64_t data,
		      const MneExtent *extent)
{
	g_autoptr(GByteArray) value = g_byte_array_sized_new(MNE_EXTENT_VALUE_MAX);
	MneKey key;

	mne_key_extent(&key, table, data, extent->offset);
	mne_value_begin(value, MNE_KIND_EXTENT, commit->seq);
	mne_extent_encode(extent, value);
	mne_value_end(value);
	mne_commit_live(commit, extent->ref.segment, (int64_t)extent->len);
	return mne_commit_put(commit, &key, mne_slice(value->data, value->len));
}

int mne_commit_del_extent(MneCommit *commit, const MneKey *key, MneSlice value,
			  uint64_t newest)
{
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	MNE_TRY(mne_extent_decode(payload, 0, &extent));
	if (newest > 0 && seq <= newest)
		mne_commit_retain(commit, newest, mne_key_slice(key), value);
	else
		mne_commit_live(commit, extent.ref.segment, -(int64_t)extent.len);
	mne_kv_batch_del(commit->store->batch, mne_key_slice(key));
	return 0;
}

void mne_commit_set(MneCommit *commit, const MneKey *key, MneSlice value)
{
	mne_kv_batch_put(commit->store->batch, mne_key_slice(key), value);
}

void mne_commit_unset(MneCommit *commit, const MneKey *key)
{
	mne_kv_batch_del(commit->store->batch, mne_key_slice(key));
}

void mne_commit_live(MneCommit *commit, uint64_t segment, int64_t delta)
{
	int64_t *sum;

	if (!commit->live)
		commit->live = g_hash_table_new_full(g_int64_hash, g_int64_equal,
						     g_free, g_free);
	sum = g_hash_table_lookup(commit->live, &segment);
	if (!sum) {
		sum = g_new0(int64_t, 1);
		g_hash_table_insert(commit->live, g_memdup2(&segment, sizeof(segment)),
				    sum);
	}
	*sum += delta;
}

void mne_commit_orphan(MneCommit *commit, uint32_t table, uint64_t data)
{
	g_autoptr(GByteArray) value = g_byte_array_new();
	MneKey key;

	if (data == 0)
		return;
	mne_key_orphan(&key, table, data);
	mne_value_begin(value, MNE_KIND_ORPHAN, commit->seq);
	mne_value_end(value);
	mne_commit_set(commit, &key, mne_slice(value->data, value->len));
	commit->orphans++;
}

int mne_dir_load(MneStore *store, uint32_t table, uint64_t dir, MneNode *out)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	mne_key_node(&key, table, dir, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_get(&store->live.base, mne_key_slice(&key), &value));
	return mne_node_decode(value, out);
}

int mne_dir_touch(MneCommit *commit, uint32_t table, MneNode *dir, int entries,
		  int subdirs)
{
	MneKey key;

	dir->entries = (uint64_t)((int64_t)dir->entries + entries);
	dir->nlink = (uint32_t)((int)dir->nlink + subdirs);
	dir->mtime = dir->ctime = commit->now;
	dir->flags &= ~(uint32_t)MNE_NODE_MTIME_SET;
	mne_key_node(&key, table, dir->rec, MNE_SLICE_EMPTY);
	return mne_commit_node(commit, &key, dir);
}

void mne_node_new(MneStore *store, const MneNode *dir, const MneMake *what,
		  struct timespec now, MneNode *out)
{
	*out = (MneNode){
		.rec = mne_volume_new_id(store->volume),
		.version = mne_volume_new_id(store->volume),
		.mode = what->mode,
		.uid = what->uid,
		.gid = what->gid,
		.rdev = what->rdev,
		.nlink = S_ISDIR(what->mode) ? 2 : 1,
		.atime = now,
		.mtime = now,
		.ctime = now,
		.btime = now,
	};
	if (dir && (dir->mode & S_ISGID)) {
		out->gid = dir->gid;
		if (S_ISDIR(out->mode))
			out->mode |= S_ISGID;
	}
}

int mne_spot_require_free(MneStore *store, const MneSpot *spot)
{
	g_autoptr(MneFile) waiting = mne_files_find_name(store->files, spot->table,
							 spot->dir, spot->name);
	g_autoptr(GBytes) value = NULL;
	MneKey key;
	int err;

	if (waiting)
		return -EEXIST;
	mne_key_node(&key, spot->table, spot->dir, spot->name);
	err = mne_view_get(&store->live.base, mne_key_slice(&key), &value);
	if (err == 0)
		return -EEXIST;
	return err == -ENOENT ? 0 : err;
}

void mne_place_key(uint32_t table, const MneNode *node, uint64_t dir, MneSlice name,
		   MneKey *out)
{
	if (S_ISDIR(node->mode))
		mne_key_node(out, table, node->rec, MNE_SLICE_EMPTY);
	else if (node->flags & MNE_NODE_LINKED)
		mne_key_inode(out, table, node->rec);
	else
		mne_key_node(out, table, dir, name);
}

void mne_node_drop_suid(MneNode *node)
{
	node->mode &= ~(uint32_t)S_ISUID;
	if (node->mode & S_IXGRP)
		node->mode &= ~(uint32_t)S_ISGID;
}

bool mne_mtime_bump(MneNode *node, time_t was)
{
	if ((node->flags & MNE_NODE_MTIME_SET) || node->mtime.tv_sec > was)
		return false;
	node->mtime = (struct timespec){ .tv_sec = was + 1 };
	return true;
}

bool mne_mtime_bump_retained(MneStore *store, const MneKey *key, MneNode *node)
{
	uint32_t table = mne_key_table_of(mne_key_slice(key));
	uint64_t newest = mne_ckpts_newest(store->ckpts, table);
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) was = { 0 };
	MneKey at;

	if (newest == 0 ||
	    node->mtime.tv_sec > mne_ckpts_newest_time(store->ckpts, table) + 1)
		return false;
	mne_key_retained(&at, mne_key_slice(key), newest);
	return mne_kv_get(store->volume->kv, mne_key_slice(&at), &value) == 0 &&
	       g_bytes_get_size(value) > 0 &&
	       mne_slice_of(value).data[0] == MNE_KIND_INODE &&
	       mne_node_decode(value, &was) == 0 && mne_node_is_file(&was) &&
	       mne_mtime_bump(node, was.mtime.tv_sec);
}
