/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/beside.h - a mount of one checkpoint, beside the live mount of its store
 *
 * It is a bind mount, read-only, of `.checkpoints/C` of the live mount.  A process of ours
 * stays and holds the checkpoint; it ends when the mount does, and unmounts it when the live
 * mount goes.
 */
#pragma once

#include "cli/cli.h"

/* Where the store is mounted live: a new string. */
bool mne_beside_find(const char *store, char **out_live);

/* options: "noexec,nodev" of mount(8).  With --foreground it returns when it ends. */
MneExit mne_beside_mount(MneCli *cli, const char *live, const char *ckpt,
			 const char *mount_point, const char *options);
