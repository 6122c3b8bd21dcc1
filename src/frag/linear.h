/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/linear.h - linear hashing as mnesia_frag_hash does it: pure
 *
 * Fragments are numbered from 1.  Let 2^l be the largest power of two <= n: the fragments
 * below p were split already since there were 2^l, and names in them are told apart by
 * l+1 bits of their hash, the others by l.  (W. Litwin, Linear Hashing, VLDB 1980.)
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
	uint32_t n; /* fragments */
	uint32_t p; /* the next to be split */
	uint32_t l; /* doublings since there was one */
} MneLinear;

/* A step: the state after it, whose records move, and where to. */
typedef struct {
	MneLinear next;
	uint32_t from, to;
} MneLinearStep;

#define MNE_LINEAR_INIT ((MneLinear){ 1, 1, 0 })

/* n determines p and l. */
bool mne_linear_is_valid(MneLinear state);

/* One more: fragment p is split, half of it goes to n + 1.  false: there are 2^31. */
bool mne_linear_add(MneLinear state, MneLinearStep *out);
/* One less, the exact inverse: fragment n goes where it came from.  false: n is 1. */
bool mne_linear_del(MneLinear state, MneLinearStep *out);

/* The fragment of a hash, from 1. */
uint32_t mne_linear_frag(MneLinear state, uint32_t hash);
