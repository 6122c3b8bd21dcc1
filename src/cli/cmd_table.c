/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_table.c - mnefs table, mnefs query: tables and their fragments
 *
 * A table is made by mkdir and dropped by rmdir; how it is spread is what
 * .mnefs/tables/T/ says.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"
#include "cli/suggest.h"
#include "ns/name.h"
#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define BAR_WIDTH 40u

static char *ctl_of(const char *table, const char *file)
{
	return g_build_filename("tables", table, file, NULL);
}

static MneExit check_name(const char *name)
{
	if (*name && !strchr(name, '/') && strcmp(name, ".") != 0 &&
	    strcmp(name, "..") != 0)
		return MNE_EXIT_OK;
	mne_say_error("'%s' is no name for a table", name);
	return MNE_EXIT_USAGE;
}

static MneExit no_such_table(const char *root, const char *name)
{
	g_autofree char *text = mne_place_read(root, "tables.json");
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);
	const char *near;

	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = mne_json_parse(*line);

		if (object)
			g_ptr_array_add(names,
					g_strdup(mne_json_text(object, "table", "")));
	}
	near = mne_suggest_word((const char *const *)names->pdata, names->len, name);
	mne_say_error("there is no table %s", name);
	if (near)
		mne_say_hint("did you mean %s?", near);
	else
		mne_say_hint("mnefs table list shows those there are");
	return MNE_EXIT_NOT_FOUND;
}

/* The mount, if the table is there. */
static MneExit find_table(const MneCli *cli, const char *name, char **out_root)
{
	g_autofree char *root = NULL;
	g_autofree char *path = NULL;
	MneExit status = check_name(name);
	struct stat st;

	if (status == MNE_EXIT_OK)
		status = mne_place_find(cli, &root);
	if (status != MNE_EXIT_OK)
		return status;
	path = g_build_filename(root, name, NULL);
	if (stat(path, &st) < 0 && errno == ENOENT)
		return no_such_table(root, name);
	*out_root = g_steal_pointer(&root);
	return MNE_EXIT_OK;
}

/* Write one property; what it answers to a failure is the sentence. */
static MneExit set_property(const char *root, const char *table, const char *key,
			    const char *value)
{
	g_autofree char *file = ctl_of(table, key);
	g_autofree char *line = g_strconcat(value, "\n", NULL);
	g_autofree char *answer = NULL;
	int err = mne_place_ask(root, file, line, &answer);

	if (err == 0)
		return MNE_EXIT_OK;
	mne_say_error("%s of %s: %s", key, table,
		      answer && *answer ? answer : g_strerror(-err));
	if (mne_err_is(err, EINVAL) && strcmp(key, "hash") != 0)
		return MNE_EXIT_USAGE; /* modules come and go: a name may be right */
	return mne_exit_of(err);
}

/* ---- create, drop, set ---- */

static const char *const property_names[] = { "hash", "fragments", "listing",
					      "commit" };

static char *property_of(const MneCli *cli, const char *name)
{
	const char *value = mne_cli_value(cli, name);
	const char *arg = mne_cli_value(cli, "hash-arg");

	if (value && arg && strcmp(name, "hash") == 0)
		return g_strdup_printf("%s %s", value, arg);
	return g_strdup(value);
}

static MneExit say_not_made(const char *name, int err)
{
	if (mne_name_kind(mne_slice_str(name)) != MNE_NAME_ORDINARY) {
		mne_say_error("the name %s is reserved", name);
		return MNE_EXIT_NOT_PERMITTED;
	}
	if (err == EEXIST)
		mne_say_error("there is a table %s already", name);
	else
		mne_say_error("table %s: %s", name, g_strerror(err));
	return mne_exit_of(err);
}

static MneExit check_options(const MneCli *cli)
{
	if (!mne_cli_value(cli, "hash-arg") || mne_cli_value(cli, "hash"))
		return MNE_EXIT_OK;
	mne_say_error("--hash-arg is for a hash module: say which, with --hash");
	return MNE_EXIT_USAGE;
}

