/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/names.h - changes of names in the live tables, each one commit
 *
 * (table, dir) names a live directory: dir is its record id; the root is
 * (MNE_ROOT_TABLE, MNE_ROOT_DIR).  Names are checked only for length (-ENAMETOOLONG);
 * reserved names are ns/'s business.  The caller has checked permissions (the kernel does).
 *
 * Renaming, linking or exchanging a file whose writer has not closed yet commits what it
 * has written so far.
 */
#pragma once

#include "txn/store.h"

/* A name in a live directory, whether something stands there or not.  Borrowed. */
typedef struct {
	uint32_t table;
	uint64_t dir;
	MneSlice name;
} MneSpot;

/* What to make, and whose. */
typedef struct {
	uint32_t mode; /* with the type bits */
	uint32_t uid, gid;
	uint64_t rdev; /* of a device */
	MneSlice target; /* of a symlink */
} MneMake;

/* A new table: mkdir at the root.  RECORD_EXISTS. */
int mne_table_create(MneStore *store, MneSlice name, const MneMake *what,
		     uint32_t *out_table, MneNode *out_node) MNE_CHECKED;
/* Drop an empty table: -ENOTEMPTY, NO_TABLE. */
int mne_table_drop(MneStore *store, MneSlice name, uint64_t *out_rec) MNE_CHECKED;
/* rename(2) at the root with its flags; the target may be an empty table. */
int mne_table_rename(MneStore *store, MneSlice from, MneSlice to, unsigned flags)
	MNE_CHECKED;

/* mkdir, mknod, symlink.  A setgid directory hands down its group (and its bit to
 * directories). */
int mne_make(MneStore *store, const MneSpot *spot, const MneMake *what,
	     MneNode *out_node) MNE_CHECKED;

/* A second name for a file.  RECORD_EXISTS, -EMLINK, -ENOENT (unlinked meanwhile: except
 * O_TMPFILE files, which get their first name). */
int mne_link(MneStore *store, const MnePlace *place, const MneSpot *spot,
	     MneNode *out_node) MNE_CHECKED;

/* out_rec: the record that lost the name. */
int mne_unlink(MneStore *store, const MneSpot *spot, uint64_t *out_rec) MNE_CHECKED;
int mne_rmdir(MneStore *store, const MneSpot *spot, uint64_t *out_rec) MNE_CHECKED;

/* rename(2) inside one table (else OTHER_TABLE), with RENAME_NOREPLACE, RENAME_EXCHANGE.
 * out_moved: the record that stood at the old name; out_other: the one that stood at the
 * new name (replaced, or exchanged), 0: none. */
int mne_rename(MneStore *store, const MneSpot *from, const MneSpot *to, unsigned flags,
	       uint64_t *out_moved, uint64_t *out_other) MNE_CHECKED;
