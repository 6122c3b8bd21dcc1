/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_restore.c - mnefs restore: bring records back as they were
 *
 * What is restored is copied beside the place where it goes, and takes that place in one
 * rename: whoever looks sees the old or the new, whole.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/copy.h"
#include "cli/moments.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

typedef struct {
	const MneCli *cli;
	const char *root;
	const GPtrArray *moments;
	const char *to; /* --to, or NULL */
	bool dry;
	MneCopier copier;
} Restore;

/* --- which version ---------------------------------------------------------- */

static bool exists(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0;
}

static bool is_dir(const char *path)
{
	struct stat st;

	return lstat(path, &st) == 0 && S_ISDIR(st.st_mode);
}

static bool looks_other(const Restore *r, const MneMoment *moment, const char *path)
{
	g_autofree char *live = mne_moments_at(r->root, NULL, path);
	g_autofree char *past = mne_moments_at(r->root, moment->name, path);

	return !mne_looks_same(live, past);
}

/* Is anything at or below path other than at the checkpoint?  What was restored is a version
 * of its own, though it looks the same. */
static bool differs_below(const Restore *r, const MneMoment *moment, const char *path)
{
	g_autofree char *file = g_strconcat(moment->name, "..", NULL);
	g_autofree char *full = g_build_filename(r->root, ".mnefs", "changed", file,
						 NULL);
	g_autofree char *list = NULL;
	size_t len = strlen(path);
	gsize size;

	if (!g_file_get_contents(full, &list, &size, NULL))
		return true; /* not known: it may be */
	for (const char *at = list; at < list + size; at += strlen(at) + 1)
		if (strncmp(at, path, len) == 0 && (at[len] == 0 || at[len] == '/') &&
		    looks_other(r, moment, at))
			return true;
	return false;
}

/* Is what stands there now another version than at the checkpoint? */
static bool differs(const Restore *r, const MneMoment *moment, const char *path)
{
	g_autofree char *live = mne_moments_at(r->root, NULL, path);
	g_autofree char *past = mne_moments_at(r->root, moment->name, path);
	uint64_t now, was;

	if (is_dir(live) && is_dir(past))
		return differs_below(r, moment, path);
	if (mne_moments_fact(live, "seq", &now) == 0 &&
	    mne_moments_fact(past, "seq", &was) == 0 && now == was)
		return false;
	return looks_other(r, moment, path);
}

/* The newest one that has another version; *out NULL: none has. */
static MneExit find_other(const Restore *r, const char *path, const MneMoment **out)
{
	bool known = false;

	*out = NULL;
	for (guint i = r->moments->len; i-- > 0;) {
		const MneMoment *moment = r->moments->pdata[i];
		g_autofree char *past = mne_moments_at(r->root, moment->name, path);

		if (!exists(past))
			continue;
		known = true;
		if (!differs(r, moment, path))
			continue;
		*out = moment;
		return MNE_EXIT_OK;
	}
	if (known)
		return MNE_EXIT_OK;
	mne_say_error("%s is in no checkpoint", path);
	mne_say_hint("mnefs history %s", path);
	return MNE_EXIT_NOT_FOUND;
}

static MneExit find_version(const Restore *r, const char *path, const MneMoment **out)
{
	const char *from = mne_cli_value(r->cli, "from");
	g_autofree char *past = NULL;
	MneExit status;

	if (!from)
		return find_other(r, path, out);
	status = mne_moments_find(r->moments, from, out);
	if (status != MNE_EXIT_OK)
		return status;
	past = mne_moments_at(r->root, from, path);
	if (exists(past))
		return MNE_EXIT_OK;
	mne_say_error("%s is not in checkpoint %s", path, from);
	return MNE_EXIT_NOT_FOUND;
}

/* --- putting it there ------------------------------------------------------- */

/* A name beside `to` that nobody has. */
static char *temporary(const char *to)
{
	g_autofree char *dir = g_path_get_dirname(to);
	g_autofree char *name = g_strdup_printf(".mnefs-restore-%ld-%08x",
						(long)getpid(), g_random_int());

	return g_build_filename(dir, name, NULL);
}

/* What stood there goes when it is out of sight. */
static int take_place(const char *made, const char *to)
{
	if (!is_dir(made) && !is_dir(to))
		return rename(made, to) < 0 ? -errno : 0;
	if (renameat2(AT_FDCWD, made, AT_FDCWD, to, RENAME_NOREPLACE) == 0)
		return 0;
	if (errno != EEXIST && errno != EINVAL)
		return -errno;
	if (renameat2(AT_FDCWD, made, AT_FDCWD, to, RENAME_EXCHANGE) < 0)
		return -errno;
	return mne_remove_tree(made);
}

static int replace(Restore *r, const char *from, const char *to)
{
	g_autofree char *made = temporary(to);
	int err = mne_copy(&r->copier, from, made);

	if (err == 0)
		err = take_place(made, to);
	if (err < 0) {
		(void)mne_remove_tree(made);
		return err;
	}
	mne_copier_moved(&r->copier, made, to);
	return 0;
}

