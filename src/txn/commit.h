/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/commit.h - the one writer
 *
 *	g_auto(MneCommit) commit = { 0 };
 *	MNE_TRY(mne_commit_begin(store, &commit));     the gate is held from here
 *	... read live state, mne_commit_put(), mne_commit_del() ...
 *	MNE_TRY(mne_commit_apply(&commit));            one batch, one seq
 *	... bring what is held in memory up to date ...
 *	return mne_commit_finish(&commit);             the gate is given up; sync=commit waits
 *
 * Leaving the scope gives the gate up, too; without apply nothing has changed.  All commits pass
 * the gate one at a time: so what a commit reads stays true until it applies, seqs are
 * applied in their order, and whoever makes a checkpoint inside the gate makes a point in
 * time.  The engine takes one batch at a time anyway.
 *
 * Order of writing: blob bytes are appended before the batch that names them is applied;
 * a crash between leaves garbage for the sweeper, never a dangling name.
 */
#pragma once

#include "record/extent.h"
#include "txn/internal.h"
#include "txn/names.h"

typedef struct {
	MneStore *store;
	uint64_t seq; /* this commit's */
	struct timespec now; /* for the times it writes */
	GHashTable *live; /* segment id -> change of live bytes; NULL: none */
	MneFragMap *frags; /* owned; known from the commit on */
	GArray *frags_gone; /* uint32_t: tables whose maps go with it; NULL: none */
	bool spreads; /* it may change FRAGS keys */
	bool held;
	bool moves_only; /* changes no version: takes no seq */
	unsigned orphans; /* made by it */
	GArray *cells; /* MneTallyCell: changes of what is retained; NULL: none */
	int64_t retained; /* bytes of new images */
	GHashTable *kept; /* set of GBytes: keys whose images it retains; NULL: none */
	struct MneTelling
		*telling; /* what listeners will hear: see txn/tell.h; or NULL */
	const char *by; /* borrowed: whose it is, as more members of each event */
} MneCommit;

/* STORE_FAILED after a failed sync; -EROFS on a read-only store. */
int mne_commit_begin(MneStore *store, MneCommit *out) MNE_CHECKED;
/* The same for one that keeps a moment: while no close is under way, see txn/closing.h. */
int mne_commit_begin_between_closes(MneStore *store, MneCommit *out) MNE_CHECKED;
int mne_commit_apply(MneCommit *commit) MNE_CHECKED;
/* Give the gate up; wait for durability if every commit must be durable. */
int mne_commit_finish(MneCommit *commit) MNE_CHECKED;
void mne_commit_end(MneCommit *commit);
/* Applied, but goes on with another batch, of the same seq, inside the gate. */
void mne_commit_next(MneCommit *commit);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneCommit, mne_commit_end)

/* Versioned keys: the old value is retained for the checkpoints that need it. */
int mne_commit_put(MneCommit *commit, const MneKey *key, MneSlice value) MNE_CHECKED;
int mne_commit_del(MneCommit *commit, const MneKey *key) MNE_CHECKED;

/* An inode: stamps node->seq, and gives a new version id if a checkpoint holds the old. */
int mne_commit_node(MneCommit *commit, const MneKey *key, MneNode *node) MNE_CHECKED;
/* A directory entry that only refers; of a hard link its NAME key, too. */
int mne_commit_ref(MneCommit *commit, const MneKey *key, MneKind kind, uint64_t rec,
		   uint32_t mode) MNE_CHECKED;
/* Take away a directory entry, as it was put: kind and rec tell what it is. */
int mne_commit_del_entry(MneCommit *commit, const MneKey *key, MneKind kind,
			 uint64_t rec) MNE_CHECKED;
int mne_commit_extent(MneCommit *commit, uint32_t table, uint64_t data,
		      const MneExtent *extent) MNE_CHECKED;
/* Delete a live extent whose value is given: retained or its bytes given up. */
int mne_commit_del_extent(MneCommit *commit, const MneKey *key, MneSlice value,
			  uint64_t newest) MNE_CHECKED;

/* Keys that no view shows: as they are. */
void mne_commit_set(MneCommit *commit, const MneKey *key, MneSlice value);
void mne_commit_unset(MneCommit *commit, const MneKey *key);

/* Retain what stands at key for the checkpoint of seq newest, if it needs it: counted. */
void mne_commit_retain(MneCommit *commit, uint64_t newest, MneSlice key, MneSlice now);
/* An image retained under `under` comes (sign 1) or goes (-1) with this commit, by other
 * ways than the above. */
void mne_commit_count(MneCommit *commit, MneSlice key, MneSlice image, uint64_t under,
		      int sign);
/* The checkpoint leaves the set with this commit. */
void mne_commit_forget_ckpt(MneCommit *commit, const MneCkpt *ckpt);
/* For mne_commit_apply(): the counts go into the batch; and into memory, once applied. */
void mne_commit_put_tally(MneCommit *commit);
void mne_commit_tallied(MneCommit *commit);
/* The record of a checkpoint, with state, name and traits as given.  txn/checkpoint.c */
void mne_commit_put_ckpt(MneCommit *commit, const MneCkpt *ckpt, MneCkptState state,
			 MneSlice name, const MneCkptTraits *traits);
/* An event, once it was applied; with the gate held, so it has its place among the commits. */
void mne_commit_tell_ckpt(MneStore *store, const char *event, const MneCkpt *ckpt,
			  MneSlice name);

/* Live bytes of a segment change with this commit. */
void mne_commit_live(MneCommit *commit, uint64_t segment, int64_t delta);

/* The extents of a data id that nobody names any more: the reaper takes them. */
void mne_commit_orphan(MneCommit *commit, uint32_t table, uint64_t data);

/* Into a commit: map is how its table is spread from then on. */
int mne_frags_put(MneCommit *commit, MneFragMap *map) MNE_CHECKED;
/* Into a commit: the table goes, and this with it. */
int mne_frags_drop(MneCommit *commit, uint32_t table) MNE_CHECKED;

/* The node of a live directory, as committed: -ENOENT when it is gone. */
int mne_dir_load(MneStore *store, uint32_t table, uint64_t dir, MneNode *out)
	MNE_CHECKED;
/* Entries and subdirectories changed; its times follow. */
int mne_dir_touch(MneCommit *commit, uint32_t table, MneNode *dir, int entries,
		  int subdirs) MNE_CHECKED;

/* A new inode, not yet committed: ids, owner, times; setgid handed down from dir. */
void mne_node_new(MneStore *store, const MneNode *dir, const MneMake *what,
		  struct timespec now, MneNode *out);

/* RECORD_EXISTS when something stands there, committed or not. */
int mne_spot_require_free(MneStore *store, const MneSpot *spot) MNE_CHECKED;

/* The key an inode stands under. */
void mne_place_key(uint32_t table, const MneNode *node, uint64_t dir, MneSlice name,
		   MneKey *out);

/* As a write or chown by another than root does: setgid without group execution stays. */
void mne_node_drop_suid(MneNode *node);

/* A regular file is about to replace, at its name, a version of which the newest checkpoint
 * may hold `was` (mtime in seconds): its own mtime must lie in a later second, unless the
 * user set it. */
bool mne_mtime_bump(MneNode *node, time_t was);
/* The same over the version that the newest checkpoint holds under key, when the live one
 * has moved on from it. */
bool mne_mtime_bump_retained(MneStore *store, const MneKey *key, MneNode *node);
