/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/bookmark.c - making, dropping and reclaiming bookmarks
 *
 * Making one of checkpoint C, of seq m:
 *
 *	1. It joins the set, MAKING: from now on what changes is kept for it.
 *	2. What changed since C before that is found by CHANGED, and kept as C shows it.
 *	3. It becomes ACTIVE, in memory and in the store.
 *
 * Steps 1 and 2 may keep a key twice, with the same stub.  Until 3 the store calls it
 * DROPPING: after a crash it is given up, and so is a half-made one whose checkpoint went.
 *
 * Dropping one moves what is kept for it to the next older one, as for checkpoints: see
 * txn/reclaim.c.  Two may mark the same moment: then nothing moves.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/bookmark.h"

#include "ckpt/stub.h"
#include "ckpt/touched.h"
#include "ckpt/value.h"
#include "txn/commit.h"
#include "txn/pace.h"
#include "view/iter.h"

#define STEP_KEYS 64u /* so few that a writer who comes meanwhile hardly notices */

static void put_bookmark(MneCommit *commit, MneCkpt *mark, MneCkptState state,
			 MneSlice name)
{
	g_auto(MneCkptTraits) traits = { 0 };
	g_autoptr(GBytes) value = mne_ckpt_encode(mark, state, name, &traits);
	MneKey key;

	mne_key_bookmark(&key, mark->id);
	mne_commit_set(commit, &key, mne_slice_of(value));
}

static int require_free_name(MneStore *store, MneSlice name)
{
	g_autoptr(MneCkpt) taken = NULL;

	if (mne_ckpts_find(store->bookmarks, name, &taken) == 0)
		return mne_throw(CKPT_EXISTS, "there is a bookmark %.*s already",
				 (int)name.len, (const char *)name.data);
	return 0;
}

static int find_bookmark(MneStore *store, MneSlice name, MneCkpt **out_mark)
{
	if (mne_ckpts_find(store->bookmarks, name, out_mark) < 0)
		return mne_throw(NO_CKPT, "there is no bookmark %.*s", (int)name.len,
				 (const char *)name.data);
	return 0;
}

/* --- making ----------------------------------------------------------------- */

static int join(MneStore *store, MneCkpt *of, MneSlice name, MneCkpt **out_mark)
{
	const MneCkptSpec spec = { .name = name,
				   .tables = of->all_tables ? NULL : of->tables,
				   .uid = of->uid,
				   .gid = of->gid };
	g_autoptr(MneCkpt) mark = mne_ckpt_new(store->bookmarks, &spec);
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(store, &commit));
	mark->id = mne_volume_new_id(store->volume);
	mark->seq = of->seq;
	mark->time_ns = of->time_ns;
	mark->state = MNE_CKPT_MAKING;
	put_bookmark(&commit, mark, MNE_CKPT_DROPPING, name);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_add(store->bookmarks, mark);
	*out_mark = g_steal_pointer(&mark);
	return 0;
}

static int collect_touched(const MneCkpt *of, GPtrArray *keys)
{
	g_autoptr(MneTouched) touched = NULL;
	MneSlice key;
	int got;

	MNE_TRY(mne_touched_open(of->set, of->seq, UINT64_MAX, MNE_TAG_NAME, &touched));
	while ((got = mne_touched_next(touched, &key)) > 0)
		g_ptr_array_add(keys, mne_slice_to_bytes(key));
	return got;
}

/* What the checkpoint shows under key. */
static int keep(MneCommit *commit, MneCkpt *of, MneSlice key)
{
	g_autoptr(GBytes) value = NULL;
	g_autoptr(GBytes) stub = NULL;
	MneKey at;
	int err;

	if (!mne_stub_is_kept(key))
		return 0;
	err = mne_view_get(&of->view, key, &value);
	if (err < 0 && err != -ENOENT)
		return err;
	if (err == 0) {
		MNE_TRY(mne_stub_of(mne_slice_of(value), &stub));
		mne_key_stub(&at, key, of->seq);
		mne_commit_set(commit, &at, mne_slice_of(stub));
	}
	mne_key_since(&at, of->seq, key);
	mne_commit_set(commit, &at, MNE_SLICE_EMPTY);
	return 0;
}

