/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/jobs.h - programs to be run, some at once
 */
#pragma once

#include "cli/bar.h"

/* commands: of char **, each ended by NULL.  Runs them all, at most `at_once` at a time;
 * after one has failed no more are begun.  Returns 0, the exit status of the first that
 * failed (128 and the signal that ended it), or -1: said why it could not be started.  bar:
 * NULL, or what shows how many are done. */
int mne_jobs_run(const GPtrArray *commands, unsigned at_once, MneBar *bar);

/* To free one: for g_ptr_array_new_with_free_func(). */
void mne_jobs_free_command(void *command);
