/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/side.h - what a name leads to in one view
 */
#pragma once

#include "view/view.h"

typedef struct {
	bool found;
	uint32_t table; /* it leads into */
	uint64_t seq; /* of the value under the name itself */
	MneNode node;
} MneSide;

/* What stands under a TABLE or NODE key, into the cleared *out. */
int mne_side_load(MneView *view, MneSlice key, const MneKeyParts *parts, MneSide *out)
	MNE_CHECKED;
void mne_side_clear(MneSide *side);

/* Does the failure say only that something is not there, and not that the view is not? */
bool mne_is_gone(int err);
