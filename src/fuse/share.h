/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/share.h - the kernel forgets what it believes of a table that gets several paths
 */
#pragma once

#include "fuse/mount.h"

/* Of all tables for which mne_ns_share_begin() was called, and mne_ns_share_end() was not
 * yet.  Waits for every request that was read before: for the crew only. */
void mne_share_tables(MneMount *mount);
