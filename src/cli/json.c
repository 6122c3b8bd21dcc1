/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/json.c - the little JSON the control files use: one flat object on one line
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/json.h"

#include <string.h>

static void skip_space(const char **at)
{
	*at += strspn(*at, " \t\r\n");
}

static bool take(const char **at, char c)
{
	skip_space(at);
	if (**at != c)
		return false;
	++*at;
	return true;
}

/* The four digits of \uXXXX; negative when they are none. */
static int32_t read_hex4(const char **at)
{
	int32_t value = 0;

	for (int i = 0; i < 4; i++) {
		int digit = g_ascii_xdigit_value(**at);

		if (digit < 0)
			return -1;
		value = value * 16 + digit;
		++*at;
	}
	return value;
}

static bool add_unicode(const char **at, GString *to)
{
	int32_t code = read_hex4(at);

	if (code < 0)
		return false;
	if (code >= 0xdc80 && code <= 0xdcff) { /* a raw byte */
		g_string_append_c(to, (char)(code - 0xdc00));
		return true;
	}
	if (code >= 0xd800 && code <= 0xdbff && (*at)[0] == '\\' && (*at)[1] == 'u') {
		int32_t low;

		*at += 2;
		low = read_hex4(at);
		if (low < 0xdc00 || low > 0xdfff)
			return false;
		code = 0x10000 + ((code - 0xd800) << 10) + (low - 0xdc00);
	}
	g_string_append_unichar(to, (gunichar)code);
	return true;
}

static bool add_escape(const char **at, GString *to)
{
	static const char from[] = "\"\\/bfnrt";
	static const char into[] = "\"\\/\b\f\n\r\t";
	char c = *(*at)++;
	const char *known = c ? strchr(from, c) : NULL;

	if (c == 'u')
		return add_unicode(at, to);
	if (!known)
		return false;
	g_string_append_c(to, into[known - from]);
	return true;
}

static bool read_string(const char **at, GString *to)
{
	if (!take(at, '"'))
		return false;
	while (**at && **at != '"') {
		char c = *(*at)++;

		if (c != '\\')
			g_string_append_c(to, c);
		else if (!add_escape(at, to))
			return false;
	}
	return take(at, '"');
}

static bool read_scalar(const char **at, GString *to)
{
	size_t len;

	skip_space(at);
	if (**at == '"')
		return read_string(at, to);
	len = strcspn(*at, " \t\r\n,]}[{\":");
	g_string_append_len(to, *at, (gssize)len);
	*at += len;
	return len > 0;
}

static bool read_value(const char **at, GString *to)
{
	if (!take(at, '['))
		return read_scalar(at, to);
	if (take(at, ']'))
		return true;
	do {
		if (to->len > 0)
			g_string_append(to, ", ");
		if (!read_scalar(at, to))
			return false;
	} while (take(at, ','));
	return take(at, ']');
}

static bool read_field(const char **at, GHashTable *object)
{
	g_autoptr(GString) name = g_string_new(NULL);
	g_autoptr(GString) value = g_string_new(NULL);

	if (!read_string(at, name) || !take(at, ':') || !read_value(at, value))
		return false;
	g_hash_table_replace(object, g_strdup(name->str), g_strdup(value->str));
	return true;
}

GHashTable *mne_json_parse(const char *text)
{
	g_autoptr(GHashTable) object = g_hash_table_new_full(g_str_hash, g_str_equal,
							     g_free, g_free);
	const char *at = text;

	if (!take(&at, '{'))
		return NULL;
	if (!take(&at, '}')) {
		do {
			if (!read_field(&at, object))
				return NULL;
		} while (take(&at, ','));
		if (!take(&at, '}'))
			return NULL;
	}
	return g_steal_pointer(&object);
}

const char *mne_json_text(GHashTable *object, const char *field, const char *fallback)
{
	const char *value = g_hash_table_lookup(object, field);

	return value ? value : fallback;
}

uint64_t mne_json_number(GHashTable *object, const char *field)
{
	return g_ascii_strtoull(mne_json_text(object, field, "0"), NULL, 10);
}
