/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-expiry.c - checkpoints that go, and come, because time passes
 */
#include "config.h"

#include "ns/clock.h"
#include "txn/expiry.h"

#include "txns.h"

#define SECOND INT64_C(1000000000)
#define HOUR   (3600 * SECOND)

static void set_expiry(Fixture *f, const char *name, int64_t expires_ns, bool pinned)
{
	const MneCkptChange change = {
		.set = MNE_CKPT_SET_EXPIRES | MNE_CKPT_SET_PINNED,
		.traits = { .expires_ns = expires_ns, .pinned = pinned },
	};

	g_assert_cmpint(mne_store_change_ckpt(f->store, mne_slice_str(name), &change),
			==, 0);
}

static char *names_of(Fixture *f)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(f->store));
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	for (unsigned i = 0; i < ckpts->len; i++)
		g_ptr_array_add(names, mne_ckpt_name(g_ptr_array_index(ckpts, i)));
	g_ptr_array_add(names, NULL);
	return g_strjoinv(" ", (char **)names->pdata);
}

static void assert_names(Fixture *f, const char *expected)
{
	g_autofree char *names = names_of(f);

	g_assert_cmpstr(names, ==, expected);
}

static void test_what_is_due_is_dropped_unless_pinned(Fixture *f, gconstpointer data)
{
	MneNotice notice;

	(void)data;
	write_text(f, "a", "1");
	mne_ckpt_unref(checkpoint(f, "never"));
	mne_ckpt_unref(checkpoint(f, "early"));
	mne_ckpt_unref(checkpoint(f, "late"));
	mne_ckpt_unref(checkpoint(f, "pinned"));
	set_expiry(f, "early", 100 * SECOND, false);
	set_expiry(f, "late", 200 * SECOND, false);
	set_expiry(f, "pinned", 50 * SECOND, true);

	g_assert_cmpuint(mne_store_expire(f->store, 99 * SECOND), ==, 0);
	g_assert_false(mne_store_next_notice(f->store, 0, &notice));
	g_assert_cmpuint(mne_store_expire(f->store, 100 * SECOND), ==, 1);
	assert_names(f, "never late pinned");
	g_assert_true(mne_store_next_notice(f->store, 0, &notice));
	g_assert_true(notice.dropped);
	fixture_reopen(f);
	g_assert_cmpuint(mne_store_expire(f->store, 1000 * SECOND), ==, 1);
	assert_names(f, "never pinned");
	set_expiry(f, "pinned", 50 * SECOND, false);
	g_assert_cmpuint(mne_store_expire(f->store, 1000 * SECOND), ==, 1);
	assert_names(f, "never");
}

static void test_unchanged_means_no_commit_since(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) a = NULL;
	g_autoptr(MneCkpt) b = NULL;
	g_autoptr(MneCkpt) c = NULL;

	(void)data;
	write_text(f, "x", "1");
	a = checkpoint(f, "a");
	g_assert_true(mne_store_is_unchanged_since(f->store, a));
	b = checkpoint(f, "b");
	g_assert_true(mne_store_is_unchanged_since(f->store, a));
	write_text(f, "x", "2");
	g_assert_false(mne_store_is_unchanged_since(f->store, a));
	g_assert_false(mne_store_is_unchanged_since(f->store, b));
	c = checkpoint(f, "c");
	g_assert_true(mne_store_is_unchanged_since(f->store, c));
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("b")), ==, 0);
	work_off(f);
	g_assert_false(mne_store_is_unchanged_since(f->store, a));
	g_assert_true(mne_store_is_unchanged_since(f->store, c));
}

/* --- automatic ones ------------------------------------------------------------ */

typedef struct {
	MneNs *ns;
	MneClock *clock;
} Watch;

static const char *const no_ops[] = { "none" };

