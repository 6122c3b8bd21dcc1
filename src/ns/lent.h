/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/lent.h - attributes of what is in checkpoints, lent to the kernel for a moment
 *
 * They depend on which checkpoints there are: the link count is how many share a file, and
 * of one that was dropped nothing may be told.  So they are believed for a short time only
 * (MNE_PAST_TIMEOUT), and the kernel is told to ask again when checkpoints have come or gone.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ckpt/ckpt.h"

typedef struct MneLent MneLent;

/* The set is borrowed. */
MneLent *mne_lent_new(MneCkpts *ckpts);
void mne_lent_free(MneLent *lent);

/* Before attributes are found: what has to be the same when they are. */
uint64_t mne_lent_begin(MneLent *lent);
/* May they be believed, of the inode of that number?  Not if checkpoints came or went, nor
 * if too many are lent. */
bool mne_lent_note(MneLent *lent, uint64_t begun, uint64_t number);

/* Numbers of inodes of which the kernel may believe what is not true any more: an array of
 * uint64_t.  Each is handed out once. */
GArray *mne_lent_take(MneLent *lent);
