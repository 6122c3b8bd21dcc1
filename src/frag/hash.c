/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/hash.c - asking a hash module, and checking what it says
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/hash.h"

#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

#include <glib.h>

bool mne_frag_list_has(const MneFragList *list, uint32_t frag)
{
	for (uint32_t i = 0; i < list->len; i++)
		if (list->frags[i] == frag)
			return true;
	return false;
}

bool mne_frag_step_allows(const MneFragStep *step, uint32_t from, uint32_t to)
{
	if (from == to)
		return true;
	return mne_frag_list_has(&step->iterate, from) &&
	       (mne_frag_list_has(&step->iterate, to) ||
		mne_frag_list_has(&step->lock, to));
}

static int require_state(const MneFragHash *hash, const MneFragState *state)
{
	if (state->len <= MNEFS_FRAG_STATE_MAX)
		return 0;
	return mne_throw(FRAG_HASH, "hash module %s made a state of %u bytes",
			 hash->name, state->len);
}

static int require_range(const MneFragHash *hash, const MneFragList *list, uint32_t n)
{
	if (list->len > MNEFS_FRAG_LIST_MAX)
		return mne_throw(FRAG_HASH, "hash module %s listed %u fragments",
				 hash->name, list->len);
	for (uint32_t i = 0; i < list->len; i++)
		if (list->frags[i] < 1 || list->frags[i] > n)
			return mne_throw(FRAG_HASH,
					 "hash module %s listed fragment %u of %u",
					 hash->name, list->frags[i], n);
	return 0;
}

int mne_frag_hash_init(const MneFragHash *hash, const char *arg,
		       MneFragState *out_state)
{
	uint8_t seed[MNEFS_FRAG_SEED];
	MneFragState state = { 0 };

	if (getrandom(seed, sizeof(seed), 0) != (ssize_t)sizeof(seed))
		return -errno;
	if (hash->init_state(arg, seed, &state) < 0)
		return mne_throw(FRAG_ARG, "hash module %s does not take \"%s\"",
				 hash->name, arg);
	MNE_TRY(require_state(hash, &state));
	*out_state = state;
	return 0;
}

int mne_frag_hash_of(const MneFragHash *hash, const MneFragState *state, uint32_t n,
		     MneSlice name, uint32_t *out_frag)
{
	uint32_t frag = hash->key_to_frag_number(state, name.data, name.len);

	if (frag < 1 || frag > n)
		return mne_throw(FRAG_HASH,
				 "hash module %s put a name into fragment %u of %u",
				 hash->name, frag, n);
	*out_frag = frag;
	return 0;
}

int mne_frag_hash_step(const MneFragHash *hash, const MneFragState *state, uint32_t n,
		       bool add, MneFragStep *out)
{
	MneFragStep step = { .n = add ? n + 1 : n - 1 };
	int err;

	if (add && n >= MNE_FRAG_MAX)
		return mne_throw(FRAG_ARG, "a table has at most %u fragments",
				 MNE_FRAG_MAX);
	if (!add && n <= 1)
		return mne_throw(FRAG_ARG, "a table has at least one fragment");
	err = (add ? hash->add_frag : hash->del_frag)(state, &step.state, &step.iterate,
						      &step.lock);
	if (err < 0)
		return mne_throw(FRAG_HASH, "hash module %s cannot go from %u to %u",
				 hash->name, n, step.n);
	MNE_TRY(require_state(hash, &step.state));
	MNE_TRY(require_range(hash, &step.iterate, MAX(n, step.n)));
	MNE_TRY(require_range(hash, &step.lock, MAX(n, step.n)));
	if (add ? !mne_frag_list_has(&step.iterate, n + 1) &&
			    !mne_frag_list_has(&step.lock, n + 1)
		: !mne_frag_list_has(&step.iterate, n))
		return mne_throw(FRAG_HASH,
				 "hash module %s left fragment %u out of a step",
				 hash->name, MAX(n, step.n));
	*out = step;
	return 0;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

int mne_frag_hash_match(const MneFragHash *hash, const MneFragState *state, uint32_t n,
			const MneFragMatch *match, MneFragList *out)
{
	MneFragList list = { 0 };
	int got = 0;

	if (hash->match_spec_to_frag_numbers) {
		got = hash->match_spec_to_frag_numbers(state, match, &list);
	} else if (match->is_whole) {
		MneSlice name = mne_slice(match->name, match->len);

		MNE_TRY(mne_frag_hash_of(hash, state, n, name, &list.frags[0]));
		list.len = 1;
		got = 1;
	}
	if (got <= 0)
		return 0;
	MNE_TRY(require_range(hash, &list, n));
	qsort(list.frags, list.len, sizeof(*list.frags), compare_u32);
	*out = list;
	return 1;
}

char *mne_frag_hash_text(const MneFragHash *hash, const MneFragState *state)
{
	char text[256] = "";

	if (hash->state_to_text)
		hash->state_to_text(state, text, sizeof(text));
	text[sizeof(text) - 1] = '\0';
	return g_strdup(text);
}
