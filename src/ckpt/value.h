/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/value.h - a checkpoint as the value of its CKPT key
 */
#pragma once

#include "ckpt/ckpt.h"

/* The value of its CKPT key, with state, name and traits as given. */
GBytes *mne_ckpt_encode(const MneCkpt *ckpt, MneCkptState state, MneSlice name,
			const MneCkptTraits *traits);

/* Into an empty one, but for the id, which is in the key.  VALUE_CORRUPT. */
int mne_ckpt_decode(MneCkpt *ckpt, MneSlice value) MNE_CHECKED;
