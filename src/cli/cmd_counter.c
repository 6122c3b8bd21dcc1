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
#include <string.h>

static MneExit show(const char *root, const char *record)
{
	g_autofree char *path = g_build_filename(root, record, NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gint64 value;

	if (!g_file_get_contents(path, &text, NULL, &error)) {
		bool absent = error->code == G_FILE_ERROR_NOENT;

		mne_say_error(absent ? "there is no record %s" : "%s cannot be read",
			      record);
		return absent ? MNE_EXIT_NOT_FOUND : MNE_EXIT_FAILED;
	}
	g_strstrip(text);
	if (!g_ascii_string_to_signed(text, 10, G_MININT64, G_MAXINT64, &value, NULL)) {
		mne_say_error("%s is no number", record);
		return MNE_EXIT_FAILED;
	}
	printf("%" G_GINT64_FORMAT "\n", value);
	return MNE_EXIT_OK;
}

/* The daemon's errno does not tell a wrong call from a record that is no number. */
static MneExit check_call(const char *record, const char *step)
{
	const char *slash = strchr(record, '/');
	size_t digits = step ? strspn(step + 1, "0123456789") : 0;

	if (!slash || slash == record || !slash[1] || strchr(slash + 1, '/'))
		mne_say_error("a counter is TABLE/RECORD, not %s", record);
	else if (strpbrk(record, "\t\n"))
		mne_say_error("the name of a counter has no tabs and no newlines");
	else if (step &&
		 ((*step != '+' && *step != '-') || !digits || step[1 + digits]))
		mne_say_error("a step is +N or -N, not %s", step);
	else
		return MNE_EXIT_OK;
	return MNE_EXIT_USAGE;
}

MneExit mne_cmd_counter(MneCli *cli)
{
	const char *record = mne_cli_word(cli, 0), *step = mne_cli_word(cli, 1);
	g_autofree char *root = NULL, *line = NULL, *answer = NULL;
	MneExit status = check_call(record, step);
	int err;

	if (status == MNE_EXIT_OK)
		status = mne_place_find(cli, &root);
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
