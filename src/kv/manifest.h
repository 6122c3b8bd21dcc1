/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/manifest.h - CURRENT and the manifest after a power loss
 *
 * Threads: nobody else may use the directory.
 */
#pragma once

#include "util/error.h"

/* Before LevelDB opens path: make CURRENT name a manifest that reads and whose tables and
 * log are all there, if there is one.  Otherwise nothing is changed; -KV_CORRUPT when the
 * log is missing. */
int mne_manifest_mend(const char *path) MNE_CHECKED;

/* The bytes of the tables that the manifest at path does not name: what a merge that failed
 * has left.  remove: while nobody has the database open, they go.  0 also when the manifest
 * does not say for certain. */
uint64_t mne_manifest_leftovers(const char *path, bool remove);
