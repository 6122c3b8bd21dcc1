/* SPDX-License-Identifier: Apache-2.0
 *
 * view/view.h - one way to look at the tables: as they are, as they were, or as a
 * transaction would have them
 *
 * A view maps the logical keys TABLE, NODE, INODE, EXTENT and XATTR to values; the three
 * implementations differ in nothing else.  Everything a reader does (look a name up,
 * list a directory, read a file) is written once, above these two slots.
 *
 * The root directory is directory MNE_ROOT_DIR of table 0; its entries are the tables.
 *
 * Threads: all functions may be called from any thread.  An iterator belongs to one.
 */
#pragma once

#include "blob/store.h"
#include "record/extent.h"
#include "record/keys.h"
#include "record/node.h"
#include "util/error.h"

#include <sys/types.h>

typedef struct MneView MneView;
typedef struct MneIter MneIter;

#define MNE_ROOT_TABLE 0u
#define MNE_ROOT_DIR   1u

typedef struct {
	const char *name;

	/* The value of a logical key; -ENOENT when the view has none; CKPT_GONE. */
	int (*get)(MneView *view, MneSlice key, GBytes **out_value);

	/* Keys that begin with prefix and are >= from, ascending: one consistent moment.
	 * A prefix NODE(table, dir, f, "") with f > 0 means the entries in fragment f as
	 * the view knows it.  The keys handed out have fragment 0. */
	int (*iter)(MneView *view, MneSlice prefix, MneSlice from, MneIter **out_iter);
} MneViewOps;

/* Views embed this first. */
struct MneView {
	const MneViewOps *ops;
	MneBlobStore *blob;
};

int mne_view_get(MneView *view, MneSlice key, GBytes **out_value) MNE_CHECKED;
int mne_view_iter(MneView *view, MneSlice prefix, MneSlice from, MneIter **out_iter)
	MNE_CHECKED;

/* Where a record was found: enough to find it again after anything but its removal.
 * The name is borrowed. */
typedef struct {
	uint32_t table;
	uint64_t rec; /* record id; of a directory its dir id */
	uint64_t dir; /* directory that holds (one of) its name(s) */
	MneSlice name;
	bool is_dir;
} MnePlace;

/* The record called name in directory (table, dir).  -ENOENT (NO_RECORD, NO_TABLE).
 * At the root the node is that of the table's root directory, and *out_table the table;
 * elsewhere *out_table is table. */
int mne_view_lookup(MneView *view, uint32_t table, uint64_t dir, MneSlice name,
		    uint32_t *out_table, MneNode *out_node) MNE_CHECKED;

/* The node that the value of a directory entry stands for. */
int mne_view_follow(MneView *view, uint32_t table, GBytes *value, MneNode *out_node)
	MNE_CHECKED;

/* The node of a place.  -ESTALE when the record is gone. */
int mne_view_node(MneView *view, const MnePlace *place, MneNode *out_node) MNE_CHECKED;

/* Read file bytes: up to len, fewer at the end of the file; returns the count. */
ssize_t mne_view_read(MneView *view, uint32_t table, const MneNode *node,
		      uint64_t offset, void *buffer, size_t len) MNE_CHECKED;

/* The extents of a file that overlap [offset, offset+len), ascending: appended to out. */
int mne_view_extents(MneView *view, uint32_t table, uint64_t data, uint64_t offset,
		     uint64_t len, GArray *out) MNE_CHECKED;

/* SEEK_DATA, SEEK_HOLE from offset: -ENXIO at or past the end, or when no data follows. */
int mne_view_seek(MneView *view, uint32_t table, const MneNode *node, uint64_t offset,
		  int whence, uint64_t *out_offset) MNE_CHECKED;

/* The value of a big or small attribute: -ENODATA when absent. */
int mne_view_xattr(MneView *view, uint32_t table, const MneNode *node, MneSlice name,
		   GBytes **out_value) MNE_CHECKED;
/* All names, each followed by a NUL, appended to out. */
int mne_view_xattr_names(MneView *view, uint32_t table, const MneNode *node,
			 GByteArray *out) MNE_CHECKED;

/* Listing a directory in name order. */
typedef struct MneListing MneListing;

typedef struct {
	MneSlice name; /* borrowed until the next step */
	uint64_t rec;
	uint32_t mode; /* the type bits, at least */
	uint32_t table; /* the table the entry leads into (differs at the root) */
} MneEntry;

typedef struct {
	uint32_t table;
	uint64_t dir;
	uint32_t fragment;
} MneFragmentOf;

/* Entries with names > after (empty: all).  "." and ".." are not among them. */
int mne_view_list(MneView *view, uint32_t table, uint64_t dir, MneSlice after,
		  MneListing **out_listing) MNE_CHECKED;
/* The same of those in one fragment of a table, from 1; 0: all. */
int mne_view_list_fragment(MneView *view, const MneFragmentOf *what, MneSlice after,
			   MneListing **out_listing) MNE_CHECKED;
/* 1: *out_entry is the next, and *out_node its node when asked for (not NULL).
 * 0: end. */
int mne_listing_next(MneListing *listing, MneEntry *out_entry, MneNode *out_node)
	MNE_CHECKED;
void mne_listing_free(MneListing *listing);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneListing, mne_listing_free)
