/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/space.h - what the history of each checkpoint takes
 */
#pragma once

#include "ckpt/ckpt.h"
#include "ckpt/tally.h"

typedef struct {
	uint64_t used, used_images; /* of retained values that it can see */
	uint64_t frees, frees_images; /* of those that it alone keeps */
} MneCkptSpace;

typedef struct {
	uint64_t bytes, images; /* that some active checkpoint can see */
	uint64_t pending; /* bytes that none can: they come back in the background */
} MneHistorySpace;

/* Pure.  cells: of a tally.  ckpts: MneCkpt *, ascending by seq, all active.  out: one for
 * each of them, of every table, or (by table id) of one. */
void mne_space_weigh(const GArray *cells, const GPtrArray *ckpts, const uint32_t *table,
		     MneCkptSpace *out, MneHistorySpace *out_total);

/* Of a list of all that are active, as mne_ckpts_list() makes it: a new array. */
MneCkptSpace *mne_ckpts_spaces(const GPtrArray *ckpts);
/* Of one checkpoint as things are now; of one table when table is given. */
void mne_ckpt_space(MneCkpt *ckpt, const uint32_t *table, MneCkptSpace *out);
/* What all of them take. */
void mne_ckpts_history(MneCkpts *set, MneHistorySpace *out);
