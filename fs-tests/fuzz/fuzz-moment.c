/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-moment.c - any bytes as the name of a time
 *
 * Properties: what is understood begins with '@', is short, and is a time within 200
 * years of now, or later; now never matters but for "so long ago" and the names of days; a span that is
 * understood is one of "so long ago", and ends so long ago.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "ns/moment.h"

#include <string.h>

#include <glib.h>

#define SECOND G_GINT64_CONSTANT(1000000000)
#define NOW    (G_GINT64_CONSTANT(1795176000) * SECOND)
#define OLDEST (NOW - G_GINT64_CONSTANT(200) * 365 * 86400 * SECOND)

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_span(const char *text)
{
	g_autofree char *name = g_strconcat("@-", text, NULL);
	int64_t seconds, moment;

	if (!mne_moment_parse_span(text, &seconds))
		return;
	g_assert_cmpint(seconds, >=, 0);
	if (strlen(name) > 64)
		return;
	g_assert_true(mne_moment_parse(mne_slice_str(name), NOW, &moment));
	g_assert_cmpint(moment, ==, NOW - seconds * SECOND);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);
	int64_t first, again;

	check_span(text);
	if (!mne_moment_parse(mne_slice(data, size), NOW, &first))
		return 0;
	g_assert_cmpuint(data[0], ==, '@');
	g_assert_cmpuint(size, <=, 64);
	g_assert_cmpint(first, >=, OLDEST);
	g_assert_true(mne_moment_parse(mne_slice(data, size), NOW, &again));
	g_assert_cmpint(first, ==, again);
	return 0;
}
