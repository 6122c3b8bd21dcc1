/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/ckpt.h - a checkpoint, and the set of them
 *
 * A checkpoint is a name for a seq over a set of tables.  The set is small and held in
 * memory; every member is also under a CKPT key.  Making and dropping one is a
 * commit, done in txn/; here is only what readers and the retain rule ask.
 *
 *	ACTIVE ---drop---> DROPPING ---space reclaimed---> (removed)
 *
 * A view of a checkpoint that is not ACTIVE answers CKPT_GONE (ESTALE) for ever.
 *
 * Threads: all functions; the set has its own lock (MNE_RANK_CKPTS).
 */
#pragma once

#include "frag/map.h"
#include "util/lock.h"
#include "util/ref.h"
#include "view/view.h"

#include <stdatomic.h>

typedef enum {
	MNE_CKPT_ACTIVE = 1,
	MNE_CKPT_DROPPING = 2,
	/* A bookmark that is not complete: nobody sees it, but changes are kept for it.
	 * Only in memory; in the store it is DROPPING, so that a crash gives it up. */
	MNE_CKPT_MAKING = 3,
} MneCkptState;

#define MNE_CKPT_NOTE_MAX 1024u

/* What may be changed while a checkpoint is active. */
typedef struct {
	bool pinned; /* nobody drops it, unless by force */
	int64_t expires_ns; /* CLOCK_REALTIME: from when on it may be dropped; 0: never */
	char *note; /* NULL: none */
} MneCkptTraits;

void mne_ckpt_traits_clear(MneCkptTraits *traits);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneCkptTraits, mne_ckpt_traits_clear)

/* How it was asked for: kept for tables in memory, and for stores of several nodes. */
typedef enum {
	MNE_CKPT_OF_DUMP =
		1, /* a table in memory as it was last dumped, not as it is */
	MNE_CKPT_LOCAL_ONLY = 2, /* every table must have a copy here */
	MNE_CKPT_RISKY = 4, /* a hook was not ready for it */
	MNE_CKPT_ALL_FLAGS = MNE_CKPT_OF_DUMP | MNE_CKPT_LOCAL_ONLY | MNE_CKPT_RISKY,
} MneCkptFlags;

typedef struct MneCkpt {
	MneView view; /* reads the tables as they were: see ckpt/past.c */
	MneRef ref;
	struct MneCkpts *set; /* borrowed: outlives every checkpoint */
	uint64_t id;
	uint64_t seq;
	uint64_t cookie; /* differs for a name made again */
	int64_t time_ns; /* CLOCK_REALTIME, for people */
	uint32_t uid, gid; /* who made it, and may drop it */
	bool all_tables; /* covers every table there was, or only those listed */
	GArray *tables; /* uint32_t table ids covered, ascending */
	GArray *max_tables; /* … of them those to be kept on every node, ascending */
	unsigned flags; /* MneCkptFlags */
	MneCkptTraits traits; /* change: read through mne_ckpt_traits() */
	GQueue holds; /* see ckpt/hold.h */
	bool closing; /* … nobody can take one any more */
	_Atomic int64_t dropped; /* seconds since the epoch; 0: not since mounting */
	_Atomic int state; /* MneCkptState */
	char *name; /* changes by rename: read through mne_ckpt_name() */
} MneCkpt;

typedef struct MneCkpts MneCkpts;

/* What to checkpoint, and who does. */
typedef struct {
	MneSlice name;
	const GArray *tables; /* uint32_t ids to cover; NULL: all there are */
	const GArray *max_tables; /* of these the ones for every node; NULL: none */
	uint32_t uid, gid;
	unsigned flags; /* MneCkptFlags */
	MneCkptTraits traits; /* note is borrowed */
	bool refuses; /* not made while a transaction is open; else it ignores those */
} MneCkptSpec;

MneCkpt *mne_ckpt_ref(MneCkpt *ckpt);
void mne_ckpt_unref(MneCkpt *ckpt);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneCkpt, mne_ckpt_unref)

bool mne_ckpt_covers(const MneCkpt *ckpt, uint32_t table);
bool mne_ckpt_is_active(const MneCkpt *ckpt);
/* A new string. */
char *mne_ckpt_name(MneCkpt *ckpt);
/* A copy, to be cleared. */
void mne_ckpt_traits(MneCkpt *ckpt, MneCkptTraits *out);

/* 0, or CKPT_NAME with a sentence (':' , control characters, "@…", empty, "." ".."),
 * -ENAMETOOLONG over 255 bytes. */
int mne_ckpt_check_name(MneSlice name) MNE_CHECKED;
/* 0, or CKPT_NOTE: one line of MNE_CKPT_NOTE_MAX bytes. */
int mne_ckpt_check_note(MneSlice note) MNE_CHECKED;

/* A new reference, or NO_CKPT. */
int mne_ckpts_find(MneCkpts *set, MneSlice name, MneCkpt **out_ckpt) MNE_CHECKED;
/* All ACTIVE ones, oldest first: an array of MneCkpt * with references (free func set). */
GPtrArray *mne_ckpts_list(MneCkpts *set);
unsigned mne_ckpts_count(MneCkpts *set);
/* Grows when one becomes active, and when one is dropped. */
uint64_t mne_ckpts_turns(MneCkpts *set);
/* Checkpoints still being reclaimed. */
unsigned mne_ckpts_dropping(MneCkpts *set);

/* The seq of the newest ACTIVE checkpoint that covers table; 0: none. */
uint64_t mne_ckpts_newest(MneCkpts *set, uint32_t table);
/* Seconds since the epoch of that checkpoint; 0: none. */
int64_t mne_ckpts_newest_time(MneCkpts *set, uint32_t table);

/* How the table's records were spread, dir its root directory: a new reference. */
int mne_ckpt_frag_map(MneCkpt *ckpt, uint32_t table, uint64_t dir, MneFragMap **out_map)
	MNE_CHECKED;

/* How many ACTIVE checkpoints covering table see the version this view's node is: the
 * factor of st_nlink in a checkpoint.  key: where the node stands (logical). */
int mne_ckpt_sharers(MneCkpt *ckpt, uint32_t table, MneSlice key, uint64_t node_seq,
		     unsigned *out_count) MNE_CHECKED;
/* The same for a place. */
int mne_ckpt_sharers_of(MneCkpt *ckpt, const MnePlace *place, const MneNode *node,
			unsigned *out_count) MNE_CHECKED;
