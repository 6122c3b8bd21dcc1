/* SPDX-License-Identifier: Apache-2.0
 *
 * record/lockfile.h - the file by which one process at a time has a store
 *
 * The lock is flock()'s on the file LOCK, so that it ends with the process.  The text says
 * who holds it: "PID\n", and "PID leaving\n" once it will go without being asked again.
 */
#pragma once

/* The descriptor to close at the end, or STORE_LOCKED, STORE_READONLY.  A holder that is
 * leaving is waited for, a minute at most; any other for the second in which a process whose
 * mount is gone notices. */
int mne_lockfile_take(const char *store_path, int *out_fd);

/* What comes next will only close the store. */
void mne_lockfile_leave(int fd);
