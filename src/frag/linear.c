/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/linear.c - linear hashing as mnesia_frag_hash does it
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/linear.h"

#define L_MAX 30u /* 2^31 fragments are no use to anybody */

bool mne_linear_is_valid(MneLinear state)
{
	uint32_t level;

	if (state.l > L_MAX)
		return false;
	level = 1u << state.l;
	return state.n >= level && state.n < 2 * level &&
	       state.p == state.n - level + 1;
}

bool mne_linear_add(MneLinear state, MneLinearStep *out)
{
	MneLinear next = { state.n + 1, state.p + 1, state.l };

	if (next.p == (1u << state.l) + 1) {
		if (state.l == L_MAX)
			return false;
		next.p = 1;
		next.l++;
	}
	*out = (MneLinearStep){ next, state.p, state.n + 1 };
	return true;
}

bool mne_linear_del(MneLinear state, MneLinearStep *out)
{
	MneLinear next = { state.n - 1, state.p - 1, state.l };

	if (state.n <= 1)
		return false;
	if (next.p == 0) {
		next.l--;
		next.p = 1u << next.l;
	}
	*out = (MneLinearStep){ next, state.n, next.p };
	return true;
}

uint32_t mne_linear_frag(MneLinear state, uint32_t hash)
{
	uint32_t level = 1u << state.l;
	uint32_t frag = (hash & (2 * level - 1)) + 1;

	return frag > state.n ? frag - level : frag;
}
