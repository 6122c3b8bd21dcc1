/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/hold.h - holding a checkpoint, for commands
 */
#pragma once

#include "cli/cli.h"

/* Hold the checkpoint called name, or that of a time, as long as the descriptor is open:
 * also in programs that are started.  Not MNE_EXIT_OK: said why not. */
MneExit mne_hold_open(const char *root, const char *name, int *out_fd);
/* Its name proper: a new string; NULL and errno: it is gone. */
char *mne_hold_name(int fd);
