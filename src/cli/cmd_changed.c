/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_changed.c - mnefs changed, mnefs diff: the lists of .mnefs/changed, for people
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/moments.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 0, or why there is none. */
static int look_for_list(const char *root, const char *name)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", "changed", name, NULL);
	struct stat st;

	if (strchr(name, '/'))
		return -ENOENT;
	if (stat(path, &st) < 0)
		return -errno;
	return S_ISREG(st.st_mode) ? 0 : -ENOENT;
}

static bool has_list(const char *root, const char *name)
{
	return look_for_list(root, name) == 0;
}

static MneExit say_no_list(const char *root, const char *moment, int err)
{
	if (err == -ENOENT) {
		mne_say_error("there is no checkpoint or bookmark %s", moment);
		mne_say_hint("mnefs ck list shows those there are");
	} else if (err == -ENOTUNIQ) {
		mne_say_error("%s is a checkpoint and a bookmark, of different moments",
			      moment);
		mne_say_hint("mnefs ck unbookmark %s, or rename the checkpoint",
			     moment);
	} else {
		mne_say_error("what changed since %s: %s", moment, g_strerror(-err));
		mne_place_explain(root);
	}
	return mne_exit_of(err);
}

/* "A..B", or "A..": what the list is called without its form. */
static MneExit name_list(const char *root, const char *from, const char *to,
			 char **out_name)
{
	g_autofree char *name = g_strconcat(from, "..", to ? to : "", NULL);
	g_autofree char *alone = g_strconcat(from, "..", NULL);
	int err = look_for_list(root, name);

	if (err == 0) {
		*out_name = g_steal_pointer(&name);
		return MNE_EXIT_OK;
	}
	return say_no_list(root, has_list(root, alone) ? to : from, err);
}

/* Bytes of a control file; length with NULs. */
static MneExit read_list(const char *root, const char *name, const char *form,
			 GString **out_text)
{
	g_autofree char *file = g_strconcat(name, form, NULL);
	g_autofree char *path = g_build_filename(root, ".mnefs", "changed", file, NULL);
	g_autofree char *text = NULL;
	g_autoptr(GError) error = NULL;
	gsize len;

	if (!g_file_get_contents(path, &text, &len, &error)) {
		mne_say_error("%s", error->message);
		mne_place_explain(root);
		return g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_ACCES)
			       ? MNE_EXIT_NOT_PERMITTED
			       : MNE_EXIT_FAILED;
	}
	*out_text = g_string_new_len(text, (gssize)len);
	return MNE_EXIT_OK;
}

/* --- changed ---------------------------------------------------------------- */

/* 1 when path exists at the end of the list, 0 when it does not. */
static int exists_at(int dir, const char *path)
{
	struct stat st;

	if (fstatat(dir, path, &st, AT_SYMLINK_NOFOLLOW) == 0)
		return 1;
	return errno == ENOENT || errno == ENOTDIR ? 0 : -errno;
}

static MneExit print_paths(const MneCli *cli, const GString *list, int dir)
{
	bool deleted = mne_cli_has(cli, "deleted"),
	     existing = mne_cli_has(cli, "existing");
	char end = mne_cli_has(cli, "null") ? 0 : '\n';

	for (const char *path = list->str; path < list->str + list->len;
	     path += strlen(path) + 1) {
		if (deleted || existing) {
			int is = exists_at(dir, path);

			if (is < 0) {
				mne_say_error("%s: %s", path, g_strerror(-is));
				return mne_exit_of(is);
			}
			if (is != existing)
				continue;
		}
		fputs(path, stdout);
		putchar(end);
	}
	return MNE_EXIT_OK;
}

