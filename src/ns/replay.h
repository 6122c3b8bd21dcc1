/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/replay.h - events of the past, made from what checkpoints keep
 *
 * What differs between the newest checkpoint that is not after a commit and what is live
 * is at least all that happened since: each path once, by its last change, in no order.
 *
 * An object belongs to one thread.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneReplay MneReplay;

/* Of what the filter takes, since that commit; NULL when no checkpoint reaches so far. */
MneReplay *mne_replay_new(MneNs *ns, const MneFeedFilter *filter, uint64_t since);
void mne_replay_free(MneReplay *replay);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneReplay, mne_replay_free)

/* The next event's line is appended: 1; 0: there is none; CKPT_GONE. */
int mne_replay_next(MneReplay *replay, GString *to) MNE_CHECKED;
