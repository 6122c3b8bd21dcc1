/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/tx_dir.h - an open transaction of ours, by its directory
 *
 * It is ours as long as its `.ctl` is open.  What lasts from one try to the next is its age
 * and the locks it takes at the beginning: one that it lost is among them the next time, so
 * that it then waits for it, while it holds nothing that others may wait for.
 */
#pragma once

#include "cli/cli.h"

#include <stdint.h>

typedef struct {
	const char *root; /* of the mount; borrowed */
	const char *name; /* of the activity; borrowed; NULL: none */
	const char *timeout; /* for locks, in seconds; borrowed; NULL: the mount's */
	GPtrArray *locks; /* "write users/alice", owned */
	uint64_t born; /* 0: it was not yet */
	char *path; /* of this try; NULL: none is open */
	int ctl;
} MneTxDir;

void mne_tx_dir_init(MneTxDir *tx, const char *root);
void mne_tx_dir_clear(MneTxDir *tx);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneTxDir, mne_tx_dir_clear)

/* Begin, own it, and take the locks.  MNE_EXIT_CONFLICT: it may be tried again.  Others were
 * explained. */
MneExit mne_tx_dir_begin(MneTxDir *tx, unsigned try);
/* The errno of a line for `.ctl`, or 0; what it answered, a new string. */
int mne_tx_dir_tell(MneTxDir *tx, const char *line, char **out_answer);
/* Has it failed, so that it can only be tried again?  Learns which lock it lost. */
bool mne_tx_dir_has_failed(MneTxDir *tx);
/* What a commit would change: a new string, or NULL. */
char *mne_tx_dir_changes(const MneTxDir *tx);
/* Abort what was not committed. */
void mne_tx_dir_end(MneTxDir *tx);
