/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/past.c - the view of a checkpoint: retained over live
 *
 * A key at the checkpoint of seq C: if the live value has a seq <= C, that is it.  Else
 * the first RETAINED(key, S) with S >= C, if its value's seq is <= C.  Else the key did
 * not exist at C.
 *
 * Order of reading: live first, then retained.  A change puts the image and the new
 * value in one batch; so whoever saw the new value finds the image afterwards, without
 * holding a lock or a snapshot.  The same holds for the two iterators of a listing.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/ckpt.h"
#include "ckpt/set.h"
#include "frag/live.h"
#include "record/keys.h"
#include "record/node.h"
#include "table/schema.h"
#include "view/iter.h"

static int require_active(const MneCkpt *ckpt)
{
	if (!mne_ckpt_is_active(ckpt))
		return mne_throw(CKPT_GONE,
				 "the checkpoint of seq %" G_GUINT64_FORMAT
				 " was dropped; this directory is no longer valid",
				 ckpt->seq);
	return 0;
}

/* Where key's image for readers of seq stands: 1 and the seq it is retained under. */
static int retained_get(MneCkpts *set, MneSlice key, uint64_t seq, GBytes **out_value,
			uint64_t *out_under)
{
	g_autoptr(MneKvIter) iter = NULL;
	MneSlice found;
	MneKey from;

	mne_key_retained(&from, key, seq);
	from.bytes[0] = (uint8_t)mne_ckpts_tags(set)->retained;
	MNE_TRY(mne_kv_iter(mne_ckpts_kv(set), &iter));
	mne_kv_iter_seek(iter, mne_key_slice(&from));
	if (!mne_kv_iter_valid(iter))
		return mne_kv_iter_status(iter);

	found = mne_kv_iter_key(iter);
	if (found.len != from.len ||
	    memcmp(found.data, from.bytes, (size_t)from.len - 8) != 0)
		return 0;

	MneKeyParts parts;

	MNE_TRY(mne_key_parse(found, &parts));
	*out_under = parts.seq;
	*out_value = mne_slice_to_bytes(mne_kv_iter_value(iter));
	return 1;
}

/* A table that the checkpoint does not cover is not there. */
static bool is_covered(const MneCkpt *ckpt, MneSlice key, MneSlice value)
{
	MneTable table;

	if (key.data[0] != MNE_TAG_TABLE)
		return mne_ckpt_covers(ckpt, mne_key_table_of(key));
	return mne_table_decode(value, &table) < 0 || mne_ckpt_covers(ckpt, table.id);
}

/* out_under: UINT64_MAX when it is the live value. */
static int past_find(MneCkpt *ckpt, MneSlice key, GBytes **out_value,
		     uint64_t *out_under)
{
	g_autoptr(GBytes) value = NULL;
	uint64_t under = UINT64_MAX;
	int err;

	MNE_TRY(require_active(ckpt));
	err = mne_view_get(mne_ckpts_live(ckpt->set), key, &value);
	if (err < 0 && err != -ENOENT)
		return err;

	if (err == -ENOENT || mne_value_seq(mne_slice_of(value)) > ckpt->seq) {
		g_clear_pointer(&value, g_bytes_unref);
		MNE_TRY(retained_get(ckpt->set, key, ckpt->seq, &value, &under));
	}
	if (!value || mne_value_seq(mne_slice_of(value)) > ckpt->seq ||
	    !is_covered(ckpt, key, mne_slice_of(value))) {
		/* Dropped while we looked?  Then its images may be gone, too. */
		MNE_TRY(require_active(ckpt));
		return -ENOENT;
	}
	MNE_TRY(require_active(ckpt));
	*out_value = g_steal_pointer(&value);
	*out_under = under;
	return 0;
}

static int past_get(MneView *view, MneSlice key, GBytes **out_value)
{
	uint64_t under;

	return past_find((MneCkpt *)view, key, out_value, &under);
}

typedef struct {
	MneIter base;
	MneCkpt *ckpt; /* reference */
	MneIter *live, *retained; /* owned; keys of retained carry tag and seq around */
	MneSlice live_key, live_value;
	bool live_ended, live_stale;
	MneSlice kept_key,
		kept_value; /* the next RETAINED entry not used up; key inside */
	uint64_t kept_seq;
	bool kept_ended, kept_stale;
	MneKey from; /* entries before it are not asked for */
	MneFragMap *map; /* reference: only names of that fragment; or NULL */
	uint32_t only;
	MneKey key; /* of the group in hand */
	GByteArray *image; /* its value */
} PastIter;

static int settle_live(PastIter *iter)
{
	if (!iter->live_stale || iter->live_ended)
		return 0;

	int got = mne_iter_next(iter->live, &iter->live_key, &iter->live_value);

	MNE_TRY(got);
	iter->live_ended = got == 0;
	iter->live_stale = false;
	return 0;
}

