/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/paths.h - where directories stand in a view
 *
 * A path is relative to the root of the mount, whose own is "".  Those that were asked for
 * are remembered, so the view should not change.
 */
#pragma once

#include "view/view.h"

typedef struct MnePaths MnePaths;

/* view is borrowed. */
MnePaths *mne_paths_new(MneView *view);
void mne_paths_free(MnePaths *paths);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MnePaths, mne_paths_free)

/* A new reference (g_ref_string_release); -ENOENT when the directory is not there. */
int mne_paths_of(MnePaths *paths, uint32_t table, uint64_t dir, char **out_path)
	MNE_CHECKED;

/* "dir/name", or "name" below the root. */
void mne_path_join(GString *to, const char *dir, MneSlice name);

typedef char MneRefString;
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneRefString, g_ref_string_release)
