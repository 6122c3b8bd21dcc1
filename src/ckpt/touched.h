/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/touched.h - the keys that changed between two moments
 *
 * The union of CHANGED(S, key) for first <= S < end, each key once, ascending.  What it
 * costs depends on how much changed, not on how much there is.  A key may have become again
 * what it was: whoever asks compares two views.
 *
 * While a checkpoint between the two is being reclaimed, its keys move to an older one: none
 * is missed.  `first` must belong to a checkpoint that stays active.
 */
#pragma once

#include "ckpt/ckpt.h"

typedef struct MneTouched MneTouched;

/* last: keys with a greater tag are left out.  end UINT64_MAX: until now. */
int mne_touched_open(MneCkpts *set, uint64_t first, uint64_t end, MneTag last,
		     MneTouched **out_touched) MNE_CHECKED;
/* 1: *out_key is the next, valid until the next call; 0: end. */
int mne_touched_next(MneTouched *touched, MneSlice *out_key) MNE_CHECKED;
void mne_touched_free(MneTouched *touched);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneTouched, mne_touched_free)
