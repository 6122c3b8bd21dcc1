/* SPDX-License-Identifier: Apache-2.0
 *
 * util/thread.h - threads whose work nobody waits for
 */
#pragma once

/* From now on the calling thread, and those that it begins, stay behind others that want
 * their processor: they give way at once to one that wakes up, and get a third of what one
 * gets that always runs.  There is no way back.  Without effect where the kernel cannot. */
void mne_thread_stay_behind(void);
