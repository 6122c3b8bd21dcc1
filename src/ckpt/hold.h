/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/hold.h - who needs a checkpoint to stay
 *
 * A hold is in memory only: it ends with whoever has it, at the latest with the mount.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ckpt/ckpt.h"
#include "util/process.h"

typedef struct MneHold MneHold;

/* CKPT_GONE when it is being dropped.  Keeps a reference. */
int mne_hold_take(MneCkpt *ckpt, const MneProcess *who, MneHold **out_hold) MNE_CHECKED;
void mne_hold_release(MneHold *hold);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneHold, mne_hold_release)
/* Borrowed: whose it is. */
MneCkpt *mne_hold_ckpt(const MneHold *hold);

/* Of MneProcess, in the order in which they came. */
GArray *mne_ckpt_holders(MneCkpt *ckpt);

/* Before dropping it: nobody can take a hold from here on.  CKPT_HELD, which force does
 * not mind. */
int mne_ckpt_close(MneCkpt *ckpt, bool by_force) MNE_CHECKED;
/* It was not dropped after all. */
void mne_ckpt_reopen(MneCkpt *ckpt);
