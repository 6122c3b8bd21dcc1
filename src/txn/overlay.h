/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/overlay.h - the view of a transaction: staged over base
 *
 * What is staged stands in a map of logical keys; an empty value there says that the key
 * is gone.  All else is as in the view below, and is noted as read.
 */
#pragma once

#include "kv/kv.h"
#include "view/view.h"

/* What was read below. */
typedef struct MneOverlay MneOverlay;
typedef struct {
	int (*key)(MneOverlay *overlay, MneSlice key);
	void (*range)(MneOverlay *overlay, MneSlice prefix, MneSlice from,
		      MneSlice last, bool ended);
	/* Somebody still looked at this in a moment that was left. */
	void (*late)(MneOverlay *overlay, MneSlice prefix);
} MneOverlayWatch;

struct MneOverlay {
	MneView base;
	MneKv *staged; /* borrowed */
	MneView *below; /* borrowed */
	const MneOverlayWatch *watch; /* NULL: nobody notes what is read */
	_Atomic unsigned moment; /* counts those that were below */
};

void mne_overlay_init(MneOverlay *overlay, MneKv *staged, MneView *below,
		      const MneOverlayWatch *watch);
