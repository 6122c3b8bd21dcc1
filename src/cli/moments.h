/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/moments.h - checkpoints as the commands about history need them
 */
#pragma once

#include "cli/cli.h"

#include <stdint.h>

typedef struct {
	char *name;
	uint64_t seq;
	int64_t time; /* seconds since the epoch */
} MneMoment;

/* The active checkpoints, oldest first: an array of MneMoment *, owned. */
MneExit mne_moments_read(const char *root, GPtrArray **out_moments);
MneExit mne_moments_find(const GPtrArray *moments, const char *name,
			 const MneMoment **out_moment);

/* A path that a person gave, relative to the root of the mount, without "." and "..": the
 * one he stands in, or, with -C, the root.  Its last part need not exist; a symlink there
 * is not followed. */
MneExit mne_moments_path(const MneCli *cli, const char *root, const char *given,
			 char **out_path);

/* Object fact mnefs.NAME of a path: 0, or a negative errno. */
int mne_moments_fact(const char *path, const char *name, uint64_t *out_value);

/* "ROOT/PATH", or "ROOT/.checkpoints/NAME/PATH": a new string. */
char *mne_moments_at(const char *root, const char *name, const char *path);