/* The tree at the end of the list. */
static int open_end(const char *root, const char *to)
{
	g_autofree char *path = mne_moments_at(root, to, "");

	return open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

MneExit mne_cmd_changed(MneCli *cli)
{
	const char *from = mne_cli_word(cli, 0), *to = mne_cli_word(cli, 1);
	bool filtered = mne_cli_has(cli, "deleted") || mne_cli_has(cli, "existing");
	g_autofree char *root = NULL, *name = NULL;
	g_autoptr(GString) list = NULL;
	MneExit status = mne_place_find(cli, &root);
	int dir = -1;

	if (mne_cli_has(cli, "deleted") && mne_cli_has(cli, "existing")) {
		mne_say_error(
			"--deleted and --existing are all paths: give one or none");
		return MNE_EXIT_USAGE;
	}
	if (status == MNE_EXIT_OK)
		status = name_list(root, from, to, &name);
	if (status == MNE_EXIT_OK)
		status = read_list(root, name, cli->json ? ".json" : "", &list);
	if (status != MNE_EXIT_OK)
		return status;
	if (cli->json) {
		fwrite(list->str, 1, list->len, stdout);
		return MNE_EXIT_OK;
	}
	if (filtered && (dir = open_end(root, to)) < 0) {
		mne_say_error("%s is no checkpoint: of a bookmark only the names of "
			      "what changed are known",
			      to ? to : root);
		return mne_exit_of(errno);
	}
	status = print_paths(cli, list, dir);
	if (dir >= 0)
		close(dir);
	return status;
}

/* --- diff ------------------------------------------------------------------- */

typedef struct {
	char op; /* + ~ - > */
	char *path, *from; /* from NULL: the same */
	char *line; /* as it was read */
} Difference;

static void difference_free(gpointer data)
{
	Difference *d = data;

	g_free(d->path);
	g_free(d->from);
	g_free(d->line);
	g_free(d);
}

static char letter_of(const char *op)
{
	switch (*op) {
	case 'c': return '+';
	case 'm': return '~';
	case 'd': return '-';
	default: return '>';
	}
}

static bool is_at_or_below(const char *path, const char *top)
{
	size_t len = strlen(top);

	return len == 0 ||
	       (strncmp(path, top, len) == 0 && (path[len] == 0 || path[len] == '/'));
}

/* A directory has another time whenever something in it is made or removed. */
static bool is_only_time_of_a_directory(GHashTable *object)
{
	return strcmp(mne_json_text(object, "op", ""), "modified") == 0 &&
	       strcmp(mne_json_text(object, "type", ""), "dir") == 0 &&
	       strcmp(mne_json_text(object, "was_type", ""), "dir") == 0 &&
	       (strcmp(mne_json_text(object, "what", "?"), "time") == 0 ||
		strcmp(mne_json_text(object, "what", "?"), "") == 0);
}

static Difference *parse(const char *line, const char *below)
{
	g_autoptr(GHashTable) object = *line ? mne_json_parse(line) : NULL;
	const char *path, *from;
	Difference *d;

	if (!object || is_only_time_of_a_directory(object))
		return NULL;
	path = mne_json_text(object, "path", "");
	from = mne_json_text(object, "from", NULL);
	if (!is_at_or_below(path, below) && !(from && is_at_or_below(from, below)))
		return NULL;
	d = g_new0(Difference, 1);
	d->op = letter_of(mne_json_text(object, "op", "?"));
	d->path = g_strdup(path);
	d->from = g_strdup(from);
	d->line = g_strdup(line);
	return d;
}

static int by_path(const void *a, const void *b)
{
	return strcmp((*(const Difference *const *)a)->path,
		      (*(const Difference *const *)b)->path);
}

static GPtrArray *parse_all(const char *text, const char *below)
{
	GPtrArray *all = g_ptr_array_new_with_free_func(difference_free);

	while (*text) {
		const char *end = strchrnul(text, '\n');
		g_autofree char *line = g_strndup(text, (size_t)(end - text));
		Difference *d = parse(line, below);

		if (d)
			g_ptr_array_add(all, d);
		text = *end ? end + 1 : end;
	}
	g_ptr_array_sort(all, by_path);
	return all;
}

static const char *color_of(const MneCli *cli, char op)
{
	if (!cli->color)
		return "";
	switch (op) {
	case '+': return "\033[32m";
	case '-': return "\033[31m";
	default: return "\033[33m";
	}
}

/* Names are bytes: they must not play with a terminal. */
static char *shown(const char *path)
{
	GString *text = g_string_new(NULL);

	for (; *path; path++) {
		if (*path == '\n')
			g_string_append(text, "\\n");
		else if (*path == '\\')
			g_string_append(text, "\\\\");
		else if (g_ascii_iscntrl(*path))
			g_string_append_printf(text, "\\%03o", (guchar)*path);
		else
			g_string_append_c(text, *path);
	}
	return g_string_free(text, FALSE);
}

static void print_difference(const MneCli *cli, const Difference *d)
{
	g_autofree char *path = shown(d->path);
	g_autofree char *from = d->from ? shown(d->from) : NULL;
	const char *color = color_of(cli, d->op);

	printf("%s%c %s", color, d->op, path);
	if (from)
		printf(" (was %s)", from);
	puts(*color ? "\033[0m" : "");
}

typedef struct {
	uint64_t made, changed, gone;
} Sum;

static void add_to_sum(Sum *sum, char op)
{
	sum->made += op == '+';
	sum->gone += op == '-';
	sum->changed += op == '~' || op == '>';
}

static GHashTable *sums_by_table(const GPtrArray *all)
{
	GHashTable *sums = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						 g_free);

	for (guint i = 0; i < all->len; i++) {
		const Difference *d = all->pdata[i];
		g_autofree char *table =
			g_strndup(d->path, (size_t)(strchrnul(d->path, '/') - d->path));
		Sum *sum = g_hash_table_lookup(sums, table);

		if (!sum) {
			sum = g_new0(Sum, 1);
			g_hash_table_insert(sums, g_strdup(table), sum);
		}
		add_to_sum(sum, d->op);
	}
	return sums;
}

static void print_sum(MneColumns *columns, const char *table, const Sum *sum)
{
	g_autofree char *made = mne_text_count(sum->made);
	g_autofree char *changed = mne_text_count(sum->changed);
	g_autofree char *gone = mne_text_count(sum->gone);

	mne_columns_add(columns, table, "+", made, "~", changed, "-", gone, NULL);
}

