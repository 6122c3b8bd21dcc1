/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/delta.h - the trees `.mnefs/changed/A..B.d`: what changed, as it is at B
 *
 * Such a tree is checkpoint B seen through a sieve: its directories show only what the list
 * of changes names, and what leads there.  An inode in it is one of the past, and its `via`
 * is the number of the sieve.
 *
 * A sieve is made when it is looked up, and kept; of the oldest, when there are many, what
 * was reached through them is stale.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ns/changed.h"

typedef struct MneDeltas MneDeltas;

MneDeltas *mne_deltas_new(void);
void mne_deltas_free(MneDeltas *deltas);

/* The number of the sieve for these two; made if there is none. */
int mne_deltas_find(MneDeltas *deltas, const MneChanged *changed, uint64_t *out_via)
	MNE_CHECKED;

/* Is via one? */
bool mne_delta_is(uint64_t via);

/* Does it let through what stands as name in directory dir (record ids at B)?  -ENOENT;
 * CKPT_GONE when the sieve is no longer there. */
int mne_delta_pass(MneDeltas *deltas, uint64_t via, uint64_t dir, MneSlice name,
		   const MneNode *node) MNE_CHECKED;
/* The names it lets through in dir, sorted: strings, owned. */
int mne_delta_list(MneDeltas *deltas, uint64_t via, uint64_t dir, GPtrArray **out_names)
	MNE_CHECKED;
