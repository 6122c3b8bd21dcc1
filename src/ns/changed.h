/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/changed.h - the names in `.mnefs/changed`
 *
 *	A..B          from A to B: paths, each ended by a NUL
 *	A, A..        from A to what is live
 *	A..B.json     one object a line: what happened, seqs, sizes
 *	A..B.listed   paths as a walk of B finds them: of tables that list fragments, in
 *	              their fragment directories
 *	A..B.d        the records that changed, as they are at B: a tree
 *
 * A and B are names of checkpoints or bookmarks, or of times ("@yesterday").  The former
 * may themselves hold ".." or end in ".json": the first reading of a name in which all of them exist is taken, and plain lists
 * go before the others.
 */
#pragma once

#include "ckpt/changes.h"
#include "ns/ns.h"

typedef enum {
	MNE_CHANGED_PATHS,
	MNE_CHANGED_JSON,
	MNE_CHANGED_LISTED,
	MNE_CHANGED_TREE,
} MneChangedForm;

typedef struct {
	MneCkpt *from, *to; /* references; to NULL: live */
	MneNs *ns; /* borrowed */
	MneChangedForm form;
} MneChanged;

void mne_changed_clear(MneChanged *changed);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneChanged, mne_changed_clear)

/* NO_CKPT when the name has no reading; MOMENT_TWICE when a name in it is that of a checkpoint
 * and of a bookmark of another moment. */
int mne_changed_find(MneNs *ns, const char *name, MneChanged *out) MNE_CHECKED;

/* A tree needs bytes: B must be a checkpoint. */
int mne_changed_require_tree(MneNs *ns, const MneChanged *changed) MNE_CHECKED;
/* What a walk finds is not known of a bookmark. */
int mne_changed_require_walk(const MneChanged *changed) MNE_CHECKED;

/* Appends the paths, or the lines. */
int mne_changed_print(const MneChanged *changed, GString *to) MNE_CHECKED;
