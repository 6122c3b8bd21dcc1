/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-frag.c - which fragment a name belongs to
 *
 * data/frag-oracle/ holds what Erlang/OTP 25 answered: the phash2 of keys, where
 * mnesia_frag put them while a table grew from 1 fragment to 20 and shrank again, and the
 * states of mnesia_frag_hash with what it iterates and locks in each step.
 */
#include "config.h"

#include "frag/hash.h"
#include "frag/linear.h"
#include "frag/phash2.h"

#include "oracle.h"

enum { MAX_N = 300, NAMES = 500 };

static const MneFragHash *phash2(void)
{
	return mne_frag_hash_builtin(MNE_FRAG_HASH_DEFAULT);
}

/* The state of n fragments. */
static MneFragState state_of(const MneFragHash *hash, uint32_t n)
{
	MneFragState state;
	MneFragStep step;

	g_assert_cmpint(mne_frag_hash_init(hash, "", &state), ==, 0);
	for (uint32_t i = 1; i < n; i++) {
		g_assert_cmpint(mne_frag_hash_step(hash, &state, i, true, &step), ==,
				0);
		state = step.state;
	}
	return state;
}

static uint32_t frag_of(const MneFragHash *hash, const MneFragState *state, uint32_t n,
			MneSlice name)
{
	uint32_t frag = 0;

	g_assert_cmpint(mne_frag_hash_of(hash, state, n, name, &frag), ==, 0);
	return frag;
}

static bool same_state(const MneFragState *a, const MneFragState *b)
{
	return a->len == b->len && memcmp(a->bytes, b->bytes, a->len) == 0;
}

/* --- the oracle -------------------------------------------------------------------- */

static void test_a_name_hashes_as_erlang_hashes_it(void)
{
	g_autoptr(GPtrArray) lines = oracle_lines("keys.tsv");

	g_assert_cmpuint(lines->len, >, 100);
	for (guint i = 0; i < lines->len; i++) {
		/* index, hex, length, 27 bits, 32 bits */
		char **line = lines->pdata[i];
		g_autoptr(GByteArray) key = oracle_unhex(line[1]);
		uint32_t hash = mne_phash2(mne_slice(key->data, key->len));

		g_assert_cmpuint(key->len, ==, g_ascii_strtoull(line[2], NULL, 10));
		g_assert_cmpuint(hash, ==, g_ascii_strtoull(line[4], NULL, 10));
		g_assert_cmpuint(hash & ((1u << 27) - 1), ==,
				 g_ascii_strtoull(line[3], NULL, 10));
	}
}

/* Column c is for n(c) fragments, counted from 1. */
static void check_fragments(const char *name, bool growing)
{
	g_autoptr(GPtrArray) lines = oracle_lines(name);

	g_assert_cmpuint(lines->len, >, 100);
	for (unsigned c = 1; c <= (growing ? 20 : 19); c++) {
		uint32_t n = growing ? c : 20 - c;
		MneFragState state = state_of(phash2(), n);

		for (guint i = 0; i < lines->len; i++) {
			char **line = lines->pdata[i];
			g_autoptr(GByteArray) key = oracle_unhex(line[0]);

			g_assert_cmpuint(frag_of(phash2(), &state, n,
						 mne_slice(key->data, key->len)),
					 ==, g_ascii_strtoull(line[c], NULL, 10));
		}
	}
}

static void test_a_growing_table_puts_names_where_mnesia_puts_them(void)
{
	check_fragments("frags_add.tsv", true);
}

static void test_a_shrinking_table_puts_names_where_mnesia_puts_them(void)
{
	check_fragments("frags_del.tsv", false);
}

static void check_state(const MneFragState *state, const char *wanted)
{
	g_autofree char *text = mne_frag_hash_text(phash2(), state);
	g_autofree char *with = g_strconcat(text, ",f=phash2", NULL);

	g_assert_cmpstr(with, ==, wanted);
}

