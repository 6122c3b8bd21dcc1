/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/recent.h - which keys the last commits have changed, while a transaction is open
 *
 * A transaction that has read much is validated before it takes the gate; inside, only what
 * was committed since is looked at again.  So nobody waits for its reads.
 *
 * Threads: who holds the gate of the live tables.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>

#include <glib.h>

typedef struct {
	GArray *keys; /* in their order; NULL: nothing is kept */
	uint64_t from; /* all that was changed after this seq is there */
} MneRecent;

void mne_recent_clear(MneRecent *recent);
/* Keep what is changed after seq, if it is not kept already. */
void mne_recent_start(MneRecent *recent, uint64_t seq);
/* A commit of that seq changes key, or tries to.  Seqs never go back. */
void mne_recent_note(MneRecent *recent, uint64_t seq, MneSlice key);

/* Is all there that was changed after seq? */
bool mne_recent_covers(const MneRecent *recent, uint64_t seq);
/* The keys that were, the newest first; some may come twice.  Negative stops. */
typedef int (*MneRecentFunc)(void *user, MneSlice key);
int mne_recent_foreach(const MneRecent *recent, uint64_t seq, MneRecentFunc func,
		       void *user) MNE_CHECKED;
