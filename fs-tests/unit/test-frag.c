/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-frag.c - which fragment a name belongs to
 *
 * data/frag-oracle/ holds what Erlang/OTP 25 answered: the phash2 of keys, and where
 * mnesia_frag put them while a table grew from 1 fragment to 20 and shrank again.
 */
#include "config.h"

#include "frag/map.h"

#include <glib.h>

enum { MAX_N = 300, HASHES = 3000 };

/* --- the oracle -------------------------------------------------------------------- */

/* Lines of a table, its first (the names of the columns) left out; each a GStrv. */
static GPtrArray *lines_of(const char *name)
{
	GPtrArray *lines = g_ptr_array_new_with_free_func((GDestroyNotify)g_strfreev);
	g_autofree char *path = g_test_build_filename(G_TEST_DIST, "data",
						      "frag-oracle", name, NULL);
	g_autoptr(GError) error = NULL;
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, &error))
		g_error("%s", error->message);

	g_auto(GStrv) all = g_strsplit(text, "\n", -1);

	for (unsigned i = 1; all[i]; i++)
		if (strchr(all[i], '\t'))
			g_ptr_array_add(lines, g_strsplit(all[i], "\t", -1));
	g_assert_cmpuint(lines->len, >, 100);
	return lines;
}

static GByteArray *unhex(const char *hex)
{
	GByteArray *bytes = g_byte_array_new();

	for (; hex[0]; hex += 2) {
		uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 |
					 g_ascii_xdigit_value(hex[1]));

		g_byte_array_append(bytes, &byte, 1);
	}
	return bytes;
}

static uint32_t hash_of_hex(const char *hex)
{
	g_autoptr(GByteArray) bytes = unhex(hex);

	return mne_phash2(mne_slice(bytes->data, bytes->len));
}

static void test_a_name_hashes_as_erlang_hashes_it(void)
{
	g_autoptr(GPtrArray) lines = lines_of("keys.tsv");

	for (guint i = 0; i < lines->len; i++) {
		char **line =
			lines->pdata[i]; /* index, hex, length, 27 bits, 32 bits */
		uint32_t hash = hash_of_hex(line[1]);

		g_assert_cmpuint(strlen(line[1]) / 2, ==,
				 g_ascii_strtoull(line[2], NULL, 10));
		g_assert_cmpuint(hash, ==, g_ascii_strtoull(line[4], NULL, 10));
		g_assert_cmpuint(hash & ((1u << 27) - 1), ==,
				 g_ascii_strtoull(line[3], NULL, 10));
	}
}

/* Column c is for n(c) fragments, counted from 1. */
static void check_fragments(const char *name, bool growing)
{
	g_autoptr(GPtrArray) lines = lines_of(name);

	for (guint i = 0; i < lines->len; i++) {
		char **line = lines->pdata[i];
		uint32_t hash = hash_of_hex(line[0]);
		unsigned columns = g_strv_length(line) - 1;

		g_assert_cmpuint(columns, ==, growing ? 20 : 19);
		for (unsigned c = 1; c <= columns; c++)
			g_assert_cmpuint(mne_frag_of(growing ? c : 20 - c, hash) + 1,
					 ==, g_ascii_strtoull(line[c], NULL, 10));
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

/* --- properties -------------------------------------------------------------------- */

static uint32_t some_hash(void)
{
	return (uint32_t)g_test_rand_int();
}

/* The fragment that is split when there are n of them: n without its highest bit. */
static uint32_t split_source(uint32_t n)
{
	uint32_t level = 1;

	while (level <= n / 2)
		level *= 2;
	return n - level;
}

static void test_growing_moves_only_from_the_split_source_to_the_new_fragment(void)
{
	for (uint32_t n = 1; n < MAX_N; n++) {
		for (unsigned i = 0; i < HASHES; i++) {
			uint32_t hash = some_hash();
			uint32_t was = mne_frag_of(n, hash);
			uint32_t is = mne_frag_of(n + 1, hash);

			if (is == was)
				continue;
			g_assert_cmpuint(was, ==, split_source(n));
			g_assert_cmpuint(is, ==, n);
		}
	}
}

static void test_every_fragment_exists_and_gets_its_share(void)
{
	for (uint32_t n = 1; n <= 64; n++) {
		g_autofree unsigned *counts = g_new0(unsigned, n);

		/* All hashes of the bits that count: none by chance. */
		for (uint32_t hash = 0; hash < 128 * 8; hash++) {
			uint32_t fragment = mne_frag_of(n, hash);

			g_assert_cmpuint(fragment, <, n);
			counts[fragment]++;
		}
		for (uint32_t i = 0; i < n; i++) {
			g_assert_cmpuint(counts[i], >=, 128 * 8 / (2 * n));
			g_assert_cmpuint(counts[i], <=, 2 * 128 * 8 / n);
		}
	}
}

static void test_among_the_most_fragments_there_can_be_every_hash_has_one(void)
{
	static const uint32_t many[] = { (1u << 20) - 1, 1u << 20,  (1u << 20) + 1,
					 INT32_MAX,      1u << 30,  (1u << 30) + 1,
					 (1u << 31) - 1, 1u << 31,  (1u << 31) + 1,
					 UINT32_MAX - 1, UINT32_MAX };

	for (unsigned i = 0; i < G_N_ELEMENTS(many); i++) {
		g_assert_cmpuint(mne_frag_of(many[i], 0), ==, 0);
		g_assert_cmpuint(mne_frag_of(many[i], UINT32_MAX), <, many[i]);
		for (unsigned j = 0; j < HASHES; j++)
			g_assert_cmpuint(mne_frag_of(many[i], some_hash()), <, many[i]);
	}
}

#define ADD(func) g_test_add_func("/frag/" #func, func)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_a_name_hashes_as_erlang_hashes_it);
	ADD(test_a_growing_table_puts_names_where_mnesia_puts_them);
	ADD(test_a_shrinking_table_puts_names_where_mnesia_puts_them);
	ADD(test_growing_moves_only_from_the_split_source_to_the_new_fragment);
	ADD(test_every_fragment_exists_and_gets_its_share);
	ADD(test_among_the_most_fragments_there_can_be_every_hash_has_one);
	return g_test_run();
}
