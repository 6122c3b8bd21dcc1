/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_verify.c - mnefs checkpoint verify: read all of it, and check all checksums
 *
 * The daemon does it, and tells how it gets on in lines of `.mnefs/checkpoints/C/verify`:
 * "total FILES BYTES", "progress FILES BYTES DAMAGED", "damaged PATH WHY" and at last
 * "done FILES BYTES DAMAGED", with tabs in between.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/bar.h"
#include "cli/ckpt.h"
#include "cli/cli.h"
#include "cli/hold.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct {
	MneCli *cli;
	MneBar bar;
	uint64_t files, bytes, damaged;
	bool done;
} Verify;

static void on_damage(Verify *verify, const char *path, const char *why)
{
	g_autoptr(GString) line = g_string_new("{\"damaged\":");

	mne_bar_clear(&verify->bar);
	if (!verify->cli->json) {
		printf("damaged  %s: %s\n", path, why);
		return;
	}
	mne_text_add_json(line, mne_slice_str(path));
	g_string_append(line, ",\"why\":");
	mne_text_add_json(line, mne_slice_str(why));
	printf("%s}\n", line->str);
}

static void on_line(Verify *verify, const char *line)
{
	g_auto(GStrv) f = g_strsplit(line, "\t", 4);
	unsigned n = g_strv_length(f);

	if (n == 3 && strcmp(f[0], "damaged") == 0) {
		on_damage(verify, f[1], f[2]);
	} else if (n == 3 && strcmp(f[0], "total") == 0) {
		verify->bar.total = g_ascii_strtoull(f[2], NULL, 10) +
				    g_ascii_strtoull(f[1], NULL, 10);
	} else if (n == 4) {
		verify->files = g_ascii_strtoull(f[1], NULL, 10);
		verify->bytes = g_ascii_strtoull(f[2], NULL, 10);
		verify->damaged = g_ascii_strtoull(f[3], NULL, 10);
		verify->done = strcmp(f[0], "done") == 0;
		/* Empty files count as a byte: they take time, too. */
		mne_bar_show(&verify->bar, verify->bytes + verify->files);
	}
}

static MneExit read_lines(Verify *verify, const char *root, const char *name)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", "checkpoints", name,
						 "verify", NULL);
	FILE *file = fopen(path, "re");
	char *line = NULL;
	size_t size = 0;
	ssize_t len;
	int err;

	if (!file)
		return mne_ckpt_say_failed(root, "verify", name, errno);
	errno = 0;
	while ((len = getline(&line, &size, file)) > 0) {
		if (line[len - 1] == '\n')
			line[len - 1] = '\0';
		on_line(verify, line);
		errno = 0;
	}
	err = ferror(file) ? errno : 0;
	free(line); /* getline() allocated it */
	fclose(file);
	mne_bar_clear(&verify->bar);
	return err ? mne_ckpt_say_failed(root, "verify", name, err) : MNE_EXIT_OK;
}

static void print_result(const Verify *verify, const char *name)
{
	g_autofree char *files = mne_text_count(verify->files);
	g_autofree char *bytes = mne_text_size(verify->bytes);
	g_autofree char *damaged = mne_text_count(verify->damaged);

	if (verify->cli->json)
		printf("{\"files\":%" G_GUINT64_FORMAT ",\"bytes\":%" G_GUINT64_FORMAT
		       ",\"damaged\":%" G_GUINT64_FORMAT "}\n",
		       verify->files, verify->bytes, verify->damaged);
	else if (verify->damaged)
		printf("%s: %s of %s files and directories are damaged\n", name,
		       damaged, files);
	else if (!verify->cli->quiet)
		printf("%s: %s files and directories, %s, all good\n", name, files,
		       bytes);
}

MneExit mne_cmd_ckpt_verify(MneCli *cli)
{
	g_autofree char *root = NULL, *name = NULL;
	Verify verify = { .cli = cli };
	MneExit status = mne_place_find(cli, &root);
	int hold;

	if (status != MNE_EXIT_OK)
		return status;
	status = mne_hold_open(root, mne_cli_word(cli, 0), &hold);
	if (status != MNE_EXIT_OK)
		return status;
	name = mne_hold_name(hold);
	mne_bar_init(&verify.bar, cli);
	status = read_lines(&verify, root, name ? name : mne_cli_word(cli, 0));
	close(hold);
	if (status != MNE_EXIT_OK)
		return status;
	if (!verify.done) {
		mne_say_error("%s was not verified to its end", name);
		return MNE_EXIT_FAILED;
	}
	print_result(&verify, name);
	return verify.damaged ? MNE_EXIT_DIFFERENT : MNE_EXIT_OK;
}
