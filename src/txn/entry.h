/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/entry.h - what stands at a name in a live directory, and taking it away or moving it
 */
#pragma once

#include "txn/commit.h"
#include "txn/names.h"

typedef struct {
	bool found;
	MneKind kind; /* INODE: the inode itself; LINK, DIRREF: a reference to it */
	MneNode node; /* the inode, wherever it stands */
} MneEntryState;

void mne_entry_clear(MneEntryState *entry);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneEntryState, mne_entry_clear)

/* The committed entry: -ENOENT when there is none.  Inside the gate. */
int mne_entry_load(MneStore *store, const MneSpot *spot, MneEntryState *out)
	MNE_CHECKED;

/* Into the commit: the name goes; with the last one the inode, its attributes, its data. */
int mne_entry_remove(MneCommit *commit, const MneSpot *spot, MneEntryState *entry)
	MNE_CHECKED;
/* Into the commit: the big attributes of an inode that goes. */
int mne_entry_remove_xattrs(MneCommit *commit, uint32_t table, const MneNode *node)
	MNE_CHECKED;
/* After it was applied: tell the open file, if there is one. */
void mne_entry_removed(MneStore *store, MneEntryState *entry, struct timespec now);

/* Into the commit: the entry of `from` stands at `to` (its old name is not deleted here). */
int mne_entry_move(MneCommit *commit, MneEntryState *entry, const MneSpot *to)
	MNE_CHECKED;
/* After it was applied. */
void mne_entry_moved(MneStore *store, MneEntryState *entry, const MneSpot *to);

/* -ENOTEMPTY when it has entries, committed or not. */
int mne_dir_require_empty(MneStore *store, const MneNode *dir) MNE_CHECKED;

/* The inode of an open file was changed by a commit: the file takes it over. */
void mne_file_changed(struct MneFile *file, const MneNode *node);
