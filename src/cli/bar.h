/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/bar.h - a progress bar, on a terminal alone
 */
#pragma once

#include "cli/cli.h"

#include <stdint.h>

typedef struct {
	uint64_t total; /* 0: not known yet */
	bool is_on;
	bool is_shown;
	int64_t begun, drawn; /* monotonic microseconds */
} MneBar;

/* Not with --quiet or --json, and not when stderr is no terminal. */
void mne_bar_init(MneBar *bar, const MneCli *cli);
void mne_bar_show(MneBar *bar, uint64_t done);
/* Before something else is printed, and at the end. */
void mne_bar_clear(MneBar *bar);
