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

static MneExit run_check(MneCli *cli, MneStore *store)
{
	bool repair = mne_cli_has(cli, "repair");
	g_auto(MneCheckReport) report = { 0 };
	int err;

	mne_check_report_init(&report);
	err = mne_cli_has(cli, "fast") ? mne_check_run_fast(store, repair, &report)
				       : mne_check_run(store, repair, &report);
	for (unsigned i = 0; i < report.findings->len; i++)
		print_finding(cli, &g_array_index(report.findings, MneCheckFinding, i));
	if (err < 0) {
		mne_say_error("the check could not be finished: %s",
			      mne_err_sentence(err));
		return MNE_EXIT_FAILED;
	}
	print_summary(cli, mne_cli_word(cli, 0), &report);
	if (report.found > report.mended && !repair)
		mne_say_hint(
			"mnefs check --repair mends what can be mended; copy the store "
			"first");
	return report.found > 0 ? MNE_EXIT_DIFFERENT : MNE_EXIT_OK;
}

MneExit mne_cmd_check(MneCli *cli)
{
	const char *path = mne_cli_word(cli, 0);
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;
	MneStore *store = NULL;
	MneExit status;
	int err;

	options.read_only = !mne_cli_has(cli, "repair");
	options.no_background = true;
	err = mne_store_open(path, &options, &store);
	if (err < 0) {
		mne_say_error("%s", mne_err_sentence(err));
		return mne_err_is(err, EIO) ? MNE_EXIT_FAILED : mne_exit_of(err);
	}
	status = run_check(cli, store);
	mne_store_close(store);
	return status;
}
