/* SPDX-License-Identifier: Apache-2.0
 *
 * view/iter.h - sorted iterators over keys and values
 *
 * mne_iter_next(): 1 and an entry, 0 at the end, negative on failure.  Slices are
 * valid until the next call.
 */
#pragma once

#include "kv/kv.h"
#include "view/view.h"

typedef struct {
	int (*next)(MneIter *iter, MneSlice *out_key, MneSlice *out_value);
	void (*free)(MneIter *iter);
} MneIterOps;

struct MneIter {
	const MneIterOps *ops;
};

int mne_iter_next(MneIter *iter, MneSlice *out_key, MneSlice *out_value) MNE_CHECKED;
void mne_iter_free(MneIter *iter);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneIter, mne_iter_free)

/* Keys of kv with prefix, from `from` on.  Takes kv_iter. */
MneIter *mne_iter_kv_new(MneKvIter *take_kv_iter, MneSlice prefix, MneSlice from);
