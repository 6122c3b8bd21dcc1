/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_prune.c - mnefs checkpoint prune: drop many checkpoints by rules
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/prune.h"
#include "cli/say.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	char *root;
	GPtrArray *objects; /* GHashTable *, oldest first */
	GArray *times; /* int64_t */
	unsigned keep[MNE_N_KEEP];
	unsigned dropped;
} Prune;

static void prune_clear(Prune *prune)
{
	g_free(prune->root);
	g_clear_pointer(&prune->objects, g_ptr_array_unref);
	g_clear_pointer(&prune->times, g_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Prune, prune_clear)

static MneExit parse_rules(const MneCli *cli, Prune *prune)
{
	bool any = false;

	for (unsigned i = 0; i < MNE_N_KEEP; i++) {
		g_autofree char *option = g_strdup_printf("keep-%s", mne_keep_name(i));
		const char *value = mne_cli_value(cli, option);
		char *end = NULL;
		guint64 number;

		if (!value)
			continue;
		number = g_ascii_strtoull(value, &end, 10);
		if (!g_ascii_isdigit(*value) || *end || number > 1000000) {
			mne_say_error("--%s %s: a number is needed", option, value);
			return MNE_EXIT_USAGE;
		}
		prune->keep[i] = (unsigned)number;
		any = any || number > 0;
	}
	if (any)
		return MNE_EXIT_OK;
	mne_say_error("say what to keep");
	mne_say_hint("such as: mnefs ck prune --keep-hourly 24 --keep-daily 7 -n");
	return MNE_EXIT_USAGE;
}

static int compare_times(gconstpointer a, gconstpointer b)
{
	GHashTable *x = *(GHashTable *const *)a, *y = *(GHashTable *const *)b;
	uint64_t first = mne_json_number(x, "seq"), second = mne_json_number(y, "seq");

	return (first > second) - (first < second);
}

static MneExit read_checkpoints(Prune *prune)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_must_read(prune->root, "checkpoints.json", &text);

	if (status != MNE_EXIT_OK)
		return status;
	lines = g_strsplit(g_strchomp(text), "\n", -1);
	prune->objects =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_hash_table_unref);
	prune->times = g_array_new(FALSE, FALSE, sizeof(int64_t));
	for (char **line = lines; *line; line++) {
		GHashTable *object = **line ? mne_json_parse(*line) : NULL;

		if (object)
			g_ptr_array_add(prune->objects, object);
	}
	g_ptr_array_sort(prune->objects, compare_times);
	for (unsigned i = 0; i < prune->objects->len; i++) {
		int64_t time = (int64_t)mne_json_number(
			g_ptr_array_index(prune->objects, i), "time");

		g_array_append_val(prune->times, time);
	}
	return MNE_EXIT_OK;
}

/* "hourly, daily", "pinned": a new string; NULL: nothing keeps it. */
static char *reason_of(GHashTable *object, unsigned why)
{
	g_autoptr(GString) text = g_string_new(NULL);
	const char *holders = mne_json_text(object, "held_by", "");

	if (strcmp(mne_json_text(object, "pinned", "false"), "true") == 0)
		g_string_append(text, "pinned");
	if (*holders)
		g_string_append_printf(text, "%sheld by %s", text->len ? ", " : "",
				       holders);
	for (unsigned i = 0; i < MNE_N_KEEP; i++)
		if (why & (1u << i))
			g_string_append_printf(text, "%s%s", text->len ? ", " : "",
					       mne_keep_name(i));
	return text->len > 0 ? g_strdup(text->str) : NULL;
}

static void print_json(const char *name, const char *what, const char *reason)
{
	g_autoptr(GString) line = g_string_new("{\"name\":");

	mne_text_add_json(line, mne_slice_str(name));
	g_string_append_printf(line, ",\"action\":\"%s\"", what);
	if (reason) {
		g_string_append(line, ",\"why\":");
		mne_text_add_json(line, mne_slice_str(reason));
	}
	printf("%s}\n", line->str);
}

static void report(const MneCli *cli, const char *name, const char *reason)
{
	bool dry = mne_cli_has(cli, "dry-run");

	if (cli->json)
		print_json(name, reason ? "keep" : dry ? "would drop" : "drop", reason);
	else if (!reason)
		printf("%s %s\n", dry ? "would drop" : "dropped", name);
	else if (dry || cli->verbose)
		printf("%s %s (%s)\n", dry ? "would keep" : "kept", name, reason);
}

static MneExit drop(const Prune *prune, const char *name)
{
	g_autofree char *path = g_build_filename(prune->root, ".checkpoints", name,
						 NULL);

	/* Gone already: somebody else was faster, or it expired. */
	if (rmdir(path) == 0 || errno == ENOENT)
		return MNE_EXIT_OK;
	if (errno == EBUSY)
		mne_say_error("checkpoint %s is in use, and stays", name);
	else if (errno == EACCES || errno == EPERM)
		mne_say_error("you may not drop checkpoint %s: it is not yours", name);
	else
		mne_say_error("drop %s: %s", name, g_strerror(errno));
	return errno == EBUSY ? MNE_EXIT_PARTIAL : mne_exit_of(errno);
}

static MneExit prune_one(const MneCli *cli, Prune *prune, GHashTable *object,
			 unsigned why)
{
	const char *name = mne_json_text(object, "name", "");
	g_autofree char *reason = reason_of(object, why);
	MneExit status = MNE_EXIT_OK;

	if (!reason && !mne_cli_has(cli, "dry-run"))
		status = drop(prune, name);
	if (status != MNE_EXIT_OK)
		return status;
	report(cli, name, reason);
	if (!reason)
		prune->dropped++;
	return MNE_EXIT_OK;
}

/* All that can be dropped are, whatever became of the others. */
static MneExit prune_all(const MneCli *cli, Prune *prune)
{
	unsigned n = prune->objects->len;
	g_autofree unsigned *why = g_new0(unsigned, n + 1);
	MneExit status = MNE_EXIT_OK;

	mne_prune((const int64_t *)(void *)prune->times->data, n, prune->keep, why);
	for (unsigned i = 0; i < n; i++) {
		MneExit one = prune_one(cli, prune,
					g_ptr_array_index(prune->objects, i), why[i]);

		if (status == MNE_EXIT_OK)
			status = one;
	}
	if (!cli->json)
		mne_say_detail(cli, "%u of %u checkpoints %s", prune->dropped, n,
			       mne_cli_has(cli, "dry-run") ? "would be dropped"
							   : "dropped");
	return status;
}

MneExit mne_cmd_ckpt_prune(MneCli *cli)
{
	g_auto(Prune) prune = { 0 };
	MneExit status = parse_rules(cli, &prune);

	if (status == MNE_EXIT_OK)
		status = mne_place_find(cli, &prune.root);
	if (status == MNE_EXIT_OK)
		status = read_checkpoints(&prune);
	if (status == MNE_EXIT_OK)
		status = prune_all(cli, &prune);
	return status;
}
