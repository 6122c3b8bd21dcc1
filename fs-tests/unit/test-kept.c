/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kept.c - which listings the kernel may keep, and what positions mean
 */
#include "config.h"

#include "ns/kept.h"

#define TABLE 7u
#define DIR   42u

static const MneKeptState one = { 1, 0 }, two = { 2, 0 };

static bool open_it(MneKepts *kepts, MneKeptState now, MneKeptUse *use)
{
	return mne_kept_open(kepts, TABLE, DIR, now, use);
}

static void list_some(MneKeptUse *use, bool at_start, MneKeptState before,
		      bool is_plain)
{
	mne_kept_begin(use, at_start, &before);
	mne_kept_hand_out(use, is_plain);
	mne_kept_finish(use);
}

static MneKeptEnd say_end(MneKeptUse *use, MneKeptState now)
{
	MneKeptEnd end;

	mne_kept_begin(use, false, mne_kept_wants_state(use, false) ? &now : NULL);
	end = mne_kept_end(use, now);
	mne_kept_finish(use);
	return end;
}

static MneKeptEnd list_all(MneKeptUse *use, MneKeptState now)
{
	list_some(use, true, now, false);
	return say_end(use, now);
}

static void fill(MneKepts *kepts, MneKeptState now)
{
	MneKeptUse use;

	g_assert_false(open_it(kepts, now, &use));
	g_assert_nonnull(use.kept);
	g_assert_cmpint(list_all(&use, now), ==, MNE_KEPT_WHOLE);
	mne_kept_close(&use);
}

static void test_what_one_listed_another_may_use_until_it_changes(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse a, b;

	fill(kepts, one);
	g_assert_true(open_it(kepts, one, &a));
	g_assert_true(open_it(kepts, one, &b));
	mne_kept_close(&b);
	g_assert_false(open_it(kepts, two, &b));
	mne_kept_close(&a);
	mne_kept_close(&b);
	g_assert_false(
		open_it(kepts, one, &a)); /* it was dropped when two was opened */
	mne_kept_close(&a);
	mne_kepts_free(kepts);
}

static void test_a_listing_of_two_states_is_dropped_and_the_next_is_whole(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse use;

	g_assert_false(open_it(kepts, one, &use));
	list_some(&use, true, one, false);
	g_assert_cmpint(say_end(&use, two), ==, MNE_KEPT_DROP);
	g_assert_cmpint(list_all(&use, two), ==, MNE_KEPT_WHOLE);
	/* What is left of that is of another state than what comes. */
	g_assert_cmpint(list_all(&use, one), ==, MNE_KEPT_DROP);
	g_assert_cmpint(list_all(&use, one), ==, MNE_KEPT_WHOLE);
	mne_kept_close(&use);
	mne_kepts_free(kepts);
}

static void test_a_state_that_is_not_known_is_never_whole(void)
{
	static const MneKeptState unknown = { 0, 0 };
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse use;

	g_assert_false(open_it(kepts, unknown, &use));
	g_assert_cmpint(list_all(&use, unknown), ==, MNE_KEPT_DROP);
	mne_kept_close(&use);
	g_assert_false(open_it(kepts, unknown, &use));
	mne_kept_close(&use);
	mne_kepts_free(kepts);
}

static void test_names_without_attributes_and_empty_listings_are_not_whole(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse use;

	g_assert_false(open_it(kepts, one, &use));
	list_some(&use, true, one, true);
	g_assert_cmpint(say_end(&use, one), ==, MNE_KEPT_DROP);
	mne_kept_begin(&use, true, &one);
	g_assert_cmpint(mne_kept_end(&use, one), ==, MNE_KEPT_OPEN);
	mne_kept_finish(&use);
	mne_kept_close(&use);
	mne_kepts_free(kepts);
}

static void test_who_was_not_alone_leaves_the_end_open(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse a, b;

	fill(kepts, one);
	g_assert_true(open_it(kepts, one, &a));
	g_assert_true(open_it(kepts, one, &b));
	list_some(&a, true, one, false); /* the kernel lost its copy */
	list_some(&b, true, one, false);
	g_assert_cmpint(say_end(&a, one), ==, MNE_KEPT_OPEN);
	mne_kept_close(&a);
	g_assert_cmpint(say_end(&b, one), ==, MNE_KEPT_OPEN);
	g_assert_cmpint(list_all(&b, one), ==, MNE_KEPT_WHOLE);
	mne_kept_close(&b);
	mne_kepts_free(kepts);
}

