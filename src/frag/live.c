/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/live.c - the live view: where a logical key stands in the store
 *
 * Reading takes no lock of the writer's.  While a record moves it stands in its old
 * fragment or in its new one, and goes from the one to the other in one batch: looking in
 * the old one first, then in the new one, finds it.  Which two these are is known from the
 * map; one that was replaced meanwhile (frag/set.h) is asked anew when nothing was found.
 *
 * The writer puts a record that will move into its new fragment at once.
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/live.h"

#include "frag/merge.h"
#include "util/coding.h"
#include "view/iter.h"

/* The map by which a NODE key, or the beginning of one, is spread; NULL: it is not. */
static MneFragMap *map_of(MneLiveView *view, MneSlice key)
{
	if (key.len < MNE_KEY_NODE_PREFIX || key.data[0] != MNE_TAG_NODE)
		return NULL;
	return mne_frags_of_dir(view->frags, mne_get_be32(key.data + 1),
				mne_get_be64(key.data + 5));
}

static MneSlice name_in(MneSlice key)
{
	return mne_slice(key.data + MNE_KEY_NODE_PREFIX, key.len - MNE_KEY_NODE_PREFIX);
}

static void key_in(MneKey *out, MneSlice key, uint32_t frag)
{
	g_assert(key.len <= MNE_KEY_MAX);
	memcpy(out->bytes, key.data, key.len);
	out->len = (uint16_t)key.len;
	mne_key_set_fragment(out, frag - 1);
}

/* A map that did not decode says nothing, not even which directory it was of. */
static int require_whole(const MneFragMap *map)
{
	if (map->dir != 0)
		return 0;
	return mne_throw(VALUE_CORRUPT, "how table %u is spread is not known any more",
			 map->table);
}

static int get_spread(MneLiveView *view, const MneFragMap *map, MneSlice key,
		      GBytes **out_value)
{
	uint32_t old, new;
	MneKey at;
	int err;

	MNE_TRY(require_whole(map));
	MNE_TRY(mne_frag_map_place(map, name_in(key), &old, &new));
	key_in(&at, key, old);
	err = mne_kv_get(view->kv, mne_key_slice(&at), out_value);
	if (err != -ENOENT || new == old)
		return err;
	key_in(&at, key, new);
	return mne_kv_get(view->kv, mne_key_slice(&at), out_value);
}

static int get_once(MneLiveView *view, MneSlice key, GBytes **out_value)
{
	g_autoptr(MneFragMap) map = map_of(view, key);

	if (!map || key.len == MNE_KEY_NODE_PREFIX)
		return mne_kv_get(view->kv, key, out_value);
	return get_spread(view, map, key, out_value);
}

static int live_get(MneView *base, MneSlice key, GBytes **out_value)
{
	MneLiveView *view = (MneLiveView *)base;
	uint64_t version;
	int err;

	do {
		version = mne_frags_version(view->frags);
		err = get_once(view, key, out_value);
	} while (err == -ENOENT && version != mne_frags_version(view->frags));
	return err;
}

static GArray *all_fragments(const MneFragMap *map)
{
	GArray *all = g_array_new(FALSE, FALSE, sizeof(uint32_t));

	for (uint32_t i = 1; i <= mne_frag_map_parts(map); i++)
		g_array_append_val(all, i);
	return all;
}

/* only: 0, or that fragment of the map `by`. */
static int iter_spread(MneLiveView *view, MneFragMap *now, MneFragMap *by,
		       uint32_t only, MneSlice from, MneIter **out_iter)
{
	g_autoptr(GArray) fragments = only ? mne_frag_map_sources(now, by, only)
					   : all_fragments(now);
	MneMergeSpec spec = { .table = now->table,
			      .dir = now->dir,
			      .fragments = fragments,
			      .from = from,
			      .only = only };
	MneKvIter *kv = NULL;

	MNE_TRY(mne_kv_iter(view->kv, &kv));
	/* What stands in the one fragment of a map that stays needs no second look. */
	if (only && !(now->seq == by->seq && now->move == MNE_FRAG_STAYS))
		spec.map = by;
	*out_iter = mne_merge_new(kv, &spec);
	return 0;
}

