/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/served.c - the tables as everybody but the writer reads them
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/served.h"

#include "view/iter.h"

#include <stdatomic.h>

struct MneRolling {
	MneRolling *next;
	MneCkpt *ckpt; /* reference */
	MnePlan plan; /* tables owned */
};

/* The view that has the key.  TABLE keys are put right with the first batch. */
static MneView *view_of(MneServedView *view, MneSlice key)
{
	MneRolling *rolling = atomic_load_explicit(&view->rolling,
						   memory_order_acquire);

	if (G_LIKELY(!rolling) || key.len < 5 || key.data[0] == MNE_TAG_TABLE ||
	    !mne_plan_has(&rolling->plan, mne_key_table_of(key)))
		return view->stored;
	return &rolling->ckpt->view;
}

static int served_get(MneView *base, MneSlice key, GBytes **out_value)
{
	return mne_view_get(view_of((MneServedView *)base, key), key, out_value);
}

static int served_iter(MneView *base, MneSlice prefix, MneSlice from,
		       MneIter **out_iter)
{
	return mne_view_iter(view_of((MneServedView *)base, prefix), prefix, from,
			     out_iter);
}

static const MneViewOps served_ops = { "served", served_get, served_iter };

void mne_served_init(MneServedView *view, MneView *stored)
{
	*view = (MneServedView){ .stored = stored };
	view->base.ops = &served_ops;
	view->base.blob = stored->blob;
}

void mne_served_clear(MneServedView *view)
{
	while (view->all) {
		MneRolling *rolling = view->all;

		view->all = rolling->next;
		mne_ckpt_unref(rolling->ckpt);
		mne_plan_clear(&rolling->plan);
		g_free(rolling);
	}
}

void mne_served_begin(MneServedView *view, MneCkpt *ckpt, const MnePlan *plan)
{
	MneRolling *rolling = g_new0(MneRolling, 1);

	rolling->ckpt = mne_ckpt_ref(ckpt);
	mne_plan_copy(plan, &rolling->plan);
	rolling->next = view->all;
	view->all = rolling;
	atomic_store_explicit(&view->rolling, rolling, memory_order_release);
}

void mne_served_end(MneServedView *view)
{
	atomic_store_explicit(&view->rolling, NULL, memory_order_release);
}

bool mne_served_is_rolling(const MneServedView *view)
{
	return atomic_load_explicit(&view->rolling, memory_order_acquire) != NULL;
}
