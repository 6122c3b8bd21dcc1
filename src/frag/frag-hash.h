/* SPDX-License-Identifier: Apache-2.0
 *
 * mnefs/frag-hash.h - how the records of a table are spread over its fragments
 *
 * A hash module decides that.  It is a shared object NAME.so in the directory of modules
 * of a mount (`mnefs mount --hash-modules DIR`), and exports one variable:
 *
 *	const struct mnefs_frag_hash mnefs_frag_hash = { MNEFS_FRAG_HASH_ABI, … };
 *
 * Its functions are the callbacks of Mnesia's mnesia_frag_hash.  They are pure: what they
 * answer depends on nothing but their arguments, on every machine and for ever, because
 * records are found again by it.  They are called from any thread, many at a time.  The
 * state belongs to the module; mnefs keeps it with the table.
 *
 * Fragments are numbered from 1 to n.  What a module says is checked: a number that is out
 * of range, or a record that would move between fragments which were not named, ends the
 * operation before anything was moved.
 */
#pragma once

#include <stddef.h>
#include <stdint.h>

#define MNEFS_FRAG_HASH_ABI  1u
#define MNEFS_FRAG_STATE_MAX 256u
#define MNEFS_FRAG_LIST_MAX  64u
#define MNEFS_FRAG_SEED      16u

#ifdef __cplusplus
extern "C" {
#endif

struct mnefs_frag_state {
	uint32_t len;
	uint8_t bytes[MNEFS_FRAG_STATE_MAX];
};

struct mnefs_frag_list {
	uint32_t len;
	uint32_t frags[MNEFS_FRAG_LIST_MAX];
};

/* What names are asked for. */
struct mnefs_frag_match {
	const uint8_t *name; /* a name, or how names begin */
	size_t len;
	int is_whole; /* a name: nothing follows */
};

/* Functions that return int: 0, or -1 when the module cannot. */
struct mnefs_frag_hash {
	uint32_t abi; /* MNEFS_FRAG_HASH_ABI */
	const char *name; /* as its file is called, without .so */

	/* The state of a table with one fragment.  arg: what its maker said, "" if
	 * nothing.  seed: random bytes, other ones for each table. */
	int (*init_state)(const char *arg, const uint8_t seed[MNEFS_FRAG_SEED],
			  struct mnefs_frag_state *out_state);

	/* From n fragments to n + 1.  iterate: those whose records are looked at, to be
	 * moved where key_to_frag_number() says with the new state.  lock: others that get
	 * records; n + 1 must be in one of the two. */
	int (*add_frag)(const struct mnefs_frag_state *state,
			struct mnefs_frag_state *out_state,
			struct mnefs_frag_list *out_iterate,
			struct mnefs_frag_list *out_lock);

	/* From n fragments to n - 1; never asked of one.  n must be in iterate. */
	int (*del_frag)(const struct mnefs_frag_state *state,
			struct mnefs_frag_state *out_state,
			struct mnefs_frag_list *out_iterate,
			struct mnefs_frag_list *out_lock);

	uint32_t (*key_to_frag_number)(const struct mnefs_frag_state *state,
				       const uint8_t *name, size_t len);

	/* 1: only the fragments in out_frags can have such names.  0: any can.  NULL: a
	 * whole name is in its fragment, others can be in any. */
	int (*match_spec_to_frag_numbers)(const struct mnefs_frag_state *state,
					  const struct mnefs_frag_match *match,
					  struct mnefs_frag_list *out_frags);

	/* For people, ended by a NUL.  May be NULL. */
	void (*state_to_text)(const struct mnefs_frag_state *state, char *text,
			      size_t size);
};

#ifdef __cplusplus
}
#endif
