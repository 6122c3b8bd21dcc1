/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_rollback.c - mnefs rollback: tables become again what they were
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

/* Of the answer: the lines with a key and a value, and where the paths begin. */
typedef struct {
	GHashTable *facts;
	const char *list;
} Answer;

static Answer answer_parse(const char *text)
{
	Answer answer = { .facts = g_hash_table_new_full(g_str_hash, g_str_equal,
							 g_free, g_free) };
	const char *gap = strstr(text, "\n\n");
	g_autofree char *head = gap ? g_strndup(text, (size_t)(gap - text))
				    : g_strdup(text);
	g_auto(GStrv) lines = g_strsplit(head, "\n", -1);

	for (char **line = lines; *line; line++) {
		char *space = strchr(*line, ' ');

		if (space)
			g_hash_table_insert(answer.facts,
					    g_strndup(*line, (size_t)(space - *line)),
					    g_strdup(space + 1));
	}
	answer.list = gap ? gap + 2 : "";
	return answer;
}

static const char *text_of(const Answer *answer, const char *key)
{
	const char *text = g_hash_table_lookup(answer->facts, key);

	return text ? text : "";
}

static uint64_t number_of(const Answer *answer, const char *key)
{
	return g_ascii_strtoull(text_of(answer, key), NULL, 10);
}

static char *join_tables(const MneCli *cli)
{
	g_autoptr(GPtrArray) tables = mne_cli_values(cli, "table");

	g_ptr_array_add(tables, NULL);
	return g_strjoinv(", ", (char **)tables->pdata);
}

static void print_json(const MneCli *cli, const Answer *answer)
{
	g_autoptr(GString) line = g_string_new("{\"checkpoint\":");

	mne_text_add_json(line, mne_slice_str(mne_cli_word(cli, 0)));
	g_string_append(line, ",\"before\":");
	mne_text_add_json(line, mne_slice_str(text_of(answer, "before")));
	g_string_append_printf(
		line,
		",\"done\":%s,\"returned\":%" G_GUINT64_FORMAT
		",\"changed\":%" G_GUINT64_FORMAT ",\"removed\":%" G_GUINT64_FORMAT
		",\"cut\":%" G_GUINT64_FORMAT "}",
		mne_cli_has(cli, "dry-run") ? "false" : "true",
		number_of(answer, "returned"), number_of(answer, "changed"),
		number_of(answer, "removed"), number_of(answer, "cut"));
	printf("%s\n", line->str);
}

static void print_summary(const MneCli *cli, const Answer *answer)
{
	bool dry = mne_cli_has(cli, "dry-run");
	g_autofree char *restored = mne_text_count(number_of(answer, "returned") +
						   number_of(answer, "changed"));
	g_autofree char *removed = mne_text_count(number_of(answer, "removed"));
	g_autofree char *tables = join_tables(cli);
	uint64_t cut = number_of(answer, "cut");

	printf("%s %s and %s %s%s%s; %" G_GUINT64_FORMAT " open file%s %scut off\n",
	       dry ? "would restore" : "restored", restored, dry ? "remove" : "removed",
	       removed, *tables ? " in " : "", tables, cut, cut == 1 ? "" : "s",
	       dry ? "would be " : "");
	if (dry)
		printf("a checkpoint %s would be made first; newer checkpoints stay\n",
		       text_of(answer, "before"));
	else
		printf("what was left behind is checkpoint %s\n",
		       text_of(answer, "before"));
}

static void print_answer(const MneCli *cli, const char *text)
{
	Answer answer = answer_parse(text);

	if (cli->json) {
		print_json(cli, &answer);
	} else {
		fputs(answer.list, stdout);
		print_summary(cli, &answer);
	}
	g_hash_table_unref(answer.facts);
}

static MneExit say_failure(const char *root, const char *name, int err,
			   const char *sentence)
{
	if (*sentence)
		mne_say_error("%s", sentence);
	else if (err == -EACCES || err == -EPERM)
		mne_say_error("only the owner of %s may roll it back", root);
	else
		mne_say_error("rollback to %s: %s", name, g_strerror(-err));
	if (err == -ENOENT)
		mne_say_hint("mnefs ck list shows the checkpoints there are");
	return mne_exit_of(err);
}

static char *line_of(const MneCli *cli)
{
	g_autoptr(GPtrArray) tables = mne_cli_values(cli, "table");
	GString *line = g_string_new(mne_cli_has(cli, "dry-run") ? "preview" : "run");

	g_string_append_printf(line, "\t%s", mne_cli_word(cli, 0));
	for (unsigned i = 0; i < tables->len; i++)
		g_string_append_printf(line, "\t%s",
				       (const char *)g_ptr_array_index(tables, i));
	return g_string_free(line, FALSE);
}

MneExit mne_cmd_rollback(MneCli *cli)
{
	g_autofree char *root = NULL, *answer = NULL;
	g_autofree char *line = line_of(cli);
	MneExit status = mne_place_find(cli, &root);
	int err;

	if (status != MNE_EXIT_OK)
		return status;
	if (strchr(line, '\n')) {
		mne_say_error("a name cannot hold a newline");
		return MNE_EXIT_USAGE;
	}
	err = mne_place_ask(root, "rollback", line, &answer);
	if (err < 0)
		return say_failure(root, mne_cli_word(cli, 0), err, answer);
	print_answer(cli, answer);
	return MNE_EXIT_OK;
}
