/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn-moves.c - what is written between the moment when records that
 * shall move were found, and the one when they move
 */
#include "config.h"

#include "check/check.h"
#include "txn/frags.h"
#include "txn/moves.h"
#include "txn/pace.h"

#include "txns.h"

enum { RECORDS = 60 };

typedef void (*Write)(Fixture *f, const char *name);

static void assert_clean(Fixture *f)
{
	g_auto(MneCheckReport) report = { 0 };

	mne_check_report_init(&report);
	g_assert_cmpint(mne_check_run(f->store, false, &report), ==, 0);
	if (report.findings->len > 0)
		g_error("%s", g_array_index(report.findings, MneCheckFinding, 0).text);
}

static void for_each(Fixture *f, Write write)
{
	for (unsigned i = 0; i < RECORDS; i++) {
		g_autofree char *name = g_strdup_printf("name-%02u", i);

		write(f, name);
	}
}

static void fill(Fixture *f, const char *name)
{
	write_text(f, name, name);
}

/* A table that is about to grow from 1 to 2 fragments: its map. */
static MneFragMap *begin_step(Fixture *f)
{
	MneFragMap *map;

	for_each(f, fill);
	g_assert_cmpint(mne_frags_want(f->store, mne_slice_str("t"), 2), ==, 0);
	g_assert_true(mne_store_work(f->store));
	map = mne_frags_of_table(f->store->frags, f->table);
	g_assert_cmpint(map->move, ==, MNE_FRAG_GROWS);
	return map;
}

/* How many of those found move, if `write` comes between. */
static int move_around(Fixture *f, Write write, guint *out_found)
{
	g_autoptr(MneFragMap) map = begin_step(f);
	MneSplitAt at = mne_moves_start(map);
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneMoves) moves = { 0 };
	int moved;

	g_assert_cmpint(mne_moves_find(f->store, map, &at, &moves), ==, 0);
	g_assert_cmpuint(moves.found->len, >, 1);
	*out_found = moves.found->len;
	if (write)
		for_each(f, write);
	g_assert_cmpint(mne_commit_begin(f->store, &commit), ==, 0);
	commit.moves_only = true;
	moved = mne_moves_put(&moves, &commit);
	g_assert_cmpint(mne_commit_apply(&commit), ==, 0);
	return moved;
}

static void assert_all(Fixture *f, const char *(*text)(const char *name))
{
	work_off(f);
	assert_clean(f);
	for (unsigned i = 0; i < RECORDS; i++) {
		g_autofree char *name = g_strdup_printf("name-%02u", i);

		assert_text(mne_store_live(f->store), f, name, text(name));
	}
}

static const char *as_filled(const char *name)
{
	return name;
}

static void test_what_was_found_moves(Fixture *f, gconstpointer data)
{
	guint found;

	(void)data;
	g_assert_cmpint(move_around(f, NULL, &found), ==, (int)found);
	assert_all(f, as_filled);
}

static void overwrite(Fixture *f, const char *name)
{
	write_text(f, name, "written meanwhile");
}

static const char *as_overwritten(const char *name)
{
	(void)name;
	return "written meanwhile";
}

static void test_what_was_written_meanwhile_stays_as_it_was_written(Fixture *f,
								    gconstpointer data)
{
	guint found;

	(void)data;
	g_assert_cmpint(move_around(f, overwrite, &found), ==, 0);
	assert_all(f, as_overwritten);
}

static const char *as_removed(const char *name)
{
	(void)name;
	return NULL;
}

static void test_what_was_removed_meanwhile_does_not_come_back(Fixture *f,
							       gconstpointer data)
{
	guint found;

	(void)data;
	g_assert_cmpint(move_around(f, remove_file, &found), ==, 0);
	assert_all(f, as_removed);
}

static void write_elsewhere(Fixture *f, const char *name)
{
	g_autofree char *other = g_strdup_printf("other-%s", name);

	write_text(f, other, "another record");
}

static void test_what_others_wrote_meanwhile_does_not_keep_it(Fixture *f,
							      gconstpointer data)
{
	guint found;

	(void)data;
	g_assert_cmpint(move_around(f, write_elsewhere, &found), ==, (int)found);
	assert_all(f, as_filled);
}

static void remake(Fixture *f, const char *name)
{
	remove_file(f, name);
	write_text(f, name, "made again");
}

static const char *as_remade(const char *name)
{
	(void)name;
	return "made again";
}

static void test_what_was_made_again_meanwhile_is_the_new_one(Fixture *f,
							      gconstpointer data)
{
	guint found;

	(void)data;
	g_assert_cmpint(move_around(f, remake, &found), ==, 0);
	assert_all(f, as_remade);
}

static void test_a_step_of_background_work_is_nobody_elses_commit(Fixture *f,
								  gconstpointer data)
{
	(void)data;
	for_each(f, fill);
	g_assert_cmpint(mne_frags_want(f->store, mne_slice_str("t"), 2), ==, 0);
	(void)mne_pace_is_busy(f->store);
	g_assert_cmpuint(f->store->pace.seen, ==, f->store->volume->seq);
	work_off(f);
	g_assert_cmpuint(f->store->pace.seen, ==, f->store->volume->seq);
}

#define ADD(func)                                                            \
	g_test_add("/txn/moves/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_what_was_found_moves);
	ADD(test_what_was_written_meanwhile_stays_as_it_was_written);
	ADD(test_what_was_removed_meanwhile_does_not_come_back);
	ADD(test_what_others_wrote_meanwhile_does_not_keep_it);
	ADD(test_what_was_made_again_meanwhile_is_the_new_one);
	ADD(test_a_step_of_background_work_is_nobody_elses_commit);
	return g_test_run();
}
