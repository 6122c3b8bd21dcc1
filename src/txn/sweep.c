/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/sweep.c - emptying segments that are mostly dead
 *
 * The frames of a victim are walked; of each, the extents (live and retained) that name it
 * are looked up under its owner, their bytes appended anew, and the keys changed to say so:
 * the same extent at another place, so nothing is retained and no seq changes.  When no
 * live byte is left and the moves are durable, the file is unlinked.
 *
 * Frames that were appended but are named by no commit yet count as dead: a segment that
 * any open file refers to is let alone.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/filestate.h"
#include "txn/pace.h"
#include "txn/txstate.h"
#include "view/iter.h"

#define LIVE_PERCENT 50 /* below this share of live bytes a segment is worth it … */
#define LIVE_PERCENT_NEAR \
	75 /* … below this one when less is left than is kept back … */
#define LIVE_PERCENT_SHORT 90 /* … and below this one when the disk is full */
#define SEAL_LEAST \
	(UINT64_C(1) << 20) /* what is still appended to must have this size */

static void add_segments_of(MneFile *file, GHashTable *segments)
{
	MNE_WITH_LOCK(&file->lock);
	size_t n = file->pending ? mne_extents_count(file->pending) : 0;

	for (size_t i = 0; i < n; i++) {
		uint64_t segment = mne_extents_get(file->pending, i)->ref.segment;

		if (!g_hash_table_contains(segments, &segment))
			g_hash_table_add(segments,
					 g_memdup2(&segment, sizeof(segment)));
	}
}

static void add_open_files(MneStore *store, GHashTable *segments)
{
	g_autoptr(GPtrArray) all = mne_files_all(store->files);

	for (guint i = 0; i < all->len; i++)
		add_segments_of(all->pdata[i], segments);
}

/* Ids of the segments that uncommitted extents lie in, of open files or of transactions. */
static GHashTable *referred_segments(MneStore *store)
{
	GHashTable *segments = g_hash_table_new_full(g_int64_hash, g_int64_equal,
						     g_free, NULL);
	g_autoptr(GPtrArray) txs = mne_txs_all(store);

	for (guint i = 0; i < txs->len; i++)
		mne_tx_add_segments(txs->pdata[i], segments);
	for (guint i = 0; i < txs->len; i++)
		add_open_files(mne_tx_store(txs->pdata[i]), segments);
	add_open_files(store, segments);
	return segments;
}

static bool is_referred_to(MneStore *store, uint64_t segment)
{
	g_autoptr(GHashTable) segments = referred_segments(store);

	return g_hash_table_contains(segments, &segment);
}

static double live_share(const MneBlobSegmentInfo *info)
{
	return info->size == 0 ? 0 : (double)MAX(info->live, 0) / (double)info->size;
}

static unsigned percent_now(MneStore *store)
{
	uint64_t left = mne_space_left(&store->space);

	if (left == 0)
		return LIVE_PERCENT_SHORT;
	return left < store->space.reserve ? LIVE_PERCENT_NEAR : LIVE_PERCENT;
}

/* The segment with the smallest share of live bytes, if it is worth sweeping; 0: none.
 * One that is still appended to is sealed by being chosen. */
static uint64_t choose_victim(MneStore *store)
{
	g_autoptr(GArray) infos = mne_blob_segments(store->volume->blob);
	g_autoptr(GHashTable) referred = referred_segments(store);
	const MneBlobSegmentInfo *victim = NULL;
	double least = percent_now(store) / 100.0;

	for (guint i = 0; i < infos->len; i++) {
		const MneBlobSegmentInfo *info = &g_array_index(infos,
								MneBlobSegmentInfo, i);

		if (live_share(info) >= least || info->id == store->sweep_stuck ||
		    mne_txs_is_grave(store, info->id) ||
		    (info->open && info->size < SEAL_LEAST) ||
		    g_hash_table_contains(referred, &info->id))
			continue;
		least = live_share(info);
		victim = info;
	}
	if (victim && victim->open)
		mne_blob_seal(store->volume->blob);
	return victim ? victim->id : 0;
}

/* Keys below prefix whose extents lie in the frame: owned copies of key and value. */
static int find_users(MneStore *store, const MneKey *prefix, const MneBlobFrame *frame,
		      GPtrArray *keys, GPtrArray *values)
{
	g_autoptr(MneIter) iter = NULL;
	MneKvIter *kv = NULL;
	MneKey range = *prefix;
	MneSlice key, value;
	int got;

	range.len = (uint16_t)(range.len - 8);
	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	iter = mne_iter_kv_new(kv, mne_key_slice(&range), mne_key_slice(prefix));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneKeyParts parts;
		MneSlice payload;
		MneExtent extent;
		MneKind kind;
		uint64_t seq;

		MNE_TRY(mne_key_parse(key, &parts));
		if (parts.tag == MNE_TAG_RETAINED)
			MNE_TRY(mne_key_parse(parts.inner, &parts));
		if (parts.offset >= frame->owner.offset + frame->ref.len)
			return 0;
		MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
		MNE_TRY(mne_extent_decode(payload, parts.offset, &extent));
		if (extent.ref.segment != frame->ref.segment ||
		    extent.ref.at != frame->ref.at)
			continue;
		g_ptr_array_add(keys, mne_slice_to_bytes(key));
		g_ptr_array_add(values, mne_slice_to_bytes(value));
	}
	return got;
}

