/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/hash.h - hash modules: those built in, and asking any of them
 *
 * Nothing that a module says is believed before it was checked; FRAG_HASH names the
 * module and what it said.  Threads: all functions, any thread.
 */
#pragma once

#include "frag/frag-hash.h"
#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>

typedef struct mnefs_frag_hash MneFragHash;
typedef struct mnefs_frag_state MneFragState;
typedef struct mnefs_frag_list MneFragList;
typedef struct mnefs_frag_match MneFragMatch;

/* Numbers have four digits in the names of fragment directories. */
#define MNE_FRAG_MAX 9999u

#define MNE_FRAG_HASH_DEFAULT "phash2"

/* One more fragment, or one less: what a module says of it. */
typedef struct {
	uint32_t n; /* fragments afterwards */
	MneFragState state; /* afterwards */
	MneFragList iterate, lock;
} MneFragStep;

/* phash2: where mnesia_frag_hash puts a name.  keyed: SipHash with a key of its own for
 * each table, so that nobody can choose names that all fall into one fragment. */
const MneFragHash *mne_frag_hash_builtin(const char *name);

/* The state of one fragment; arg "" for nothing. */
int mne_frag_hash_init(const MneFragHash *hash, const char *arg,
		       MneFragState *out_state) MNE_CHECKED;
/* The fragment of a name when there are n. */
int mne_frag_hash_of(const MneFragHash *hash, const MneFragState *state, uint32_t n,
		     MneSlice name, uint32_t *out_frag) MNE_CHECKED;
/* From n to n + 1 (add), or to n - 1. */
int mne_frag_hash_step(const MneFragHash *hash, const MneFragState *state, uint32_t n,
		       bool add, MneFragStep *out) MNE_CHECKED;
/* 1: only these fragments can have such names, ascending.  0: any can. */
int mne_frag_hash_match(const MneFragHash *hash, const MneFragState *state, uint32_t n,
			const MneFragMatch *match, MneFragList *out) MNE_CHECKED;
/* A new string. */
char *mne_frag_hash_text(const MneFragHash *hash, const MneFragState *state);

bool mne_frag_list_has(const MneFragList *list, uint32_t frag);
/* May a record go from one to the other in this step? */
bool mne_frag_step_allows(const MneFragStep *step, uint32_t from, uint32_t to);
