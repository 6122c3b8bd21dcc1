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
#include "txn/pace.h"
#include "view/iter.h"

/* The next keys with prefix, from `from` on, as many as a step has: owned copies.  0: those
 * were the last, 1: there may be more. */
static int collect(MneStore *store, MneSlice prefix, MneSlice from, GPtrArray *keys,
		   GPtrArray *values)
{
	g_autoptr(MneIter) iter = NULL;
	MneKvIter *kv = NULL;
	MneSlice key, value;
	int got = 1;

	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	iter = mne_iter_kv_new(kv, prefix, from);
	while (keys->len < MNE_PACE_KEYS &&
	       (got = mne_iter_next(iter, &key, &value)) > 0) {
		g_ptr_array_add(keys, mne_slice_to_bytes(key));
		if (values)
			g_ptr_array_add(values, mne_slice_to_bytes(value));
	}
	return got;
}

static void key_set(MneKey *key, MneSlice bytes)
{
	if (bytes.len > 0)
		memcpy(key->bytes, bytes.data, bytes.len);
	key->len = (uint16_t)bytes.len;
}

static void bytes_free(void *bytes)
{
	g_clear_pointer((GBytes **)&bytes, g_bytes_unref);
}

static GPtrArray *bytes_array(void)
{
	return g_ptr_array_new_with_free_func(bytes_free);
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

static int move_image(MneCommit *commit, MneSlice key, MneSlice image, uint64_t from,
		      uint64_t to)
{
	MneKey at;

	mne_key_retained(&at, key, from);
	mne_commit_unset(commit, &at);
	mne_commit_count(commit, key, image, from, -1);
	if (to == 0 || mne_value_seq(image) > to)
		return free_image(commit, key, image);
	mne_key_retained(&at, key, to);
	mne_commit_set(commit, &at, image);
	mne_commit_count(commit, key, image, to, 1);
	return 0;
}

/* image: NULL, it has none. */
static int move_changed(MneCommit *commit, MneSlice changed, GBytes *image,
			uint64_t from)
{
	MneKeyParts parts;
	uint64_t to;
	MneKey at;

	MNE_TRY(mne_key_parse(changed, &parts));
	to = mne_ckpts_newest_before(commit->store->ckpts, parts.table, from);
	if (image)
		MNE_TRY(move_image(commit, parts.inner, mne_slice_of(image), from, to));
	mne_key_changed(&at, from, parts.inner);
	mne_commit_unset(commit, &at);
	if (to > 0) {
		mne_key_changed(&at, to, parts.inner);
		mne_commit_set(commit, &at, MNE_SLICE_EMPTY);
	}
	return 0;
}

/* The next CHANGED keys of the checkpoint.  Going on behind those of the last step spares
 * the engine to pass over all that were deleted; at the end, once more from the start. */
static int collect_changed(MneStore *store, const MneCkpt *ckpt, GPtrArray *keys)
{
	MneKey *from = &store->reclaim_from;
	MneKey prefix;

	mne_key_changed(&prefix, ckpt->seq, MNE_SLICE_EMPTY);
	if (mne_slice_has_prefix(mne_key_slice(from), mne_key_slice(&prefix)))
		MNE_TRY(collect(store, mne_key_slice(&prefix), mne_key_slice(from),
				keys, NULL));
	if (keys->len == 0)
		MNE_TRY(collect(store, mne_key_slice(&prefix), mne_key_slice(&prefix),
				keys, NULL));
	key_set(from, keys->len == 0 ? MNE_SLICE_EMPTY
				     : mne_slice_of(keys->pdata[keys->len - 1]));
	return 0;
}

/* Of each CHANGED key the image, or NULL.  Looked up by an iterator: LevelDB counts gets
 * that look into several tables, and so many would have it merge them over and over. */
static int read_images(MneStore *store, const MneCkpt *ckpt, const GPtrArray *keys,
		       GPtrArray *images)
{
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	for (guint i = 0; i < keys->len; i++) {
		MneKeyParts parts;
		MneKey at;
		bool found;

		MNE_TRY(mne_key_parse(mne_slice_of(keys->pdata[i]), &parts));
		mne_key_retained(&at, parts.inner, ckpt->seq);
		mne_kv_iter_seek(iter, mne_key_slice(&at));
		MNE_TRY(mne_kv_iter_status(iter));
		found = mne_kv_iter_valid(iter) &&
			mne_slice_equal(mne_kv_iter_key(iter), mne_key_slice(&at));
		g_ptr_array_add(images,
				found ? mne_slice_to_bytes(mne_kv_iter_value(iter))
				      : NULL);
	}
	return 0;
}

/* Nothing is added to what a checkpoint that is dropped keeps, and only background work
 * changes it: what was read before the gate is taken is still what there is. */
static int reclaim(MneStore *store, MneCkpt *ckpt, const GPtrArray *keys,
		   const GPtrArray *images)
{
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	for (guint i = 0; i < keys->len; i++)
		MNE_TRY(move_changed(&commit, mne_slice_of(keys->pdata[i]),
				     images->pdata[i], ckpt->seq));

	if (keys->len == 0) {
		MneKey key;

		mne_key_ckpt(&key, ckpt->id);
		mne_commit_unset(&commit, &key);
		mne_commit_forget_ckpt(&commit, ckpt);
	}
	MNE_TRY(mne_commit_apply(&commit));
	if (keys->len == 0)
		mne_ckpts_remove(store->ckpts, ckpt);
	return 0;
}

int mne_reclaim_step(MneStore *store)
{
	g_autoptr(MneCkpt) ckpt = mne_ckpts_next_dropping(store->ckpts);
	g_autoptr(GPtrArray) images = bytes_array();
	g_autoptr(GPtrArray) keys = bytes_array();
	int64_t begun = g_get_monotonic_time();

	if (!ckpt || store->failed)
		return 0;
	MNE_TRY(collect_changed(store, ckpt, keys));
	MNE_TRY(read_images(store, ckpt, keys, images));
	MNE_TRY(reclaim(store, ckpt, keys, images));
	mne_pace_rest(store, begun);
	return 1;
}

/* Give up some extents of the data id; none left: the ORPHAN key goes, too.  Nobody adds
 * to them, so they are looked for before the gate is taken. */
static int reap(MneStore *store, const MneKeyParts *orphan, uint64_t seq)
{
	g_autoptr(GPtrArray) values = bytes_array();
	g_autoptr(GPtrArray) keys = bytes_array();
	g_auto(MneCommit) commit = { 0 };
	MneKey prefix, key;
	uint64_t newest;
	int more;

	mne_key_extent(&prefix, orphan->table, orphan->id, 0);
	prefix.len = (uint16_t)(prefix.len - 8);
	more = collect(store, mne_key_slice(&prefix), mne_key_slice(&prefix), keys,
		       values);
	MNE_TRY(more);
	MNE_TRY(mne_commit_begin(store, &commit));
	/* Who unlinks an open file holds its data before giving up the gate. */
	if (mne_files_is_held(store->files, orphan->id))
		return 1;
	commit.moves_only = true;
	newest = mne_ckpts_newest_before(store->ckpts, orphan->table, seq);
	for (guint i = 0; i < keys->len; i++) {
		key_set(&key, mne_slice_of(keys->pdata[i]));
		MNE_TRY(mne_commit_del_extent(&commit, &key,
					      mne_slice_of(values->pdata[i]), newest));
	}
	if (!more) {
		mne_key_orphan(&key, orphan->table, orphan->id);
		mne_commit_unset(&commit, &key);
	}
	MNE_TRY(mne_commit_apply(&commit));
	if (!more)
		mne_limit_reaped(store, orphan->id);
	return 1;
}

/* Inside the gate, so that all that were counted are seen. */
static int orphan_iter(MneStore *store, MneKvIter **out_iter, uint64_t *out_counted)
{
	MNE_WITH_LOCK(&store->gate);
	*out_counted = store->orphans;
	return mne_kv_iter(store->volume->kv, out_iter);
}

/* 1: the first orphan from store->orphan_from on that no open file holds, which then stands
 * there; 0: none, and how many are held. */
static int find_orphan(MneStore *store, MneKeyParts *out, uint64_t *out_seq,
		       uint64_t *out_held, uint64_t *out_counted)
{
	const uint8_t tag = MNE_TAG_ORPHAN;
	MneKey *from = &store->orphan_from;
	g_autoptr(MneKvIter) iter = NULL;

	*out_held = 0;
	MNE_TRY(orphan_iter(store, &iter, out_counted));
	mne_kv_iter_seek(iter, from->len > 0 ? mne_key_slice(from)
					     : mne_slice(&tag, sizeof(tag)));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);

		if (key.data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(key, out));
		*out_seq = mne_value_seq(mne_kv_iter_value(iter));
		if (!mne_files_is_held(store->files, out->id)) {
			key_set(from, key);
			return 1;
		}
		++*out_held;
	}
	return mne_kv_iter_status(iter);
}

int mne_orphan_step(MneStore *store)
{
	uint64_t counted = 0, held = 0, seq = 0;
	bool goes_on = store->orphan_from.len > 0;
	int64_t begun = g_get_monotonic_time();
	MneKeyParts orphan;
	int got;

	if (store->orphans == 0 || store->failed)
		return 0;
	/* No iterator is open while reaping: an engine that heals would wait for it. */
	got = find_orphan(store, &orphan, &seq, &held, &counted);
	MNE_TRY(got);
	if (got > 0) {
		got = reap(store, &orphan, seq);
		mne_pace_rest(store, begun);
		return got;
	}
	/* Going on behind the last one spares the engine to pass over all that were
	 * deleted; at the end, once more from the start. */
	store->orphan_from.len = 0;
	if (goes_on)
		return 1;
	/* Unless more came meanwhile: the next round looks for them. */
	(void)atomic_compare_exchange_strong(&store->orphans, &counted, held);
	return 0;
}
