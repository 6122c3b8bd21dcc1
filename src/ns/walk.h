/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/walk.h - a walk through everything in a checkpoint
 *
 * Depth first, each directory in the order of its names; a directory comes before what is in
 * it.  Holds no more than one listing for each level.  Belongs to one thread at a time.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneWalk MneWalk;

typedef struct {
	const char *path; /* below the checkpoint's root; valid until the next step */
	uint32_t table;
	const MneNode *node; /* the same */
} MneWalkEntry;

/* Keeps a reference.  Paths are those that ns shows: of a table that lists fragments with
 * the fragment in them. */
MneWalk *mne_walk_new(MneNs *ns, MneCkpt *ckpt);
void mne_walk_free(MneWalk *walk);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneWalk, mne_walk_free)

/* 1: *out_entry is the next; 0: end.  After a failure, which is about the directory of
 * *out_entry (its node is NULL), the walk may go on; it ends at last. */
int mne_walk_next(MneWalk *walk, MneWalkEntry *out_entry) MNE_CHECKED;

/* The next step is the last one again: of an entry that is no directory. */
void mne_walk_again(MneWalk *walk);
