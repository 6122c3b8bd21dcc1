/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/args.c - argv into a command, its options and its words
 *
 * Twice over argv: the first walk finds the verb, knowing the global options and
 * those of mount (which has no verb); the second one knows the verb's options, too.
 * Options may stand anywhere; "--" ends them.  Short ones may be joined (-fd, -oro).
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/args.h"

#include "cli/say.h"
#include "cli/suggest.h"
#include "cli/usage.h"

#include <string.h>

/* A step over argv. */
typedef struct {
	int argc;
	char **argv;
	int at; /* next argument */
	const char *rest; /* further letters of the joined short options, or NULL */
	bool plain; /* after "--" */
} Walk;

typedef enum { STEP_END, STEP_WORD, STEP_OPTION, STEP_WRONG } Step;

static const MneOption *find_letter(const MneOption *options, char letter)
{
	for (; options->name[0]; options++)
		if (options->letter && options->letter == letter)
			return options;
	return NULL;
}

static const MneOption *find_name(const MneOption *options, const char *name,
				  size_t len)
{
	for (; options->name[0]; options++)
		if (strlen(options->name) == len &&
		    memcmp(options->name, name, len) == 0)
			return options;
	return NULL;
}

static Step unknown_option(const MneCommand *command, const char *text, size_t len)
{
	g_autofree char *given = g_strndup(text, len);
	g_autofree char *near = mne_suggest_option(command, given);

	mne_say_error("unknown option %s", given);
	if (near)
		mne_say_hint("did you mean %s?", near);
	mne_usage_short(command);
	return STEP_WRONG;
}

static Step missing_value(const MneCommand *command, const MneOption *option)
{
	mne_say_error("option --%s needs a value: %s", option->name, option->value);
	mne_usage_short(command);
	return STEP_WRONG;
}

static Step step_letter(Walk *walk, const MneCommand *command, MneOptionUse *out)
{
	char text[3] = { '-', *walk->rest, 0 };
	const MneOption *option = find_letter(command->options, *walk->rest);

	if (!option)
		option = find_letter(mne_global_options(), *walk->rest);
	if (!option)
		return unknown_option(command, text, 2);
	walk->rest = walk->rest[1] ? walk->rest + 1 : NULL;
	*out = (MneOptionUse){ option, NULL };
	if (!option->value)
		return STEP_OPTION;
	out->value = walk->rest;
	walk->rest = NULL;
	if (!out->value && walk->at < walk->argc)
		out->value = walk->argv[walk->at++];
	return out->value ? STEP_OPTION : missing_value(command, option);
}

static Step step_long(Walk *walk, const MneCommand *command, const char *text,
		      MneOptionUse *out)
{
	const char *name = text + 2;
	size_t len = strcspn(name, "=");
	const MneOption *option = find_name(command->options, name, len);

	if (!option)
		option = find_name(mne_global_options(), name, len);
	if (!option)
		return unknown_option(command, text, len + 2);
	*out = (MneOptionUse){ option, name[len] ? name + len + 1 : NULL };
	if (!option->value && out->value) {
		mne_say_error("option --%s takes no value", option->name);
		return STEP_WRONG;
	}
	if (option->value && !out->value && walk->at < walk->argc)
		out->value = walk->argv[walk->at++];
	return option->value && !out->value ? missing_value(command, option)
					    : STEP_OPTION;
}

/* A negative number is a word, unless the command has a digit for an option. */
static bool is_word(const MneCommand *command, const char *text)
{
	if (text[0] != '-' || !text[1])
		return true;
	return g_ascii_isdigit(text[1]) &&
	       !(command && find_letter(command->options, text[1]));
}

