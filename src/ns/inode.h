/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/inode.h - the objects the kernel knows, and how they are found again
 *
 * An inode is what a node number of the kernel's stands for: its number is its address,
 * but for the root's.  It lives as long as the kernel remembers it (lookups > 0); there is
 * one for each identity.  Directories of a checkpoint that are reached through different
 * `.checkpoints` directories are different inodes, because the kernel wants a directory
 * to stand in one place.
 *
 * An inode remembers where it was found last (a place).  A rename changes that only after
 * it was committed; whoever uses a place that went stale meanwhile tries again:
 *
 *	mne_inode_find(inodes, inode, &finding);
 *	do
 *		err = mne_live_node(store, &finding.place, &node);
 *	while (mne_inode_retry(inodes, inode, err, &finding));
 *
 * Threads: all functions, any thread.  The locks (MNE_RANK_INODE) are held only inside.
 * An inode is valid as long as the request that names it is not answered.
 */
#pragma once

#include "ckpt/ckpt.h"
#include "ns/kept.h"
#include "ns/tx.h"
#include "view/view.h"

typedef enum {
	MNE_OBJECT_LIVE, /* a record or directory of the tables as they are; the root */
	MNE_OBJECT_PAST, /* one as it was at a checkpoint; with table 0 the past root */
	MNE_OBJECT_CKPTS, /* the `.checkpoints` of a live directory */
	MNE_OBJECT_FRAGS, /* the `.frag` of a table, live or past */
	MNE_OBJECT_FRAG, /* a fragment of a table, as a directory; see ns/frags.h */
	MNE_OBJECT_CTL, /* `.mnefs` (rec 0) and the files in it (rec from 1) */
	MNE_OBJECT_TXS, /* `.tx`, of the root or of a transaction's */
	MNE_OBJECT_TXCTL, /* a file by which a transaction is told what to do */
} MneObject;

typedef struct {
	MneObject object;
	bool is_dir;
	uint32_t table;
	uint64_t rec;
	MneCkpt *ckpt; /* borrowed; of what is past */
	uint64_t
		via; /* of what is past: directory whose `.checkpoints` leads here, or a
		       * number of ns/delta.h; of a live FRAG: which life */
	uint16_t
		frag; /* FRAG: which; of a directory below one: reached through that one,
			* for the kernel wants a directory to stand in one place */
	MneNsTx *tx; /* borrowed: in the view of this transaction; NULL: in none */
} MneIdentity;

typedef struct MneInode MneInode;
typedef struct MneInodes MneInodes;

/* ckpt: whose root the root is; NULL: the live one. */
MneInodes *mne_inodes_new(MneCkpt *ckpt);
void mne_inodes_free(MneInodes *inodes);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneInodes, mne_inodes_free)

MneInode *mne_inodes_root(MneInodes *inodes);
uint64_t mne_inodes_count(MneInodes *inodes);
MneKepts *mne_inodes_kepts(MneInodes *inodes); /* listings of live directories */

/* Numbers: of the root 1, of others the address. */
uint64_t mne_inode_number(MneInodes *inodes, const MneInode *inode);
MneInode *mne_inode_of_number(MneInodes *inodes, uint64_t number);

/* The inode of identity, found as name in directory dir; counts one lookup. */
MneInode *mne_inodes_look_up(MneInodes *inodes, const MneIdentity *identity,
			     uint64_t dir, MneSlice name);
void mne_inodes_forget(MneInodes *inodes, MneInode *inode, uint64_t lookups);

/* Never changes; ckpt is borrowed from the inode. */
MneIdentity mne_inode_identity(const MneInode *inode);

/* A place with room for its name. */
typedef struct {
	MnePlace place;
	unsigned tries;
	uint8_t name[256];
} MneFinding;

void mne_inode_find(MneInodes *inodes, MneInode *inode, MneFinding *out_finding);
/* After err with *io_finding: true when the record stands, or may stand, elsewhere by now. */
bool mne_inode_retry(MneInodes *inodes, MneInode *inode, int err,
		     MneFinding *io_finding);

/* Around the commit of a rename, and in between what it did. */
void mne_inodes_move_begin(MneInodes *inodes);
void mne_inodes_moved(MneInodes *inodes, MneNsTx *tx, uint64_t rec, uint64_t dir,
		      MneSlice name);
void mne_inodes_move_end(MneInodes *inodes);

/* Names that the kernel knows in a live directory: an array of GBytes, owned. */
GPtrArray *mne_inodes_names_in(MneInodes *inodes, uint64_t dir);

/* The kernel may have bytes of it in its cache. */
void mne_inode_set_cached(MneInodes *inodes, MneInode *inode);
/* Numbers of inodes with cached bytes whose checkpoint was dropped: an array of uint64_t.
 * Each is handed out once. */
GArray *mne_inodes_take_gone(MneInodes *inodes);

/* The name it was found by last; NULL: the kernel does not know it. */
GBytes *mne_inodes_name_of(MneInodes *inodes, uint64_t rec);
/* The number of a record's inode, live or in the view of tx, if the kernel knows it; 0: it
 * does not. */
uint64_t mne_inodes_number_of(MneInodes *inodes, MneNsTx *tx, uint64_t rec);