MneExit mne_cmd_table_create(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0);
	g_autofree char *root = NULL;
	g_autofree char *path = NULL;
	MneExit status = check_name(name);

	if (status == MNE_EXIT_OK)
		status = check_options(cli);
	if (status == MNE_EXIT_OK)
		status = mne_place_find(cli, &root);
	if (status != MNE_EXIT_OK)
		return status;
	path = g_build_filename(root, name, NULL);
	if (mkdir(path, 0777) < 0)
		return say_not_made(name, errno);
	for (unsigned i = 0; i < G_N_ELEMENTS(property_names); i++) {
		g_autofree char *value = property_of(cli, property_names[i]);

		if (value && status == MNE_EXIT_OK)
			status = set_property(root, name, property_names[i], value);
	}
	if (status != MNE_EXIT_OK && rmdir(path) < 0)
		mne_say_hint("%s was made all the same", name);
	return status;
}

MneExit mne_cmd_table_drop(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0);
	g_autofree char *root = NULL;
	g_autofree char *path = NULL;
	MneExit status = find_table(cli, name, &root);
	int err;

	if (status != MNE_EXIT_OK)
		return status;
	path = g_build_filename(root, name, NULL);
	if (rmdir(path) == 0)
		return MNE_EXIT_OK;
	err = errno;
	if (err == ENOTEMPTY) {
		mne_say_error("table %s has records", name);
		mne_say_hint("to remove all of them: rm -rf %s", path);
		return MNE_EXIT_BUSY;
	}
	mne_say_error("drop %s: %s", name, g_strerror(err));
	mne_place_explain(root);
	return mne_exit_of(err);
}

MneExit mne_cmd_table_set(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0), *key = mne_cli_word(cli, 1);
	g_autofree char *root = NULL;
	MneExit status = find_table(cli, name, &root);

	if (status != MNE_EXIT_OK)
		return status;
	for (unsigned i = 0; i < G_N_ELEMENTS(property_names); i++)
		if (strcmp(key, property_names[i]) == 0)
			return set_property(root, name, key, mne_cli_word(cli, 2));
	mne_say_error("a table has no property %s", key);
	mne_say_hint("it has: fragments, listing, hash, commit");
	return MNE_EXIT_USAGE;
}

/* ---- list, show ---- */

static void add_row(MneColumns *table, GHashTable *object)
{
	g_autofree char *records = mne_text_count(mne_json_number(object, "records"));
	uint64_t n = mne_json_number(object, "fragments");
	uint64_t goal = mne_json_number(object, "goal");
	g_autofree char *fragments =
		n == goal ? g_strdup_printf("%" G_GUINT64_FORMAT, n)
			  : g_strdup_printf("%" G_GUINT64_FORMAT "→%" G_GUINT64_FORMAT,
					    n, goal);

	mne_columns_add(table, mne_json_text(object, "table", "?"), records, fragments,
			mne_json_text(object, "listing", "-"),
			mne_json_text(object, "hash", "-"), NULL);
}

MneExit mne_cmd_table_list(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_find(cli, &root);
	MneColumns *table;

	if (status == MNE_EXIT_OK)
		status = mne_place_must_read(root, "tables.json", &text);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		printf("%s", text);
		return MNE_EXIT_OK;
	}
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	if (!lines[0] || !*lines[0]) {
		mne_say_note(cli, "no tables; mkdir makes one");
		return MNE_EXIT_OK;
	}
	table = mne_columns_new(cli, "lrrll");
	mne_columns_add(table, "NAME", "RECORDS", "FRAGMENTS", "LISTING", "HASH", NULL);
	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = mne_json_parse(*line);

		if (object)
			add_row(table, object);
	}
	mne_columns_print(table);
	return MNE_EXIT_OK;
}

