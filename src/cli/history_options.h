/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/history_options.h - what -o says of checkpoints and their history: pure
 */
#pragma once

#include "ns/auto.h"

/* "500M", "1.5G", or "10%" of the disk (1 … 100): one of the two is set, the other 0. */
bool mne_parse_history(const char *text, uint64_t *out_bytes, unsigned *out_percent);
/* "hourly:24": into rules; false: it says something else. */
bool mne_parse_auto(const char *text, MneAutoRules *rules);
