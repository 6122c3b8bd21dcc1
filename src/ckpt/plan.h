/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/plan.h - what a rollback is about: which tables, to which checkpoint
 *
 * As the value of the ROLLBACK key it stands in the store while a rollback that takes
 * several batches is under way: whoever opens the store then finishes it.  Pure.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdint.h>

#include <glib.h>

typedef struct {
	uint64_t seq; /* what it writes has this seq */
	uint64_t ckpt; /* id of the checkpoint that comes back */
	uint64_t to; /* its seq */
	uint64_t before; /* seq of the checkpoint made of what is left behind */
	bool whole; /* all tables, and the root */
	GArray *tables; /* otherwise: their ids, ascending; owned */
} MnePlan;

void mne_plan_clear(MnePlan *plan);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MnePlan, mne_plan_clear)
void mne_plan_copy(const MnePlan *plan, MnePlan *out);

/* Is the table concerned?  Table 0, the root, only when all are. */
bool mne_plan_has(const MnePlan *plan, uint32_t table);

GBytes *mne_plan_encode(const MnePlan *plan);
/* VALUE_CORRUPT when it does not decode. */
int mne_plan_decode(MneSlice value, MnePlan *out) MNE_CHECKED;
