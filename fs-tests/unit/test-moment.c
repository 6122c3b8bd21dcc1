/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-moment.c - names that ask for a time
 */
#include "config.h"

#include "ns/moment.h"

#include <stdlib.h>
#include <time.h>

#include <glib.h>

#define SECOND G_GINT64_CONSTANT(1000000000)
#define NOON   G_GINT64_CONSTANT(1795176000) /* 2026-11-20T12:00:00Z */

static int64_t seconds_of(const char *name)
{
	int64_t ns = 0;

	g_assert_true(mne_moment_parse(mne_slice_str(name), NOON * SECOND, &ns));
	return ns == INT64_MAX ? ns : ns / SECOND - NOON;
}

static void test_a_time_means_the_end_of_its_smallest_part(void)
{
	g_assert_cmpint(seconds_of("@latest"), ==, INT64_MAX);
	g_assert_cmpint(seconds_of("@2026-11-20T12:00:00Z"), ==, 0);
	g_assert_cmpint(seconds_of("@2026-11-20T120000Z"), ==, 0);
	g_assert_cmpint(seconds_of("@2026-11-20 12:00:00"), ==, 0);
	g_assert_cmpint(seconds_of("@2026-11-20T12:00"), ==, 59);
	g_assert_cmpint(seconds_of("@2026-11-20T1200Z"), ==, 59);
	g_assert_cmpint(seconds_of("@2026-11-20T13:00+01:00"), ==, 59);
	g_assert_cmpint(seconds_of("@2026-11-20T08:30-0330"), ==, 59);
	g_assert_cmpint(seconds_of("@GMT-2026.11.20-12.00.00"), ==, 0);
	g_assert_cmpint(seconds_of("@1795176000"), ==, 0);
	g_assert_cmpint(seconds_of("@2026-11-20"), ==, 12 * 3600 - 1);
	g_assert_cmpint(seconds_of("@today"), ==, 12 * 3600 - 1);
	g_assert_cmpint(seconds_of("@yesterday"), ==, -12 * 3600 - 1);
	g_assert_cmpint(seconds_of("@2026-11-19"), ==, -12 * 3600 - 1);
}

static void test_so_long_ago_is_counted_from_now(void)
{
	g_assert_cmpint(seconds_of("@-0s"), ==, 0);
	g_assert_cmpint(seconds_of("@-90m"), ==, -5400);
	g_assert_cmpint(seconds_of("@-1d12h"), ==, -36 * 3600);
	g_assert_cmpint(seconds_of("@-2w"), ==, -14 * 86400);
}

static void test_days_of_23_and_25_hours_end_when_they_do(void)
{
	int64_t before, after;

	setenv("TZ", "Europe/Berlin", 1);
	tzset();
	before = seconds_of("@2026-03-28");
	after = seconds_of("@2026-03-29");
	g_assert_cmpint(after - before, ==, 23 * 3600);
	before = seconds_of("@2026-10-24");
	after = seconds_of("@2026-10-25");
	g_assert_cmpint(after - before, ==, 25 * 3600);
	setenv("TZ", "UTC", 1);
	tzset();
}

static void test_everything_else_is_refused(void)
{
	static const char *const bad[] = {
		"latest",
		"@",
		"@Latest",
		"@-",
		"@-1",
		"@-h",
		"@--1h",
		"@-1h ",
		"@+1h",
		"@2026",
		"@20261120",
		"@2026-11",
		"@2026-02-29",
		"@1969-12-31",
		"@9999-01-01",
		"@2026-11-20T",
		"@2026-11-20T24:00",
		"@2026-11-20T12:60",
		"@2026-11-20T12:00:60",
		"@2026-11-20T12:00z",
		"@2026-11-20T12:00+15:00",
		"@2026-11-20T12:00:00.5",
		"@GMT-2026.11.20",
		"@GMT-2026.11.20-12.00.00Z",
		"@99999999999999999999",
	};
	int64_t ns;

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(mne_moment_parse(mne_slice_str(bad[i]), 0, &ns));
	g_assert_false(mne_moment_parse(mne_slice("@latest\0x", 9), 0, &ns));
}

static void test_spans_add_up_and_never_overflow(void)
{
	int64_t span;

	g_assert_true(mne_moment_parse_span("1w1d1h1m1s", &span));
	g_assert_cmpint(span, ==, 8 * 86400 + 3661);
	g_assert_true(mne_moment_parse_span("999999999w999999999w999999999w", &span));
	g_assert_cmpint(span, ==, G_GINT64_CONSTANT(200) * 365 * 86400);
	g_assert_false(mne_moment_parse_span("", &span));
	g_assert_false(mne_moment_parse_span("1", &span));
	g_assert_false(mne_moment_parse_span("1y", &span));
	g_assert_false(mne_moment_parse_span("9999999999s", &span));
}

int main(int argc, char **argv)
{
	setenv("TZ", "UTC", 1);
	tzset();
	g_test_init(&argc, &argv, NULL);
#define ADD(func) g_test_add_func("/moment/" #func, func)
	ADD(test_a_time_means_the_end_of_its_smallest_part);
	ADD(test_so_long_ago_is_counted_from_now);
	ADD(test_days_of_23_and_25_hours_end_when_they_do);
	ADD(test_everything_else_is_refused);
	ADD(test_spans_add_up_and_never_overflow);
#undef ADD
	return g_test_run();
}
