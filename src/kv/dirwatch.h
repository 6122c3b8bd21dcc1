/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/dirwatch.h - have names come to a directory, or gone, since somebody looked?
 *
 * Listing a directory takes time with each file in it; asking here does not.
 *
 * Threads: one at a time.
 */
#pragma once

#include <stdbool.h>

typedef struct MneDirWatch MneDirWatch;

/* concerns: names of which the asker wants to know.  Where the kernel cannot watch the
 * directory, every question is answered with yes. */
MneDirWatch *mne_dir_watch_new(const char *path, bool (*concerns)(const char *name));
void mne_dir_watch_free(MneDirWatch *watch);

/* False: a listing that began after the last question is still true.  A file that was made
 * or removed before this call, by whomever, counts; the first answer is yes. */
bool mne_dir_watch_changed(MneDirWatch *watch);
/* The listing failed: the next answer is yes, too. */
void mne_dir_watch_missed(MneDirWatch *watch);
