/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/policy.h - when what is written to the files of a table is committed
 *
 * Kept in memory for the tables that say anything special, as their TABLE keys have it.
 * Inside a transaction nothing of this holds: what it stages is committed with it.
 *
 * Threads: all functions; MNE_RANK_FRAGS is held only inside.
 */
#pragma once

#include "table/schema.h"
#include "txn/files.h"
#include "txn/store.h"

typedef struct MnePolicies MnePolicies;

MnePolicies *mne_policies_new(void);
void mne_policies_free(MnePolicies *policies);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MnePolicies, mne_policies_free)

/* Read those of all tables of the store. */
int mne_policies_load(MneStore *store) MNE_CHECKED;
/* The table has, or will have, this one. */
void mne_policies_set(MnePolicies *policies, uint32_t table, MneCommitPolicy policy);

MneCommitPolicy mne_policy_of(MneStore *store, uint32_t table);

/* Durable when what follows is.  NO_TABLE. */
int mne_table_set_commit(MneStore *store, MneSlice name, MneCommitPolicy policy)
	MNE_CHECKED;

/* It was changed: commit it if its table wants that at each write. */
int mne_file_written(MneFile *file) MNE_CHECKED;
/* For how long it may stay uncommitted, if the store says so many milliseconds; 0 stays. */
int64_t mne_file_patience(const MneFile *file, int64_t milliseconds);