static int keep_some(MneStore *store, MneCkpt *of, const GPtrArray *keys, guint from)
{
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	for (guint i = from; i < MIN(keys->len, from + STEP_KEYS); i++)
		MNE_TRY(keep(&commit, of, mne_slice_of(keys->pdata[i])));
	return mne_commit_apply(&commit);
}

/* No iterator is open while it commits: an engine that heals would wait for it. */
static int keep_all(MneStore *store, MneCkpt *of)
{
	g_autoptr(GPtrArray) keys =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	MNE_TRY(collect_touched(of, keys));
	for (guint i = 0; i < keys->len; i += STEP_KEYS)
		MNE_TRY(keep_some(store, of, keys, i));
	return mne_ckpt_is_active(of)
		       ? 0
		       : mne_throw(CKPT_GONE, "the checkpoint was dropped meanwhile");
}

static int complete(MneStore *store, MneCkpt *mark, MneSlice name, bool replace)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) old = NULL;

	MNE_TRY(mne_commit_begin(store, &commit));
	if (!replace)
		MNE_TRY(require_free_name(store, name));
	else if (mne_ckpts_find(store->bookmarks, name, &old) == 0)
		put_bookmark(&commit, old, MNE_CKPT_DROPPING, name);
	put_bookmark(&commit, mark, MNE_CKPT_ACTIVE, name);
	MNE_TRY(mne_commit_apply(&commit));
	if (old)
		mne_ckpts_set_dropping(store->bookmarks, old);
	mne_ckpts_set_state(store->bookmarks, mark, MNE_CKPT_ACTIVE);
	return 0;
}

/* An mnefs that knows no bookmarks would keep nothing for them. */
static int require_feature(MneStore *store)
{
	if (store->volume->features & MNE_FEATURE_BOOKMARKS)
		return 0;
	MNE_TRY(mne_store_require_working(store));
	MNE_WITH_LOCK(&store->gate);
	return mne_volume_add_feature(store->volume, MNE_FEATURE_BOOKMARKS);
}

int mne_store_bookmark(MneStore *store, MneSlice checkpoint, MneSlice name,
		       bool replace)
{
	g_autoptr(MneCkpt) of = NULL;
	g_autoptr(MneCkpt) mark = NULL;
	int err;

	if (store->options.read_only)
		return -EROFS;
	MNE_TRY(mne_ckpt_check_name(name));
	if (mne_ckpts_find(store->ckpts, checkpoint, &of) < 0)
		return mne_throw(NO_CKPT, "there is no checkpoint %.*s",
				 (int)checkpoint.len, (const char *)checkpoint.data);
	if (!replace)
		MNE_TRY(require_free_name(store, name));
	MNE_TRY(require_feature(store));
	MNE_TRY(join(store, of, name, &mark));
	err = keep_all(store, of);
	if (err == 0)
		err = complete(store, mark, name, replace);
	if (err < 0)
		mne_ckpts_set_dropping(store->bookmarks, mark);
	mne_store_wake(store);
	MNE_TRY(err);
	return mne_store_barrier(store);
}

/* --- dropping and renaming -------------------------------------------------- */

int mne_store_drop_bookmark(MneStore *store, MneSlice name)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) mark = NULL;

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find_bookmark(store, name, &mark));
	put_bookmark(&commit, mark, MNE_CKPT_DROPPING, name);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_dropping(store->bookmarks, mark);
	mne_store_wake(store);
	return mne_commit_finish(&commit);
}