static int iter_plain(MneLiveView *view, MneSlice prefix, MneSlice from,
		      MneIter **out_iter)
{
	MneKvIter *kv = NULL;

	MNE_TRY(mne_kv_iter(view->kv, &kv));
	*out_iter = mne_iter_kv_new(kv, prefix, from);
	return 0;
}

static MneSlice first_name(MneSlice prefix, MneSlice from)
{
	return mne_slice_compare(from, prefix) <= 0 ? MNE_SLICE_EMPTY : name_in(from);
}

static int iter_once(MneLiveView *view, MneSlice prefix, MneSlice from,
		     MneIter **out_iter)
{
	g_autoptr(MneFragMap) map = map_of(view, prefix);
	uint32_t only = 0;

	if (prefix.len == MNE_KEY_NODE_PREFIX && prefix.data[0] == MNE_TAG_NODE)
		only = mne_key_fragment(prefix);
	if (only > 0 && !map)
		map = mne_frag_map_new(mne_get_be32(prefix.data + 1),
				       mne_get_be64(prefix.data + 5));
	if (!map || prefix.len != MNE_KEY_NODE_PREFIX)
		return iter_plain(view, prefix, from, out_iter);
	MNE_TRY(require_whole(map));
	return iter_spread(view, map, map, only, first_name(prefix, from), out_iter);
}

static int live_iter(MneView *base, MneSlice prefix, MneSlice from, MneIter **out_iter)
{
	MneLiveView *view = (MneLiveView *)base;

	for (;;) {
		uint64_t version = mne_frags_version(view->frags);

		MNE_TRY(iter_once(view, prefix, from, out_iter));
		if (version == mne_frags_version(view->frags))
			return 0;
		g_clear_pointer(out_iter, mne_iter_free);
	}
}

/* A table that has one fragment, or had. */
static int iter_of_once(MneLiveView *view, MneFragMap *map, uint32_t only,
			MneSlice from, MneIter **out_iter)
{
	g_autoptr(MneFragMap) now = mne_frags_of_dir(view->frags, map->table, map->dir);

	if (!now)
		now = mne_frag_map_new(map->table, map->dir);
	return iter_spread(view, now, map, only, from, out_iter);
}

int mne_live_iter_of(MneLiveView *view, MneFragMap *map, uint32_t only, MneSlice from,
		     MneIter **out_iter)
{
	for (;;) {
		uint64_t version = mne_frags_version(view->frags);

		MNE_TRY(iter_of_once(view, map, only, from, out_iter));
		if (version == mne_frags_version(view->frags))
			return 0;
		g_clear_pointer(out_iter, mne_iter_free);
	}
}

static const MneViewOps live_ops = { "live", live_get, live_iter };

void mne_live_view_init(MneLiveView *view, MneKv *kv, MneFrags *frags,
			MneBlobStore *blob)
{
	view->base.ops = &live_ops;
	view->base.blob = blob;
	view->kv = kv;
	view->frags = frags;
}

int mne_live_put(MneLiveView *view, MneKvBatch *batch, MneSlice key, MneSlice value)
{
	g_autoptr(MneFragMap) map = map_of(view, key);
	uint32_t old, new;
	MneKey at;

	if (!map || key.len == MNE_KEY_NODE_PREFIX) {
		mne_kv_batch_put(batch, key, value);
		return 0;
	}
	MNE_TRY(require_whole(map));
	MNE_TRY(mne_frag_map_place(map, name_in(key), &old, &new));
	if (old != new) {
		key_in(&at, key, old);
		mne_kv_batch_del(batch, mne_key_slice(&at));
	}
	key_in(&at, key, new);
	mne_kv_batch_put(batch, mne_key_slice(&at), value);
	return 0;
}

int mne_live_del(MneLiveView *view, MneKvBatch *batch, MneSlice key)
{
	g_autoptr(MneFragMap) map = map_of(view, key);
	uint32_t old, new;
	MneKey at;

	if (!map || key.len == MNE_KEY_NODE_PREFIX) {
		mne_kv_batch_del(batch, key);
		return 0;
	}
	MNE_TRY(mne_frag_map_place(map, name_in(key), &old, &new));
	key_in(&at, key, old);
	mne_kv_batch_del(batch, mne_key_slice(&at));
	if (old != new) {
		key_in(&at, key, new);
		mne_kv_batch_del(batch, mne_key_slice(&at));
	}
	return 0;
}
