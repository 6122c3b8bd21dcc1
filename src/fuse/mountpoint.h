/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/mountpoint.h - the directory to mount on
 */
#pragma once

#include "util/error.h"

/* A dead mount of ours at path is unmounted.  Fails, with a sentence on stderr, when path is
 * no directory then. */
int mne_mountpoint_prepare(const char *path) MNE_CHECKED;
