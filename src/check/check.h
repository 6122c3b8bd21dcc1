/* SPDX-License-Identifier: Apache-2.0
 *
 * check/check.h - is a store what it should be?
 *
 * The same passes run at mount after an unclean stop and in `mnefs check`.  They go over
 * the whole key space in key order.  Memory grows with directories, hard-linked files and
 * files that have extents, not with names or bytes.
 *
 * Nobody else may use the store while they run; its background thread is paused.
 */
#pragma once

#include "txn/store.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct {
	const char *pass; /* stable id of the pass: static */
	char *text;
	bool mended;
} MneCheckFinding;

#define MNE_FINDINGS_MAX 1000u /* kept as text; all are counted and logged */

typedef struct {
	uint64_t found, mended;
	uint64_t keys; /* looked at */
	uint64_t bytes; /* of file data read and verified */
	GArray *findings; /* MneCheckFinding */
} MneCheckReport;

void mne_check_report_init(MneCheckReport *report);
void mne_check_report_clear(MneCheckReport *report);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneCheckReport, mne_check_report_clear)

/* Every pass.  With repair, what can be mended is, durably.  Fails only when the check
 * itself could not be done; findings are in the report. */
int mne_check_run(MneStore *store, bool repair, MneCheckReport *report) MNE_CHECKED;

/* Without reading the files' bytes. */
int mne_check_run_fast(MneStore *store, bool repair, MneCheckReport *report)
	MNE_CHECKED;

/* Would a store that could not be checked for this reason open with `salvage`? */
bool mne_check_can_salvage(int err);
/* What an opening with `salvage` did is a finding. */
void mne_check_note_salvage(MneStore *store, MneCheckReport *report);

/* At mount, if the last stop was unclean and the store can be written: the fast passes,
 * mending.  What was found is in the log. */
int mne_check_at_mount(MneStore *store) MNE_CHECKED;
