/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/live.c - the live view
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/live.h"

#include "view/iter.h"

static int live_get(MneView *base, MneSlice key, GBytes **out_value)
{
	MneLiveView *view = (MneLiveView *)base;

	return mne_kv_get(view->kv, key, out_value);
}

static int live_iter(MneView *base, MneSlice prefix, MneSlice from, MneIter **out_iter)
{
	MneLiveView *view = (MneLiveView *)base;
	MneKvIter *kv = NULL;

	MNE_TRY(mne_kv_iter(view->kv, &kv));
	*out_iter = mne_iter_kv_new(kv, prefix, from);
	return 0;
}

static const MneViewOps live_ops = { "live", live_get, live_iter };

void mne_live_view_init(MneLiveView *view, MneKv *kv, MneBlobStore *blob)
{
	view->base.ops = &live_ops;
	view->base.blob = blob;
	view->kv = kv;
}
