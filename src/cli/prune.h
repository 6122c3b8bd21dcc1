/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/prune.h - which of many checkpoints to keep: pure
 *
 * A rule keeps, of each of the last N hours (days, weeks …) that have one, the newest.  Hours
 * and days are those of UTC, as in the names that checkpoints are given; weeks begin on Monday.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum {
	MNE_KEEP_LAST, /* the newest N, whenever they were made */
	MNE_KEEP_HOURLY,
	MNE_KEEP_DAILY,
	MNE_KEEP_WEEKLY,
	MNE_KEEP_MONTHLY,
	MNE_KEEP_YEARLY,
	MNE_N_KEEP
} MneKeepRule;

/* "hourly" */
const char *mne_keep_name(MneKeepRule rule);

/* times: seconds since the epoch, ascending.  keep: how many by each rule.  out_why: for each
 * time a bit for every rule that keeps it; 0: none does. */
void mne_prune(const int64_t *times, unsigned n, const unsigned keep[MNE_N_KEEP],
	       unsigned *out_why);