static void check_list(const MneFragList *list, const char *wanted)
{
	g_autofree char *text = NULL;

	g_assert_cmpuint(list->len, ==, 1);
	text = g_strdup_printf("%u", list->frags[0]);
	g_assert_cmpstr(text, ==, wanted);
}

/* op, n before, n after, state before, state after, iterated, locked besides */
static void check_step(char **line)
{
	uint32_t before = (uint32_t)g_ascii_strtoull(line[1], NULL, 10);
	bool add = strcmp(line[0], "add_frag") == 0;
	MneFragState state = state_of(phash2(), MAX(before, 1));
	MneFragStep step;

	if (strcmp(line[0], "init") == 0) {
		check_state(&state, line[4]);
		return;
	}
	check_state(&state, line[3]);
	g_assert_cmpint(mne_frag_hash_step(phash2(), &state, before, add, &step), ==,
			0);
	g_assert_cmpuint(step.n, ==, g_ascii_strtoull(line[2], NULL, 10));
	check_state(&step.state, line[4]);
	check_list(&step.iterate, line[5]);
	check_list(&step.lock, line[6]);
}

static void test_states_and_steps_are_those_of_mnesia_frag_hash(void)
{
	g_autoptr(GPtrArray) lines = oracle_lines("states.tsv");

	g_assert_cmpuint(lines->len, >, 250);
	for (guint i = 0; i < lines->len; i++)
		check_step(lines->pdata[i]);
}

/* mnesia_frag_hash makes nonsense of it (n=0), and leaves it to mnesia_frag to refuse. */
static void test_the_last_fragment_stays(void)
{
	MneFragState state = state_of(phash2(), 1);
	MneLinearStep linear;
	MneFragStep step;

	g_assert_cmpint(mne_frag_hash_step(phash2(), &state, 1, false, &step), ==,
			-MNE_E_FRAG_ARG);
	g_assert_false(mne_linear_del(MNE_LINEAR_INIT, &linear));
}

/* A specification with a whole key is a whole name; all others a beginning of one. */
static void test_a_whole_name_asks_one_fragment_and_a_pattern_all(void)
{
	g_autoptr(GPtrArray) lines = oracle_lines("match_spec.tsv");
	MneFragState state = state_of(phash2(), 5);

	for (guint i = 0; i < lines->len; i++) {
		char **line = lines->pdata[i]; /* what, specification, fragments */
		bool whole = strcmp(line[0], "bound key") == 0;
		MneFragMatch match = { .name = (const uint8_t *)"README",
				       .len = whole ? 6 : 2,
				       .is_whole = whole };
		MneFragList list;
		int got = mne_frag_hash_match(phash2(), &state, 5, &match, &list);

		g_assert_cmpint(got, ==, strcmp(line[2], "1,2,3,4,5") != 0);
		if (got)
			check_list(&list, line[2]);
	}
}

/* --- properties -------------------------------------------------------------------- */

static MneSlice some_name(uint8_t buffer[32])
{
	size_t len = (size_t)g_test_rand_int_range(1, 32);

	for (size_t i = 0; i < len; i++)
		buffer[i] = (uint8_t)g_test_rand_int_range(1, 256);
	return mne_slice(buffer, len);
}

/* Of any hash: what add_frag says is what happens, and del_frag takes it back. */
static void check_growing(const MneFragHash *hash)
{
	MneFragState state = state_of(hash, 1);

	for (uint32_t n = 1; n < MAX_N; n++) {
		MneFragStep grown, back;
		uint8_t buffer[32];

		g_assert_cmpint(mne_frag_hash_step(hash, &state, n, true, &grown), ==,
				0);
		g_assert_cmpint(
			mne_frag_hash_step(hash, &grown.state, n + 1, false, &back), ==,
			0);
		g_assert_true(same_state(&state, &back.state));
		g_assert_cmpuint(back.iterate.frags[0], ==, n + 1);
		g_assert_cmpuint(back.lock.frags[0], ==, grown.iterate.frags[0]);
		for (unsigned i = 0; i < NAMES; i++) {
			MneSlice name = some_name(buffer);
			uint32_t was = frag_of(hash, &state, n, name);
			uint32_t is = frag_of(hash, &grown.state, n + 1, name);

			g_assert_true(mne_frag_step_allows(&grown, was, is));
			g_assert_true(mne_frag_step_allows(&back, is, was));
			if (is != was)
				g_assert_cmpuint(is, ==, n + 1);
		}
		state = grown.state;
	}
}

