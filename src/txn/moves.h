/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/moves.h - the next records that go to another fragment
 *
 * They are looked for before the gate is taken, from one moment's view of the engine.  Once
 * a step has begun, every writer puts a record that will move into its new fragment, and
 * takes it out of the old one.  So nothing new to move appears; and of what was found,
 * what still stands in its old fragment when the gate is taken has not changed.
 */
#pragma once

#include "txn/commit.h"

typedef struct {
	GPtrArray *found; /* of moves: opaque */
	uint64_t
		applied; /* batches that the engine had, at least, when they were looked for */
	unsigned seen; /* names that were looked at */
	bool is_last; /* behind them there is none */
	MneSplitAt next; /* where the next ones are looked for */
} MneMoves;

/* Where a step begins. */
MneSplitAt mne_moves_start(const MneFragMap *map);

/* The next ones, as many as a step has: out is filled, and to be cleared. */
int mne_moves_find(MneStore *store, const MneFragMap *map, const MneSplitAt *at,
		   MneMoves *out) MNE_CHECKED;
/* Into a commit: how many still had to move. */
int mne_moves_put(const MneMoves *moves, MneCommit *commit) MNE_CHECKED;

void mne_moves_clear(MneMoves *moves);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneMoves, mne_moves_clear)
