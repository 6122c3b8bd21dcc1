/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/merge.h - the records of several fragments as one, in the order of names
 *
 * All from one iterator of the engine, that is, from one moment: it is read a stretch at a
 * time, in turns, so that one seek serves many records.
 */
#pragma once

#include "frag/map.h"
#include "record/keys.h"
#include "view/iter.h"

typedef struct {
	uint32_t table;
	uint64_t dir;
	const GArray *fragments; /* uint32_t, from 1 */
	MneSlice from; /* names >= this */
	MneFragMap *map; /* with only: names of that fragment, by this map; or NULL */
	uint32_t only;
} MneMergeSpec;

/* Keys are handed out with fragment 0.  Takes kv_iter, copies what it needs of spec. */
MneIter *mne_merge_new(MneKvIter *take_kv_iter, const MneMergeSpec *spec);