static void test_who_did_not_begin_at_the_start_leaves_the_end_open(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse use;

	g_assert_false(open_it(kepts, one, &use));
	list_some(&use, false, one, false);
	g_assert_cmpint(say_end(&use, one), ==, MNE_KEPT_OPEN);
	mne_kept_close(&use);
	mne_kepts_free(kepts);
}

static void test_who_comes_while_it_is_filled_passes_by(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse a, b;

	g_assert_false(open_it(kepts, one, &a));
	list_some(&a, true, one, false);
	g_assert_true(open_it(kepts, one, &b));
	g_assert_null(b.kept);
	g_assert_cmpint(list_all(&a, one), ==, MNE_KEPT_WHOLE);
	g_assert_true(open_it(kepts, one, &b));
	g_assert_nonnull(b.kept);
	mne_kept_close(&a);
	mne_kept_close(&b);
	mne_kepts_free(kepts);
}

static void test_what_the_kernel_forgot_is_read_anew(void)
{
	MneKepts *kepts = mne_kepts_new();
	MneKeptUse use;

	fill(kepts, one);
	mne_kepts_forget_in(kepts, DIR);
	g_assert_true(open_it(kepts, one, &use));
	mne_kept_close(&use);
	mne_kepts_forget_in(kepts, DIR);
	g_assert_false(open_it(kepts, one, &use));
	mne_kept_close(&use);
	fill(kepts, one);
	mne_kepts_forget(kepts, DIR);
	fill(kepts, one);
	mne_kepts_free(kepts);
}

static void test_positions_of_an_earlier_era_are_the_end(void)
{
	MneShown shown;
	uint64_t second;

	mne_shown_init(&shown);
	mne_shown_add(&shown, mne_slice_str("a"));
	mne_shown_add(&shown, mne_slice_str("b"));
	second = mne_shown_position(&shown, 1);
	g_assert_cmpuint(mne_shown_before(&shown, 0), ==, 0);
	g_assert_cmpuint(mne_shown_before(&shown, 2), ==, 0);
	g_assert_cmpuint(mne_shown_before(&shown, second), ==, 2);
	g_assert_cmpuint(mne_shown_before(&shown, mne_shown_position(&shown, 0)), ==,
			 1);
	g_assert_cmpuint(mne_shown_before(&shown, G_MAXUINT64), ==, 2);
	mne_shown_clear(&shown);
	mne_shown_add(&shown, mne_slice_str("c"));
	g_assert_cmpuint(mne_shown_before(&shown, second), ==, 1);
	g_assert_cmpuint(mne_shown_position(&shown, 0), !=, second - 1);
	mne_shown_free(&shown);
}

static void test_many_that_nobody_has_open_do_not_fill_the_memory(void)
{
	MneKepts *kepts = mne_kepts_new();
	g_autofree char *name = g_strnfill(255, 'x');
	g_autoptr(GArray) left = NULL;

	for (uint64_t dir = 1; dir <= 300; dir++) {
		MneKeptUse use;
		MneShown *shown;

		mne_kept_open(kepts, TABLE, dir, one, &use);
		shown = mne_kept_begin(&use, true, &one);
		for (unsigned i = 0; i < 1000; i++)
			mne_shown_add(shown, mne_slice_str(name));
		mne_kept_finish(&use);
		mne_kept_close(&use);
	}
	left = mne_kepts_of(kepts, TABLE);
	g_assert_cmpuint(left->len, >, 30);
	g_assert_cmpuint(left->len, <, 70);
	mne_kepts_free(kepts);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kept/until-it-changes",
			test_what_one_listed_another_may_use_until_it_changes);
	g_test_add_func("/kept/two-states",
			test_a_listing_of_two_states_is_dropped_and_the_next_is_whole);
	g_test_add_func("/kept/unknown", test_a_state_that_is_not_known_is_never_whole);
	g_test_add_func("/kept/plain",
			test_names_without_attributes_and_empty_listings_are_not_whole);
	g_test_add_func("/kept/crowd", test_who_was_not_alone_leaves_the_end_open);
	g_test_add_func("/kept/middle",
			test_who_did_not_begin_at_the_start_leaves_the_end_open);
	g_test_add_func("/kept/passes-by", test_who_comes_while_it_is_filled_passes_by);
	g_test_add_func("/kept/forgotten", test_what_the_kernel_forgot_is_read_anew);
	g_test_add_func("/kept/eras", test_positions_of_an_earlier_era_are_the_end);
	g_test_add_func("/kept/memory",
			test_many_that_nobody_has_open_do_not_fill_the_memory);
	return g_test_run();
}
