/* SPDX-License-Identifier: Apache-2.0
 *
 * util/text.c - bytes as text that others read
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/text.h"

static void add_char(GString *to, gunichar c, MneSlice bytes)
{
	if (c < 0x20 || c == 0x7f)
		g_string_append_printf(to, "\\u%04x", c);
	else if (c == '"' || c == '\\')
		g_string_append_printf(to, "\\%c", (char)c);
	else
		g_string_append_len(to, (const char *)bytes.data, (gssize)bytes.len);
}

void mne_text_add_json(GString *to, MneSlice text)
{
	const uint8_t *at = text.data, *end = at + text.len;

	g_string_append_c(to, '"');
	while (at < end) {
		gunichar c = *at ? g_utf8_get_char_validated((const char *)at, end - at)
				 : 0;
		size_t len = 1;

		if ((gint)c < 0) {
			g_string_append_printf(to, "\\udc%02x", *at);
		} else {
			len = (size_t)g_unichar_to_utf8(c, NULL);
			add_char(to, c, mne_slice(at, len));
		}
		at += len;
	}
	g_string_append_c(to, '"');
}
