/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-feed.c - events: their order, their readers, and what is lost
 */
#include "config.h"

#include "txn/feed.h"

static const MneFeedFilter everything = { .system = true, .all_tables = true };

static void tell(MneFeed *feed, uint64_t seq, const char *table, bool more)
{
	g_autofree char *line = g_strdup_printf("{\"n\":%" G_GUINT64_FORMAT, seq);

	mne_feed_tell(feed, &(MneFeedEvent){ .seq = seq,
					     .table = table,
					     .line = line,
					     .detail = ",\"detail\":1",
					     .more = more });
}

/* All that can be read without waiting: a new string. */
static char *read_all(MneFeedReader *reader, size_t step)
{
	GString *text = g_string_new(NULL);
	char buffer[4096];
	ssize_t got;

	while ((got = mne_feed_read(reader, buffer, step, NULL)) > 0)
		g_string_append_len(text, buffer, got);
	g_assert_true(got == -EAGAIN || got == 0);
	return g_string_free(text, FALSE);
}

static void assert_reads(MneFeedReader *reader, const char *expected)
{
	g_autofree char *text = read_all(reader, 4096);

	g_assert_cmpstr(text, ==, expected);
}

static void test_readers_hear_what_their_filter_takes(void)
{
	char *tables[] = { (char *)"a", (char *)"b", NULL };
	const MneFeedFilter some = { .tables = tables, .detailed = true };
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;
	MneFeedReader *all = mne_feed_subscribe(feed, &everything, 0, 0, &complete);
	MneFeedReader *two = mne_feed_subscribe(feed, &some, 0, 0, &complete);

	tell(feed, 1, "a", false);
	tell(feed, 2, "c", false);
	tell(feed, 3, NULL, false);
	tell(feed, 4, "b", false);
	assert_reads(all, "{\"n\":1}\n{\"n\":2}\n{\"n\":3}\n{\"n\":4}\n");
	assert_reads(two, "{\"n\":1,\"detail\":1}\n{\"n\":4,\"detail\":1}\n");
	g_assert_true(mne_feed_wants_table(feed, "z"));
	mne_feed_unsubscribe(all);
	g_assert_false(mne_feed_wants_table(feed, "z"));
	g_assert_true(mne_feed_wants_table(feed, "b"));
	mne_feed_unsubscribe(two);
	g_assert_false(mne_feed_wants_changes(feed));
	mne_feed_free(feed);
}

static void test_small_reads_give_the_same_bytes(void)
{
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;
	MneFeedReader *big = mne_feed_subscribe(feed, &everything, 0, 0, &complete);

	for (size_t step = 1; step < 20; step++) {
		MneFeedReader *small = mne_feed_subscribe(feed, &everything, step, step,
							  &complete);
		g_autofree char *text = NULL, *whole = NULL;

		for (unsigned i = 0; i < 5; i++)
			tell(feed, step + 1, "t", false);
		text = read_all(small, step);
		whole = read_all(big, 4096);
		g_assert_cmpstr(text, ==, whole);
		mne_feed_unsubscribe(small);
	}
	mne_feed_unsubscribe(big);
	mne_feed_free(feed);
}

static void test_since_gives_what_is_kept_or_says_that_it_is_not(void)
{
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;
	MneFeedReader *first, *late, *lost;

	first = mne_feed_subscribe(feed, &everything, 10, 10, &complete);
	g_assert_true(complete);
	tell(feed, 11, "t", true);
	tell(feed, 11, "t", false);
	tell(feed, 12, "t", false);

	late = mne_feed_subscribe(feed, &everything, 11, 12, &complete);
	g_assert_true(complete);
	assert_reads(late, "{\"n\":12}\n");
	lost = mne_feed_subscribe(feed, &everything, 9, 12, &complete);
	g_assert_false(complete);
	assert_reads(lost, "");
	tell(feed, 13, "t", false);
	assert_reads(lost, "{\"n\":13}\n");

	mne_feed_unsubscribe(first);
	mne_feed_unsubscribe(late);
	mne_feed_unsubscribe(lost);
	mne_feed_free(feed);
}

/* Nobody listened meanwhile, so nothing was kept. */
static void test_what_came_while_nobody_listened_is_not_complete(void)
{
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;

	mne_feed_unsubscribe(mne_feed_subscribe(feed, &everything, 0, 0, &complete));
	mne_feed_unsubscribe(mne_feed_subscribe(feed, &everything, 3, 5, &complete));
	g_assert_false(complete);
	mne_feed_unsubscribe(mne_feed_subscribe(feed, &everything, 5, 5, &complete));
	g_assert_true(complete);
	mne_feed_free(feed);
}

/* A commit of which a part was lost is not counted as heard. */
static void test_a_slow_reader_resumes_after_the_last_whole_commit(void)
{
	MneFeed *feed = mne_feed_new(2000);
	bool complete;
	MneFeedReader *reader = mne_feed_subscribe(feed, &everything, 0, 0, &complete);
	g_autofree char *text = NULL;
	char buffer[20];

	tell(feed, 1, "t", false);
	tell(feed, 2, "t", true);
	g_assert_cmpint(mne_feed_read(reader, buffer, 16, NULL), ==, 16);
	for (uint64_t seq = 2; seq < 100; seq++)
		tell(feed, seq, "t", false);
	text = read_all(reader, 4096);
	g_assert_nonnull(strstr(text, "\"resume\":1}"));
	g_assert_true(g_str_has_suffix(text, "{\"n\":98}\n{\"n\":99}\n"));
	mne_feed_unsubscribe(reader);
	mne_feed_free(feed);
}

