/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/usage.h - usage and help, printed from the command table
 */
#pragma once

#include "cli/cli.h"

#include <stdio.h>

/* Two lines on stderr: how command is called (NULL: mnefs itself). */
void mne_usage_short(const MneCommand *command);
/* The commands of a group, on stderr. */
void mne_usage_group(const char *group);
/* All of it, on stdout. */
void mne_usage_full(void);
void mne_usage_command(const MneCommand *command);
/* For completion and tests: a line for each command: name, options, sentence, separated
 * by tabs.  The first line, with an empty name, has the global options. */
void mne_usage_list(void);