static Step step(Walk *walk, const MneCommand *command, MneOptionUse *out,
		 const char **out_word)
{
	const char *text;

	if (walk->rest)
		return step_letter(walk, command, out);
	if (walk->at >= walk->argc)
		return STEP_END;
	text = walk->argv[walk->at++];
	if (!walk->plain && strcmp(text, "--") == 0) {
		walk->plain = true;
		return step(walk, command, out, out_word);
	}
	if (walk->plain || is_word(command, text)) {
		*out_word = text;
		return STEP_WORD;
	}
	if (text[1] == '-')
		return step_long(walk, command, text, out);
	walk->rest = text + 1;
	return step_letter(walk, command, out);
}

static void keep_use(MneCli *cli, MneOptionUse use)
{
	if (strcmp(use.option->name, "json") == 0)
		cli->json = true;
	else if (strcmp(use.option->name, "quiet") == 0)
		cli->quiet = true;
	else if (strcmp(use.option->name, "verbose") == 0)
		cli->verbose = true;
	else if (strcmp(use.option->name, "no-color") == 0)
		cli->color = false;
	else if (strcmp(use.option->name, "at") == 0)
		cli->at = use.value;
	else
		g_array_append_val(cli->uses, use);
}

/* All of argv, as command's. */
static bool read_all(MneCli *cli, int argc, char **argv, const MneCommand *command)
{
	Walk walk = { argc, argv, 1, NULL, false };
	MneOptionUse use;
	const char *word = NULL;

	g_ptr_array_set_size(cli->words, 0);
	g_array_set_size(cli->uses, 0);
	for (;;) {
		switch (step(&walk, command, &use, &word)) {
		case STEP_END: return true;
		case STEP_WORD: g_ptr_array_add(cli->words, (gpointer)word); break;
		case STEP_OPTION: keep_use(cli, use); break;
		case STEP_WRONG: return false;
		}
	}
}

/* The first one or two words that are no options. */
static void find_verb(int argc, char **argv, const char *verb[2])
{
	int found = 0;

	for (int i = 1; i < argc && found < 2; i++) {
		const char *text = argv[i];

		if (strcmp(text, "--") == 0)
			return;
		if (text[0] != '-' || !text[1])
			verb[found++] = text;
		else if (strcmp(text, "-C") == 0 || strcmp(text, "-o") == 0 ||
			 strcmp(text, "--at") == 0 || strcmp(text, "--options") == 0)
			i++;
	}
}

static const char *unalias(const char *word)
{
	return g_strcmp0(word, "ck") == 0 ? "checkpoint" : word;
}

static bool is_group(const char *word)
{
	for (const MneCommand *c = mne_commands(); c->name; c++)
		if (g_str_has_prefix(c->name, word) && c->name[strlen(word)] == ' ')
			return true;
	return false;
}

static const MneCommand *find_command(const char *name)
{
	for (const MneCommand *c = mne_commands(); c->name; c++)
		if (strcmp(c->name, name) == 0)
			return c;
	return NULL;
}

/* Called as mount.fuse.mnefs? */
static bool is_mount_helper(const MneCli *cli)
{
	g_autofree char *base = g_path_get_basename(cli->program);

	return g_str_has_prefix(base, "mount.");
}

static bool has_mount_options(const MneCli *cli)
{
	for (char **word = cli->argv; *word; word++)
		if (g_str_has_prefix(*word, "-o"))
			return true;
	return false;
}

/* `mnefs STORE MNT` is the one command without a verb. */
static bool looks_like_mount(const MneCli *cli, const char *const verb[2])
{
	g_autofree char *near = NULL;

	if (strchr(verb[0], '/') || g_file_test(verb[0], G_FILE_TEST_IS_DIR) ||
	    has_mount_options(cli))
		return true;
	near = mne_suggest_command(verb[0]);
	return !near && verb[1] && g_file_test(verb[1], G_FILE_TEST_IS_DIR);
}

static void unknown_command(const char *text)
{
	g_autofree char *near = mne_suggest_command(text);

	mne_say_error("unknown command: %s", text);
	if (near)
		mne_say_hint("did you mean %s?", near);
	mne_usage_short(NULL);
}

