/* SPDX-License-Identifier: Apache-2.0
 *
 * record/salvage.h - what is left of a key space, when it cannot be opened as it is
 */
#pragma once

#include "kv/kv.h"

typedef struct {
	uint64_t seq, id; /* the highest that occur */
	uint32_t table;
	unsigned purged; /* keys that were removed */
} MneSalvage;

/* Remove what nobody could have written: values whose checksum is wrong, keys that are
 * none.  Count what is left, so that no number is given twice. */
int mne_salvage(MneKv *kv, MneSalvage *out) MNE_CHECKED;
