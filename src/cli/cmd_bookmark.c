/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_bookmark.c - mnefs checkpoint bookmark, bookmarks, unbookmark
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/error.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

/* Of a checkpoint that exists, or of a time. */
static MneExit check_moment(const char *of)
{
	return *of == '@' && !strpbrk(of, "\t\n") ? MNE_EXIT_OK
						  : mne_ckpt_must_be_name(of);
}

static MneExit say_failed(const char *root, const char *what, int err)
{
	if (mne_err_is(err, ENOENT))
		mne_say_error("there is no checkpoint or bookmark %s", what);
	else if (mne_err_is(err, EEXIST))
		mne_say_error("there is a bookmark %s already", what);
	if (mne_err_is(err, ENOENT) || mne_err_is(err, EEXIST))
		return mne_exit_of(err);
	mne_say_error("bookmark %s: %s", what, g_strerror(-err));
	mne_place_explain(root);
	return mne_exit_of(err);
}

MneExit mne_cmd_bookmark(MneCli *cli)
{
	const char *of = mne_cli_word(cli, 0), *name = mne_cli_word(cli, 1);
	g_autofree char *root = NULL, *text = NULL;
	MneExit status = mne_place_find(cli, &root);
	int err;

	if (status == MNE_EXIT_OK && name)
		status = mne_ckpt_must_be_name(name);
	if (status == MNE_EXIT_OK)
		status = check_moment(of);
	if (status != MNE_EXIT_OK)
		return status;
	text = g_strdup_printf("%s\t%s%s%s\n",
			       mne_cli_has(cli, "force") ? "replace" : "make", of,
			       name ? "\t" : "", name ? name : "");
	err = mne_place_write(root, "bookmarks", text);
	if (err < 0)
		return say_failed(root, mne_err_is(err, ENOENT) || !name ? of : name,
				  err);
	mne_say_detail(cli, "%s marks the moment of %s", name ? name : of, of);
	return MNE_EXIT_OK;
}

MneExit mne_cmd_unbookmark(MneCli *cli)
{
	g_autofree char *root = NULL;
	MneExit status = mne_place_find(cli, &root);

	for (unsigned i = 0; i < cli->words->len && status == MNE_EXIT_OK; i++) {
		const char *name = mne_cli_word(cli, i);
		g_autofree char *text = g_strdup_printf("drop\t%s\n", name);
		int err;

		status = mne_ckpt_must_be_name(name);
		if (status != MNE_EXIT_OK)
			return status;
		err = mne_place_write(root, "bookmarks", text);
		if (err < 0)
			status = say_failed(root, name, err);
	}
	return status;
}

static void add_row(MneColumns *table, const char *line)
{
	g_autoptr(GHashTable) object = *line ? mne_json_parse(line) : NULL;
	g_autofree char *ago = NULL, *seq = NULL;

	if (!object)
		return;
	ago = mne_text_ago(time(NULL) - (int64_t)mne_json_number(object, "time"));
	seq = mne_text_count(mne_json_number(object, "seq"));
	mne_columns_add(table, mne_json_text(object, "name", "?"), ago, seq, NULL);
}

MneExit mne_cmd_bookmarks(MneCli *cli)
{
	g_autofree char *root = NULL, *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneColumns *table;
	MneExit status = mne_place_find(cli, &root);

	if (status == MNE_EXIT_OK)
		status = mne_place_must_read(root, "bookmarks.json", &text);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		fputs(text, stdout);
		return MNE_EXIT_OK;
	}
	table = mne_columns_new(cli, "llr");
	mne_columns_add(table, "NAME", "MOMENT", "SEQ", NULL);
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		add_row(table, *line);
	mne_columns_print(table);
	return MNE_EXIT_OK;
}
