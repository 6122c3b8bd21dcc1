/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_rsync.c - mnefs rsync: copy a checkpoint with the user's rsync
 *
 * Three ways, and each ends with a copy that equals the checkpoint:
 *
 *	whole		rsync -aHX --delete C/ DEST
 *	since X		rsync -aHXI --force --from0 --files-from=X..C
 *			--delete-missing-args C/ DEST
 *	-j N		the paths dealt to lists, N rsyncs at once with --files-from; when
 *			all of it is copied, the whole way once more, which finds little to
 *			do but deletions and the times of directories
 *
 * All paths of one record go to one list: what depends on each other (a file that became a
 * directory) is done by one rsync, in order.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/bar.h"
#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/hold.h"
#include "cli/jobs.h"
#include "cli/place.h"
#include "cli/say.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LISTS_A_JOB 8u /* so that one slow list does not leave the others idle */
#define JOBS_MAX    256u

typedef struct {
	MneCli *cli;
	char *root, *name; /* owned */
	char *from; /* owned; with a slash at the end */
	const char *dest, *since;
	unsigned jobs;
	char *scratch; /* owned: directory of the lists */
	GPtrArray *lists; /* of GByteArray: paths, each with a NUL */
} Copy;

static void copy_clear(Copy *copy)
{
	for (unsigned i = 0; copy->scratch && copy->lists && i < copy->lists->len;
	     i++) {
		g_autofree char *path = g_strdup_printf("%s/%u", copy->scratch, i);

		(void)unlink(path);
	}
	if (copy->scratch)
		(void)rmdir(copy->scratch);
	g_clear_pointer(&copy->lists, g_ptr_array_unref);
	g_free(copy->scratch);
	g_free(copy->root);
	g_free(copy->name);
	g_free(copy->from);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Copy, copy_clear)

static MneExit read_arguments(MneCli *cli, Copy *copy)
{
	const char *jobs = mne_cli_value(cli, "jobs");
	guint64 n = 1;

	copy->cli = cli;
	copy->dest = mne_cli_word(cli, 1);
	copy->since = mne_cli_value(cli, "since");
	if (jobs && (!g_ascii_string_to_unsigned(jobs, 10, 1, JOBS_MAX, &n, NULL))) {
		mne_say_error("-j %s: a number from 1 to %u", jobs, JOBS_MAX);
		return MNE_EXIT_USAGE;
	}
	if (copy->since && strchr(copy->since, '/')) {
		mne_say_error("'/' is not allowed in a checkpoint name");
		return MNE_EXIT_USAGE;
	}
	copy->jobs = (unsigned)n;
	return mne_place_find(cli, &copy->root);
}

/* rsync with what all ways have in common, then `more`, the user's options, and the ends. */
static char **command_of(const Copy *copy, const char *const *more)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();

	g_ptr_array_add(words, g_strdup("rsync"));
	g_ptr_array_add(words, g_strdup("-aHX"));
	for (; *more; more++)
		g_ptr_array_add(words, g_strdup(*more));
	for (unsigned i = 2; i < copy->cli->words->len; i++)
		g_ptr_array_add(words, g_strdup(mne_cli_word(copy->cli, i)));
	g_ptr_array_add(words, g_strdup("--"));
	g_ptr_array_add(words, g_strdup(copy->from));
	g_ptr_array_add(words, g_strdup(copy->dest));
	g_ptr_array_add(words, NULL);
	return (char **)g_ptr_array_free(g_steal_pointer(&words), FALSE);
}

/* The exit code for what rsync ended with. */
static MneExit exit_of(int status)
{
	switch (status) {
	case 0: return MNE_EXIT_OK;
	case 23: /* partial transfer due to error */
	case 24: /* some files vanished */
	case 25: /* --max-delete */
		mne_say_error("rsync left something out (exit %d)", status);
		return MNE_EXIT_PARTIAL;
	default: break;
	}
	mne_say_error("rsync failed (exit %d)", status);
	return MNE_EXIT_FAILED;
}

static bool wants_progress(const Copy *copy)
{
	return isatty(STDOUT_FILENO) && !copy->cli->quiet && !copy->cli->json;
}

static MneExit run_one(const Copy *copy, const char *const *more)
{
	g_autoptr(GPtrArray) all =
		g_ptr_array_new_with_free_func(mne_jobs_free_command);
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	int status;

	for (; *more; more++)
		g_ptr_array_add(words, (gpointer)*more);
	if (wants_progress(copy))
		g_ptr_array_add(words, (gpointer) "--info=progress2");
	g_ptr_array_add(words, NULL);
	g_ptr_array_add(all, command_of(copy, (const char *const *)words->pdata));
	status = mne_jobs_run(all, 1, NULL);
	return status < 0 ? MNE_EXIT_FAILED : exit_of(status);
}

