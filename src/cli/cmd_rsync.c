/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_rsync.c - mnefs rsync: copy a checkpoint with the user's rsync
 *
 * Three ways, and each ends with a copy that equals the checkpoint:
 *
 *	whole		rsync -aHX --delete C/ DEST
 *	since X		rsync -aHXI --force --from0 --files-from=X..C.listed
 *			--delete-missing-args C/ DEST; then, of tables that list
 *			fragments, which of those there are; and tables that were split
 *			or merged, in which records moved that have not changed, whole
 *	-j N		the paths dealt to lists, N rsyncs at once with --files-from; when
 *			all of it is copied, the whole way once more, which finds little to
 *			do but deletions and the times of directories
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/bar.h"
#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/deal.h"
#include "cli/hold.h"
#include "cli/jobs.h"
#include "cli/listing.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define LISTS_A_JOB 8u /* so that one slow list does not leave the others idle */
#define JOBS_MAX    256u

typedef struct {
	MneCli *cli;
	char *root, *name; /* owned */
	char *from; /* owned; with a slash at the end */
	const char *dest, *since;
	unsigned jobs;
} Copy;

static void copy_clear(Copy *copy)
{
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
	g_autofree char *span = g_strdup_printf("%s..%s.listed", copy->since,
						copy->name);

	return g_build_filename(copy->root, ".mnefs", "changed", span, NULL);
}

/* 0 or a negative errno; -ENODATA: it is not known what changed. */
static int read_changed(const Copy *copy, GString *list)
{
	g_autofree char *path = changed_path(copy);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char bytes[65536];
	ssize_t got;
	int err;

	if (fd < 0)
		return -errno;
	while ((got = read(fd, bytes, sizeof(bytes))) > 0)
		g_string_append_len(list, bytes, got);
	err = errno;
	close(fd);
	return got < 0 ? -err : 0;
}

static void deal_changed(const Copy *copy, const GString *list, MneDeal *deal)
{
	const char *end = list->str + list->len;

	for (const char *at = list->str; copy->jobs > 1 && at < end;
	     at += strlen(at) + 1)
		mne_deal_link(deal, copy->from, at);
	for (const char *at = list->str; at < end; at += strlen(at) + 1)
		mne_deal_path(deal, at);
}

