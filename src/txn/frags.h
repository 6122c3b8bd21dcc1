/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/frags.h - the fragments of a table: what is wanted of them, and how they are
 *
 * A wish is one commit; what follows from it goes on in the background (txn/split.c).
 * All fail with NO_TABLE, and with FRAG_ARG where something cannot be.
 */
#pragma once

#include "frag/map.h"
#include "table/schema.h"
#include "txn/store.h"

/* NO_TABLE. */
int mne_table_load(MneStore *store, MneSlice name, MneTable *out) MNE_CHECKED;

/* How the table is spread, dir its root directory: a new reference, never NULL. */
MneFragMap *mne_frags_now(MneStore *store, uint32_t table, uint64_t dir);

/* From 1 to MNE_FRAG_MAX.  No more automatically. */
int mne_frags_want(MneStore *store, MneSlice table, uint32_t n) MNE_CHECKED;
/* As many more, or fewer, than there are or are wanted. */
int mne_frags_want_more(MneStore *store, MneSlice table, int more) MNE_CHECKED;
/* As many as it takes: split when the mean passes per_frag records, merge below a quarter
 * of that.  0: leave them as they are. */
int mne_frags_want_auto(MneStore *store, MneSlice table, uint32_t per_frag) MNE_CHECKED;
int mne_frags_list_as(MneStore *store, MneSlice table, MneFragListing listing)
	MNE_CHECKED;
/* Only of a table without records.  arg: for the module, "" for nothing. */
int mne_frags_use_hash(MneStore *store, MneSlice table, const char *module,
		       const char *arg) MNE_CHECKED;

typedef struct {
	uint32_t from, to; /* fragments before and after the step; 0: none under way */
	uint64_t moved, seen; /* records of this step */
} MneFragProgress;
/* What the background does. */
void mne_frags_progress(MneStore *store, const MneFragMap *map, MneFragProgress *out);