static int next_kept(PastIter *iter)
{
	MneKeyParts parts;
	MneSlice key;
	int got = mne_iter_next(iter->retained, &key, &iter->kept_value);

	MNE_TRY(got);
	iter->kept_ended = got == 0;
	if (got == 0)
		return 0;
	MNE_TRY(mne_key_parse(key, &parts));
	iter->kept_key = parts.inner;
	iter->kept_seq = parts.seq;
	return 0;
}

static int is_passed_over(const PastIter *iter)
{
	uint32_t frag, new;

	if (mne_slice_compare(iter->kept_key, mne_key_slice(&iter->from)) < 0)
		return true;
	if (!iter->map)
		return false;
	MNE_TRY(mne_frag_map_place(iter->map,
				   mne_slice(iter->kept_key.data + MNE_KEY_NODE_PREFIX,
					     iter->kept_key.len - MNE_KEY_NODE_PREFIX),
				   &frag, &new));
	return frag != iter->only;
}

/* The seq behind a key begins with NULs: images of the key just before `from` can stand
 * after it, and are passed over. */
static int settle_kept(PastIter *iter)
{
	while (iter->kept_stale && !iter->kept_ended) {
		int passed;

		MNE_TRY(next_kept(iter));
		if (iter->kept_ended)
			return 0;
		passed = is_passed_over(iter);
		MNE_TRY(passed);
		iter->kept_stale = passed != 0;
	}
	return 0;
}

static void hold_key(PastIter *iter, MneSlice key)
{
	memcpy(iter->key.bytes, key.data, key.len);
	iter->key.len = (uint16_t)key.len;
}

/* Use up all RETAINED entries of one key; image: the first with a seq >= ours. */
static int take_group(PastIter *iter, bool *out_has_image)
{
	bool has_image = false;

	hold_key(iter, iter->kept_key);
	g_byte_array_set_size(iter->image, 0);
	while (!iter->kept_ended &&
	       mne_slice_equal(iter->kept_key, mne_key_slice(&iter->key))) {
		if (!has_image && iter->kept_seq >= iter->ckpt->seq) {
			has_image = true;
			g_byte_array_append(iter->image, iter->kept_value.data,
					    (guint)iter->kept_value.len);
		}
		iter->kept_stale = true;
		MNE_TRY(settle_kept(iter));
	}
	*out_has_image = has_image;
	return 0;
}

/* <0: live comes first, 0: both stand at the same key, >0: retained first. */
static int past_compare(const PastIter *iter)
{
	if (iter->live_ended || iter->kept_ended)
		return iter->live_ended - iter->kept_ended;
	return mne_slice_compare(iter->live_key, iter->kept_key);
}

static bool is_visible(const PastIter *iter, MneSlice key, MneSlice value)
{
	return mne_value_seq(value) <= iter->ckpt->seq &&
	       is_covered(iter->ckpt, key, value);
}

/* One step of the merge: 1 and an entry, or 0: nothing to show at this key. */
static int past_step(PastIter *iter, MneSlice *out_key, MneSlice *out_value)
{
	int order = past_compare(iter);
	bool has_image = false;

	iter->live_stale = order <= 0;
	*out_key = iter->live_key;
	*out_value = iter->live_value;
	if (order >= 0) {
		MNE_TRY(take_group(iter, &has_image));
		if (has_image) {
			*out_key = mne_key_slice(&iter->key);
			*out_value = mne_slice(iter->image->data, iter->image->len);
		}
	}
	return (order <= 0 || has_image) && is_visible(iter, *out_key, *out_value);
}

static int past_next(MneIter *base, MneSlice *out_key, MneSlice *out_value)
{
	PastIter *iter = (PastIter *)base;

	for (;;) {
		MNE_TRY(require_active(iter->ckpt));
		MNE_TRY(settle_live(iter));
		MNE_TRY(settle_kept(iter));
		if (iter->live_ended && iter->kept_ended)
			return require_active(iter->ckpt);

		int got = past_step(iter, out_key, out_value);

		if (got != 0)
			return got;
	}
}

static void past_free(MneIter *base)
{
	PastIter *iter = (PastIter *)base;

	mne_iter_free(iter->live);
	mne_iter_free(iter->retained);
	g_byte_array_unref(iter->image);
	mne_frag_map_unref(iter->map);
	mne_ckpt_unref(iter->ckpt);
	g_free(iter);
}

static const MneIterOps past_iter_ops = { past_next, past_free };

