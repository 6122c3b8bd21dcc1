/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/caller.h - may the caller do that? where the kernel cannot check
 */
#pragma once

#include "ns/ctl.h"

/* mask: of R_OK, W_OK, X_OK, by the mode bits of the node and the user, the group and the
 * further groups of the caller; root may everything. */
bool mne_caller_may(const MneCtlOpen *caller, const MneNode *node, int mask);
