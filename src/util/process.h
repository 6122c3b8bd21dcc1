/* SPDX-License-Identifier: Apache-2.0
 *
 * util/process.h - a process, as people want it named
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#include <glib.h>

typedef struct {
	pid_t pid; /* 0: not to be seen from here */
	uint64_t started; /* tells it from a later one of the same number */
	char name[32]; /* as it was called when we met it */
} MneProcess;

void mne_process_meet(MneProcess *out, pid_t pid);

/* "rsync[4121]", and for sentences "rsync (pid 4121)": new strings.  A process that has
 * taken another name meanwhile (exec) is called by that. */
char *mne_process_text(const MneProcess *process);
char *mne_process_sentence(const MneProcess *process);
