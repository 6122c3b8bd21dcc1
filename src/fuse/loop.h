/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/loop.h - the threads that read requests from the kernel and carry them out
 *
 * The kernel hands requests out in the order they were made, to whichever thread reads
 * next.  close(2) does not wait for its RELEASE, which is what commits a file; yet who
 * closes a file and makes a checkpoint then, must find the file in it.  The RELEASE was
 * made before the MKDIR, so when a reader has the MKDIR, every earlier RELEASE has been
 * read, too, but perhaps not carried out.  mne_loop_fence() waits for that.
 *
 * Two conditions: all readers share one queue (no cloned device), and the kernel does not
 * hold RELEASEs back (max_background is high).
 */
#pragma once

#include "fuse/mount.h"

/* Starts the threads.  When the last of them ends, because the connection is gone, the
 * process gets SIGTERM. */
MneLoop *mne_loop_new(MneMount *mount, unsigned readers);
/* Makes the threads end, and waits for them. */
void mne_loop_free(MneLoop *loop);

/* Every request that was read before the call has been carried out on return, but for those
 * given to the crew.  Not from a reader. */
void mne_loop_fence(MneLoop *loop);
