/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/live.h - the live view: the tables as last committed
 *
 * It alone knows where a logical key stands in the store: the records of a table's root
 * directory are spread over its fragments, all else stands where the key says.
 */
#pragma once

#include "frag/set.h"
#include "kv/kv.h"
#include "view/view.h"

typedef struct {
	MneView base;
	MneKv *kv; /* borrowed */
	MneFrags *frags; /* borrowed */
} MneLiveView;

void mne_live_view_init(MneLiveView *view, MneKv *kv, MneFrags *frags,
			MneBlobStore *blob);

/* A listing as iter() makes it, of the records that fragment `only` of `map` has: a map that
 * was, or is.  The engine is asked only where such names can stand now. */
int mne_live_iter_of(MneLiveView *view, MneFragMap *map, uint32_t only, MneSlice from,
		     MneIter **out_iter) MNE_CHECKED;

/* Into a batch of the one writer: where the logical key belongs. */
int mne_live_put(MneLiveView *view, MneKvBatch *batch, MneSlice key, MneSlice value)
	MNE_CHECKED;
int mne_live_del(MneLiveView *view, MneKvBatch *batch, MneSlice key) MNE_CHECKED;
