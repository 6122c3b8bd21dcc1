/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/oracle.h - what Erlang/OTP 25 answered: tables of data/frag-oracle
 */
#pragma once

#include <glib.h>

/* Lines of a table, its first (the names of the columns) left out; each a GStrv. */
static inline GPtrArray *oracle_lines(const char *name)
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
	g_assert_cmpuint(lines->len, >, 0);
	return lines;
}

static inline GByteArray *oracle_unhex(const char *hex)
{
	GByteArray *bytes = g_byte_array_new();

	for (; hex[0]; hex += 2) {
		uint8_t byte = (uint8_t)(g_ascii_xdigit_value(hex[0]) << 4 |
					 g_ascii_xdigit_value(hex[1]));

		g_byte_array_append(bytes, &byte, 1);
	}
	return bytes;
}
