/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_ckpt.c - mnefs checkpoint: mkdir, rmdir and mv in .checkpoints, with sentences
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "ckpt/ckpt.h"
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

static char *path_of(const char *root, const char *table, const char *name)
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

static const char *tables_of(GHashTable *object)
{
	const char *tables = mne_json_text(object, "tables", "");

	if (strcmp(mne_json_text(object, "all", "false"), "true") == 0)
		return "all";
	return *tables ? tables : "-";
}

/* The line of the checkpoint called name: a new string, or NULL. */
static char *find_line(char **lines, const char *name)
{
	for (; *lines; lines++) {
		g_autoptr(GHashTable) object = parse_line(*lines);

		if (object && strcmp(mne_json_text(object, "name", ""), name) == 0)
			return g_strdup(*lines);
	}
	return NULL;
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

static MneExit check_name(const char *name)
{
	int err;

	if (strchr(name, '/')) {
		mne_say_error("'/' is not allowed in a checkpoint name");
		return MNE_EXIT_USAGE;
	}
	err = mne_ckpt_check_name(mne_slice_str(name));
	if (err < 0)
		mne_say_error("%s", mne_err_sentence(err));
	return err < 0 ? MNE_EXIT_USAGE : MNE_EXIT_OK;
}

/* The first of the tables that is not there, or NULL. */
static const char *missing_table(const char *root, const GPtrArray *tables)
{
	for (unsigned i = 0; tables && i < tables->len; i++) {
		const char *table = g_ptr_array_index(tables, i);
		g_autofree char *path = g_build_filename(root, table, NULL);

		if (!g_file_test(path, G_FILE_TEST_IS_DIR))
			return table;
	}
	return NULL;
}

static MneExit say_create(const char *root, const char *name, const GPtrArray *tables,
			  int err)
{
	const char *missing = err == ENOENT ? missing_table(root, tables) : NULL;

	if (err == EEXIST) {
		mne_say_error("a checkpoint %s exists already", name);
		mne_say_hint("choose another name, or first: mnefs ck drop %s", name);
	} else if (missing) {
		mne_say_error("there is no table %s in %s", missing, root);
	} else if (err == EACCES || err == EPERM) {
		mne_say_error("you may not make checkpoints in %s", root);
		mne_say_hint("its owner can allow it: chgrp GROUP %s/.checkpoints",
			     root);
	} else if (err == EROFS) {
		mne_say_error("%s is mounted read-only", root);
		mne_place_explain(root);
	} else {
		mne_say_error("checkpoint %s: %s", name, g_strerror(err));
		mne_place_explain(root);
	}
	return mne_exit_of(err);
}

/* 0 or an errno. */
static int make_checkpoint(const char *root, const char *name, const GPtrArray *tables)
{
	g_autoptr(GString) line = g_string_new("checkpoint\t");
	g_autofree char *path = NULL;

	if (tables->len <= 1) {
		path = path_of(root, tables->len ? g_ptr_array_index(tables, 0) : NULL,
			       name);
		return mkdir(path, 0755) < 0 ? errno : 0;
	}
	g_string_append(line, name);
	for (unsigned i = 0; i < tables->len; i++)
		g_string_append_printf(line, "\t%s",
				       (const char *)g_ptr_array_index(tables, i));
	g_string_append_c(line, '\n');
	return -mne_place_write(root, "ctl", line->str);
}

/* Make one named by the time; in *out_name what it is called. */
static int make_timed(const char *root, const GPtrArray *tables, char **out_name)
{
	static const char *const formats[] = { "%Y-%m-%dT%H%MZ", "%Y-%m-%dT%H%M%SZ" };
	g_autoptr(GDateTime) now = g_date_time_new_now_utc();
	int err = EEXIST;

	for (unsigned i = 0; i < 100 && err == EEXIST; i++) {
		const char *format = formats[MIN(i, 1)];

		g_free(*out_name);
		*out_name = g_date_time_format(now, format);
		if (i > 1) {
			char *numbered = g_strdup_printf("%s-%u", *out_name, i);

			g_free(*out_name);
			*out_name = numbered;
		}
		err = make_checkpoint(root, *out_name, tables);
	}
	return err;
}

static MneExit print_line_of(const char *root, const char *name)
{
	g_auto(GStrv) lines = NULL;
	MneExit status = read_lines(root, &lines);
	g_autofree char *line = status == MNE_EXIT_OK ? find_line(lines, name) : NULL;

	if (line)
		printf("%s\n", line);
	return status;
}

MneExit mne_cmd_ckpt_create(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_autofree char *name = g_strdup(mne_cli_word(cli, 0));
	g_autoptr(GPtrArray) tables = mne_cli_values(cli, "table");
	MneExit status = mne_place_find(cli, &root);
	int err;

	if (status == MNE_EXIT_OK && name)
		status = check_name(name);
	if (status != MNE_EXIT_OK)
		return status;
	if (name)
		err = make_checkpoint(root, name, tables);
	else
		err = make_timed(root, tables, &name);
	if (err)
		return say_create(root, name, tables, err);
	if (cli->json)
		return print_line_of(root, name);
	printf("%s\n", name);
	return MNE_EXIT_OK;
}

static void add_row(MneColumns *table, GHashTable *object, int64_t now)
{
	g_autofree char *created = mne_text_ago(now - time_of(object));
	g_autofree char *seq = mne_text_count(mne_json_number(object, "seq"));
	g_autofree char *used = mne_text_size(mne_json_number(object, "used"));
	g_autofree char *frees = mne_text_size(mne_json_number(object, "frees"));

	mne_columns_add(table, mne_json_text(object, "name", "?"), created, seq, used,
			frees, tables_of(object), NULL);
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
	table = mne_columns_new(cli, "llrrrl");
	mne_columns_add(table, "NAME", "CREATED", "SEQ", "USED", "FREES", "TABLES",
			NULL);
	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = parse_line(*line);

		if (object)
			add_row(table, object, time(NULL));
	}
	mne_columns_print(table);
	return MNE_EXIT_OK;
}

