/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/outcome.h - making a checkpoint with its hooks, and what came of it
 *
 * The outcomes have the names that CedarSnapshot gave them.
 */
#pragma once

#include "ns/ns.h"

/* Hooks prepare, what they closed is committed, the checkpoint is made, hooks are told.
 * HOOK_REFUSED (ECANCELED), or as mne_store_checkpoint(). */
int mne_ns_checkpoint(MneNs *ns, const MneCkptSpec *spec, MneCkpt **out_ckpt)
	MNE_CHECKED;
/* Tables were rolled back: hooks are told.  err: they were not, and nobody is, but the log. */
void mne_ns_tell_rollback(MneNs *ns, const char *checkpoint, int err);

/* "checkpointed", or "potentiallyDangerousCodeLinks": it was made, but a hook was not
 * ready. */
const char *mne_outcome_of_ckpt(const MneCkpt *ckpt);
/* Of a failure to make one; NULL: it has no name but its error. */
const char *mne_outcome_of_error(int err);
