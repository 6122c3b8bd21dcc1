/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/manifest.h - CURRENT and the manifest after a power loss
 *
 * Threads: nobody else may use the directory.
 */
#pragma once

#include "util/error.h"

/* Before LevelDB opens path: make CURRENT name a manifest that reads and whose tables are
 * all there, if there is one that lacks nothing.  Otherwise nothing is changed. */
int mne_manifest_mend(const char *path) MNE_CHECKED;