int mne_store_rename_bookmark(MneStore *store, MneSlice from, MneSlice to)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneCkpt) mark = NULL;

	MNE_TRY(mne_ckpt_check_name(to));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(find_bookmark(store, from, &mark));
	if (mne_slice_equal(from, to))
		return 0;
	MNE_TRY(require_free_name(store, to));
	put_bookmark(&commit, mark, MNE_CKPT_ACTIVE, to);
	MNE_TRY(mne_commit_apply(&commit));
	mne_ckpts_set_name(store->bookmarks, mark, to);
	return mne_commit_finish(&commit);
}

/* --- reclaiming ------------------------------------------------------------- */

static int move_stub(MneCommit *commit, MneSlice key, uint64_t from, uint64_t to)
{
	g_autoptr(GBytes) stub = NULL;
	MneKey at;
	int err;

	mne_key_stub(&at, key, from);
	err = mne_kv_get(mne_store_kv(commit->store), mne_key_slice(&at), &stub);
	if (err == -ENOENT)
		return 0;
	MNE_TRY(err);
	mne_commit_unset(commit, &at);
	if (to == 0 || mne_value_seq(mne_slice_of(stub)) > to)
		return 0;
	mne_key_stub(&at, key, to);
	mne_commit_set(commit, &at, mne_slice_of(stub));
	return 0;
}

static int move_since(MneCommit *commit, MneSlice since)
{
	MneKeyParts parts;
	uint64_t to;
	MneKey at;

	MNE_TRY(mne_key_parse(since, &parts));
	to = mne_ckpts_newest_before(commit->store->bookmarks, parts.table, parts.seq);
	MNE_TRY(move_stub(commit, parts.inner, parts.seq, to));
	mne_key_since(&at, parts.seq, parts.inner);
	mne_commit_unset(commit, &at);
	if (to > 0) {
		mne_key_since(&at, to, parts.inner);
		mne_commit_set(commit, &at, MNE_SLICE_EMPTY);
	}
	return 0;
}

static int collect_since(MneStore *store, uint64_t seq, GPtrArray *keys)
{
	g_autoptr(MneIter) iter = NULL;
	MneKvIter *kv = NULL;
	MneSlice key, value;
	MneKey prefix;
	int got = 1;

	mne_key_since(&prefix, seq, MNE_SLICE_EMPTY);
	MNE_TRY(mne_kv_iter(mne_store_kv(store), &kv));
	iter = mne_iter_kv_new(kv, mne_key_slice(&prefix), mne_key_slice(&prefix));
	while (keys->len < STEP_KEYS && (got = mne_iter_next(iter, &key, &value)) > 0)
		g_ptr_array_add(keys, mne_slice_to_bytes(key));
	return MIN(got, 0);
}

static int reclaim(MneStore *store)
{
	g_autoptr(MneCkpt) mark = mne_ckpts_next_dropping(store->bookmarks);
	g_autoptr(GPtrArray) keys =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_auto(MneCommit) commit = { 0 };
	MneKey key;

	if (!mark || store->failed)
		return 0;
	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	/* Not while another one marks the same moment. */
	if (mne_ckpts_newest_before(store->bookmarks, MNE_ROOT_TABLE, mark->seq + 1) !=
	    mark->seq)
		MNE_TRY(collect_since(store, mark->seq, keys));
	for (guint i = 0; i < keys->len; i++)
		MNE_TRY(move_since(&commit, mne_slice_of(keys->pdata[i])));
	if (keys->len == 0) {
		mne_key_bookmark(&key, mark->id);
		mne_commit_unset(&commit, &key);
	}
	MNE_TRY(mne_commit_apply(&commit));
	if (keys->len == 0)
		mne_ckpts_remove(store->bookmarks, mark);
	return 1;
}

int mne_bookmark_step(MneStore *store)
{
	int64_t begun = g_get_monotonic_time();
	int got = reclaim(store);

	if (got > 0)
		mne_pace_rest(store, begun);
	return got;
}
