/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/overlay.c - the view of a transaction: staged over base
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/overlay.h"

#include "view/iter.h"

static int overlay_get(MneView *base, MneSlice key, GBytes **out_value)
{
	MneOverlay *overlay = (MneOverlay *)base;
	g_autoptr(GBytes) value = NULL;
	int err = mne_kv_get(overlay->staged, key, &value);

	if (err == 0 && g_bytes_get_size(value) == 0)
		return -ENOENT;
	if (err == 0) {
		*out_value = g_steal_pointer(&value);
		return 0;
	}
	if (err != -ENOENT)
		return err;
	if (overlay->watch)
		MNE_TRY(overlay->watch->key(overlay, key));
	return mne_view_get(overlay->below, key, out_value);
}

/* One of the two iterators that are merged, and where it stands. */
typedef struct {
	MneIter *iter; /* owned */
	MneSlice key, value;
	bool stale, ended;
} Side;

typedef struct {
	MneIter base;
	MneOverlay *overlay;
	Side staged, below;
	MneKey prefix, from;
	MneKey last; /* handed out */
	unsigned moment; /* in which it began */
	bool ended;
} OverlayIter;

static int settle(Side *side)
{
	int got;

	if (!side->stale || side->ended)
		return 0;
	got = mne_iter_next(side->iter, &side->key, &side->value);
	MNE_TRY(got);
	side->stale = false;
	side->ended = got == 0;
	return 0;
}

/* Of what both stand at, the first; at the same key the staged one. */
static Side *first_of(OverlayIter *iter)
{
	int order;

	if (iter->staged.ended)
		return iter->below.ended ? NULL : &iter->below;
	if (iter->below.ended)
		return &iter->staged;
	order = mne_slice_compare(iter->staged.key, iter->below.key);
	iter->below.stale = order == 0;
	return order <= 0 ? &iter->staged : &iter->below;
}

static void key_set(MneKey *key, MneSlice bytes)
{
	g_assert(bytes.len <= MNE_KEY_MAX);
	if (bytes.len > 0)
		memcpy(key->bytes, bytes.data, bytes.len);
	key->len = (uint16_t)bytes.len;
}

static int overlay_next(MneIter *base, MneSlice *out_key, MneSlice *out_value)
{
	OverlayIter *iter = (OverlayIter *)base;

	for (;;) {
		MNE_TRY(settle(&iter->staged));
		MNE_TRY(settle(&iter->below));

		Side *side = first_of(iter);

		if (!side) {
			iter->ended = true;
			return 0;
		}
		side->stale = true;
		key_set(&iter->last, side->key);
		if (side->value.len == 0)
			continue;
		*out_key = side->key;
		*out_value = side->value;
		return 1;
	}
}

static void overlay_iter_free(MneIter *base)
{
	OverlayIter *iter = (OverlayIter *)base;
	MneOverlay *overlay = iter->overlay;

	if (overlay->watch && iter->moment != overlay->moment)
		overlay->watch->late(overlay, mne_key_slice(&iter->prefix));
	else if (overlay->watch && (iter->ended || iter->last.len > 0))
		overlay->watch->range(overlay, mne_key_slice(&iter->prefix),
				      mne_key_slice(&iter->from),
				      mne_key_slice(&iter->last), iter->ended);
	mne_iter_free(iter->staged.iter);
	mne_iter_free(iter->below.iter);
	g_free(iter);
}

static const MneIterOps overlay_iter_ops = { overlay_next, overlay_iter_free };

static int overlay_iter(MneView *base, MneSlice prefix, MneSlice from,
			MneIter **out_iter)
{
	MneOverlay *overlay = (MneOverlay *)base;
	g_autoptr(MneIter) below = NULL;
	MneKvIter *staged = NULL;
	OverlayIter *iter;

	MNE_TRY(mne_view_iter(overlay->below, prefix, from, &below));
	MNE_TRY(mne_kv_iter(overlay->staged, &staged));
	iter = g_new0(OverlayIter, 1);
	iter->base.ops = &overlay_iter_ops;
	iter->overlay = overlay;
	iter->moment = overlay->moment;
	iter->staged = (Side){ .iter = mne_iter_kv_new(staged, prefix, from),
			       .stale = true };
	iter->below = (Side){ .iter = g_steal_pointer(&below), .stale = true };
	key_set(&iter->prefix, prefix);
	key_set(&iter->from, from);
	*out_iter = &iter->base;
	return 0;
}

static const MneViewOps overlay_ops = { "transaction", overlay_get, overlay_iter };

void mne_overlay_init(MneOverlay *overlay, MneKv *staged, MneView *below,
		      const MneOverlayWatch *watch)
{
	*overlay = (MneOverlay){ .base = { .ops = &overlay_ops, .blob = below->blob },
				 .staged = staged,
				 .below = below,
				 .watch = watch };
}
