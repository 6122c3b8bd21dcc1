/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-lockfile.c - one process at a time, and who waits for whom
 */
#include "config.h"

#include "record/lockfile.h"
#include "util/error.h"

#include <errno.h>
#include <stdbool.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

typedef struct {
	char *dir;
	pid_t child;
	int told; /* readable once the child has the lock */
	int end; /* closed to end it */
} Fixture;

static void set_up(Fixture *f, gconstpointer data)
{
	(void)data;
	f->dir = g_dir_make_tmp("mnefs-lockfile-XXXXXX", NULL);
}

static void tear_down(Fixture *f, gconstpointer data)
{
	g_autofree char *file = g_build_filename(f->dir, "LOCK", NULL);

	(void)data;
	g_unlink(file);
	g_rmdir(f->dir);
	g_free(f->dir);
}

/* In the child: have the lock until the pipe closes, and for `ms` longer. */
static G_GNUC_NORETURN void hold(Fixture *f, int told, int end, bool leaving,
				 unsigned ms)
{
	int fd;
	char byte = 0;

	if (mne_lockfile_take(f->dir, &fd) < 0)
		_exit(1);
	if (leaving)
		mne_lockfile_leave(fd);
	if (write(told, &byte, 1) != 1 || read(end, &byte, 1) != 0)
		_exit(2);
	g_usleep(ms * 1000);
	_exit(0);
}

static void other_process_holds(Fixture *f, bool leaving, unsigned ms)
{
	int told[2], end[2];
	char byte;

	g_assert_cmpint(pipe(told), ==, 0);
	g_assert_cmpint(pipe(end), ==, 0);
	f->child = fork();
	if (f->child == 0) {
		close(end[1]);
		hold(f, told[1], end[0], leaving, ms);
	}
	close(told[1]);
	close(end[0]);
	f->end = end[1];
	g_assert_cmpint(read(told[0], &byte, 1), ==, 1);
	close(told[0]);
}

static void other_process_ends(Fixture *f)
{
	int status;

	g_assert_cmpint(waitpid(f->child, &status, 0), ==, f->child);
	g_assert_cmpint(status, ==, 0);
}

static void test_a_holder_is_named_by_its_pid(Fixture *f, gconstpointer data)
{
	g_autofree char *wanted = NULL;
	int fd, err;

	(void)data;
	other_process_holds(f, false, 0);
	wanted = g_strdup_printf("*in use by process %d", (int)f->child);
	err = mne_lockfile_take(f->dir, &fd);
	g_assert_cmpint(err, ==, -MNE_E_STORE_LOCKED);
	g_assert_true(g_pattern_match_simple(wanted, mne_err_sentence(err)));
	close(f->end);
	other_process_ends(f);
	g_assert_cmpint(mne_lockfile_take(f->dir, &fd), ==, 0);
	close(fd);
}

/* Longer than one would wait for a holder that stays. */
static void test_a_holder_that_leaves_is_waited_for(Fixture *f, gconstpointer data)
{
	int fd;

	(void)data;
	other_process_holds(f, true, 2000);
	close(f->end);
	g_assert_cmpint(mne_lockfile_take(f->dir, &fd), ==, 0);
	close(fd);
	other_process_ends(f);
}

static void test_what_a_killed_holder_wrote_counts_for_nothing(Fixture *f,
							       gconstpointer data)
{
	int fd;

	(void)data;
	other_process_holds(f, false, 60000);
	g_assert_cmpint(kill(f->child, SIGKILL), ==, 0);
	g_assert_cmpint(waitpid(f->child, NULL, 0), ==, f->child);
	close(f->end);
	g_assert_cmpint(mne_lockfile_take(f->dir, &fd), ==, 0);
	close(fd);
}

#define ADD(func) g_test_add("/lockfile/" #func, Fixture, NULL, set_up, func, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_a_holder_is_named_by_its_pid);
	ADD(test_a_holder_that_leaves_is_waited_for);
	ADD(test_what_a_killed_holder_wrote_counts_for_nothing);
	return g_test_run();
}
