/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_counter.c - mnefs counter: add to a record that is a number
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>

static MneExit show(const char *root, const char *record)
{
	g_autofree char *path = g_build_filename(root, record, NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gint64 value;

	if (!g_file_get_contents(path, &text, NULL, &error)) {
		mne_say_error("%s", error->message);
		return error->code == G_FILE_ERROR_NOENT ? MNE_EXIT_NOT_FOUND
							 : MNE_EXIT_FAILED;
	}
	g_strstrip(text);
	if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL)) {
		mne_say_error("%s is no number", record);
		return MNE_EXIT_FAILED;
	}
	printf("%" G_GINT64_FORMAT "\n", value);
	return MNE_EXIT_OK;
}

MneExit mne_cmd_counter(MneCli *cli)
{
	const char *record = mne_cli_word(cli, 0), *step = mne_cli_word(cli, 1);
	g_autofree char *root = NULL, *line = NULL, *answer = NULL;
	MneExit status = mne_place_find(cli, &root);
	int err;

	if (status != MNE_EXIT_OK)
		return status;
	if (!step)
		return show(root, record);
	line = g_strdup_printf("%s\t%s%s\n", record, step,
			       mne_cli_has(cli, "signed") ? "\tsigned" : "");
	err = mne_place_ask(root, "counter", line, &answer);
	if (err < 0) {
		mne_say_error("counter %s: %s", record,
			      answer && *answer ? answer : g_strerror(-err));
		return mne_exit_of(-err);
	}
	fputs(answer, stdout);
	return MNE_EXIT_OK;
}
