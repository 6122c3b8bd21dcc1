/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-dirwatch.c - every name that comes or goes is told, and nothing else
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/dirwatch.h"

#include <stdio.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "scratch.h"

enum { MORE_THAN_A_QUEUE_HOLDS = 40000 };

typedef struct {
	char *dir;
	MneDirWatch *watch;
} Fixture;

static bool is_wanted(const char *name)
{
	return g_str_has_prefix(name, "wanted");
}

static void set_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->dir = g_dir_make_tmp("test-dirwatch-XXXXXX", NULL);
	f->watch = mne_dir_watch_new(f->dir, is_wanted);
	g_assert_true(mne_dir_watch_changed(f->watch));
	g_assert_false(mne_dir_watch_changed(f->watch));
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	mne_dir_watch_free(f->watch);
	scratch_remove(f->dir);
	g_free(f->dir);
}

static char *path_of(Fixture *f, const char *name)
{
	return g_build_filename(f->dir, name, NULL);
}

static void make(Fixture *f, const char *name)
{
	g_autofree char *path = path_of(f, name);

	g_assert_true(g_file_set_contents_full(path, "x", 1, G_FILE_SET_CONTENTS_NONE,
					       0600, NULL));
}

static void take_away(Fixture *f, const char *name)
{
	g_autofree char *path = path_of(f, name);

	g_assert_cmpint(g_unlink(path), ==, 0);
}

static void give_name(Fixture *f, const char *from, const char *to)
{
	g_autofree char *old = path_of(f, from), *new = path_of(f, to);

	g_assert_cmpint(g_rename(old, new), ==, 0);
}

/* Once. */
#define TOLD(f)                                           \
	g_assert_true(mne_dir_watch_changed((f)->watch)); \
	g_assert_false(mne_dir_watch_changed((f)->watch))

static void test_names_that_come_and_go_are_told_once(Fixture *f,
						      gconstpointer data G_GNUC_UNUSED)
{
	make(f, "wanted");
	TOLD(f);
	give_name(f, "wanted", "other");
	TOLD(f);
	give_name(f, "other", "wanted");
	TOLD(f);
	take_away(f, "wanted");
	TOLD(f);
}

static void test_what_nobody_wants_is_not_told(Fixture *f,
					       gconstpointer data G_GNUC_UNUSED)
{
	make(f, "other");
	give_name(f, "other", "something");
	take_away(f, "something");
	g_assert_false(mne_dir_watch_changed(f->watch));
}

static void test_what_was_missed_is_told(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	mne_dir_watch_missed(f->watch);
	TOLD(f);
}

static void test_what_the_kernel_could_not_tell_is_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *path = path_of(f, "other");

	/* Two names in turn, or events would be put together. */
	for (int i = 0; i < MORE_THAN_A_QUEUE_HOLDS; i += 2) {
		g_assert_cmpint(symlink("x", path), ==, 0);
		g_assert_cmpint(unlink(path), ==, 0);
	}
	make(f, "wanted");
	TOLD(f);
}

static void test_of_a_directory_that_is_gone_everything_is_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpint(g_rmdir(f->dir), ==, 0);
	for (int i = 0; i < 3; i++)
		g_assert_true(mne_dir_watch_changed(f->watch));
	g_assert_cmpint(g_mkdir(f->dir, 0700), ==, 0);
}

static void test_of_what_is_no_directory_everything_is_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *path = path_of(f, "file");
	MneDirWatch *watch;

	make(f, "file");
	watch = mne_dir_watch_new(path, is_wanted);
	for (int i = 0; i < 3; i++)
		g_assert_true(mne_dir_watch_changed(watch));
	mne_dir_watch_free(watch);
}

#define TEST(name) \
	g_test_add("/kv-dirwatch/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST(names_that_come_and_go_are_told_once);
	TEST(what_nobody_wants_is_not_told);
	TEST(what_was_missed_is_told);
	TEST(what_the_kernel_could_not_tell_is_told);
	TEST(of_a_directory_that_is_gone_everything_is_told);
	TEST(of_what_is_no_directory_everything_is_told);
	return g_test_run();
}
