/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/logsync.h - making LevelDB's log files durable
 *
 * Threads: everything may be called from any thread.
 * Ownership: the directory is borrowed.
 */
#pragma once

#include "util/error.h"

#include <stdbool.h>
#include <stdint.h>

typedef struct MneLogSync MneLogSync;

/* The number of a log file: "000012.log" is 12, everything else 0. */
uint64_t mne_log_number(const char *name);
bool mne_is_log(const char *name);

/* dir_fd: path, opened. */
MneLogSync *mne_log_sync_new(const char *path, int dir_fd);
void mne_log_sync_free(MneLogSync *sync);

/* What was written to the logs before this call survives power loss when it returns 0.
 * Once a sync has failed, so does every later one. */
int mne_log_sync_run(MneLogSync *sync) MNE_CHECKED;

/* Open the logs that are new, let go of those that are not there any more. */
int mne_log_sync_follow(MneLogSync *sync) MNE_CHECKED;

/* LevelDB begins, and ends, giving CURRENT another manifest. */
void mne_log_sync_renaming(MneLogSync *sync, bool begins);
