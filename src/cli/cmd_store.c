/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_store.c - init, status, df: about a store as a whole
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"
#include "txn/store.h"
#include "util/text.h"

#include <stdio.h>
#include <string.h>

MneExit mne_cmd_init(MneCli *cli)
{
	const char *path = mne_cli_word(cli, 0);
	g_autofree char *marker = g_build_filename(path, "MNEFS", NULL);
	int err;

	if (g_file_test(marker, G_FILE_TEST_EXISTS)) {
		mne_say_error("there is a store at %s already", path);
		return MNE_EXIT_EXISTS;
	}
	err = mne_store_init(path);
	if (mne_err_is(err, MNE_E_STORE_FOREIGN)) {
		mne_say_error("%s is neither absent nor an empty directory", path);
		return MNE_EXIT_FAILED;
	}
	if (err < 0) {
		mne_say_error("%s", mne_err_sentence(err));
		return mne_exit_of(err);
	}
	mne_say_detail(cli, "made an empty store in %s", path);
	return MNE_EXIT_OK;
}

/* The status of the mount as fields. */
static MneExit read_status(const MneCli *cli, char **out_root, GHashTable **out_status)
{
	g_autofree char *text = NULL;
	MneExit status = mne_place_find(cli, out_root);

	if (status == MNE_EXIT_OK)
		status = mne_place_must_read(*out_root, "status.json", &text);
	if (status != MNE_EXIT_OK)
		return status;
	*out_status = mne_json_parse(text);
	if (*out_status)
		return MNE_EXIT_OK;
	mne_say_error("cannot read %s/.mnefs/status.json", *out_root);
	return MNE_EXIT_FAILED;
}

static char *count_of(GHashTable *status, const char *field)
{
	return mne_text_count(mne_json_number(status, field));
}

static char *size_of(GHashTable *status, const char *field)
{
	return mne_text_size(mne_json_number(status, field));
}

static bool is_true(GHashTable *status, const char *field)
{
	return strcmp(mne_json_text(status, field, "false"), "true") == 0;
}

/* "412 MiB", or "412 MiB of 1.1 GiB (38 %)": a new string. */
static char *history_of(GHashTable *status)
{
	g_autofree char *history = size_of(status, "history_bytes");
	g_autofree char *limit = size_of(status, "history_limit");
	double most = (double)mne_json_number(status, "history_limit");

	if (most == 0)
		return g_steal_pointer(&history);
	return g_strdup_printf("%s of %s (%.0f %%)", history, limit,
			       100 * (double)mne_json_number(status, "history_bytes") /
				       most);
}

static void print_status(const char *root, GHashTable *status)
{
	g_autofree char *up =
		mne_text_duration((int64_t)mne_json_number(status, "uptime"));
	g_autofree char *tables = count_of(status, "tables");
	g_autofree char *records = count_of(status, "records");
	g_autofree char *data = size_of(status, "live_bytes");
	g_autofree char *seq = count_of(status, "seq");
	g_autofree char *ckpts = count_of(status, "checkpoints");
	g_autofree char *history = history_of(status);
	g_autofree char *open_files = count_of(status, "open_files");
	g_autofree char *uncommitted = count_of(status, "uncommitted");
	uint64_t backlog = mne_json_number(status, "reclaim_backlog");

	printf("%s   %s   %s   up %s\n", root, mne_json_text(status, "store", "?"),
	       mne_json_text(status, "options",
			     is_true(status, "read_only") ? "ro" : "rw"),
	       up);
	printf("tables %s   records %s   data %s   seq %s\n", tables, records, data,
	       seq);
	printf("checkpoints %s   history %s   open files %s (%s not committed)\n",
	       ckpts, history, open_files, uncommitted);
	if (backlog)
		printf("reclaiming space of %" G_GUINT64_FORMAT
		       " dropped checkpoints and files\n",
		       backlog);
	if (is_true(status, "failed"))
		printf("READ-ONLY after a failed write: see tail -1 %s/.mnefs/log\n",
		       root);
}

MneExit mne_cmd_status(MneCli *cli)
{
	g_autofree char *root = NULL, *text = NULL;
	g_autoptr(GHashTable) status = NULL;
	MneExit result = read_status(cli, &root, &status);

	if (result != MNE_EXIT_OK)
		return result;
	if (!cli->json) {
		print_status(root, status);
		return MNE_EXIT_OK;
	}
	result = mne_place_must_read(root, "status.json", &text);
	if (result == MNE_EXIT_OK)
		printf("%s\n", g_strchomp(text));
	return result;
}

static void print_df_json(GHashTable *status)
{
	static const char *const fields[] = { "live_bytes",    "blob_bytes",
					      "kv_bytes",      "free_bytes",
					      "history_bytes", "history_pending_bytes",
					      "history_limit", "history_limit" };
	g_autoptr(GString) text = g_string_new("{\"store\":");

	mne_text_add_json(text, mne_slice_str(mne_json_text(status, "store", "")));
	for (unsigned i = 0; i < G_N_ELEMENTS(fields); i++)
		g_string_append_printf(text, ",\"%s\":%" G_GUINT64_FORMAT, fields[i],
				       mne_json_number(status, fields[i]));
	printf("%s}\n", text->str);
}

static void add_size(MneColumns *table, const char *what, uint64_t bytes,
		     const char *note)
{
	g_autofree char *size = mne_text_size(bytes);

	mne_columns_add(table, what, size, note, NULL);
}

static void print_df(const MneCli *cli, GHashTable *status)
{
	uint64_t live = mne_json_number(status, "live_bytes");
	uint64_t blob = mne_json_number(status, "blob_bytes");
	uint64_t kv = mne_json_number(status, "kv_bytes");
	MneColumns *table = mne_columns_new(cli, "lrl");

	mne_columns_add(table, "WHAT", "SIZE", "IS", NULL);
	add_size(table, "used", blob + kv, "all files of the store");
	add_size(table, "  data", live, "bytes of files, checkpoints included");
	add_size(table, "  garbage", blob > live ? blob - live : 0,
		 "swept in the background");
	add_size(table, "  keys", kv, "names, small files, attributes, history");
	add_size(table, "history", mne_json_number(status, "history_bytes"),
		 "of data and keys: kept for checkpoints only");
	add_size(table, "free", mne_json_number(status, "free_bytes"),
		 "until writes fail with ENOSPC");
	mne_columns_print(table);
}

MneExit mne_cmd_df(MneCli *cli)
{
	g_autofree char *root = NULL;
	g_autoptr(GHashTable) status = NULL;
	MneExit result = read_status(cli, &root, &status);

	if (result != MNE_EXIT_OK)
		return result;
	if (cli->json)
		print_df_json(status);
	else
		print_df(cli, status);
	return MNE_EXIT_OK;
}
