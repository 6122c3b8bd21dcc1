/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/map.h - how the records of one table are spread: the value of its FRAGS key
 *
 *	STAYS  --begin-->  GROWS, SHRINKS  --end-->  STAYS, one fragment more or less
 *
 * While the map grows or shrinks, a record whose fragment changes stands in the old or in
 * the new one.  It goes one way only, and in one batch: who looks first in the old one,
 * then in the new one, finds it.
 *
 * Fragments are numbered from 1; in NODE keys of the store from 0.  A map never changes
 * once it is shared.  Threads: all functions.
 */
#pragma once

#include "frag/hash.h"
#include "util/ref.h"
#include "util/slice.h"

#include <glib.h>

/* On disk: never renumber. */
typedef enum {
	MNE_FRAG_STAYS = 0,
	MNE_FRAG_GROWS = 1,
	MNE_FRAG_SHRINKS = 2,
} MneFragMove;

/* What a table with more than one fragment lists.  On disk: never renumber. */
typedef enum {
	MNE_FRAG_LISTS_FRAGMENTS = 0,
	MNE_FRAG_LISTS_RECORDS = 1,
} MneFragListing;

typedef struct {
	MneRef ref;
	uint64_t seq; /* of the commit that wrote it */
	uint32_t table;
	uint64_t dir; /* its root directory, whose entries are spread */
	char *module; /* name of the hash module */
	const MneFragHash
		*hash; /* NULL: this module was not found, or map is damaged */
	uint32_t n;
	MneFragState state;
	MneFragListing listing;
	uint32_t goal; /* as many fragments are wanted; 0: as there are */
	uint32_t
		per_frag; /* records in a fragment for which n follows; 0: it does not */
	MneFragMove move;
	MneFragStep step; /* where the move leads */
} MneFragMap;

/* One fragment, phash2. */
MneFragMap *mne_frag_map_new(uint32_t table, uint64_t dir);
/* A copy to change before it is shared. */
MneFragMap *mne_frag_map_copy(const MneFragMap *map);
MneFragMap *mne_frag_map_ref(MneFragMap *map);
void mne_frag_map_unref(MneFragMap *map);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneFragMap, mne_frag_map_unref)

/* The module of a name, NULL when there is none; data: the first argument of decode. */
typedef const MneFragHash *(*MneFragHashFind)(void *data, const char *name);

GBytes *mne_frag_map_encode(const MneFragMap *map);
/* VALUE_CORRUPT.  A module that is not found is no failure: hash is NULL then. */
int mne_frag_map_decode(MneSlice value, uint32_t table, MneFragHashFind find,
			void *data, MneFragMap **out_map) MNE_CHECKED;

/* The fragment a name belongs to, and to which it will when the move has ended; the same
 * where nothing moves. */
int mne_frag_map_place(const MneFragMap *map, MneSlice name, uint32_t *out_old,
		       uint32_t *out_new) MNE_CHECKED;
/* In how many fragments records can stand. */
uint32_t mne_frag_map_parts(const MneFragMap *map);
/* Does the table list fragments in place of its records? */
bool mne_frag_map_lists_fragments(const MneFragMap *map);

/* Where the names of fragment `frag` of `was` can stand in `now`: numbers of `now`, in an
 * array of uint32_t, ascending. */
GArray *mne_frag_map_sources(const MneFragMap *now, const MneFragMap *was,
			     uint32_t frag);
