/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/set.h - changing the set of checkpoints: for the one writer, txn/
 *
 * The order of a change: the commit is applied first, then the set in memory follows, all
 * under the gate; so no commit ever sees a set that the store does not have.
 */
#pragma once

#include "ckpt/ckpt.h"
#include "ckpt/tally.h"
#include "kv/kv.h"

/* Where a set is kept: that of the checkpoints, and that of the bookmarks, which are
 * checkpoints of which only the names are kept: see ckpt/stub.h. */
typedef struct {
	MneTag ckpt, retained, changed;
} MneCkptTags;

extern const MneCkptTags mne_ckpt_tags, mne_bookmark_tags;

MneCkpts *mne_ckpts_new(MneKv *kv, MneView *live, const MneCkptTags *tags);
const MneCkptTags *mne_ckpts_tags(MneCkpts *set);
void mne_ckpts_free(MneCkpts *set);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneCkpts, mne_ckpts_free)

/* Read every CKPT record of the store. */
int mne_ckpts_load(MneCkpts *set) MNE_CHECKED;

/* One that is not in the set yet; copies what it needs of spec. */
MneCkpt *mne_ckpt_new(MneCkpts *set, const MneCkptSpec *spec);
/* Takes a reference of its own. */
void mne_ckpts_add(MneCkpts *set, MneCkpt *ckpt);
void mne_ckpts_set_state(MneCkpts *set, MneCkpt *ckpt, MneCkptState state);
void mne_ckpts_set_dropping(MneCkpts *set, MneCkpt *ckpt);
void mne_ckpts_set_name(MneCkpts *set, MneCkpt *ckpt, MneSlice name);
void mne_ckpts_set_traits(MneCkpts *set, MneCkpt *ckpt, MneCkptTraits *take_traits);
void mne_ckpts_remove(MneCkpts *set, MneCkpt *ckpt);

/* The oldest DROPPING one, a new reference; NULL: none. */
MneCkpt *mne_ckpts_next_dropping(MneCkpts *set);

/* The newest ACTIVE (or MAKING) one that covers table and has a seq < before; 0: none. */
uint64_t mne_ckpts_newest_before(MneCkpts *set, uint32_t table, uint64_t before);

/* How many ACTIVE ones that cover table have first <= seq <= last. */
unsigned mne_ckpts_between(MneCkpts *set, uint32_t table, uint64_t first,
			   uint64_t last);

/* The oldest one, ACTIVE or DROPPING, that covers table and has a seq >= from; 0: none. */
uint64_t mne_ckpts_first_from(MneCkpts *set, uint32_t table, uint64_t from);
MneTally *mne_ckpts_tally(MneCkpts *set);
/* Seqs of all, the DROPPING ones too, with first <= seq < end, ascending: uint64_t. */
GArray *mne_ckpts_seqs(MneCkpts *set, uint64_t first, uint64_t end);

/* ckpt/past.c */
void mne_past_view_init(MneCkpt *ckpt, MneView *live);
MneView *mne_ckpts_live(MneCkpts *set);
MneKv *mne_ckpts_kv(MneCkpts *set);
/* Of the set, and of what may change in its members. */
MneLock *mne_ckpts_lock(MneCkpts *set);
