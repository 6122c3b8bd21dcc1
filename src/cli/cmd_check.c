/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_check.c - mnefs check: the passes over a store that is not mounted
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "check/check.h"
#include "cli/cli.h"
#include "cli/json.h"
#include "cli/say.h"
#include "util/text.h"

#include <stdio.h>

static void print_finding(const MneCli *cli, const MneCheckFinding *finding)
{
	g_autoptr(GString) text = g_string_new("{\"pass\":");

	if (!cli->json) {
		printf("%s: %s%s\n", finding->pass, finding->text,
		       finding->mended ? " (mended)" : "");
		return;
	}
	mne_text_add_json(text, mne_slice_str(finding->pass));
	g_string_append(text, ",\"finding\":");
	mne_text_add_json(text, mne_slice_str(finding->text));
	printf("%s,\"mended\":%s}\n", text->str, finding->mended ? "true" : "false");
}

static void print_summary(const MneCli *cli, const char *path,
			  const MneCheckReport *report)
{
	g_autofree char *keys = mne_text_count(report->keys);
	g_autofree char *bytes = mne_text_size(report->bytes);

	if (cli->json)
		printf("{\"keys\":%" G_GUINT64_FORMAT ",\"bytes\":%" G_GUINT64_FORMAT
		       ",\"found\":%" G_GUINT64_FORMAT ",\"mended\":%" G_GUINT64_FORMAT
		       "}\n",
		       report->keys, report->bytes, report->found, report->mended);
	else if (report->found == 0 && !cli->quiet)
		printf("%s is clean: %s keys, %s of file data verified\n", path, keys,
		       bytes);
	else if (report->found > 0)
		printf("%s: %" G_GUINT64_FORMAT " findings, %" G_GUINT64_FORMAT
		       " mended (%s keys, %s of file data verified)\n",
		       path, report->found, report->mended, keys, bytes);
}

static int check_once(const MneCli *cli, const MneStoreOptions *options,
		      MneCheckReport *report)
{
	bool repair = mne_cli_has(cli, "repair");
	MneStore *store = NULL;
	int err;

	MNE_TRY(mne_store_open(mne_cli_word(cli, 0), options, &store));
	mne_check_note_salvage(store, report);
	err = mne_cli_has(cli, "fast") ? mne_check_run_fast(store, repair, report)
				       : mne_check_run(store, repair, report);
	mne_store_close(store);
	return err;
}

/* A store that does not open, or cannot be read, is put together from what can be. */
static int check(const MneCli *cli, MneCheckReport *report)
{
	bool repair = mne_cli_has(cli, "repair");
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;
	int err;

	options.read_only = !repair;
	options.no_background = true;
	if (mne_cli_value(cli, "hash-modules"))
		options.hash_modules = mne_cli_value(cli, "hash-modules");
	err = check_once(cli, &options, report);
	if (!repair || !mne_check_can_salvage(err))
		return err;
	mne_say_error("%s", mne_err_sentence(err));
	mne_check_report_clear(report);
	mne_check_report_init(report);
	options.salvage = true;
	options.rebuild = mne_err_is(err, MNE_E_KV_CORRUPT);
	return check_once(cli, &options, report);
}

static MneExit say_failure(const char *path, int err, bool repair)
{
	g_autofree char *kv = g_build_filename(path, "kv", NULL);

	mne_say_error("%s", mne_err_sentence(err));
	if (!repair && mne_check_can_salvage(err) &&
	    g_file_test(kv, G_FILE_TEST_IS_DIR))
		mne_say_hint("mnefs check --repair puts the store together anew from "
			     "what can be read; copy it first");
	return mne_err_is(err, EIO) ? MNE_EXIT_FAILED : mne_exit_of(err);
}

MneExit mne_cmd_check(MneCli *cli)
{
	bool repair = mne_cli_has(cli, "repair");
	g_auto(MneCheckReport) report = { 0 };
	int err;

	mne_check_report_init(&report);
	err = check(cli, &report);
	for (unsigned i = 0; i < report.findings->len; i++)
		print_finding(cli, &g_array_index(report.findings, MneCheckFinding, i));
	if (err < 0)
		return say_failure(mne_cli_word(cli, 0), err, repair);
	print_summary(cli, mne_cli_word(cli, 0), &report);
	if (report.found > report.mended && !repair)
		mne_say_hint(
			"mnefs check --repair mends what can be mended; copy the store "
			"first");
	return report.found > 0 ? MNE_EXIT_DIFFERENT : MNE_EXIT_OK;
}
