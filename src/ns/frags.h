/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/frags.h - fragments as directories
 *
 *	T/.frag/            FRAGS  of every table, live or past: all its fragments
 *	T/.frag/0003/       FRAG   the records whose names hash to fragment 3
 *	T/0003/             FRAG   the same, of a table that lists fragments
 *
 * A fragment directory is a view: it lists its records, and finds or makes any record of
 * the table by name.  So a live record has several paths, and the kernel must not believe
 * a name in such a table, once it was told, without asking again: the table is *shared*.
 * That begins before the first of these paths can be used, and lasts until unmount:
 *
 *	mne_ns_share_begin(ns, table)      nothing is to be believed from now on
 *	... every earlier request was answered; the kernel forgets what it believes ...
 *	mne_ns_share_end(ns, table)        fragment directories can be found
 *
 * Threads: all functions.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneShared MneShared;

/* Every table with fragments, or that may get some, is shared from the start. */
MneShared *mne_shared_new(MneStore *store);
void mne_shared_free(MneShared *shared);

/* Names in this table are not to be believed. */
bool mne_ns_is_shared(MneNs *ns, uint32_t table);

typedef struct {
	uint32_t table;
	uint64_t dir; /* its root directory */
} MneShare;

void mne_ns_share_begin(MneNs *ns, uint32_t table, uint64_t dir);
/* One that has begun and not ended; false: none. */
bool mne_ns_share_next(MneNs *ns, MneShare *out);
void mne_ns_share_end(MneNs *ns, uint32_t table);
/* Must a lookup in this directory wait for that? */
bool mne_ns_share_is_due(MneNs *ns, const MneInode *dir);

/* Does the directory, live or past, show fragments in place of its records? */
bool mne_frags_are_listed(MneNs *ns, const MneIdentity *dir);

/* Of the root directory of a table, live or past: does it list fragments; and the commit
 * since which that, and where its records are, has not changed but by what was made and
 * removed.  -ENODATA of other directories. */
int mne_frags_listing(MneNs *ns, const MneIdentity *dir, bool *out_fragments,
		      uint64_t *out_since) MNE_CHECKED;
/* The name of the fragment directory in which dir, which lists them, shows name. */
int mne_frags_shown_in(MneNs *ns, const MneIdentity *dir, MneSlice name,
		       char out_name[5]) MNE_CHECKED;

/* `.frag` of a table; nothing (0 with inode NULL) of other directories. */
int mne_frags_dir_find(MneNs *ns, const MneIdentity *of, MneSlice name, MneFound *out)
	MNE_CHECKED;
int mne_frags_dir_stat(MneNs *ns, const MneIdentity *self, struct stat *out)
	MNE_CHECKED;
/* 1: name is a fragment directory of dir, and found; 0: it is not. */
int mne_frag_dir_find(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
	MNE_CHECKED;
/* Names of fragment directories, sorted: strings, owned.  In the table itself only those
 * with records. */
int mne_frag_dir_list(MneNs *ns, const MneIdentity *dir, GPtrArray **out_names)
	MNE_CHECKED;

/* May name be made in dir, or removed from it?  Fragments are neither. */
int mne_frag_check_name(MneNs *ns, const MneIdentity *dir, MneSlice name) MNE_CHECKED;
/* 1: name was a fragment directory, and is empty: it goes, for a moment. */
int mne_frag_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name) MNE_CHECKED;

/* Of a listing. */
uint32_t mne_frag_number(const MneIdentity *self);
/* The fragment a record is in: -ENODATA when it is not one of a table. */
int mne_frag_of_place(MneNs *ns, const MneIdentity *self, const MnePlace *place,
		      uint32_t *out_frag) MNE_CHECKED;
