/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/changes.h - what differs between two moments, by path
 *
 * Two moments are two checkpoints in either order, or one and what is live.  The differences
 * are those of the two trees by path: who has a copy of `from` and treats every listed path
 * as `to` has it has a copy of `to`.  What they cost depends on how much changed; only below
 * a directory that was made, moved or replaced is everything listed, because all of that has
 * a new path.  The order is none that means anything.
 *
 * Of a file with several names all are listed, if one is.
 *
 * Of a deleted tree only the topmost path is listed.  Of a moved one its old path, its new
 * path, and everything below that.
 *
 * Live is what is committed.  A change that comes while the list is made may be in it or not.
 *
 * An object belongs to one thread.
 */
#pragma once

#include "ckpt/ckpt.h"

typedef enum {
	MNE_CHANGE_CREATED,
	MNE_CHANGE_MODIFIED, /* the same path; or, if origin is set, a changed file or
			      * directory inside a moved directory */
	MNE_CHANGE_RENAMED, /* and perhaps modified; origin is the old path */
	MNE_CHANGE_DELETED,
	MNE_CHANGE_CARRIED, /* a directory above it was renamed; it did not change */
	MNE_CHANGE_VACATED, /* a path whose record was renamed or carried away */
} MneChangeOp;

typedef struct {
	MneChangeOp op;
	/* A copy needs the path.  Not so for what was deleted inside a moved directory,
	 * because the directory's old path goes as a whole. */
	bool listed;
	const char *path; /* "users/bob"; of the root itself "." */
	const char
		*origin; /* the path of the same record in `from`, if another; NULL */
	/* The record in `from`, if any: that of origin, or that of path.  NULL: none. */
	const MneNode *was;
	const MneNode *now; /* in `to` */
	uint32_t was_table, now_table;
} MneChange;

typedef struct {
	MneCkpt *from, *to; /* NULL: live.  At least one is a checkpoint */
	MneView *live; /* NULL: the tables as they are stored */
	/* Tell CREATED, RENAMED and CARRIED apart, and DELETED and VACATED: else all are
	 * CREATED (or MODIFIED) and DELETED, and everything is listed. */
	bool origins;
} MneChangesSpec;

typedef struct MneChanges MneChanges;

int mne_changes_open(const MneChangesSpec *spec, MneChanges **out_changes) MNE_CHECKED;
/* 1: *out_change is the next, valid until the next call; 0: end. */
int mne_changes_next(MneChanges *changes, MneChange *out_change) MNE_CHECKED;
void mne_changes_free(MneChanges *changes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneChanges, mne_changes_free)