static void print_checkpoint(const char *root, const char *line)
{
	g_autoptr(GHashTable) object = mne_json_parse(line);
	g_autofree char *seq = mne_text_count(mne_json_number(object, "seq"));
	g_autofree char *made = mne_text_utc(time_of(object));
	g_autofree char *ago = mne_text_ago(time(NULL) - time_of(object));
	g_autofree char *used = mne_text_size(mne_json_number(object, "used"));
	g_autofree char *frees = mne_text_size(mne_json_number(object, "frees"));
	g_autofree char *retained = mne_text_count(mne_json_number(object, "retained"));
	const char *name = mne_json_text(object, "name", "?");
	g_autofree char *path = path_of(root, NULL, name);

	printf("name     %s\n", name);
	printf("created  %s (%s)\n", made, ago);
	printf("seq      %s\n", seq);
	printf("tables   %s\n", tables_of(object));
	printf("used     %s of history that it can see, in %s values\n", used,
	       retained);
	printf("frees    %s if it alone is dropped\n", frees);
	printf("cookie   %s\n", mne_json_text(object, "cookie", "-"));
	printf("path     %s\n", path);
}

MneExit mne_cmd_ckpt_show(MneCli *cli)
{
	g_autofree char *root = NULL, *line = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_find(cli, &root);

	if (status == MNE_EXIT_OK)
		status = read_lines(root, &lines);
	if (status != MNE_EXIT_OK)
		return status;
	line = find_line(lines, mne_cli_word(cli, 0));
	if (!line)
		return no_such_checkpoint(lines, mne_cli_word(cli, 0));
	if (cli->json)
		printf("%s\n", line);
	else
		print_checkpoint(root, line);
	return MNE_EXIT_OK;
}

static MneExit say_drop(const char *root, const char *name, int err)
{
	g_auto(GStrv) lines = NULL;

	if (err == ENOENT && read_lines(root, &lines) == MNE_EXIT_OK)
		return no_such_checkpoint(lines, name);
	if (err == EACCES || err == EPERM)
		mne_say_error("you may not drop checkpoint %s: it is not yours", name);
	else if (err == EBUSY)
		mne_say_error("checkpoint %s is in use", name);
	else if (err == EROFS)
		mne_say_error("%s is mounted read-only", root);
	else
		mne_say_error("drop %s: %s", name, g_strerror(err));
	if (err != EACCES && err != EPERM)
		mne_place_explain(root);
	return mne_exit_of(err);
}

static MneExit drop_one(const MneCli *cli, const char *root, const char *name)
{
	g_autofree char *path = path_of(root, NULL, name);
	MneExit status = check_name(name);
	struct stat st;

	if (status != MNE_EXIT_OK)
		return status;
	if (mne_cli_has(cli, "dry-run")) {
		if (stat(path, &st) < 0)
			return say_drop(root, name, errno);
		printf("would drop %s\n", name);
		return MNE_EXIT_OK;
	}
	if (rmdir(path) < 0)
		return say_drop(root, name, errno);
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
		status = check_name(to);
	if (status == MNE_EXIT_OK)
		status = check_name(from);
	if (status != MNE_EXIT_OK)
		return status;
	from_path = path_of(root, NULL, from);
	to_path = path_of(root, NULL, to);
	if (rename(from_path, to_path) == 0)
		return MNE_EXIT_OK;
	if (errno == ENOENT)
		return say_drop(root, from, ENOENT);
	if (errno == ENOTEMPTY)
		errno = EEXIST;
	return say_create(root, to, NULL, errno);
}
