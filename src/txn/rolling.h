/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rolling.h - the inside of a rollback under way: for txn/rollback*.c
 */
#pragma once

#include "ckpt/hold.h"
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
	GArray *late; /* MneLate: bytes that the reaper is given */
	MneRollbackResult result;
} MneRollback;

void mne_rollback_clear(MneRollback *rb);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneRollback, mne_rollback_clear)

/* A key's value now, and at the checkpoint; NULL: none. */
typedef struct {
	GBytes *now, *then;
} MneRollbackPair;

void mne_rollback_pair_clear(MneRollbackPair *pair);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneRollbackPair, mne_rollback_pair_clear)

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

/* 1 when the key is to be written, or deleted. */
int mne_rollback_pair(MneRollback *rb, MneSlice key, MneRollbackPair *out) MNE_CHECKED;
/* What may differ from the checkpoint, from rb->from on.  func: 1 to stop before the next
 * key.  1 when it did. */
int mne_rollback_each(MneRollback *rb, int (*func)(MneRollback *rb, MneSlice key))
	MNE_CHECKED;
void mne_rollback_from_the_start(MneRollback *rb);
/* Which data ids come back or stay, and how much is to be written. */
int mne_rollback_survey(MneRollback *rb) MNE_CHECKED;
bool mne_rollback_brings_back(const MneRollback *rb, uint64_t data);
/* The data id an inode names; 0: none, or it is no inode. */
int mne_rollback_data_of(GBytes *value, uint64_t *out_data) MNE_CHECKED;

/* May the history keep what will be left behind?  HISTORY_FULL.  Older checkpoints may give
 * way, but not the one that comes back: *out_hold, if it is set, is the caller's.  rb is
 * of no use for anything else.  Caller holds no lock. */
int mne_rollback_admit(MneRollback *rb, const MneRollbackSpec *spec, MneHold **out_hold)
	MNE_CHECKED;
