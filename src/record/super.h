/* SPDX-License-Identifier: Apache-2.0
 *
 * record/super.h - what the SUPER key of a store says
 *
 * Pure.
 */
#pragma once

#include "kv/kv.h"
#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct {
	uint64_t features, cookie, next_id, seq;
	uint32_t next_table;
	bool clean;
	uint64_t behind; /* batches before this one whose blobs may not be durable */
	uint64_t
		mended; /* with MNE_FEATURE_MENDED: seq of the last commit before a repair */
} MneSuper;

GBytes *mne_super_encode(const MneSuper *super);
/* VALUE_CORRUPT; STORE_NEWER for a format or a feature that is not known. */
int mne_super_decode(MneSlice value, MneSuper *out) MNE_CHECKED;
void mne_super_put(MneKvBatch *batch, const MneSuper *super);
