/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_ckpt.c - mnefs checkpoint: mkdir, rmdir and mv in .checkpoints, with sentences
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "ckpt/ckpt.h"
#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"
#include "cli/suggest.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

char *mne_ckpt_path(const char *root, const char *table, const char *name)
{
	if (table)
		return g_build_filename(root, table, ".checkpoints", name, NULL);
	return g_build_filename(root, ".checkpoints", name, NULL);
}

/* The lines of .mnefs/checkpoints.json. */
static MneExit read_lines(const char *root, char ***out_lines)
{
	g_autofree char *text = NULL;
	MneExit status = mne_place_must_read(root, "checkpoints.json", &text);

	if (status == MNE_EXIT_OK)
		*out_lines = g_strsplit(g_strchomp(text), "\n", -1);
	return status;
}

static GHashTable *parse_line(const char *line)
{
	GHashTable *object = *line ? mne_json_parse(line) : NULL;

	if (*line && !object)
		mne_say_error("cannot read this line of .mnefs/checkpoints.json: %s",
			      line);
	return object;
}

/* Seconds since the epoch. */
static int64_t time_of(GHashTable *object)
{
	return (int64_t)mne_json_number(object, "time");
}

const char *mne_ckpt_tables_text(GHashTable *object)
{
	const char *tables = mne_json_text(object, "tables", "");

	if (strcmp(mne_json_text(object, "all", "false"), "true") == 0)
		return "all";
	return *tables ? tables : "-";
}

const char *mne_ckpt_holders_text(GHashTable *object)
{
	const char *holders = mne_json_text(object, "held_by", "");

	if (*holders)
		return holders;
	return strcmp(mne_json_text(object, "pinned", "false"), "true") == 0
		       ? "(pinned)"
		       : "-";
}

static MneExit no_such_checkpoint(char **lines, const char *name)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const char *near;

	for (; lines && *lines; lines++) {
		g_autoptr(GHashTable) object = parse_line(*lines);

		if (object)
			g_ptr_array_add(names,
					g_strdup(mne_json_text(object, "name", "")));
	}
	near = mne_suggest_word((const char *const *)names->pdata, names->len, name);
	mne_say_error("there is no checkpoint %s", name);
	if (near)
		mne_say_hint("did you mean %s?", near);
	else
		mne_say_hint("mnefs ck list shows those there are");
	return MNE_EXIT_NOT_FOUND;
}

MneExit mne_ckpt_must_be_name(const char *name)
{
	int err;

	if (strchr(name, '/')) {
		mne_say_error("'/' is not allowed in a checkpoint name");
		return MNE_EXIT_USAGE;
	}
	err = mne_ckpt_check_name(mne_slice_str(name));
	if (err == -ENAMETOOLONG)
		mne_say_error("a checkpoint name has up to 255 bytes");
	else if (err < 0)
		mne_say_error("%s", mne_err_sentence(err));
	return err < 0 ? MNE_EXIT_USAGE : MNE_EXIT_OK;
}

MneExit mne_ckpt_say_make(const char *root, const char *name, int err)
{
	if (err == EEXIST) {
		mne_say_error("a checkpoint %s exists already", name);
		mne_say_hint("choose another name, or first: mnefs ck drop %s", name);
	} else if (err == EACCES || err == EPERM) {
		mne_say_error("you may not make checkpoints in %s", root);
		mne_say_hint("its owner can allow it: chgrp GROUP %s/.checkpoints",
			     root);
	} else if (err == EROFS) {
		mne_say_error("%s is mounted read-only", root);
		mne_place_explain(root);
	} else if (err == ECANCELED) {
		mne_say_error("checkpoint %s was not made: a required hook was not "
			      "ready",
			      name);
		mne_place_explain(root);
		return MNE_EXIT_FAILED;
	} else {
		mne_say_error("checkpoint %s: %s", name, g_strerror(err));
		mne_place_explain(root);
	}
	return mne_exit_of(err);
}

MneExit mne_ckpt_print_json(const char *root, const char *name)
{
	g_autofree char *file = g_build_filename("checkpoints", name, "info.json",
						 NULL);
	g_autofree char *line = NULL;
	MneExit status = mne_place_must_read(root, file, &line);

	if (status == MNE_EXIT_OK)
		printf("%s", line);
	return status;
}

static void add_row(MneColumns *table, GHashTable *object, int64_t now)
{
	g_autofree char *created = mne_text_ago(now - time_of(object));
	g_autofree char *seq = mne_text_count(mne_json_number(object, "seq"));
	g_autofree char *used = mne_text_size(mne_json_number(object, "used"));
	g_autofree char *frees = mne_text_size(mne_json_number(object, "frees"));
	int64_t end = (int64_t)mne_json_number(object, "expires");
	g_autofree char *expires = end > 0 ? mne_text_in(end - now) : NULL;

	mne_columns_add(table, mne_json_text(object, "name", "?"), created, seq, used,
			frees, expires ? expires : "-", mne_ckpt_tables_text(object),
			mne_ckpt_holders_text(object), NULL);
}

