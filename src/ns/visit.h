/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/visit.h - who has looked up which checkpoint by its name
 *
 * A backup may go to its source by its full path again and again.  Once the checkpoint is
 * dropped that name is free, which is ENOENT; but to the backup that means "deleted", and
 * it would delete its copy.  So a thread that has looked up a checkpoint which was dropped
 * since by somebody else is told ESTALE, once (for a second: the kernel asks twice); then
 * it knows.  That is also so when the name is another checkpoint's by now.
 *
 * Threads: all functions, any thread.  Remembers the last few thousand visits.
 */
#pragma once

#include "ns/inode.h"

typedef struct MneVisits MneVisits;

MneVisits *mne_visits_new(void);
void mne_visits_free(MneVisits *visits);

/* Thread pid looks up name in the `.checkpoints` dir, and ckpt is what it finds; NULL:
 * nothing.  CKPT_GONE, or 0. */
int mne_visit(MneVisits *visits, const MneIdentity *dir, MneSlice name, pid_t pid,
	      MneCkpt *ckpt) MNE_CHECKED;

/* It drops the checkpoint itself. */
void mne_visits_forget(MneVisits *visits, pid_t pid, const MneCkpt *ckpt);