static void test_growing_moves_only_from_the_split_fragment_to_the_new_one(void)
{
	check_growing(phash2());
	check_growing(mne_frag_hash_builtin("keyed"));
}

static void test_a_state_follows_from_its_number_alone(void)
{
	MneLinear state = MNE_LINEAR_INIT;
	MneLinearStep step;

	for (uint32_t n = 1; n < 5000; n++) {
		g_assert_true(mne_linear_is_valid(state));
		g_assert_cmpuint(state.n, ==, n);
		g_assert_cmpuint(state.l, ==, g_bit_storage(n) - 1);
		g_assert_cmpuint(state.p, ==, n - (1u << state.l) + 1);
		g_assert_true(mne_linear_add(state, &step));
		state = step.next;
	}
	for (uint32_t n = 0; n < 100; n++)
		for (uint32_t p = 0; p < 100; p++)
			g_assert_cmpint(mne_linear_is_valid((MneLinear){ n, p, 4 }), ==,
					n >= 16 && n < 32 && p == n - 15);
}

static void test_every_fragment_gets_its_share(void)
{
	for (uint32_t n = 1; n <= 64; n++) {
		g_autofree unsigned *counts = g_new0(unsigned, n + 1);
		MneLinear state = MNE_LINEAR_INIT;
		MneLinearStep step;

		for (uint32_t i = 1; i < n; i++) {
			g_assert_true(mne_linear_add(state, &step));
			state = step.next;
		}
		/* All hashes of the bits that count: none by chance. */
		for (uint32_t hash = 0; hash < 128 * 8; hash++) {
			uint32_t frag = mne_linear_frag(state, hash);

			g_assert_cmpuint(frag, >=, 1);
			g_assert_cmpuint(frag, <=, n);
			counts[frag]++;
		}
		for (uint32_t i = 1; i <= n; i++) {
			g_assert_cmpuint(counts[i], >=, 128 * 8 / (2 * n));
			g_assert_cmpuint(counts[i], <=, 2 * 128 * 8 / n);
		}
	}
}

/* --- keyed ------------------------------------------------------------------------- */

/* SipHash-2-4 of 0, 1, 2 … under the key 0, 1, 2 …: the first eight and the last of its
 * authors' test vectors (J.-P. Aumasson, D. J. Bernstein, 2012). */
static void test_keyed_is_siphash_by_its_reference_vectors(void)
{
	static const struct {
		uint8_t len;
		uint32_t low; /* of the 64 bits, as they are used: the first 4 bytes */
	} vectors[] = {
		{ 0, 0x310e0edd }, { 1, 0xfd67dc93 }, { 2, 0x5a4fa9d9 },
		{ 3, 0x2d7efbd7 }, { 4, 0xb7877127 }, { 5, 0x8da699cd },
		{ 6, 0xcee3fe58 }, { 7, 0x37d1018b }, { 63, 0x724506eb },
	};
	const MneFragHash *keyed = mne_frag_hash_builtin("keyed");
	MneFragState state = state_of(keyed, 4096);
	uint8_t in[64];

	for (uint8_t i = 0; i < 64; i++)
		in[i] = i;
	memcpy(state.bytes, in, 16);
	for (unsigned i = 0; i < G_N_ELEMENTS(vectors); i++)
		g_assert_cmphex(
			frag_of(keyed, &state, 4096, mne_slice(in, vectors[i].len)) - 1,
			==, vectors[i].low & 4095);
}