/* The command of the verb; *out_strip words of it lead cli->words.  NULL: said why. */
static const MneCommand *resolve(const MneCli *cli, const char *const verb[2],
				 unsigned *out_strip)
{
	const char *first = unalias(verb[0]);
	g_autofree char *both = g_strdup_printf("%s %s", first, verb[1] ? verb[1] : "");
	const MneCommand *command = find_command(first);

	*out_strip = 0;
	if (is_mount_helper(cli))
		return mne_mount_helper();
	*out_strip = 1;
	if (command)
		return command;
	if (is_group(first)) {
		command = find_command(both);
		*out_strip = 2;
		if (!command && verb[1])
			unknown_command(both);
		else if (!command)
			mne_usage_group(first);
		return command;
	}
	*out_strip = 0;
	if (looks_like_mount(cli, verb))
		return find_command("mount");
	unknown_command(verb[0]);
	return NULL;
}

static MneArgsResult check_count(const MneCli *cli)
{
	const MneCommand *c = cli->command;

	if (cli->words->len >= c->min_words && cli->words->len <= c->max_words)
		return MNE_ARGS_RUN;
	if (cli->words->len < c->min_words)
		mne_say_error("%s: something is missing", c->name);
	else
		mne_say_error("%s: what is '%s' for?", c->name,
			      mne_cli_word(cli, c->max_words));
	mne_usage_short(c);
	return MNE_ARGS_WRONG;
}

/* No verb at all. */
static MneArgsResult parse_bare(MneCli *cli, int argc, char **argv)
{
	if (!read_all(cli, argc, argv, find_command("mount")))
		return MNE_ARGS_WRONG;
	if (mne_cli_has(cli, "help"))
		return MNE_ARGS_HELP;
	if (mne_cli_has(cli, "version"))
		return MNE_ARGS_VERSION;
	if (mne_cli_has(cli, "list-commands"))
		return MNE_ARGS_LIST;
	mne_usage_short(NULL);
	return MNE_ARGS_WRONG;
}

MneArgsResult mne_args_parse(MneCli *cli, int argc, char **argv)
{
	const char *verb[2] = { NULL, NULL };
	unsigned strip = 0;

	cli->program = argc > 0 ? argv[0] : "mnefs";
	cli->argv = argv;
	cli->words = g_ptr_array_new();
	cli->uses = g_array_new(FALSE, FALSE, sizeof(MneOptionUse));
	find_verb(argc, argv, verb);
	if (!verb[0])
		return parse_bare(cli, argc, argv);
	cli->command = resolve(cli, verb, &strip);
	if (!cli->command || !read_all(cli, argc, argv, cli->command))
		return MNE_ARGS_WRONG;
	g_ptr_array_remove_range(cli->words, 0, strip);
	if (mne_cli_has(cli, "help"))
		return MNE_ARGS_HELP;
	return check_count(cli);
}

void mne_args_clear(MneCli *cli)
{
	g_ptr_array_unref(cli->words);
	g_array_unref(cli->uses);
}

const char *mne_cli_word(const MneCli *cli, unsigned i)
{
	return i < cli->words->len ? g_ptr_array_index(cli->words, i) : NULL;
}

GPtrArray *mne_cli_values(const MneCli *cli, const char *name)
{
	GPtrArray *values = g_ptr_array_new();

	for (unsigned i = 0; i < cli->uses->len; i++) {
		const MneOptionUse *use = &g_array_index(cli->uses, MneOptionUse, i);

		if (strcmp(use->option->name, name) == 0)
			g_ptr_array_add(values, (gpointer)use->value);
	}
	return values;
}

bool mne_cli_has(const MneCli *cli, const char *name)
{
	g_autoptr(GPtrArray) values = mne_cli_values(cli, name);

	return values->len > 0;
}

const char *mne_cli_value(const MneCli *cli, const char *name)
{
	g_autoptr(GPtrArray) values = mne_cli_values(cli, name);

	return values->len > 0 ? g_ptr_array_index(values, values->len - 1) : NULL;
}