/* One rsync for each list. */
static MneExit run_lists(const Copy *copy, MneDeal *deal, const char *const *more)
{
	g_autoptr(GPtrArray) all =
		g_ptr_array_new_with_free_func(mne_jobs_free_command);
	const GPtrArray *files = mne_deal_files(deal);
	MneBar bar;
	int status;

	if (!files)
		return MNE_EXIT_FAILED;
	for (guint i = 0; i < files->len; i++) {
		const char *file = files->pdata[i];
		g_autofree char *option = g_strdup_printf("--files-from=%s", file);
		g_autoptr(GPtrArray) words = g_ptr_array_new();

		g_ptr_array_add(words, (gpointer) "--from0");
		g_ptr_array_add(words, option);
		for (const char *const *each = more; *each; each++)
			g_ptr_array_add(words, (gpointer)*each);
		g_ptr_array_add(words, NULL);
		if (files->len == 1)
			return run_one(copy, (const char *const *)words->pdata);
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

static MneExit deal_all(const Copy *copy, MneDeal *deal)
{
	g_autoptr(GPtrArray) tables = NULL;
	int err = mne_listing_names(copy->from, &tables);

	for (guint i = 0; err == 0 && i < tables->len; i++)
		err = mne_deal_table(deal, copy->from, tables->pdata[i]);
	return err < 0 ? mne_ckpt_say_failed(copy->root, "read", copy->name, -err)
		       : MNE_EXIT_OK;
}

static MneExit copy_whole_by_lists(const Copy *copy)
{
	static const char *const more[] = { "-r", "--force", NULL };
	g_autoptr(MneDeal) deal = mne_deal_new(copy->jobs * LISTS_A_JOB);
	MneExit status;

	if (!deal)
		return MNE_EXIT_FAILED;
	status = make_dest(copy);
	if (status == MNE_EXIT_OK)
		status = deal_all(copy, deal);
	if (status == MNE_EXIT_OK)
		status = run_lists(copy, deal, more);
	return status == MNE_EXIT_OK ? copy_whole(copy) : status;
}

static MneExit copy_changed(const Copy *copy, const GString *list)
{
	/* What is listed has changed, whatever its size and its time. */
	static const char *const more[] = { "--ignore-times", "--force",
					    "--delete-missing-args", NULL };
	g_autoptr(MneDeal) deal = mne_deal_new(copy->jobs > 1 ? copy->jobs * LISTS_A_JOB
							      : 1);

	if (!deal)
		return MNE_EXIT_FAILED;
	deal_changed(copy, list, deal);
	return run_lists(copy, deal, more);
}

/* --- tables that list fragments ------------------------------------------------- */

/* What a list of changes does not say of a table. */
typedef enum {
	LIST_SAYS_ALL,
	FRAGMENTS_CAME_AND_WENT, /* directories that were empty, or are; times of all */
	RECORDS_MOVED, /* to other directories, without having changed */
} Silent;

/* The seq of a bookmark; 0: there is none. */
static uint64_t bookmark_seq(const Copy *copy)
{
	g_autofree char *path = g_build_filename(copy->root, ".mnefs/bookmarks", NULL);
	g_autofree char *prefix = g_strconcat(copy->since, "\t", NULL);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		if (g_str_has_prefix(*line, prefix))
			return g_ascii_strtoull(*line + strlen(prefix), NULL, 10);
	return 0;
}

/* `then` is that of the older checkpoint; NULL: it had not the table. */
static Silent silent_since(const MneListingFact *then, const MneListingFact *now)
{
	if (!now->fragments && !(then && then->fragments))
		return LIST_SAYS_ALL;
	return then && then->since == now->since ? FRAGMENTS_CAME_AND_WENT
						 : RECORDS_MOVED;
}

/* What a bookmark's table listed is known only if nothing has changed. */
static Silent silent_since_bookmark(uint64_t seq, const MneListingFact *now)
{
	if (now->since > seq)
		return RECORDS_MOVED;
	return now->fragments ? FRAGMENTS_CAME_AND_WENT : LIST_SAYS_ALL;
}

static int ask_silent(const Copy *copy, const char *table, Silent *out)
{
	g_autofree char *path = g_build_filename(copy->from, table, NULL);
	g_autofree char *old = g_build_filename(copy->root, ".checkpoints", copy->since,
						NULL);
	g_autofree char *before = g_build_filename(old, table, NULL);
	MneListingFact then, now;
	int err = mne_listing_read(path, &now);

	if (err < 0)
		return err;
	if (access(old, F_OK) < 0) {
		*out = silent_since_bookmark(bookmark_seq(copy), &now);
		return 0;
	}
	err = mne_listing_read(before, &then);
	if (err < 0 && err != -ENOENT)
		return err;
	*out = silent_since(err < 0 ? NULL : &then, &now);
	return 0;
}

/* The directories in list, each with a slash at its end: what is in them, and no more. */
static MneExit copy_dirs(const Copy *copy, MneDeal *deal, const char *recurse)
{
	const char *const more[] = { "--delete", "--force", recurse, NULL };

	return run_lists(copy, deal, more);
}

static MneExit follow_tables(const Copy *copy)
{
	g_autoptr(MneDeal) dirs = mne_deal_new(1), trees = mne_deal_new(1);
	g_autoptr(GPtrArray) tables = NULL;
	MneExit status = MNE_EXIT_OK;
	int err = dirs && trees ? mne_listing_names(copy->from, &tables) : -EIO;

	for (guint i = 0; err == 0 && i < tables->len; i++) {
		g_autofree char *path = g_strconcat(tables->pdata[i], "/", NULL);
		Silent silent = LIST_SAYS_ALL;

		err = ask_silent(copy, tables->pdata[i], &silent);
		if (err == 0 && silent != LIST_SAYS_ALL)
			mne_deal_path(silent == RECORDS_MOVED ? trees : dirs, path);
	}
	if (err < 0)
		return mne_ckpt_say_failed(copy->root, "read", copy->name, -err);
	status = copy_dirs(copy, trees, "-r");
	return status == MNE_EXIT_OK ? copy_dirs(copy, dirs, NULL) : status;
}

static MneExit copy_all(const Copy *copy)
{
	return copy->jobs > 1 ? copy_whole_by_lists(copy) : copy_whole(copy);
}

static MneExit copy_since(const Copy *copy)
{
	g_autoptr(GString) list = g_string_new(NULL);
	int err = read_changed(copy, list);
	MneExit status;

	if (err == -ENODATA) {
		mne_say_error("the store was repaired after %s: all of it is compared",
			      copy->since);
		return copy_all(copy);
	}
	if (err < 0)
		return no_list(copy, -err);
	status = copy_changed(copy, list);
	return status == MNE_EXIT_OK ? follow_tables(copy) : status;
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
	status = copy.since ? copy_since(&copy) : copy_all(&copy);
	if (status == MNE_EXIT_OK && mne_cli_has(cli, "verify"))
		status = verify(&copy);
	close(hold);
	return status;
}
