/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/history_options.h - what -o says of checkpoints and their history: pure
 */
#pragma once

#include "ns/auto.h"

/* "hourly:24": into rules; false: it says something else. */
bool mne_parse_auto(const char *text, MneAutoRules *rules);
