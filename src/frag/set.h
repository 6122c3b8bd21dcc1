/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/set.h - how all tables are spread, in memory
 *
 * Tables that have no FRAGS key, those with one fragment, have no map here.  The one
 * writer changes the set, under its gate: before the batch for a move that begins (nobody
 * must look in the old fragment alone when records go), after it for all else.
 *
 * A reader looks without a lock, and afterwards whether the set changed meanwhile:
 *
 *	do {
 *		version = mne_frags_version(frags);
 *		... map = mne_frags_of_dir(…), look where it says ...
 *	} while (nothing found && version != mne_frags_version(frags));
 *
 * Threads: all functions; MNE_RANK_FRAGS is held only inside.
 */
#pragma once

#include "frag/map.h"
#include "frag/modules.h"
#include "kv/kv.h"

typedef struct MneFrags MneFrags;

/* modules: borrowed; NULL: only those built in. */
MneFrags *mne_frags_new(MneFragModules *modules);
void mne_frags_free(MneFrags *frags);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneFrags, mne_frags_free)

/* Read every FRAGS key of the store; what was known before is forgotten.  A damaged one
 * makes its table unusable, not the store. */
int mne_frags_load(MneFrags *frags, MneKv *kv) MNE_CHECKED;

uint64_t mne_frags_version(MneFrags *frags);
/* A new reference, or NULL: one fragment. */
MneFragMap *mne_frags_of_table(MneFrags *frags, uint32_t table);
/* The same if dir is its root directory, NULL otherwise. */
MneFragMap *mne_frags_of_dir(MneFrags *frags, uint32_t table, uint64_t dir);
/* All: an array of MneFragMap * with references (free func set). */
GPtrArray *mne_frags_list(MneFrags *frags);

void mne_frags_set(MneFrags *frags, MneFragMap *map);
void mne_frags_remove(MneFrags *frags, uint32_t table);

/* The hash module of a name, NULL when there is none: a MneFragHashFind. */
const MneFragHash *mne_frags_hash(void *frags, const char *name);
