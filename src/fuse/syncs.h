/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/syncs.h - fsyncs that wait for the disk together
 *
 * One thread of the crew takes all that have come, commits their files, makes one barrier,
 * and answers them; those that come meanwhile are the next ones.  So with many clients
 * there is a barrier for several of them, and no thread is woken for each.
 */
#pragma once

#include "fuse/mount.h"
#include "ns/handle.h"

MneSyncs *mne_syncs_new(MneMount *mount);
/* The crew was stopped, and nobody posts any more. */
void mne_syncs_free(MneSyncs *syncs);

/* The request is answered when what was written to handle is durable. */
void mne_syncs_post(MneSyncs *syncs, fuse_req_t req, fuse_ino_t ino, MneHandle *handle);