static MneExit copy_whole(const Copy *copy)
{
	static const char *const more[] = { "--delete", NULL };

	return run_one(copy, more);
}

/* Where the first two parts of a path end. */
static size_t record_len(const char *path)
{
	const char *slash = strchr(path, '/');
	const char *second = slash ? strchr(slash + 1, '/') : NULL;

	return second ? (size_t)(second - path) : strlen(path);
}

static void deal(Copy *copy, const char *path)
{
	size_t len = record_len(path);
	unsigned hash = 5381;

	for (size_t i = 0; i < len; i++)
		hash = hash * 33 + (unsigned char)path[i];
	g_byte_array_append(copy->lists->pdata[hash % copy->lists->len],
			    (const guint8 *)path, (guint)strlen(path) + 1);
}

static void free_list(void *list)
{
	g_byte_array_unref(list);
}

static bool make_lists(Copy *copy)
{
	copy->scratch = g_dir_make_tmp("mnefs-rsync-XXXXXX", NULL);
	copy->lists = g_ptr_array_new_with_free_func(free_list);
	for (unsigned i = 0; i < copy->jobs * LISTS_A_JOB; i++)
		g_ptr_array_add(copy->lists, g_byte_array_new());
	if (!copy->scratch)
		mne_say_error("cannot make a directory for lists: %s",
			      g_strerror(errno));
	return copy->scratch != NULL;
}

static MneExit deal_table(Copy *copy, const char *table)
{
	g_autofree char *path = g_build_filename(copy->from, table, NULL);
	DIR *dir = opendir(path);
	struct dirent *entry;
	int err;

	if (!dir && errno == ENOTDIR)
		return MNE_EXIT_OK;
	if (!dir)
		return mne_ckpt_say_failed(copy->root, "read", copy->name, errno);
	while ((errno = 0, entry = readdir(dir))) {
		g_autofree char *record = g_build_filename(table, entry->d_name, NULL);

		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			deal(copy, record);
	}
	err = errno;
	closedir(dir);
	return err ? mne_ckpt_say_failed(copy->root, "read", copy->name, err)
		   : MNE_EXIT_OK;
}

static MneExit deal_all(Copy *copy)
{
	MneExit status = MNE_EXIT_OK;
	DIR *dir = opendir(copy->from);
	struct dirent *entry;

	if (!dir)
		return mne_ckpt_say_failed(copy->root, "read", copy->name, errno);
	while (status == MNE_EXIT_OK && (entry = readdir(dir)))
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			status = deal_table(copy, entry->d_name);
	closedir(dir);
	return status;
}

static MneExit no_list(const Copy *copy, int err)
{
	if (err == ENOENT) {
		mne_say_error("there is no list of changes from %s to %s", copy->since,
			      copy->name);
		mne_say_hint("--since takes an older checkpoint, or a bookmark");
	} else {
		mne_say_error("changes from %s to %s: %s", copy->since, copy->name,
			      g_strerror(err));
		mne_place_explain(copy->root);
	}
	return mne_exit_of(err);
}

static char *changed_path(const Copy *copy)
{
	g_autofree char *span = g_strdup_printf("%s..%s", copy->since, copy->name);

	return g_build_filename(copy->root, ".mnefs", "changed", span, NULL);
}

static MneExit deal_changed(Copy *copy)
{
	g_autofree char *path = changed_path(copy);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	int err;

	if (!file)
		return no_list(copy, errno);
	while ((errno = 0, getdelim(&line, &size, '\0', file)) > 0)
		deal(copy, line);
	err = ferror(file) ? errno : 0;
	free(line); /* getdelim() allocated it */
	fclose(file);
	return err ? no_list(copy, err) : MNE_EXIT_OK;
}

/* One rsync for each list that is not empty. */
static MneExit run_lists(Copy *copy, const char *const *more)
{
	g_autoptr(GPtrArray) all =
		g_ptr_array_new_with_free_func(mne_jobs_free_command);
	MneBar bar;
	int status;

	for (unsigned i = 0; i < copy->lists->len; i++) {
		const GByteArray *list = copy->lists->pdata[i];
		g_autofree char *path = g_strdup_printf("%s/%u", copy->scratch, i);
		g_autofree char *option = g_strdup_printf("--files-from=%s", path);
		g_autoptr(GPtrArray) words = g_ptr_array_new();

		if (list->len == 0)
			continue;
		if (!g_file_set_contents(path, (const char *)list->data,
					 (gssize)list->len, NULL)) {
			mne_say_error("cannot write %s", path);
			return MNE_EXIT_FAILED;
		}
		g_ptr_array_add(words, (gpointer) "--from0");
		g_ptr_array_add(words, option);
		for (const char *const *each = more; *each; each++)
			g_ptr_array_add(words, (gpointer)*each);
		g_ptr_array_add(words, NULL);
		g_ptr_array_add(all,
				command_of(copy, (const char *const *)words->pdata));
	}
	mne_bar_init(&bar, copy->cli);
	status = mne_jobs_run(all, copy->jobs, &bar);
	mne_bar_clear(&bar);
	return status < 0 ? MNE_EXIT_FAILED : exit_of(status);
}

