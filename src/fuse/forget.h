/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/forget.h - the kernel is told to ask again
 *
 * It may take locks of the directory, or of pages, in question: the caller holds no lock of
 * ours, and answers no request in that directory.  That it had nothing to forget is no error.
 */
#pragma once

#include "fuse/mount.h"

/* What stands at name in the directory of this number. */
void mne_forget_name(MneMount *mount, fuse_ino_t dir, MneSlice name);

/* What the inode of this number is like; with bytes, what it holds, too. */
void mne_forget_inode(MneMount *mount, fuse_ino_t number, bool bytes);