static void watch_begin(Fixture *f, Watch *watch)
{
	const MneNsOptions options = {
		/* no thread of its own: looks are by hand */
		.read_only = true,
		.automatic = { { [MNE_AUTO_HOURLY] = 3, [MNE_AUTO_DAILY] = 2 } },
		.shown = (char *)"",
		.mount_point = (char *)"/nowhere",
	};

	watch->ns = mne_ns_new(f->store, &options, no_ops, 1);
	watch->clock = mne_clock_new(watch->ns);
}

static void watch_end(Watch *watch)
{
	mne_clock_free(watch->clock);
	mne_ns_free(watch->ns);
}

static unsigned count(Fixture *f)
{
	return mne_ckpts_count(mne_store_ckpts(f->store));
}

static int64_t this_hour(void)
{
	int64_t now = g_get_real_time() * 1000;

	return now - now % HOUR;
}

static void test_one_comes_every_hour_if_something_changed(Fixture *f,
							   gconstpointer data)
{
	int64_t hour = this_hour() + 24 * HOUR;
	Watch watch;

	(void)data;
	watch_begin(f, &watch);
	write_text(f, "a", "0");
	for (unsigned i = 0; i < 4; i++) {
		int64_t now = hour + i * HOUR + 5 * SECOND;
		g_autofree char *text = g_strdup_printf("%u", i);

		write_text(f, "a", text);
		mne_clock_look(watch.clock, now);
		mne_clock_look(watch.clock, now + SECOND);
		mne_clock_look(watch.clock, now + 3000 * SECOND);
		/* three hours are kept, and the day's first is kept as the day's */
		g_assert_cmpuint(count(f), <=, 5);
		g_assert_cmpuint(count(f), ==, i + 1);
	}
	watch_end(&watch);
}

static void test_what_has_not_changed_is_kept_on(Fixture *f, gconstpointer data)
{
	int64_t hour = this_hour() + 24 * HOUR;
	g_autofree char *first = NULL;
	Watch watch;

	(void)data;
	watch_begin(f, &watch);
	write_text(f, "a", "0");
	mne_clock_look(watch.clock, hour);
	g_assert_cmpuint(count(f), ==, 1);
	first = names_of(f);
	for (unsigned i = 1; i < 24 * 10; i++)
		mne_clock_look(watch.clock, hour + i * HOUR);
	assert_names(f, first); /* ten days later, with 3 hours and 2 days */
	watch_end(&watch);

	/* The same for one that was not mounted all the time. */
	watch_begin(f, &watch);
	mne_clock_look(watch.clock, hour + 1000 * HOUR);
	assert_names(f, first);
	write_text(f, "a", "1");
	mne_clock_look(watch.clock, hour + 1001 * HOUR);
	g_assert_cmpuint(count(f), ==, 2);
	mne_clock_look(watch.clock, hour + 1100 * HOUR);
	g_assert_cmpuint(count(f), ==, 1);
	watch_end(&watch);
}

static void test_after_a_time_unmounted_one_is_made_up_for(Fixture *f,
							   gconstpointer data)
{
	int64_t hour = this_hour() + 24 * HOUR;
	Watch watch;

	(void)data;
	write_text(f, "a", "0");
	watch_begin(f, &watch);
	mne_clock_look(watch.clock, hour);
	watch_end(&watch);
	write_text(f, "a", "1");
	watch_begin(f, &watch);
	mne_clock_look(watch.clock, hour + 20 * HOUR + 17 * 60 * SECOND);
	g_assert_cmpuint(count(f), ==, 2);
	mne_clock_look(watch.clock, hour + 20 * HOUR + 18 * 60 * SECOND);
	g_assert_cmpuint(count(f), ==, 2);
	watch_end(&watch);
}

#define ADD(func)                                                         \
	g_test_add("/expiry/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_what_is_due_is_dropped_unless_pinned);
	ADD(test_unchanged_means_no_commit_since);
	ADD(test_one_comes_every_hour_if_something_changed);
	ADD(test_what_has_not_changed_is_kept_on);
	ADD(test_after_a_time_unmounted_one_is_made_up_for);
	return g_test_run();
}