static void retained_prefix(MneCkpts *set, MneKey *out, MneSlice prefix)
{
	mne_key_retained(out, prefix, 0);
	out->bytes[0] = (uint8_t)mne_ckpts_tags(set)->retained;
	out->len = (uint16_t)(out->len - 8);
}

int mne_ckpt_frag_map(MneCkpt *ckpt, uint32_t table, uint64_t dir, MneFragMap **out_map)
{
	MneLiveView *live = (MneLiveView *)mne_ckpts_live(ckpt->set);
	g_autoptr(GBytes) value = NULL;
	MneKey key;
	int err;

	mne_key_frags(&key, table);
	err = past_get(&ckpt->view, mne_key_slice(&key), &value);
	if (err == -ENOENT) {
		*out_map = mne_frag_map_new(table, dir);
		return 0;
	}
	MNE_TRY(err);
	return mne_frag_map_decode(mne_slice_of(value), table, mne_frags_hash,
				   live->frags, out_map);
}

/* The live part: everything, or one fragment as the checkpoint knows it. */
static int live_iter(MneCkpt *ckpt, MneSlice prefix, MneSlice from, PastIter *iter)
{
	MneLiveView *live = (MneLiveView *)mne_ckpts_live(ckpt->set);
	MneKeyParts parts;

	if (prefix.data[0] != MNE_TAG_NODE || prefix.len < MNE_KEY_NODE_PREFIX ||
	    mne_key_fragment(prefix) == 0)
		return mne_view_iter(&live->base, prefix, from, &iter->live);
	MNE_TRY(mne_key_parse(prefix, &parts));
	MNE_TRY(mne_ckpt_frag_map(ckpt, parts.table, parts.id, &iter->map));
	iter->only = parts.fragment;
	return mne_live_iter_of(live, iter->map, iter->only,
				mne_slice(from.data + MNE_KEY_NODE_PREFIX,
					  from.len - MNE_KEY_NODE_PREFIX),
				&iter->live);
}

static void key_of(MneKey *key, MneSlice bytes)
{
	if (bytes.len > 0)
		memcpy(key->bytes, bytes.data, bytes.len);
	key->len = (uint16_t)bytes.len;
}

static int past_iter(MneView *view, MneSlice prefix, MneSlice from, MneIter **out_iter)
{
	PastIter *iter = g_new0(PastIter, 1);
	g_autoptr(MneIter) owner = &iter->base;
	MneCkpt *ckpt = (MneCkpt *)view;
	MneKey kept_prefix, kept_from, all;
	MneKvIter *kv = NULL;

	iter->base.ops = &past_iter_ops;
	iter->ckpt = mne_ckpt_ref(ckpt);
	iter->image = g_byte_array_new();
	iter->live_stale = iter->kept_stale = true;
	MNE_TRY(require_active(ckpt));
	MNE_TRY(live_iter(ckpt, prefix, from, iter));
	MNE_TRY(mne_kv_iter(mne_ckpts_kv(ckpt->set), &kv));
	key_of(&iter->from, from);
	key_of(&all, prefix);
	if (iter->map) {
		mne_key_set_fragment(&iter->from, 0);
		mne_key_set_fragment(&all, 0);
	}
	retained_prefix(ckpt->set, &kept_prefix, mne_key_slice(&all));
	retained_prefix(ckpt->set, &kept_from, mne_key_slice(&iter->from));
	iter->retained = mne_iter_kv_new(kv, mne_key_slice(&kept_prefix),
					 mne_key_slice(&kept_from));
	*out_iter = g_steal_pointer(&owner);
	return 0;
}

static const MneViewOps past_ops = { "past", past_get, past_iter };

void mne_past_view_init(MneCkpt *ckpt, MneView *live)
{
	ckpt->view.ops = &past_ops;
	ckpt->view.blob = live->blob;
}

int mne_ckpt_sharers(MneCkpt *ckpt, uint32_t table, MneSlice key, uint64_t node_seq,
		     unsigned *out_count)
{
	g_autoptr(GBytes) value = NULL;
	uint64_t under = UINT64_MAX;

	if (mne_ckpts_count(ckpt->set) == 1) {
		*out_count = 1;
		return 0;
	}
	MNE_TRY(past_find(ckpt, key, &value, &under));
	*out_count = MAX(mne_ckpts_between(ckpt->set, table, node_seq, under), 1);
	return 0;
}

int mne_ckpt_sharers_of(MneCkpt *ckpt, const MnePlace *place, const MneNode *node,
			unsigned *out_count)
{
	MneKey key;

	if (node->flags & MNE_NODE_LINKED)
		mne_key_inode(&key, place->table, node->rec);
	else
		mne_key_node(&key, place->table, place->dir, place->name);
	return mne_ckpt_sharers(ckpt, place->table, mne_key_slice(&key), node->seq,
				out_count);
}
