/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-prune.c - which checkpoints the rules keep, and when those come that
 * come by themselves
 */
#include "config.h"

#include "cli/history_options.h"
#include "cli/prune.h"
#include "ns/auto.h"

#define HOUR 3600
#define DAY  (24 * HOUR)

static int64_t utc(int year, int month, int day, int hour, int minute)
{
	g_autoptr(GDateTime) then = g_date_time_new_utc(year, month, day, hour, minute,
							0);

	return g_date_time_to_unix(then);
}

static unsigned count_kept(const unsigned *why, unsigned n, MneKeepRule rule)
{
	unsigned kept = 0;

	for (unsigned i = 0; i < n; i++)
		kept += (why[i] >> rule) & 1;
	return kept;
}

static void test_each_rule_keeps_the_newest_of_its_periods(void)
{
	enum { N = 40 * 48 };
	const unsigned keep[MNE_N_KEEP] = {
		[MNE_KEEP_LAST] = 3,   [MNE_KEEP_HOURLY] = 24, [MNE_KEEP_DAILY] = 7,
		[MNE_KEEP_WEEKLY] = 4, [MNE_KEEP_MONTHLY] = 2, [MNE_KEEP_YEARLY] = 5
	};
	g_autofree int64_t *times = g_new(int64_t, N);
	g_autofree unsigned *why = g_new(unsigned, N);
	const int64_t end = utc(2026, 11, 18, 12, 30); /* a Wednesday */

	for (unsigned i = 0; i < N; i++)
		times[i] = end - (int64_t)(N - 1 - i) * 1800;
	mne_prune(times, N, keep, why);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_LAST), ==, 3);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_HOURLY), ==, 24);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_DAILY), ==, 7);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_WEEKLY), ==, 4);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_MONTHLY), ==, 2);
	g_assert_cmpuint(count_kept(why, N, MNE_KEEP_YEARLY), ==, 1);
	/* The newest by all rules. */
	g_assert_cmpuint(why[N - 1], ==, (1u << MNE_N_KEEP) - 1);
	for (unsigned i = 0; i < N; i++) {
		bool last_of_day = times[i] % DAY == DAY - 1800 || i == N - 1;
		bool last_of_week = i == N - 1 ||
				    times[i] == utc(2026, 11, 15, 23, 30) ||
				    times[i] == utc(2026, 11, 8, 23, 30) ||
				    times[i] == utc(2026, 11, 1, 23, 30);

		if (why[i] & (1u << MNE_KEEP_DAILY))
			g_assert_true(last_of_day);
		g_assert_cmpint((why[i] >> MNE_KEEP_WEEKLY) & 1, ==, last_of_week);
	}
}

static void test_periods_without_a_checkpoint_do_not_count(void)
{
	const int64_t times[] = { utc(2020, 1, 1, 0, 0), utc(2023, 5, 5, 5, 5),
				  utc(2023, 5, 5, 5, 6), utc(2026, 11, 1, 0, 0) };
	const unsigned keep[MNE_N_KEEP] = { [MNE_KEEP_DAILY] = 3 };
	unsigned why[4];

	mne_prune(times, 4, keep, why);
	g_assert_cmpuint(why[0], !=, 0);
	g_assert_cmpuint(why[1], ==, 0);
	g_assert_cmpuint(why[2], !=, 0);
	g_assert_cmpuint(why[3], !=, 0);
}

static void test_without_rules_or_checkpoints_nothing_is_kept(void)
{
	const unsigned keep[MNE_N_KEEP] = { 0 };
	const int64_t times[] = { -100, 0, 100 };
	unsigned why[3];

	mne_prune(times, 3, keep, why);
	for (unsigned i = 0; i < 3; i++)
		g_assert_cmpuint(why[i], ==, 0);
	mne_prune(NULL, 0, keep, why);
}

/* --- automatic ones ------------------------------------------------------------ */

