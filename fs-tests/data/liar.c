/* SPDX-License-Identifier: Apache-2.0
 *
 * liar.c - a hash module that does not keep its word: how, the table's maker says
 */
#include <mnefs/frag-hash.h>
#include <string.h>

static int init_state(const char *arg, const uint8_t seed[MNEFS_FRAG_SEED],
		      struct mnefs_frag_state *out_state)
{
	(void)seed;
	out_state->bytes[0] = (uint8_t)*arg;
	out_state->bytes[1] = 1;
	out_state->len = 2;
	return 0;
}

static int add_frag(const struct mnefs_frag_state *state,
		    struct mnefs_frag_state *out_state,
		    struct mnefs_frag_list *out_iterate,
		    struct mnefs_frag_list *out_lock)
{
	*out_state = *state;
	out_state->bytes[1]++;
	out_iterate->len = out_lock->len = 1;
	out_iterate->frags[0] = 1;
	out_lock->frags[0] = out_state->bytes[1];
	switch (state->bytes[0]) {
	case 's': out_state->len = MNEFS_FRAG_STATE_MAX + 1; break;
	case 'l': out_lock->frags[0] = 77; break;
	case 'c': return -1;
	case 'm': out_lock->len = MNEFS_FRAG_LIST_MAX + 1; break;
	default: break;
	}
	return 0;
}

static int del_frag(const struct mnefs_frag_state *state,
		    struct mnefs_frag_state *out_state,
		    struct mnefs_frag_list *out_iterate,
		    struct mnefs_frag_list *out_lock)
{
	*out_state = *state;
	out_state->bytes[1]--;
	out_iterate->len = out_lock->len = 1;
	out_iterate->frags[0] = state->bytes[1];
	out_lock->frags[0] = 1;
	return 0;
}

static uint32_t key_to_frag_number(const struct mnefs_frag_state *state,
				   const uint8_t *name, size_t len)
{
	uint32_t n = state->bytes[1];

	if (n == 1)
		return 1;
	switch (state->bytes[0]) {
	case 'r': return name[len - 1] % 2 ? n + 1 : 1; /* out of range */
	case '0': return name[len - 1] % 2 ? 0 : 1;
	case 'u': /* from a fragment that was not to be iterated */
		return 1 + (name[len - 1] + n) % 2;
	default: return 1 + name[len - 1] % n;
	}
}

const struct mnefs_frag_hash mnefs_frag_hash = {
	.abi = MNEFS_FRAG_HASH_ABI,
	.name = "liar",
	.init_state = init_state,
	.add_frag = add_frag,
	.del_frag = del_frag,
	.key_to_frag_number = key_to_frag_number,
};