/* Append the frame's payload anew: what its extents will name. */
static int copy_frame(MneStore *store, const MneBlobFrame *frame, MneBlobRef *out_ref)
{
	g_autofree uint8_t *payload = g_malloc(frame->ref.len);

	MNE_TRY(mne_blob_read(store->volume->blob, &frame->ref, 0, payload,
			      frame->ref.len));
	return mne_blob_append(store->volume->blob, &frame->owner,
			       mne_slice(payload, frame->ref.len), out_ref);
}

static int move_extent(MneCommit *commit, MneSlice key, MneSlice value,
		       const MneBlobRef *ref)
{
	g_autoptr(GByteArray) moved = g_byte_array_new();
	g_autoptr(GBytes) now = NULL;
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	MneKey at;
	uint64_t seq;
	int err = mne_kv_get(commit->store->volume->kv, key, &now);

	if (err == -ENOENT || (err == 0 && !mne_slice_equal(mne_slice_of(now), value)))
		return 0; /* changed meanwhile: it no longer names the frame */
	MNE_TRY(err);
	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	MNE_TRY(mne_extent_decode(payload, 0, &extent));
	mne_commit_live(commit, extent.ref.segment, -(int64_t)extent.len);
	mne_commit_live(commit, ref->segment, (int64_t)extent.len);
	extent.ref = *ref;

	mne_value_begin(moved, MNE_KIND_EXTENT, seq);
	mne_extent_encode(&extent, moved);
	mne_value_end(moved);
	memcpy(at.bytes, key.data, key.len);
	at.len = (uint16_t)key.len;
	mne_commit_set(commit, &at, mne_slice(moved->data, moved->len));
	return 0;
}

/* How many keys named the frame. */
static int move_frame(MneStore *store, const MneBlobFrame *frame)
{
	g_autoptr(GPtrArray) keys =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GPtrArray) values =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_auto(MneCommit) commit = { 0 };
	MneKey live, retained;
	MneBlobRef ref;

	mne_key_extent(&live, frame->owner.table, frame->owner.data,
		       frame->owner.offset);
	mne_key_retained(&retained, mne_key_slice(&live), 0);
	retained.len = (uint16_t)(retained.len - 8);
	MNE_TRY(find_users(store, &live, frame, keys, values));
	MNE_TRY(find_users(store, &retained, frame, keys, values));
	if (keys->len == 0)
		return 0;

	MNE_TRY(copy_frame(store, frame, &ref));
	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	for (guint i = 0; i < keys->len; i++)
		MNE_TRY(move_extent(&commit, mne_slice_of(keys->pdata[i]),
				    mne_slice_of(values->pdata[i]), &ref));
	MNE_TRY(mne_commit_apply(&commit));
	return (int)keys->len;
}

static bool is_empty(MneStore *store, uint64_t segment)
{
	return mne_blob_add_live(store->volume->blob, segment, 0) == 0;
}

/* How many keys named a frame of the segment.  A dead frame is not looked up in vain if
 * all are: that would pass over all the keys that were just deleted. */
static int move_frames(MneStore *store, uint64_t segment)
{
	MneBlobFrame frame;
	uint64_t at = 0;
	int got = 0, moved = 0;

	while (!is_empty(store, segment) &&
	       (got = mne_blob_walk(store->volume->blob, segment, &at, &frame)) > 0) {
		int64_t begun = g_get_monotonic_time();
		int n = move_frame(store, &frame);

		MNE_TRY(n);
		moved += n;
		if (n > 0)
			mne_pace_rest(store, begun);
	}
	return got < 0 ? got : moved;
}

/* Unlink it if nothing names it any more; inside the gate nothing new can. */
static int remove_if_empty(MneStore *store, uint64_t segment)
{
	g_auto(MneCommit) commit = { 0 };
	MneKey key;

	MNE_TRY(mne_commit_begin(store, &commit));
	commit.moves_only = true;
	if (!is_empty(store, segment) || is_referred_to(store, segment) ||
	    !mne_txs_may_remove(store, segment))
		return 0;
	mne_key_segment(&key, segment);
	mne_commit_unset(&commit, &key);
	MNE_TRY(mne_commit_apply(&commit));
	MNE_TRY(mne_blob_remove(store->volume->blob, segment));
	mne_txs_removed(store, segment);
	return 1;
}

/* The moves must be durable before the old bytes go, although they took no seq. */
static int sync_moves(MneStore *store)
{
	MNE_TRY(mne_volume_settle(store->volume));
	return mne_kv_barrier(store->volume->kv);
}

/* Live bytes go to other segments: 1 when that was begun, or there was nothing to do. */
static int empty_it(MneStore *store, uint64_t segment)
{
	int moved;

	if (is_empty(store, segment))
		return 1;
	moved = move_frames(store, segment);
	MNE_TRY(moved);
	/* An extent that was retained between the look and the move needs another round. */
	if (moved == 0 && !is_empty(store, segment))
		store->sweep_stuck = segment;
	return moved > 0;
}

int mne_sweep_step(MneStore *store)
{
	uint64_t segment;
	int got;

	if (store->failed)
		return 0;
	segment = choose_victim(store);
	if (segment == 0)
		return 0;
	got = empty_it(store, segment);
	if (got <= 0 || !is_empty(store, segment))
		return got;
	/* Empty before the sync: what emptied it is durable after. */
	MNE_TRY(sync_moves(store));
	got = remove_if_empty(store, segment);
	return got == -EBUSY ? 0 : got; /* still being written: next time */
}