static void test_periods_begin_where_the_clock_says(void)
{
	const int64_t now = utc(2026, 11, 18, 3, 17);

	g_assert_cmpint(mne_auto_period(MNE_AUTO_HOURLY, now), ==,
			utc(2026, 11, 18, 3, 0));
	g_assert_cmpint(mne_auto_period(MNE_AUTO_DAILY, now), ==,
			utc(2026, 11, 18, 0, 0));
	g_assert_cmpint(mne_auto_period(MNE_AUTO_WEEKLY, now), ==,
			utc(2026, 11, 16, 0, 0)); /* Monday */
	g_assert_cmpint(mne_auto_period(MNE_AUTO_MONTHLY, now), ==,
			utc(2026, 11, 1, 0, 0));
	for (unsigned kind = 0; kind < MNE_N_AUTO; kind++) {
		int64_t begin = mne_auto_period(kind, now);

		g_assert_cmpint(mne_auto_period(kind, begin), ==, begin);
		g_assert_cmpint(mne_auto_period(kind, begin - 1), <, begin);
	}
}

static void test_the_longest_kind_says_when_one_expires(void)
{
	const MneAutoRules rules = { { [MNE_AUTO_HOURLY] = 24, [MNE_AUTO_DAILY] = 7 } };
	const int64_t now = utc(2026, 11, 18, 0, 0) + 3;

	g_assert_cmpint(mne_auto_expiry(&rules, 1u << MNE_AUTO_HOURLY, now), ==,
			utc(2026, 11, 19, 0, 0));
	g_assert_cmpint(mne_auto_expiry(&rules,
					1u << MNE_AUTO_HOURLY | 1u << MNE_AUTO_DAILY,
					now),
			==, utc(2026, 11, 25, 0, 0));
}

static void test_a_note_says_which_kinds_and_other_notes_say_none(void)
{
	for (unsigned kinds = 1; kinds < 1u << MNE_N_AUTO; kinds++) {
		g_autofree char *note = mne_auto_note(kinds);

		g_assert_cmpuint(mne_auto_kinds_of(note), ==, kinds);
	}
	g_assert_cmpuint(mne_auto_kinds_of(NULL), ==, 0);
	g_assert_cmpuint(mne_auto_kinds_of("before the hourly update"), ==, 0);
}

static void test_an_option_names_a_kind_and_a_number(void)
{
	static const char *const bad[] = { "",          "hourly",        "hourly:",
					   "hourly:0",  "hour:1",        "hourly:x",
					   "hourly:-1", "hourly:1 ",     ":3",
					   "daily:1d",  "daily:99999999" };
	MneAutoRules rules = { 0 };

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(mne_parse_auto(bad[i], &rules));
	g_assert_false(mne_auto_is_on(&rules));
	g_assert_true(mne_parse_auto("weekly:52", &rules));
	g_assert_true(mne_auto_is_on(&rules));
	g_assert_cmpuint(rules.keep[MNE_AUTO_WEEKLY], ==, 52);
}

static void test_a_limit_is_a_size_or_a_share(void)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		unsigned percent;
	} good[] = { { "1", 1, 0 },
		     { "500M", UINT64_C(500) << 20, 0 },
		     { "1.5g", UINT64_C(3) << 29, 0 },
		     { "2TiB", UINT64_C(2) << 40, 0 },
		     { "10KB", 10240, 0 },
		     { "10%", 0, 10 },
		     { "100%", 0, 100 } };
	static const char *const bad[] = { "",    "0",   "0%",   "101%",  "1.5%",
					   "-1G", "10X", "10MX", "1e400", "nan",
					   "inf", "%",   "0x10", " 1",    "M" };
	uint64_t bytes;
	unsigned percent;

	for (unsigned i = 0; i < G_N_ELEMENTS(good); i++) {
		g_assert_true(mne_parse_history(good[i].text, &bytes, &percent));
		g_assert_cmpuint(bytes, ==, good[i].bytes);
		g_assert_cmpuint(percent, ==, good[i].percent);
	}
	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(mne_parse_history(bad[i], &bytes, &percent));
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/prune/rules", test_each_rule_keeps_the_newest_of_its_periods);
	g_test_add_func("/prune/gaps", test_periods_without_a_checkpoint_do_not_count);
	g_test_add_func("/prune/none",
			test_without_rules_or_checkpoints_nothing_is_kept);
	g_test_add_func("/auto/periods", test_periods_begin_where_the_clock_says);
	g_test_add_func("/auto/expiry", test_the_longest_kind_says_when_one_expires);
	g_test_add_func("/auto/notes",
			test_a_note_says_which_kinds_and_other_notes_say_none);
	g_test_add_func("/auto/option", test_an_option_names_a_kind_and_a_number);
	g_test_add_func("/history/limit", test_a_limit_is_a_size_or_a_share);
	return g_test_run();
}