static void print_facts(GHashTable *object)
{
	g_autofree char *records = mne_text_count(mne_json_number(object, "records"));
	g_autofree char *bytes = mne_text_size(mne_json_number(object, "bytes"));
	uint64_t per_frag = mne_json_number(object, "auto");

	printf("name       %s\n", mne_json_text(object, "table", "?"));
	printf("records    %s, %s\n", records, bytes);
	printf("fragments  %s", mne_json_text(object, "fragments", "?"));
	if (mne_json_number(object, "goal") != mne_json_number(object, "fragments"))
		printf(", on the way to %s", mne_json_text(object, "goal", "?"));
	if (per_frag > 0)
		printf(", one for each %" G_GUINT64_FORMAT " records", per_frag);
	printf("\n");
	if (mne_json_number(object, "step_to") > 0)
		printf("step       from %s to %s: %s records moved of %s looked at\n",
		       mne_json_text(object, "step_from", "?"),
		       mne_json_text(object, "step_to", "?"),
		       mne_json_text(object, "step_moved", "?"),
		       mne_json_text(object, "step_seen", "?"));
	printf("listing    %s\n", mne_json_text(object, "listing", "-"));
	printf("hash       %s (%s)\n", mne_json_text(object, "hash", "-"),
	       mne_json_text(object, "state", "-"));
	printf("commit     %s\n", mne_json_text(object, "commit", "-"));
	printf("spread     %s (the fullest fragment against the mean)\n",
	       mne_json_text(object, "spread", "-"));
}

static char *bar_of(uint64_t records, uint64_t most)
{
	unsigned width = most == 0
				 ? 0
				 : (unsigned)((records * BAR_WIDTH + most - 1) / most);
	GString *bar = g_string_new(NULL);

	for (unsigned i = 0; i < width; i++)
		g_string_append(bar, "▇");
	return g_string_free(bar, FALSE);
}

static uint64_t most_of(char **lines)
{
	uint64_t most = 0;

	for (; *lines; lines++) {
		g_autoptr(GHashTable) object = mne_json_parse(*lines);

		if (object)
			most = MAX(most, mne_json_number(object, "records"));
	}
	return most;
}

/* A line for each fragment, as long as it is full. */
static void print_chart(const MneCli *cli, char **lines)
{
	MneColumns *table = mne_columns_new(cli, "lrrl");
	uint64_t most = most_of(lines);

	mne_columns_add(table, "FRAGMENT", "RECORDS", "BYTES", "", NULL);
	for (; *lines && **lines; lines++) {
		g_autoptr(GHashTable) object = mne_json_parse(*lines);
		uint64_t records = object ? mne_json_number(object, "records") : 0;
		g_autofree char *count = mne_text_count(records);
		g_autofree char *bytes =
			object ? mne_text_size(mne_json_number(object, "bytes")) : NULL;
		g_autofree char *bar = bar_of(records, most);
		char name[16];

		if (!object)
			continue;
		g_snprintf(name, sizeof(name), "%04u",
			   (unsigned)mne_json_number(object, "fragment"));
		mne_columns_add(table, name, count, bytes, bar, NULL);
	}
	mne_columns_print(table);
}

MneExit mne_cmd_table_show(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0);
	g_autofree char *file = ctl_of(name, "fragments.json");
	g_autofree char *root = NULL;
	g_autofree char *text = NULL;
	g_autoptr(GHashTable) facts = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = find_table(cli, name, &root);

	if (status == MNE_EXIT_OK)
		status = mne_place_must_read(root, file, &text);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		printf("%s", text);
		return MNE_EXIT_OK;
	}
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	facts = lines[0] ? mne_json_parse(lines[0]) : NULL;
	if (!facts) {
		mne_say_error("cannot read .mnefs/%s", file);
		return MNE_EXIT_FAILED;
	}
	print_facts(facts);
	if (lines[1]) {
		printf("\n");
		print_chart(cli, lines + 1);
	}
	return MNE_EXIT_OK;
}

/* ---- fragments ---- */

/* The line of tables.json: 1 while it is on its way, 0 when it has as many as it shall. */
static int is_moving(const char *root, const char *name, bool tell)
{
	g_autofree char *text = mne_place_read(root, "tables.json");
	g_auto(GStrv) lines = g_strsplit(text ? text : "", "\n", -1);

	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = mne_json_parse(*line);

		if (!object || strcmp(mne_json_text(object, "table", ""), name) != 0)
			continue;
		if (tell)
			fprintf(stderr, "\r%s of %s fragments, %s records moved ",
				mne_json_text(object, "fragments", "?"),
				mne_json_text(object, "goal", "?"),
				mne_json_text(object, "step_moved", "0"));
		return mne_json_number(object, "step_to") > 0 ||
		       mne_json_number(object, "goal") !=
			       mne_json_number(object, "fragments");
	}
	return 0;
}

