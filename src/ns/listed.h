/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/listed.h - where a walk of a moment finds the record at a path
 *
 * A table that lists fragments shows its record `alice` as `users/0007/alice`.
 *
 * An object belongs to one thread.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneListed MneListed;

/* At the checkpoint, of which it keeps a reference; NULL: live. */
MneListed *mne_listed_new(MneNs *ns, MneCkpt *ckpt);
void mne_listed_free(MneListed *listed);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneListed, mne_listed_free)

/* Append to `to` what stands at path, or would, as it is listed. */
int mne_listed_path(MneListed *listed, const char *path, GString *to) MNE_CHECKED;
