/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/trial.h - do the batches of a log name only what exists outside of it?
 *
 * Threads: a call belongs to one thread.
 * Ownership: everything is borrowed.
 */
#pragma once

#include "kv/engines.h"

/* Where a batch begins. */
typedef struct {
	guint log; /* index */
	size_t at;
} MneLogPlace;

/* logs: an array of GBytes, in order.  true: from *out on the batches are to be dropped, and
 * after those before it everything that the state names is there. */
bool mne_trial_run(const GPtrArray *logs, const MneKvOutside *outside,
		   MneLogPlace *out);