MneExit mne_cmd_ckpt_list(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_find(cli, &root);
	MneColumns *table;

	if (status == MNE_EXIT_OK)
		status = read_lines(root, &lines);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		for (char **line = lines; *line && **line; line++)
			printf("%s\n", *line);
		return MNE_EXIT_OK;
	}
	if (!lines[0] || !*lines[0]) {
		mne_say_note(cli, "no checkpoints; mnefs ck create NAME makes one");
		return MNE_EXIT_OK;
	}
	table = mne_columns_new(cli, "llrrrlll");
	mne_columns_add(table, "NAME", "CREATED", "SEQ", "USED", "FREES", "EXPIRES",
			"TABLES", "HELD BY", NULL);
	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = parse_line(*line);

		if (object)
			add_row(table, object, time(NULL));
	}
	mne_columns_print(table);
	return MNE_EXIT_OK;
}

GHashTable *mne_ckpt_read(const char *root, const char *name)
{
	g_autofree char *file = g_build_filename("checkpoints", name, "info.json",
						 NULL);
	g_autofree char *line = NULL;

	if (strchr(name, '/')) {
		errno = ENOENT;
		return NULL;
	}
	line = mne_place_read(root, file);
	return line ? mne_json_parse(g_strchomp(line)) : NULL;
}

static void say_busy(const char *root, const char *name)
{
	g_autoptr(GHashTable) object = mne_ckpt_read(root, name);
	const char *holders = object ? mne_json_text(object, "held_by", "") : "";
	bool pinned = object &&
		      strcmp(mne_json_text(object, "pinned", ""), "true") == 0;

	if (pinned) {
		mne_say_error("%s is pinned", name);
		mne_say_hint("mnefs ck unpin %s, or: mnefs ck drop --force %s", name,
			     name);
	} else if (*holders) {
		mne_say_error("%s is held by %s", name, holders);
		mne_say_hint("wait, end it, or: mnefs ck drop --force %s", name);
	} else {
		mne_say_error("%s was in use just now", name);
		mne_place_explain(root);
	}
}

MneExit mne_ckpt_say_failed(const char *root, const char *what, const char *name,
			    int err)
{
	g_auto(GStrv) lines = NULL;

	if (err == ENOENT && read_lines(root, &lines) == MNE_EXIT_OK)
		return no_such_checkpoint(lines, name);
	if (err == EACCES || err == EPERM) {
		mne_say_error("you may not %s checkpoint %s: it is not yours", what,
			      name);
	} else if (err == EBUSY) {
		say_busy(root, name);
	} else if (err == EROFS) {
		mne_say_error("%s is mounted read-only", root);
		mne_place_explain(root);
	} else {
		mne_say_error("%s %s: %s", what, name, g_strerror(err));
		mne_place_explain(root);
	}
	return mne_exit_of(err);
}

/* 0 or an errno. */
static int drop(const char *root, const char *name, bool by_force)
{
	g_autofree char *path = mne_ckpt_path(root, NULL, name);
	g_autofree char *file = g_build_filename("checkpoints", name, "drop", NULL);

	if (by_force)
		return -mne_place_write(root, file, "force");
	return rmdir(path) < 0 ? errno : 0;
}

static MneExit drop_one(const MneCli *cli, const char *root, const char *name)
{
	g_autofree char *path = mne_ckpt_path(root, NULL, name);
	MneExit status = mne_ckpt_must_be_name(name);
	struct stat st;
	int err;

	if (status != MNE_EXIT_OK)
		return status;
	if (mne_cli_has(cli, "dry-run")) {
		if (stat(path, &st) < 0)
			return mne_ckpt_say_failed(root, "drop", name, errno);
		printf("would drop %s\n", name);
		return MNE_EXIT_OK;
	}
	err = drop(root, name, mne_cli_has(cli, "force"));
	if (err)
		return mne_ckpt_say_failed(root, "drop", name, err);
	mne_say_detail(cli, "dropped %s; its space comes back in the background", name);
	return MNE_EXIT_OK;
}

MneExit mne_cmd_ckpt_drop(MneCli *cli)
{
	g_autofree char *root = NULL;
	MneExit status = mne_place_find(cli, &root);

	if (status != MNE_EXIT_OK)
		return status;
	for (unsigned i = 0; i < cli->words->len; i++) {
		MneExit one = drop_one(cli, root, mne_cli_word(cli, i));

		if (status == MNE_EXIT_OK)
			status = one;
	}
	return status;
}

MneExit mne_cmd_ckpt_rename(MneCli *cli)
{
	const char *from = mne_cli_word(cli, 0), *to = mne_cli_word(cli, 1);
	g_autofree char *root = NULL, *from_path = NULL, *to_path = NULL;
	MneExit status = mne_place_find(cli, &root);

	if (status == MNE_EXIT_OK)
		status = mne_ckpt_must_be_name(to);
	if (status == MNE_EXIT_OK)
		status = mne_ckpt_must_be_name(from);
	if (status != MNE_EXIT_OK)
		return status;
	from_path = mne_ckpt_path(root, NULL, from);
	to_path = mne_ckpt_path(root, NULL, to);
	if (rename(from_path, to_path) == 0)
		return MNE_EXIT_OK;
	if (errno == ENOENT)
		return mne_ckpt_say_failed(root, "rename", from, ENOENT);
	if (errno == ENOTEMPTY)
		errno = EEXIST;
	return mne_ckpt_say_make(root, to, errno);
}
