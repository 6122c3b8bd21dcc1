/* SPDX-License-Identifier: Apache-2.0
 *
 * prefix.c - a hash module that keeps names with a common prefix in one fragment
 *
 * As Mnesia's foreign_key: what belongs together stands together.  The prefix ends before
 * a separator, ':' unless the table's maker says another character:
 *
 *	mnefs table create orders --hash prefix --hash-arg /
 *
 * user17:name and user17:mail are in one fragment then, and a query for user17:* asks only
 * that one.  A name without the separator is its own prefix.
 *
 * Build: cc -shared -fPIC -o prefix.so prefix.c
 * Use: put it into the directory of hash modules (mount -o hash_modules=DIR).
 */
#include <mnefs/frag-hash.h>
#include <stdio.h>
#include <string.h>

/* The separator, and behind it n of linear hashing, big-endian. */
enum { STATE_LEN = 5, N_MAX = 9999 };

static uint32_t n_of(const struct mnefs_frag_state *state)
{
	const uint8_t *at = state->bytes + 1;

	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 |
	       at[3];
}

static void set_n(struct mnefs_frag_state *state, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		state->bytes[1 + i] = (uint8_t)(n >> (24 - 8 * i));
	state->len = STATE_LEN;
}

/* The largest power of two <= n. */
static uint32_t level_of(uint32_t n)
{
	uint32_t level = 1;

	while (level <= n / 2)
		level *= 2;
	return level;
}

static int init_state(const char *arg, const uint8_t seed[MNEFS_FRAG_SEED],
		      struct mnefs_frag_state *out_state)
{
	(void)seed;
	if (strlen(arg) > 1)
		return -1;
	out_state->bytes[0] = *arg ? (uint8_t)*arg : ':';
	set_n(out_state, 1);
	return 0;
}

/* Between n and n + 1 fragments, half of this one and fragment n + 1 change places. */
static uint32_t partner_of(uint32_t n)
{
	return n - level_of(n) + 1;
}

static void one(struct mnefs_frag_list *list, uint32_t frag)
{
	list->len = 1;
	list->frags[0] = frag;
}

static int add_frag(const struct mnefs_frag_state *state,
		    struct mnefs_frag_state *out_state,
		    struct mnefs_frag_list *out_iterate,
		    struct mnefs_frag_list *out_lock)
{
	uint32_t n = n_of(state);

	if (state->len != STATE_LEN || n < 1 || n >= N_MAX)
		return -1;
	*out_state = *state;
	set_n(out_state, n + 1);
	one(out_iterate, partner_of(n));
	one(out_lock, n + 1);
	return 0;
}

static int del_frag(const struct mnefs_frag_state *state,
		    struct mnefs_frag_state *out_state,
		    struct mnefs_frag_list *out_iterate,
		    struct mnefs_frag_list *out_lock)
{
	uint32_t n = n_of(state);

	if (state->len != STATE_LEN || n < 2 || n > N_MAX)
		return -1;
	*out_state = *state;
	set_n(out_state, n - 1);
	one(out_iterate, n);
	one(out_lock, partner_of(n - 1));
	return 0;
}

/* FNV-1a, with its bits mixed once more: only the low ones count. */
static uint32_t hash_of(const uint8_t *bytes, size_t len)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < len; i++)
		hash = (hash ^ bytes[i]) * 16777619u;
	hash ^= hash >> 16;
	hash *= 0x85ebca6bu;
	return hash ^ hash >> 13;
}

static size_t prefix_len(const struct mnefs_frag_state *state, const uint8_t *name,
			 size_t len)
{
	const uint8_t *end = len > 0 ? memchr(name, state->bytes[0], len) : NULL;

	return end ? (size_t)(end - name) : len;
}

static uint32_t frag_of(const struct mnefs_frag_state *state, const uint8_t *prefix,
			size_t len)
{
	uint32_t n = n_of(state), level = level_of(n);
	uint32_t frag = hash_of(prefix, len) & (2 * level - 1);

	return (frag >= n ? frag - level : frag) + 1;
}

static uint32_t key_to_frag_number(const struct mnefs_frag_state *state,
				   const uint8_t *name, size_t len)
{
	return frag_of(state, name, prefix_len(state, name, len));
}

/* The beginning of a name says enough when the separator is in it. */
static int match_spec_to_frag_numbers(const struct mnefs_frag_state *state,
				      const struct mnefs_frag_match *match,
				      struct mnefs_frag_list *out_frags)
{
	size_t len = prefix_len(state, match->name, match->len);

	if (len == match->len && !match->is_whole)
		return 0;
	one(out_frags, frag_of(state, match->name, len));
	return 1;
}

static void state_to_text(const struct mnefs_frag_state *state, char *text, size_t size)
{
	snprintf(text, size, "n=%u,separator=%c", n_of(state), state->bytes[0]);
}

const struct mnefs_frag_hash mnefs_frag_hash = {
	.abi = MNEFS_FRAG_HASH_ABI,
	.name = "prefix",
	.init_state = init_state,
	.add_frag = add_frag,
	.del_frag = del_frag,
	.key_to_frag_number = key_to_frag_number,
	.match_spec_to_frag_numbers = match_spec_to_frag_numbers,
	.state_to_text = state_to_text,
};
