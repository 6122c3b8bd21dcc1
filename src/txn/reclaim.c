/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/reclaim.c - giving back what dropped checkpoints and deleted files kept
 *
 * Dropping the checkpoint of seq C, with P the newest older one that covers the table:
 * for each CHANGED(C, key): RETAINED(key, C) moves to RETAINED(key, P) if its value was
 * there at P, else it is freed; CHANGED(C, key) moves to P, or goes.  In bounded batches:
 * a crash, or other commits, between two of them find a valid state, since a reader at P
 * finds the image under C as well as under P.
 *
 * The extents of deleted files are given up in the same way, under their ORPHAN key.  They
 * count as deleted at the seq of that key: later checkpoints never saw them.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "record/keys.h"
#include "txn/commit.h"
#include "txn/files.h"
#include "view/iter.h"

#define STEP_KEYS 128

/* The next keys with prefix, up to STEP_KEYS: owned copies. */
static int collect(MneStore *store, MneSlice prefix, GPtrArray *keys, GPtrArray *values)
{
	g_autoptr(MneIter) iter = NULL;
	MneKvIter *kv = NULL;
	MneSlice key, value;
	int got = 1;

	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	iter = mne_iter_kv_new(kv, prefix, prefix);
	while (keys->len < STEP_KEYS && (got = mne_iter_next(iter, &key, &value)) > 0) {
		g_ptr_array_add(keys, mne_slice_to_bytes(key));
		if (values)
			g_ptr_array_add(values, mne_slice_to_bytes(value));
	}
	return MIN(got, 0);
}

static GPtrArray *bytes_array(void)
{
	return g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
}

static int free_image(MneCommit *commit, MneSlice key, MneSlice image)
{
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	uint64_t seq;

	if (key.data[0] != MNE_TAG_EXTENT)
		return 0;
	MNE_TRY(mne_value_open(image, &kind, &seq, &payload));
	MNE_TRY(mne_extent_decode(payload, 0, &extent));
	mne_commit_live(commit, extent.ref.segment, -(int64_t)extent.len);
	return 0;
}

static int move_image(MneCommit *commit, MneSlice key, uint64_t from, uint64_t to)
{
	g_autoptr(GBytes) image = NULL;
	MneKey at;
	int err;

	mne_key_retained(&at, key, from);
	err = mne_kv_get(commit->store->volume->kv, mne_key_slice(&at), &image);
	if (err == -ENOENT)
		return 0;
	MNE_TRY(err);
	mne_commit_unset(commit, &at);
	if (to == 0 || mne_value_seq(mne_slice_of(image)) > to)
		return free_image(commit, key, mne_slice_of(image));
	mne_key_retained(&at, key, to);
	mne_commit_set(commit, &at, mne_slice_of(image));
	return 0;
}

static int move_changed(MneCommit *commit, MneSlice changed, uint64_t from)
{
	MneKeyParts parts;
	uint64_t to;
	MneKey at;

	MNE_TRY(mne_key_parse(changed, &parts));
	to = mne_ckpts_newest_before(commit->store->ckpts, parts.table, from);
	MNE_TRY(move_image(commit, parts.inner, from, to));
	mne_key_changed(&at, from, parts.inner);
	mne_commit_unset(commit, &at);
	if (to > 0) {
		mne_key_changed(&at, to, parts.inner);
		mne_commit_set(commit, &at, MNE_SLICE_EMPTY);
	}
	return 0;
}

int mne_reclaim_step(MneStore *store)
{
	g_autoptr(MneCkpt) ckpt = mne_ckpts_next_dropping(store->ckpts);
	g_autoptr(GPtrArray) keys = bytes_array();
	g_auto(MneCommit) commit = { 0 };
	MneKey prefix;

	if (!ckpt || store->failed)
		return 0;
	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	mne_key_changed(&prefix, ckpt->seq, MNE_SLICE_EMPTY);
	MNE_TRY(collect(store, mne_key_slice(&prefix), keys, NULL));
	for (guint i = 0; i < keys->len; i++)
		MNE_TRY(move_changed(&commit, mne_slice_of(keys->pdata[i]), ckpt->seq));

	if (keys->len == 0) {
		MneKey key;

		mne_key_ckpt(&key, ckpt->id);
		mne_commit_unset(&commit, &key);
	}
	MNE_TRY(mne_commit_apply(&commit));
	if (keys->len == 0)
		mne_ckpts_remove(store->ckpts, ckpt);
	return 1;
}

/* Give up some extents of the data id; none left: the ORPHAN key goes, too. */
static int reap(MneStore *store, const MneKeyParts *orphan, uint64_t seq)
{
	uint64_t newest = mne_ckpts_newest_before(store->ckpts, orphan->table, seq);
	g_autoptr(GPtrArray) values = bytes_array();
	g_autoptr(GPtrArray) keys = bytes_array();
	g_auto(MneCommit) commit = { 0 };
	MneKey prefix, key;

	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	mne_key_extent(&prefix, orphan->table, orphan->id, 0);
	prefix.len = (uint16_t)(prefix.len - 8);
	MNE_TRY(collect(store, mne_key_slice(&prefix), keys, values));
	for (guint i = 0; i < keys->len; i++) {
		MneSlice bytes = mne_slice_of(keys->pdata[i]);

		memcpy(key.bytes, bytes.data, bytes.len);
		key.len = (uint16_t)bytes.len;
		MNE_TRY(mne_commit_del_extent(&commit, &key,
					      mne_slice_of(values->pdata[i]), newest));
	}
	if (keys->len == 0) {
		mne_key_orphan(&key, orphan->table, orphan->id);
		mne_commit_unset(&commit, &key);
	}
	return mne_commit_apply(&commit);
}

int mne_orphan_step(MneStore *store)
{
	const uint8_t tag = MNE_TAG_ORPHAN;
	g_autoptr(MneKvIter) iter = NULL;

	if (store->orphans == 0 || store->failed)
		return 0;
	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneKeyParts parts;

		if (mne_kv_iter_key(iter).data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(mne_kv_iter_key(iter), &parts));
		if (mne_files_is_held(store->files, parts.id))
			continue;
		MNE_TRY(reap(store, &parts, mne_value_seq(mne_kv_iter_value(iter))));
		return 1;
	}
	MNE_TRY(mne_kv_iter_status(iter));
	store->orphans = 0;
	return 0;
}
