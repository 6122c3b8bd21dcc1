/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rolling.h - the inside of a rollback under way: for txn/rollback*.c
 */
#pragma once

#include "ckpt/plan.h"
#include "txn/commit.h"
#include "txn/rollback.h"

typedef struct {
	MneCommit commit; /* first: its gate is the rollback's */
	MneStore *store;
	MneCkpt *ckpt; /* reference: the one that comes back */
	MneCkpt *before; /* reference: the one of what is left behind */
	MnePlan plan;
	GArray *data; /* uint64_t, ascending: data ids that come back, or stay */
	GHashTable *done; /* keys in the batch in hand: GBytes */
	MneKey from; /* of the CHANGED key to go on from */
	uint64_t bytes; /* that it will write, at most */
	MneRollbackResult result;
} MneRollback;

void mne_rollback_clear(MneRollback *rb);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneRollback, mne_rollback_clear)

/* Finds the checkpoint, and what follows from it: rb->plan but for the seqs to be. */
int mne_rollback_find(MneRollback *rb, const MneRollbackSpec *spec) MNE_CHECKED;
/* What the checkpoint made first is called: rb->result.before. */
int mne_rollback_name(MneRollback *rb) MNE_CHECKED;

/* Which tables: fills rb->plan.whole and .tables. */
int mne_rollback_choose(MneRollback *rb, const GPtrArray *names) MNE_CHECKED;
/* Into the batch: their names, and what the root says of them. */
int mne_rollback_tables(MneRollback *rb) MNE_CHECKED;
/* Into the last batch: how those tables were spread that are gone. */
int mne_rollback_spread(MneRollback *rb) MNE_CHECKED;