static void test_tables_with_keys_of_their_own_spread_names_differently(void)
{
	const MneFragHash *keyed = mne_frag_hash_builtin("keyed");
	MneFragState one = state_of(keyed, 64), other = state_of(keyed, 64);
	unsigned same = 0;
	uint8_t buffer[32];

	for (unsigned i = 0; i < 6400; i++) {
		MneSlice name = some_name(buffer);

		same += frag_of(keyed, &one, 64, name) ==
			frag_of(keyed, &other, 64, name);
	}
	g_assert_cmpuint(same, <, 400); /* 100, if they are strangers */
}

/* --- modules that lie -------------------------------------------------------------- */

static uint32_t lie;

static uint32_t lying_frag(const MneFragState *state, const uint8_t *name, size_t len)
{
	(void)state;
	(void)name;
	(void)len;
	return lie;
}

static int lying_step(const MneFragState *state, MneFragState *out_state,
		      MneFragList *out_iterate, MneFragList *out_lock)
{
	*out_state = *state;
	out_iterate->len = 1;
	out_iterate->frags[0] = 1;
	out_lock->len = lie > 100 ? lie : 1;
	out_lock->frags[0] = lie;
	return 0;
}

static void test_what_a_module_says_out_of_range_is_refused(void)
{
	const MneFragHash liar = { .abi = MNEFS_FRAG_HASH_ABI,
				   .name = "liar",
				   .add_frag = lying_step,
				   .del_frag = lying_step,
				   .key_to_frag_number = lying_frag };
	static const uint32_t lies[] = { 0, 5, 6, 1000, UINT32_MAX };
	MneFragState state = { 0 };
	MneFragStep step;
	uint32_t frag;

	for (unsigned i = 0; i < G_N_ELEMENTS(lies); i++) {
		lie = lies[i];
		g_assert_cmpint(
			mne_frag_hash_of(&liar, &state, 4, mne_slice_str("x"), &frag),
			==, -MNE_E_FRAG_HASH);
		g_assert_cmpint(mne_frag_hash_step(&liar, &state, 4, true, &step), ==,
				lie == 5 ? 0 : -MNE_E_FRAG_HASH);
		g_assert_cmpint(mne_frag_hash_step(&liar, &state, 4, false, &step), ==,
				-MNE_E_FRAG_HASH);
	}
}

static void test_a_state_that_is_none_puts_no_name_anywhere(void)
{
	MneFragState state = state_of(phash2(), 7);
	uint32_t frag;

	state.bytes[3] ^= 1;
	g_assert_cmpint(
		mne_frag_hash_of(phash2(), &state, 7, mne_slice_str("x"), &frag), ==,
		-MNE_E_FRAG_HASH);
	state.len--;
	g_assert_cmpint(
		mne_frag_hash_of(phash2(), &state, 7, mne_slice_str("x"), &frag), ==,
		-MNE_E_FRAG_HASH);
}

#define ADD(func) g_test_add_func("/frag/" #func, func)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_a_name_hashes_as_erlang_hashes_it);
	ADD(test_a_growing_table_puts_names_where_mnesia_puts_them);
	ADD(test_a_shrinking_table_puts_names_where_mnesia_puts_them);
	ADD(test_states_and_steps_are_those_of_mnesia_frag_hash);
	ADD(test_the_last_fragment_stays);
	ADD(test_a_whole_name_asks_one_fragment_and_a_pattern_all);
	ADD(test_growing_moves_only_from_the_split_fragment_to_the_new_one);
	ADD(test_a_state_follows_from_its_number_alone);
	ADD(test_every_fragment_gets_its_share);
	ADD(test_keyed_is_siphash_by_its_reference_vectors);
	ADD(test_tables_with_keys_of_their_own_spread_names_differently);
	ADD(test_what_a_module_says_out_of_range_is_refused);
	ADD(test_a_state_that_is_none_puts_no_name_anywhere);
	return g_test_run();
}
