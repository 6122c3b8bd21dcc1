/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/attr.h - changes of attributes in the live tables
 *
 * Of a file with uncommitted writes they join those, and are committed with them.
 */
#pragma once

#include "txn/store.h"

enum {
	MNE_SET_MODE = 1,
	MNE_SET_UID = 2,
	MNE_SET_GID = 4,
	MNE_SET_ATIME = 8,
	MNE_SET_MTIME = 16,
	MNE_SET_ATIME_NOW = 32,
	MNE_SET_MTIME_NOW = 64,
	MNE_SET_CTIME = 128,
	MNE_KILL_SUID = 256, /* drop setuid, and setgid of group-executable files */
};

typedef struct {
	unsigned set;
	uint32_t mode; /* permission bits; the type stays */
	uint32_t uid, gid;
	struct timespec atime, mtime, ctime;
} MneAttrChange;

/* out_node: as it is now. */
int mne_setattr(MneStore *store, const MnePlace *place, const MneAttrChange *change,
		MneNode *out_node) MNE_CHECKED;

/* flags: XATTR_CREATE, XATTR_REPLACE.  value.data == NULL removes (-ENODATA when absent).
 * -E2BIG over 64 KiB. */
int mne_setxattr(MneStore *store, const MnePlace *place, MneSlice name, MneSlice value,
		 int flags) MNE_CHECKED;

/* Reads that also see what is not committed yet: what live readers must use. */
int mne_live_lookup(MneStore *store, uint32_t table, uint64_t dir, MneSlice name,
		    uint32_t *out_table, MneNode *out_node) MNE_CHECKED;
int mne_live_node(MneStore *store, const MnePlace *place, MneNode *out_node)
	MNE_CHECKED;
int mne_live_list(MneStore *store, uint32_t table, uint64_t dir, MneSlice after,
		  MneListing **out_listing) MNE_CHECKED;
/* The same of one fragment of a table; 0: all. */
int mne_live_list_fragment(MneStore *store, const MneFragmentOf *what, MneSlice after,
			   MneListing **out_listing) MNE_CHECKED;
/* How often names that wait for their commit came and went in a directory. */
uint64_t mne_live_waiting_changes(MneStore *store, uint64_t dir);
int mne_live_xattr(MneStore *store, const MnePlace *place, MneSlice name,
		   GBytes **out_value) MNE_CHECKED;
int mne_live_xattr_names(MneStore *store, const MnePlace *place, GByteArray *out)
	MNE_CHECKED;
