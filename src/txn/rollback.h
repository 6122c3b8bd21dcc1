/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rollback.h - tables become again what they were at a checkpoint
 *
 * A rollback is one commit.  Before it, in the same batch, a checkpoint of its tables is
 * made, `pre-rollback-<UTC time>`, so that it can be rolled back itself.  Other checkpoints
 * stay as they are.  Its cost is what has changed since the checkpoint.
 *
 * Tables that were dropped come back; of a rollback to all that a checkpoint of all tables
 * covers, tables made since are removed.  A table that lives keeps its settings.  Of open
 * files txn/cut.h tells.
 */
#pragma once

#include "txn/store.h"
#include "txn/written.h"

typedef struct {
	MneSlice name; /* of the checkpoint */
	GPtrArray *
		tables; /* const char *: as they were called then; NULL: all it covers */
	uint32_t uid,
		gid; /* who will have made the checkpoint of what is left behind */
} MneRollbackSpec;

typedef struct {
	char before[64]; /* the checkpoint of what was left behind */
	uint64_t returned, changed, removed; /* names: back again, as before, gone */
	unsigned cut; /* open files */
} MneRollbackResult;

/* What it would do, as far as nobody else changes anything: a line is appended to list for
 * each path, up to a limit, the first character + (comes back), ~ or -.  result->before is
 * what its checkpoint would be called. */
int mne_store_preview_rollback(MneStore *store, const MneRollbackSpec *spec,
			       MneRollbackResult *out_result, GString *list)
	MNE_CHECKED;

/* Durable after the next barrier, which is left to who calls.  NO_CKPT, NO_TABLE;
 * RECORD_EXISTS when a table that is not concerned has the name of one that comes back;
 * STORE_FULL, HISTORY_FULL.  Caller holds no lock. */
int mne_store_rollback(MneStore *store, const MneRollbackSpec *spec,
		       MneRollbackResult *out_result, MneWritten **out_written)
	MNE_CHECKED;