static void print_sums(const MneCli *cli, const GPtrArray *all)
{
	g_autoptr(GHashTable) sums = sums_by_table(all);
	g_autoptr(GList) tables = g_list_sort(g_hash_table_get_keys(sums),
					      (GCompareFunc)strcmp);
	MneCli plain = *cli;
	MneColumns *columns;

	plain.color = false; /* there is no heading */
	columns = mne_columns_new(&plain, "lrrrrrr");
	for (GList *at = tables; at; at = at->next)
		print_sum(columns, at->data, g_hash_table_lookup(sums, at->data));
	mne_columns_print(columns);
}

static void print_sums_json(const GPtrArray *all)
{
	g_autoptr(GHashTable) sums = sums_by_table(all);
	GHashTableIter iter;
	gpointer table, sum;

	g_hash_table_iter_init(&iter, sums);
	while (g_hash_table_iter_next(&iter, &table, &sum)) {
		g_autoptr(GString) name = g_string_new(NULL);
		const Sum *s = sum;

		mne_text_add_json(name, mne_slice_str(table));
		printf("{\"table\":%s,\"created\":%" G_GUINT64_FORMAT
		       ",\"changed\":%" G_GUINT64_FORMAT
		       ",\"deleted\":%" G_GUINT64_FORMAT "}\n",
		       name->str, s->made, s->changed, s->gone);
	}
}

static void print_total(const MneCli *cli, const GPtrArray *all, const char *root)
{
	g_autofree char *count = mne_text_count(all->len);
	const char *from = mne_cli_word(cli, 0);
	g_autoptr(GPtrArray) moments = NULL;

	printf("%s record%s changed since %s", count, all->len == 1 ? "" : "s", from);
	if (mne_moments_read(root, &moments) == MNE_EXIT_OK)
		for (guint i = 0; i < moments->len; i++) {
			const MneMoment *moment = moments->pdata[i];
			g_autofree char *seq = mne_text_count(moment->seq);

			if (strcmp(moment->name, from) == 0)
				printf(" (seq %s)", seq);
		}
	putchar('\n');
}

static void print_differences(const MneCli *cli, const GPtrArray *all)
{
	for (guint i = 0; i < all->len; i++) {
		const Difference *d = all->pdata[i];

		if (cli->json)
			puts(d->line);
		else
			print_difference(cli, d);
	}
}

/* The words behind A: B, PATH, both or none. */
static MneExit take_words(const MneCli *cli, const char *root, const char **out_to,
			  char **out_below)
{
	const char *second = mne_cli_word(cli, 1), *third = mne_cli_word(cli, 2);
	const char *path = third;

	*out_to = NULL;
	if (second) {
		g_autofree char *name = g_strconcat(mne_cli_word(cli, 0), "..", second,
						    NULL);

		if (third || has_list(root, name))
			*out_to = second;
		else
			path = second;
	}
	if (!path) {
		*out_below = g_strdup("");
		return MNE_EXIT_OK;
	}
	return mne_moments_path(cli, root, path, out_below);
}

static bool is_there(const char *root, const char *moment, const char *path)
{
	g_autofree char *at = mne_moments_at(root, moment, path);
	struct stat st;

	return lstat(at, &st) == 0;
}

/* A path without differences is there, or else it is at neither end, and a mistake. */
static MneExit require_path(const MneCli *cli, const char *root, const char *to,
			    const char *below)
{
	const char *second = mne_cli_word(cli, 1);

	if (is_there(root, to, below) || !is_there(root, to, ""))
		return MNE_EXIT_OK;
	if (to)
		mne_say_error("there is no %s at %s, nor at %s", below,
			      mne_cli_word(cli, 0), to);
	else
		mne_say_error("%s is no checkpoint, no bookmark, and no path", second);
	return MNE_EXIT_NOT_FOUND;
}

MneExit mne_cmd_diff(MneCli *cli)
{
	g_autofree char *root = NULL, *name = NULL, *below = NULL;
	g_autoptr(GString) text = NULL;
	g_autoptr(GPtrArray) all = NULL;
	const char *to;
	MneExit status = mne_place_find(cli, &root);

	if (status == MNE_EXIT_OK)
		status = take_words(cli, root, &to, &below);
	if (status == MNE_EXIT_OK)
		status = name_list(root, mne_cli_word(cli, 0), to, &name);
	if (status == MNE_EXIT_OK)
		status = read_list(root, name, ".json", &text);
	if (status != MNE_EXIT_OK)
		return status;
	all = parse_all(text->str, below);
	if (all->len == 0)
		status = require_path(cli, root, to, below);
	if (status != MNE_EXIT_OK)
		return status;
	if (!mne_cli_has(cli, "stat")) {
		print_differences(cli, all);
	} else if (cli->json) {
		print_sums_json(all);
	} else {
		print_sums(cli, all);
		print_total(cli, all, root);
	}
	return mne_cli_has(cli, "exit-code") && all->len > 0 ? MNE_EXIT_DIFFERENT
							     : MNE_EXIT_OK;
}
