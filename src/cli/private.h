/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/private.h - a mount namespace of one's own, in which something stands over a mount
 */
#pragma once

#include "cli/cli.h"

/* This process, and those it starts, see `from` at `root`, and stand in `here` again.  Who is
 * not root gets that inside a user namespace in which he is himself.  Not MNE_EXIT_OK: said
 * why not. */
MneExit mne_private_bind(const char *from, const char *root, const char *here);
