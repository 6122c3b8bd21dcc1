/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/pairs.h - two directories, each in a view of its own, side by side
 *
 * Index 0 and 1 are the two sides everywhere.
 */
#pragma once

#include "view/view.h"

typedef struct {
	uint32_t tables[2];
	uint64_t dirs[2]; /* 0: there is none on this side */
} MneDirPair;

/* A name that is in one of them, or in both. */
typedef struct {
	MneSlice name;
	bool found[2];
	uint32_t tables[2]; /* it leads into */
	const MneNode *nodes[2];
} MnePair;

typedef struct MnePairs MnePairs;

int mne_pairs_open(MneView *const views[2], const MneDirPair *dirs,
		   MnePairs **out_pairs) MNE_CHECKED;
/* 1: *out_pair is the next, in name order, valid until the next call; 0: end. */
int mne_pairs_next(MnePairs *pairs, MnePair *out_pair) MNE_CHECKED;
void mne_pairs_free(MnePairs *pairs);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MnePairs, mne_pairs_free)