static void wait_for(const MneCli *cli, const char *root, const char *name)
{
	bool tell = !cli->quiet && isatty(STDERR_FILENO);

	while (is_moving(root, name, tell))
		g_usleep(100 * 1000);
	if (tell)
		fprintf(stderr, "\n");
}

MneExit mne_cmd_table_fragments(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0), *wanted = mne_cli_word(cli, 1);
	g_autofree char *file = ctl_of(name, "fragments");
	g_autofree char *root = NULL;
	g_autofree char *text = NULL;
	MneExit status = find_table(cli, name, &root);

	if (status == MNE_EXIT_OK && wanted)
		status = set_property(root, name, "fragments", wanted);
	if (status == MNE_EXIT_OK && mne_cli_has(cli, "wait"))
		wait_for(cli, root, name);
	if (status == MNE_EXIT_OK && !wanted)
		status = mne_place_must_read(root, file, &text);
	if (text)
		printf("%s", text);
	return status;
}

/* ---- query ---- */

static void add_words(GString *line, const MneCli *cli, const char *option,
		      const char *word)
{
	const char *value = mne_cli_value(cli, option);

	if (value)
		g_string_append_printf(line, "%s%s\t%s", line->len > 0 ? "\t" : "",
				       word, value);
}

static void print_answer(const MneCli *cli, const char *line)
{
	g_autoptr(GHashTable) object = mne_json_parse(line);
	const char *name = object ? mne_json_text(object, "name", NULL) : NULL;

	if (name && cli->json)
		printf("%s\n", line);
	else if (name)
		printf("%s%c", name, mne_cli_has(cli, "null") ? '\0' : '\n');
	else if (object)
		mne_say_detail(cli, "asked %s of %s fragments",
			       mne_json_text(object, "asked", "?"),
			       mne_json_text(object, "fragments", "?"));
}

/* All of it, however much. */
static char *ask(const char *root, const char *file, const char *line, int *out_err)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", file, NULL);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	GString *text = g_string_new(NULL);
	char buffer[65536];
	ssize_t got;

	*out_err = fd < 0 || write(fd, line, strlen(line)) < 0 ? errno : 0;
	while (fd >= 0 &&
	       (got = pread(fd, buffer, sizeof buffer, (off_t)text->len)) > 0)
		g_string_append_len(text, buffer, got);
	if (fd >= 0)
		close(fd);
	return g_string_free(text, FALSE);
}

static MneExit check_limit(const char *limit)
{
	guint64 number;

	if (!limit ||
	    g_ascii_string_to_unsigned(limit, 10, 1, UINT32_MAX, &number, NULL))
		return MNE_EXIT_OK;
	mne_say_error("--limit %s: a number from 1 on is needed", limit);
	return MNE_EXIT_USAGE;
}

MneExit mne_cmd_query(MneCli *cli)
{
	const char *name = mne_cli_word(cli, 0);
	g_autofree char *file = ctl_of(name, "query");
	g_autoptr(GString) line = g_string_new(NULL);
	g_autofree char *root = NULL;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = check_limit(mne_cli_value(cli, "limit"));
	int err;

	if (status == MNE_EXIT_OK)
		status = find_table(cli, name, &root);
	if (status != MNE_EXIT_OK)
		return status;
	add_words(line, cli, "name", "name");
	add_words(line, cli, "from", "from");
	add_words(line, cli, "before", "before");
	add_words(line, cli, "limit", "limit");
	if (line->len == 0)
		g_string_assign(line, "name\t*");
	text = ask(root, file, line->str, &err);
	if (err) {
		mne_say_error("query %s: %s", name, *text ? text : g_strerror(err));
		return mne_exit_of(err);
	}
	lines = g_strsplit(text, "\n", -1);
	for (char **at = lines; *at; at++)
		if (**at)
			print_answer(cli, *at);
	return MNE_EXIT_OK;
}