/* The directory to copy to: or all of them would try to make it. */
static MneExit make_dest(const Copy *copy)
{
	static const char *const more[] = { "--exclude=/*", NULL };
	g_auto(GStrv) command = command_of(copy, more);
	g_autoptr(GPtrArray) all = g_ptr_array_new();
	int status;

	g_ptr_array_add(all, command);
	status = mne_jobs_run(all, 1, NULL);
	return status < 0 ? MNE_EXIT_FAILED : exit_of(status);
}

static MneExit copy_whole_by_lists(Copy *copy)
{
	static const char *const more[] = { "-r", "--force", NULL };
	MneExit status;

	if (!make_lists(copy))
		return MNE_EXIT_FAILED;
	status = make_dest(copy);
	if (status == MNE_EXIT_OK)
		status = deal_all(copy);
	if (status == MNE_EXIT_OK)
		status = run_lists(copy, more);
	return status == MNE_EXIT_OK ? copy_whole(copy) : status;
}

static MneExit copy_changed(Copy *copy)
{
	/* What is listed has changed, whatever its size and its time. */
	static const char *const more[] = { "--ignore-times", "--force",
					    "--delete-missing-args", NULL };
	MneExit status;

	if (copy->jobs == 1) {
		g_autofree char *path = changed_path(copy);
		g_autofree char *option = g_strdup_printf("--files-from=%s", path);
		const char *words[] = { "--from0", option,  more[0],
					more[1],   more[2], NULL };

		if (access(path, R_OK) < 0)
			return no_list(copy, errno);
		return run_one(copy, words);
	}
	if (!make_lists(copy))
		return MNE_EXIT_FAILED;
	status = deal_changed(copy);
	return status == MNE_EXIT_OK ? run_lists(copy, more) : status;
}

/* A line of --itemize-changes: eleven letters, or "*deleting", and a name. */
static bool is_difference(const char *line)
{
	return strlen(line) > 12 && strchr("*<>ch.", *line) && line[11] == ' ';
}

/* All bytes of both sides, by rsync's own comparison. */
static MneExit verify(const Copy *copy)
{
	static const char *const more[] = { "-n", "-i", "-c", "--delete", NULL };
	g_auto(GStrv) command = command_of(copy, more);
	g_auto(GStrv) lines = NULL;
	g_autofree char *said = NULL;
	unsigned differences = 0;
	int status = 0;

	if (!g_spawn_sync(NULL, command, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, &said,
			  NULL, &status, NULL) ||
	    !g_spawn_check_wait_status(status, NULL)) {
		mne_say_error("rsync could not compare the copy");
		return MNE_EXIT_FAILED;
	}
	lines = g_strsplit(said, "\n", -1);
	for (char **line = lines; *line; line++)
		if (is_difference(*line)) {
			printf("%s\n", *line);
			differences++;
		}
	if (differences == 0) {
		mne_say_detail(copy->cli, "%s equals %s", copy->dest, copy->name);
		return MNE_EXIT_OK;
	}
	mne_say_error("%u differences between %s and %s", differences, copy->name,
		      copy->dest);
	return MNE_EXIT_DIFFERENT;
}

MneExit mne_cmd_rsync(MneCli *cli)
{
	g_auto(Copy) copy = { 0 };
	MneExit status = read_arguments(cli, &copy);
	int hold;

	if (status == MNE_EXIT_OK)
		status = mne_hold_open(copy.root, mne_cli_word(cli, 0), &hold);
	if (status != MNE_EXIT_OK)
		return status;
	copy.name = mne_hold_name(hold);
	if (!copy.name) {
		close(hold);
		return mne_ckpt_say_failed(copy.root, "read", mne_cli_word(cli, 0),
					   errno);
	}
	copy.from = g_strdup_printf("%s/.checkpoints/%s/", copy.root, copy.name);
	if (copy.since)
		status = copy_changed(&copy);
	else if (copy.jobs > 1)
		status = copy_whole_by_lists(&copy);
	else
		status = copy_whole(&copy);
	if (status == MNE_EXIT_OK && mne_cli_has(cli, "verify"))
		status = verify(&copy);
	close(hold);
	return status;
}
