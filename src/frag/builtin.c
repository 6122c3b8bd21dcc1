/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/builtin.c - the hash modules that are built in: linear hashing with two hashes
 *
 * A state is n, p and l of linear hashing, behind the key where there is one.
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/hash.h"
#include "frag/linear.h"
#include "frag/phash2.h"
#include "util/coding.h"

#include <sodium/crypto_shorthash_siphash24.h>
#include <stdio.h>
#include <string.h>

#define KEY_BYTES    crypto_shorthash_siphash24_KEYBYTES
#define LINEAR_BYTES 12u

G_STATIC_ASSERT(KEY_BYTES == MNEFS_FRAG_SEED);

static int linear_put(MneLinear linear, size_t at, MneFragState *state)
{
	mne_put_be32(state->bytes + at, linear.n);
	mne_put_be32(state->bytes + at + 4, linear.p);
	mne_put_be32(state->bytes + at + 8, linear.l);
	state->len = (uint32_t)at + LINEAR_BYTES;
	return 0;
}

/* The state behind a key of `at` bytes. */
static int linear_get(const MneFragState *state, size_t at, MneLinear *out)
{
	const uint8_t *bytes = state->bytes + at;
	MneLinear linear;

	if (state->len != at + LINEAR_BYTES)
		return -1;
	linear = (MneLinear){ mne_get_be32(bytes), mne_get_be32(bytes + 4),
			      mne_get_be32(bytes + 8) };
	if (!mne_linear_is_valid(linear))
		return -1;
	*out = linear;
	return 0;
}

static size_t key_len(const MneFragState *state)
{
	return state->len >= LINEAR_BYTES ? state->len - LINEAR_BYTES : 0;
}

static void list_one(uint32_t frag, MneFragList *out)
{
	out->len = 1;
	out->frags[0] = frag;
}

typedef bool (*StepFunc)(MneLinear, MneLinearStep *);

static int step(StepFunc func, const MneFragState *state, MneFragState *out_state,
		MneFragList *out_iterate, MneFragList *out_lock)
{
	size_t at = key_len(state);
	MneLinearStep done;
	MneLinear linear;

	if (linear_get(state, at, &linear) < 0 || !func(linear, &done))
		return -1;
	*out_state = *state;
	list_one(done.from, out_iterate);
	list_one(done.to, out_lock);
	return linear_put(done.next, at, out_state);
}

static int add_frag(const MneFragState *state, MneFragState *out_state,
		    MneFragList *out_iterate, MneFragList *out_lock)
{
	return step(mne_linear_add, state, out_state, out_iterate, out_lock);
}

static int del_frag(const MneFragState *state, MneFragState *out_state,
		    MneFragList *out_iterate, MneFragList *out_lock)
{
	return step(mne_linear_del, state, out_state, out_iterate, out_lock);
}

static void state_to_text(const MneFragState *state, char *text, size_t size)
{
	MneLinear linear = { 0 };

	(void)linear_get(state, key_len(state), &linear);
	snprintf(text, size, "n=%u,next=%u,doubles=%u", linear.n, linear.p, linear.l);
}

static int phash2_init(const char *arg, const uint8_t *seed, MneFragState *out_state)
{
	(void)seed;
	return *arg ? -1 : linear_put(MNE_LINEAR_INIT, 0, out_state);
}

/* 0 for a state that is none: nobody has such a fragment. */
static uint32_t phash2_frag(const MneFragState *state, const uint8_t *name, size_t len)
{
	MneLinear linear;

	if (linear_get(state, 0, &linear) < 0)
		return 0;
	return mne_linear_frag(linear, mne_phash2(mne_slice(name, len)));
}

static int keyed_init(const char *arg, const uint8_t *seed, MneFragState *out_state)
{
	memcpy(out_state->bytes, seed, KEY_BYTES);
	return *arg ? -1 : linear_put(MNE_LINEAR_INIT, KEY_BYTES, out_state);
}

static uint32_t keyed_frag(const MneFragState *state, const uint8_t *name, size_t len)
{
	uint8_t hash[crypto_shorthash_siphash24_BYTES];
	MneLinear linear;

	if (linear_get(state, KEY_BYTES, &linear) < 0)
		return 0;
	if (crypto_shorthash_siphash24(hash, name, len, state->bytes) != 0)
		return 0;
	return mne_linear_frag(linear, mne_get_be32(hash));
}

static const MneFragHash builtin[] = {
	{
		.abi = MNEFS_FRAG_HASH_ABI,
		.name = "phash2",
		.init_state = phash2_init,
		.add_frag = add_frag,
		.del_frag = del_frag,
		.key_to_frag_number = phash2_frag,
		.state_to_text = state_to_text,
	},
	{
		.abi = MNEFS_FRAG_HASH_ABI,
		.name = "keyed",
		.init_state = keyed_init,
		.add_frag = add_frag,
		.del_frag = del_frag,
		.key_to_frag_number = keyed_frag,
		.state_to_text = state_to_text,
	},
};

const MneFragHash *mne_frag_hash_builtin(const char *name)
{
	for (size_t i = 0; i < sizeof(builtin) / sizeof(*builtin); i++)
		if (strcmp(builtin[i].name, name) == 0)
			return &builtin[i];
	return NULL;
}
