/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/usage.c - usage and help, printed from the command table
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/usage.h"

#include <string.h>

static void add(GString *call, const char *words)
{
	if (*words)
		g_string_append_printf(call, " %s", words);
}

/* What is for another command begins there, behind the options. */
static const char *end_of_own(const char *arguments)
{
	const char *dashes = strstr(arguments, "-- ");

	if (!dashes)
		return arguments + strlen(arguments);
	return dashes > arguments && dashes[-1] == '[' ? dashes - 1 : dashes;
}

/* "mnefs checkpoint drop NAME…"; mount is called by its words alone. */
static char *call_of(const MneCommand *command)
{
	const char *arguments = command->arguments, *rest = end_of_own(arguments);
	g_autofree char *own = g_strndup(arguments, (gsize)(rest - arguments));
	GString *call = g_string_new("mnefs");

	add(call, strcmp(command->name, "mount") == 0 ? "" : command->name);
	add(call, g_strchomp(own));
	add(call, command->options->name[0] ? "[OPTIONS]" : "");
	add(call, rest);
	return g_string_free(call, FALSE);
}

void mne_usage_short(const MneCommand *command)
{
	g_autofree char *call = command ? call_of(command) : NULL;

	fprintf(stderr, "usage: %s\n",
		call ? call : "mnefs [-C MNT] COMMAND ... | STORE MNT");
	if (command)
		fprintf(stderr, "       mnefs help %s\n", command->name);
	else
		fprintf(stderr, "       mnefs help\n");
}

void mne_usage_group(const char *group)
{
	fprintf(stderr, "usage: one of\n");
	for (const MneCommand *c = mne_commands(); c->name; c++) {
		g_autofree char *call = call_of(c);

		if (g_str_has_prefix(c->name, group) && c->name[strlen(group)] == ' ')
			fprintf(stderr, "       %s\n", call);
	}
}

/* "-t, --table TABLE" */
static char *option_text(const MneOption *option)
{
	char letter[5] = "    ";

	if (option->letter)
		g_snprintf(letter, sizeof letter, "-%c, ", option->letter);
	return g_strdup_printf("%s--%s%s%s", letter, option->name,
			       option->value ? " " : "",
			       option->value ? option->value : "");
}

static void print_options(const MneOption *options)
{
	for (; options->name[0]; options++) {
		g_autofree char *text = option_text(options);

		printf("  %-26s %s\n", text, options->sentence);
	}
}

void mne_usage_command(const MneCommand *command)
{
	g_autofree char *call = call_of(command);

	printf("usage: %s\n\n%s.\n", call, command->sentence);
	if (command->options->name[0])
		printf("\noptions:\n");
	print_options(command->options);
	printf("\nEvery command knows -C MNT, --json, -q, -v, --no-color and -h, too; see "
	       "mnefs(1).\n");
}

void mne_usage_full(void)
{
	printf("usage: mnefs STORE MNT [-o OPTIONS] [-f] [-d] [-s]    mount a store\n"
	       "       mnefs [-C MNT] COMMAND ...                     the mount we stand in, "
	       "or MNT\n\ncommands:\n");
	for (const MneCommand *c = mne_commands(); c->name; c++) {
		g_autofree char *call = g_strdup_printf("%s %s", c->name, c->arguments);

		printf("  %-34s %s\n", call, c->sentence);
	}
	printf("\noptions of every command:\n");
	print_options(mne_global_options());
	printf("\n'ck' is short for 'checkpoint'.  More: mnefs help COMMAND, mnefs help paths, "
	       "errors or recipes.\n");
}

static void list_options(const MneOption *options)
{
	const char *space = "";

	for (; options->name[0]; options++) {
		if (options->letter) {
			printf("%s-%c", space, options->letter);
			space = " ";
		}
		printf("%s--%s", space, options->name);
		space = " ";
	}
}

void mne_usage_list(void)
{
	putchar('\t');
	list_options(mne_global_options());
	printf("\toptions of every command\n");
	for (const MneCommand *c = mne_commands(); c->name; c++) {
		printf("%s\t", c->name);
		list_options(c->options);
		printf("\t%s\n", c->sentence);
	}
}
