/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_show.c - mnefs checkpoint show, pin, unpin
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

static bool is_true(GHashTable *object, const char *field)
{
	return strcmp(mne_json_text(object, field, "false"), "true") == 0;
}

/* The lines of `tables`, as columns. */
static void print_tables(const MneCli *cli, const char *root, const char *name)
{
	g_autofree char *file = g_build_filename("checkpoints", name, "tables", NULL);
	g_autofree char *text = mne_place_read(root, file);
	g_auto(GStrv) lines = text ? g_strsplit(g_strchomp(text), "\n", -1) : NULL;
	MneColumns *table;

	if (!lines || !lines[0] || !*lines[0])
		return;
	table = mne_columns_new(cli, "lrrlll");
	mne_columns_add(table, "TABLE", "RETAINED", "BYTES", "COPIES", "RETAINS",
			"NODE", NULL);
	for (char **line = lines; *line; line++) {
		g_auto(GStrv) f = g_strsplit(*line, "\t", -1);

		if (g_strv_length(f) == 6)
			mne_columns_add(table, f[0], f[1], f[2], f[3], f[4], f[5],
					NULL);
	}
	printf("\n");
	mne_columns_print(table);
}

static void print_times(GHashTable *object)
{
	int64_t at = (int64_t)mne_json_number(object, "time");
	int64_t end = (int64_t)mne_json_number(object, "expires");
	g_autofree char *made = mne_text_utc(at);
	g_autofree char *ago = mne_text_ago(time(NULL) - at);
	g_autofree char *expires = end > 0 ? mne_text_utc(end) : NULL;

	printf("created  %s (%s)\n", made, ago);
	g_autofree char *left = mne_text_in(end - time(NULL));

	if (expires)
		printf("expires  %s (%s)\n", expires, left);
}

static void print_space(GHashTable *object)
{
	g_autofree char *used = mne_text_size(mne_json_number(object, "used"));
	g_autofree char *frees = mne_text_size(mne_json_number(object, "frees"));
	g_autofree char *retained = mne_text_count(mne_json_number(object, "retained"));

	printf("used     %s of history that it can see, in %s values\n", used,
	       retained);
	printf("frees    %s if it alone is dropped\n", frees);
}

static void print_checkpoint(const MneCli *cli, const char *root, GHashTable *object)
{
	g_autofree char *seq = mne_text_count(mne_json_number(object, "seq"));
	const char *name = mne_json_text(object, "name", "?");
	const char *note = mne_json_text(object, "note", "");
	const char *holders = mne_json_text(object, "held_by", "");
	g_autofree char *path = mne_ckpt_path(root, NULL, name);

	printf("name     %s\n", name);
	if (*note)
		printf("note     %s\n", note);
	print_times(object);
	printf("seq      %s\n", seq);
	printf("tables   %s\n", mne_ckpt_tables_text(object));
	print_space(object);
	printf("pinned   %s\n", is_true(object, "pinned") ? "yes" : "no");
	printf("held by  %s\n", *holders ? holders : "-");
	printf("outcome  %s\n", mne_json_text(object, "outcome", "-"));
	printf("cookie   %s\n", mne_json_text(object, "cookie", "-"));
	if (is_true(object, "of_dump"))
		printf("tables in memory are as they were last dumped\n");
	if (is_true(object, "local_only"))
		printf("every table has its copy here\n");
	printf("path     %s\n", path);
	print_tables(cli, root, name);
}

MneExit mne_cmd_ckpt_show(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0);
	g_autoptr(GHashTable) object = NULL;
	g_autofree char *root = NULL;
	MneExit status = mne_place_find(cli, &root);

	if (status != MNE_EXIT_OK)
		return status;
	object = mne_ckpt_read(root, name);
	if (!object)
		return mne_ckpt_say_failed(root, "show", name, errno);
	if (cli->json)
		return mne_ckpt_print_json(root, name);
	print_checkpoint(cli, root, object);
	return MNE_EXIT_OK;
}

static MneExit set_pinned(MneCli *cli, const char *value, const char *what)
{
	g_autofree char *root = NULL;
	MneExit status = mne_place_find(cli, &root);

	for (unsigned i = 0; status == MNE_EXIT_OK && i < cli->words->len; i++) {
		const char *name = mne_cli_word(cli, i);
		g_autofree char *file = g_build_filename("checkpoints", name, "pinned",
							 NULL);
		int err = strchr(name, '/') ? ENOENT
					    : -mne_place_write(root, file, value);

		if (err)
			status = mne_ckpt_say_failed(root, what, name, err);
	}
	return status;
}

MneExit mne_cmd_ckpt_pin(MneCli *cli)
{
	return set_pinned(cli, "yes", "pin");
}

MneExit mne_cmd_ckpt_unpin(MneCli *cli)
{
	return set_pinned(cli, "no", "unpin");
}