/* The directories above path that are gone come back as they were, but empty. */
static int make_parents(Restore *r, const MneMoment *moment, const char *path)
{
	for (const char *slash = strchr(path, '/'); slash;
	     slash = strchr(slash + 1, '/')) {
		g_autofree char *part = g_strndup(path, (size_t)(slash - path));
		g_autofree char *live = mne_moments_at(r->root, NULL, part);
		g_autofree char *past = mne_moments_at(r->root, moment->name, part);

		if (exists(live))
			continue;
		if (mkdir(live, 0700) < 0)
			return -errno;
		MNE_TRY(mne_copy_attributes(&r->copier, past, live));
	}
	return 0;
}

/* A table that is gone: made anew, its records one by one. */
static int restore_table(Restore *r, const char *from, const char *to)
{
	g_autoptr(GDir) dir = g_dir_open(from, 0, NULL);
	const char *name;

	if (!dir)
		return -errno;
	if (mkdir(to, 0700) < 0)
		return -errno;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *record = g_build_filename(from, name, NULL);
		g_autofree char *place = g_build_filename(to, name, NULL);

		MNE_TRY(replace(r, record, place));
	}
	return mne_copy_attributes(&r->copier, from, to);
}

static int put(Restore *r, const MneMoment *moment, const char *path)
{
	g_autofree char *from = mne_moments_at(r->root, moment->name, path);
	g_autofree char *base = g_path_get_basename(path);
	g_autofree char *to = r->to ? g_build_filename(r->to, base, NULL)
				    : mne_moments_at(r->root, NULL, path);

	if (r->to)
		return exists(to) ? -EEXIST : replace(r, from, to);
	if (!strchr(path, '/'))
		return restore_table(r, from, to);
	MNE_TRY(make_parents(r, moment, path));
	return replace(r, from, to);
}

/* --- the command ------------------------------------------------------------ */

static MneExit require_possible(const Restore *r, const char *path)
{
	g_autofree char *live = mne_moments_at(r->root, NULL, path);

	if (r->to && *path)
		return MNE_EXIT_OK;
	if (!*path) {
		mne_say_error("that is all tables: name the records");
		mne_say_hint("or copy it: cp -a %s/.checkpoints/C DIR", r->root);
		return MNE_EXIT_USAGE;
	}
	if (strchr(path, '/') || !exists(live))
		return MNE_EXIT_OK;
	mne_say_error("%s is a whole table, and it is there", path);
	mne_say_hint("name its records; or take a copy: mnefs restore %s --to DIR",
		     path);
	return MNE_EXIT_USAGE;
}

static void say_done(const Restore *r, const MneMoment *moment, const char *path)
{
	g_autofree char *ago = mne_text_ago(time(NULL) - moment->time);

	if (r->dry)
		printf("would restore %s from %s (%s)\n", path, moment->name, ago);
	else
		mne_say_note(r->cli, "restored %s from %s (%s)", path, moment->name,
			     ago);
}

static MneExit restore_one(Restore *r, const char *given)
{
	const MneMoment *moment = NULL;
	g_autofree char *path = NULL;
	MneExit status = mne_moments_path(r->cli, r->root, given, &path);
	int err;

	if (status == MNE_EXIT_OK)
		status = require_possible(r, path);
	if (status == MNE_EXIT_OK)
		status = find_version(r, path, &moment);
	if (status != MNE_EXIT_OK)
		return status;
	if (!moment) {
		mne_say_note(r->cli, "%s is as it was in every checkpoint that has it",
			     path);
		return MNE_EXIT_OK;
	}
	err = r->dry ? 0 : put(r, moment, path);
	if (err < 0) {
		mne_say_error("%s: %s", path, g_strerror(-err));
		mne_place_explain(r->root);
		return mne_exit_of(err);
	}
	say_done(r, moment, path);
	return MNE_EXIT_OK;
}

/* Where --to says. */
static MneExit require_dir(const char *to)
{
	struct stat st;
	int err = !to || stat(to, &st) == 0 ? 0 : errno;

	if (to && err == 0 && !S_ISDIR(st.st_mode))
		err = ENOTDIR;
	if (err != 0)
		mne_say_error("%s: %s", to, g_strerror(err));
	return mne_exit_of(err);
}

MneExit mne_cmd_restore(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_autoptr(GPtrArray) moments = NULL;
	Restore r = { .cli = cli,
		      .to = mne_cli_value(cli, "to"),
		      .dry = mne_cli_has(cli, "dry-run") };
	MneExit status = mne_place_find(cli, &root);

	if (status == MNE_EXIT_OK)
		status = require_dir(r.to);
	if (status == MNE_EXIT_OK)
		status = mne_moments_read(root, &moments);
	if (status != MNE_EXIT_OK)
		return status;
	r.root = root;
	r.moments = moments;
	mne_copier_init(&r.copier);
	for (unsigned i = 0; i < cli->words->len; i++) {
		MneExit one = restore_one(&r, mne_cli_word(cli, i));

		if (status == MNE_EXIT_OK)
			status = one;
	}
	if (r.copier.left_out > 0 && status == MNE_EXIT_OK) {
		mne_say_error("%u owners or attributes could not be set",
			      r.copier.left_out);
		status = MNE_EXIT_PARTIAL;
	}
	mne_copier_clear(&r.copier);
	return status;
}
