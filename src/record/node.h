/* SPDX-License-Identifier: Apache-2.0
 *
 * record/node.h - the inode, in memory and as a value
 *
 * Every value in the store but the empty ones of CHANGED begins with one byte of kind and
 * the 8 bytes of the seq of the commit that wrote it, and ends with a CRC-32C of all
 * before it: mne_value_*().  Whoever only retains or compares needs no more.
 *
 * A decoded node borrows its slices from `value`, which it holds.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/stat.h>
#include <time.h>

#include <glib.h>

/* On disk: never renumber. */
typedef enum {
	MNE_KIND_TABLE = 1,
	MNE_KIND_INODE = 2, /* a whole inode */
	MNE_KIND_DIRREF =
		3, /* a subdirectory: its inode is under NODE(table, dir, 0, "") */
	MNE_KIND_LINK = 4, /* a name of a hard-linked file: its inode is under INODE */
	MNE_KIND_EXTENT = 5,
	MNE_KIND_XATTR = 6,
	MNE_KIND_SUPER = 7,
	MNE_KIND_CKPT = 8,
	MNE_KIND_ORPHAN = 9,
	MNE_KIND_SEGMENT = 10,
	MNE_KIND_TALLY = 16,
	MNE_KIND_FRAGS = 17,
	MNE_KIND_ROLLBACK = 24,
} MneKind;

/* Begin a value in the empty array `to`; end it with the checksum. */
void mne_value_begin(GByteArray *to, MneKind kind, uint64_t seq);
void mne_value_end(GByteArray *to);
/* Check the frame (length, checksum) and hand out kind, seq and what lies between. */
int mne_value_open(MneSlice value, MneKind *out_kind, uint64_t *out_seq,
		   MneSlice *out_payload) MNE_CHECKED;
/* The seq alone, checksum unchecked; 0 when the value is too short. */
uint64_t mne_value_seq(MneSlice value);

enum {
	MNE_NODE_MTIME_SET = 1, /* the mtime was set by the user: never move it */
	MNE_NODE_BIG_XATTRS = 2, /* some attributes are under XATTR keys */
	MNE_NODE_LINKED = 4, /* stands under INODE: it has, or had, several names */
};

typedef struct {
	uint64_t seq; /* commit that wrote it; 0: not committed yet */
	uint64_t rec; /* record id: the live inode number; of a directory its dir id */
	uint64_t version; /* version id: the inode number checkpoints show */
	uint32_t mode;
	uint32_t uid, gid;
	uint32_t nlink;
	uint32_t flags;
	uint64_t rdev;
	uint64_t size; /* bytes; of a directory: 0 */
	uint64_t data; /* data id of the extents; 0: inline or none */
	uint64_t stored; /* bytes in extents (st_blocks) */
	uint64_t entries; /* of a directory: committed entries */
	uint64_t parent; /* of a directory: dir id of its parent */
	struct timespec atime, mtime, ctime, btime;
	MneSlice name; /* of a directory: its name in parent */
	MneSlice content; /* inline data, or symlink target */
	MneSlice xattrs; /* encoded: see record/xattr.h */
	GBytes *value; /* owned: what the slices point into; may be NULL */
} MneNode;

#define MNE_INLINE_MAX 4096u

void mne_node_clear(MneNode *node);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneNode, mne_node_clear)
/* out holds its own reference to value. */
void mne_node_copy(const MneNode *node, MneNode *out);

/* The encoded value with node->seq, slices included. */
GBytes *mne_node_encode(const MneNode *node);
/* Takes a reference to value.  VALUE_CORRUPT when it does not decode. */
int mne_node_decode(GBytes *value, MneNode *out) MNE_CHECKED;

/* DIRREF and LINK values: only a record id. */
GBytes *mne_ref_encode(MneKind kind, uint64_t seq, uint64_t rec, uint32_t mode);
int mne_ref_decode(MneSlice value, MneKind *out_kind, uint64_t *out_rec,
		   uint32_t *out_mode) MNE_CHECKED;

static inline bool mne_node_is_dir(const MneNode *node)
{
	return S_ISDIR(node->mode);
}

static inline bool mne_node_is_file(const MneNode *node)
{
	return S_ISREG(node->mode);
}

/* 512-byte blocks: never 0 when there are bytes (tar -S would archive zeros). */
uint64_t mne_node_blocks(const MneNode *node);
