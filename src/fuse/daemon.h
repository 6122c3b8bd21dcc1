/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/daemon.h - being a process that others wait for
 */
#pragma once

#include <stdbool.h>

typedef struct {
	bool foreground;
	int ready_fd; /* towards the parent; -1: none */
} MneDaemon;

/* In the parent: waits until the child is ready or gone; true, and what to exit with.
 * In the child, or in the foreground: false. */
bool mne_daemon_fork(MneDaemon *daemon, bool foreground, int *out_exit);

/* Tell whoever waits, systemd too; in the background leave terminal and directory. */
void mne_daemon_ready(MneDaemon *daemon);
void mne_daemon_stopping(void);