static void *read_to_the_end(void *data)
{
	static const _Atomic bool never = false;
	char buffer[64];
	ssize_t got;
	size_t all = 0;

	while ((got = mne_feed_read(data, buffer, sizeof(buffer), &never)) > 0)
		all += (size_t)got;
	g_assert_cmpint(got, ==, 0);
	return GSIZE_TO_POINTER(all);
}

typedef struct {
	unsigned rung, forgotten;
} Heard;

static void count_rung(void *data)
{
	((Heard *)data)->rung++;
}

static void count_forgotten(void *data)
{
	((Heard *)data)->forgotten++;
}

static void assert_heard(const Heard *heard, unsigned rung, unsigned forgotten)
{
	g_assert_cmpuint(heard->rung, ==, rung);
	g_assert_cmpuint(heard->forgotten, ==, forgotten);
}

static void test_who_polls_is_told_once_when_there_is_something(void)
{
	char *tables[] = { (char *)"a", NULL };
	const MneFeedFilter one = { .tables = tables };
	MneFeed *feed = mne_feed_new(2000);
	bool complete;
	MneFeedReader *reader = mne_feed_subscribe(feed, &one, 0, 0, &complete);
	Heard heard = { 0 };
	const MneBell full = { count_rung, count_forgotten, &heard };
	MneBell bell = full, none = { 0 };

	g_assert_false(mne_feed_poll(reader, &bell));
	g_assert_null(bell.ring); /* it hangs there */
	g_assert_false(mne_feed_poll(reader, &none));
	for (unsigned i = 1; i < 100; i++) /* more than the feed keeps */
		tell(feed, i, "b", false);
	assert_heard(&heard, 0, 0);
	tell(feed, 100, "a", false);
	tell(feed, 101, "a", false);
	assert_heard(&heard, 1, 0);
	bell = full;
	g_assert_true(mne_feed_poll(reader, &bell));
	g_assert_nonnull(bell.ring);
	assert_reads(reader, "{\"n\":100}\n{\"n\":101}\n"); /* nothing was lost */

	g_assert_false(mne_feed_poll(reader, &bell));
	bell = full;
	g_assert_false(mne_feed_poll(reader, &bell));
	assert_heard(&heard, 1, 1); /* the last one counts */
	mne_feed_close(feed);
	assert_heard(&heard, 2, 1);
	g_assert_true(mne_feed_poll(reader, &none));
	mne_feed_unsubscribe(reader);
	mne_feed_free(feed);
}

static void test_who_polls_may_leave(void)
{
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;
	MneFeedReader *reader = mne_feed_subscribe(feed, &everything, 0, 0, &complete);
	Heard heard = { 0 };
	MneBell bell = { count_rung, count_forgotten, &heard };

	g_assert_false(mne_feed_poll(reader, &bell));
	mne_feed_unsubscribe(reader);
	assert_heard(&heard, 0, 1);
	tell(feed, 1, "t", false);
	mne_feed_free(feed);
}

static void test_who_waits_hears_what_comes_and_then_the_end(void)
{
	MneFeed *feed = mne_feed_new(1 << 20);
	bool complete;
	MneFeedReader *reader = mne_feed_subscribe(feed, &everything, 0, 0, &complete);
	GThread *thread = g_thread_new("reader", read_to_the_end, reader);

	for (uint64_t seq = 1; seq < 10; seq++)
		tell(feed, seq, "t", false);
	mne_feed_close(feed);
	g_assert_cmpuint(GPOINTER_TO_SIZE(g_thread_join(thread)), ==,
			 9 * strlen("{\"n\":1}\n"));
	mne_feed_unsubscribe(reader);
	mne_feed_free(feed);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/feed/readers_hear_what_their_filter_takes",
			test_readers_hear_what_their_filter_takes);
	g_test_add_func("/feed/small_reads_give_the_same_bytes",
			test_small_reads_give_the_same_bytes);
	g_test_add_func("/feed/since_gives_what_is_kept_or_says_that_it_is_not",
			test_since_gives_what_is_kept_or_says_that_it_is_not);
	g_test_add_func("/feed/what_came_while_nobody_listened_is_not_complete",
			test_what_came_while_nobody_listened_is_not_complete);
	g_test_add_func("/feed/a_slow_reader_resumes_after_the_last_whole_commit",
			test_a_slow_reader_resumes_after_the_last_whole_commit);
	g_test_add_func("/feed/who_polls_is_told_once_when_there_is_something",
			test_who_polls_is_told_once_when_there_is_something);
	g_test_add_func("/feed/who_polls_may_leave", test_who_polls_may_leave);
	g_test_add_func("/feed/who_waits_hears_what_comes_and_then_the_end",
			test_who_waits_hears_what_comes_and_then_the_end);
	return g_test_run();
}
