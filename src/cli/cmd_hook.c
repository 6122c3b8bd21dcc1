/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_hook.c - mnefs hook: the programs and processes that are told of checkpoints
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

static void add_row(MneColumns *table, const char *line)
{
	g_autoptr(GHashTable) hook = mne_json_parse(line);
	const char *required, *last;

	if (!hook)
		return;
	required = mne_json_text(hook, "required", "false");
	last = mne_json_text(hook, "last", "");
	mne_columns_add(table, mne_json_text(hook, "name", "?"),
			mne_json_text(hook, "kind", "?"),
			strcmp(required, "true") == 0 ? "required" : "optional",
			*last ? last : "-", NULL);
}

MneExit mne_cmd_hook_list(MneCli *cli)
{
	g_autofree char *root = NULL, *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_find(cli, &root);
	MneColumns *table;

	if (status == MNE_EXIT_OK)
		status = mne_place_must_read(root, "hooks/list", &text);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		fputs(text, stdout);
		return MNE_EXIT_OK;
	}
	if (!*text) {
		mne_say_note(cli,
			     "no hooks; they are executable files in the directory "
			     "of the mount option hooks=");
		return MNE_EXIT_OK;
	}
	table = mne_columns_new(cli, "llll");
	mne_columns_add(table, "NAME", "KIND", "NEED", "LAST CALL", NULL);
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++)
		add_row(table, *line);
	mne_columns_print(table);
	return MNE_EXIT_OK;
}

static MneExit say_failure(const char *root, int err, const char *sentence)
{
	if (err == -EACCES || err == -EPERM)
		mne_say_error("only the owner of %s may call its hooks", root);
	else
		mne_say_error("%s", *sentence ? sentence : g_strerror(-err));
	return mne_exit_of(err);
}

/* One line of an answer: name, phase, end, milliseconds, reason; or name, add, table. */
static bool print_call(const char *line)
{
	g_auto(GStrv) words = g_strsplit(line, "\t", 5);
	unsigned n = g_strv_length(words);

	if (n == 3)
		printf("%s %s %s\n", words[0], words[1], words[2]);
	if (n < 5)
		return true;
	printf("%s %s: %s after %s ms%s%s\n", words[0], words[1], words[2], words[3],
	       *words[4] ? ": " : "", words[4]);
	return strcmp(words[2], "ready") == 0;
}

/* MNE_EXIT_FAILED when one was not ready. */
static MneExit call(const char *root, const char *line)
{
	g_autofree char *answer = NULL;
	g_auto(GStrv) lines = NULL;
	bool all_ready = true;
	int err = mne_place_ask(root, "hooks/run", line, &answer);

	if (err < 0)
		return say_failure(root, err, answer);
	lines = g_strsplit(answer, "\n", -1);
	for (char **each = lines; *each; each++)
		if (**each && !print_call(*each))
			all_ready = false;
	return all_ready ? MNE_EXIT_OK : MNE_EXIT_FAILED;
}

static char *line_of(const char *phase, const char *hook, const char *name,
		     const char *result)
{
	return g_strdup_printf("%s\t%s\t%s%s%s", phase, hook, name, result ? "\t" : "",
			       result ? result : "");
}

MneExit mne_cmd_hook_test(MneCli *cli)
{
	const char *hook = mne_cli_word(cli, 0) ? mne_cli_word(cli, 0) : "";
	g_autofree char *root = NULL;
	g_autofree char *prepare = line_of("prepare", hook, "test", NULL);
	g_autofree char *after = line_of("after", hook, "test", "ok");
	MneExit status = mne_place_find(cli, &root), told;

	if (status != MNE_EXIT_OK)
		return status;
	status = call(root, prepare);
	told = status == MNE_EXIT_OK || status == MNE_EXIT_FAILED ? call(root, after)
								  : status;
	return status == MNE_EXIT_OK ? told : status;
}

static bool is_call(const char *phase, const char *result)
{
	static const char *const results[] = { "ok", "failed", "rolledback", NULL };

	if (!result)
		return strcmp(phase, "prepare") == 0;
	return strcmp(phase, "after") == 0 && g_strv_contains(results, result);
}

MneExit mne_cmd_hook_run(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_autofree char *line = line_of(mne_cli_word(cli, 1), mne_cli_word(cli, 0),
					mne_cli_word(cli, 2), mne_cli_word(cli, 3));
	MneExit status;

	if (!is_call(mne_cli_word(cli, 1), mne_cli_word(cli, 3))) {
		mne_say_error("a hook is called to prepare NAME, or after NAME "
			      "ok|failed|rolledback");
		return MNE_EXIT_USAGE;
	}
	status = mne_place_find(cli, &root);
	return status == MNE_EXIT_OK ? call(root, line) : status;
}
