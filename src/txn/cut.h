/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/cut.h - open files that a rollback takes the ground from
 *
 * An open file of a table that is rolled back stays as it is when it was committed before
 * the checkpoint and has not changed since: then it is the same file after.  Any other is
 * cut off: its handles answer ROLLED_BACK to all that concerns bytes, and what was written
 * but not committed is gone.  The record, if it comes back, can be opened anew.
 *
 *	WHOLE ---cut---> CUT ---cut off---> out of the set of files, for ever
 *	  ^               |
 *	  `-----mend------'  the rollback did not come about
 *
 * Threads: for who holds the gate.
 */
#pragma once

#include "ckpt/plan.h"
#include "txn/internal.h"

/* Cut the files; those it concerned, with references: an array of MneFile *. */
GPtrArray *mne_files_cut(MneStore *store, const MnePlan *plan);
/* How many it would concern. */
unsigned mne_files_would_cut(MneStore *store, const MnePlan *plan);
void mne_files_mend(GPtrArray *cut);
void mne_files_cut_off(MneStore *store, GPtrArray *cut);

/* After the gate was given up: what else they left in the store. */
void mne_files_forget_cut(MneStore *store, GPtrArray *cut);
