/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_history.c - mnefs history: the versions of a path, newest first
 *
 * A version is what one commit made; several checkpoints may show it.  Which one a
 * checkpoint shows is asked of the checkpoint itself.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/moments.h"
#include "cli/place.h"
#include "cli/say.h"
#include "util/text.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>

typedef struct {
	uint64_t seq;
	bool live;
	struct stat st; /* of one that shows it */
	GPtrArray *in; /* const char *: names of checkpoints, newest first */
} Version;

static void version_free(gpointer data)
{
	Version *version = data;

	g_ptr_array_unref(version->in);
	g_free(version);
}

/* What stands at path; 0, or a negative errno. */
static int look(const char *path, uint64_t *out_seq, struct stat *out_st)
{
	if (lstat(path, out_st) < 0)
		return -errno;
	return mne_moments_fact(path, "seq", out_seq);
}

/* name NULL: live. */
static int add_moment(GPtrArray *versions, const char *root, const char *name,
		      const char *path)
{
	g_autofree char *at = mne_moments_at(root, name, path);
	Version *last = versions->len > 0 ? versions->pdata[versions->len - 1] : NULL;
	struct stat st;
	uint64_t seq;
	int err = look(at, &seq, &st);

	if (err == -ENOENT || err == -ENOTDIR || err == -ESTALE)
		return 0;
	if (err < 0)
		return err;
	if (!last || last->seq != seq) {
		last = g_new0(Version, 1);
		last->seq = seq;
		last->st = st;
		last->in = g_ptr_array_new();
		g_ptr_array_add(versions, last);
	}
	if (name)
		g_ptr_array_add(last->in, (gpointer)name);
	else
		last->live = true;
	return 0;
}

static const char *first_of(const Version *version)
{
	return version->in->pdata[version->in->len - 1];
}

/* "nightly", or "monday … friday"; a new string. */
static char *text_of_checkpoints(const Version *version)
{
	if (version->in->len == 0)
		return g_strdup("(live)");
	if (version->in->len == 1)
		return g_strdup(first_of(version));
	return g_strdup_printf("%s%s%s", first_of(version),
			       version->in->len > 2 ? " … " : ", ",
			       (const char *)version->in->pdata[0]);
}

static void print_table(const MneCli *cli, const GPtrArray *versions)
{
	MneColumns *table = mne_columns_new(cli, "llrl");

	mne_columns_add(table, "SEQ", "WHEN", "SIZE", "IN CHECKPOINTS", NULL);
	for (guint i = 0; i < versions->len; i++) {
		const Version *version = versions->pdata[i];
		g_autofree char *seq = version->live ? g_strdup("live")
						     : mne_text_count(version->seq);
		g_autofree char *when =
			mne_text_ago(time(NULL) - version->st.st_ctim.tv_sec);
		g_autofree char *size = mne_text_count((uint64_t)version->st.st_size);
		g_autofree char *in = text_of_checkpoints(version);

		mne_columns_add(table, seq, when, size, in, NULL);
	}
	mne_columns_print(table);
}

static void print_json(const GPtrArray *versions)
{
	for (guint i = 0; i < versions->len; i++) {
		const Version *version = versions->pdata[i];
		g_autoptr(GString) in = g_string_new(NULL);

		for (guint j = version->in->len; j-- > 0;) {
			mne_text_add_json(in, mne_slice_str(version->in->pdata[j]));
			g_string_append(in, j > 0 ? "," : "");
		}
		printf("{\"seq\":%" G_GUINT64_FORMAT
		       ",\"live\":%s,\"time\":%lld,\"mtime\":%lld,\"size\":%lld,"
		       "\"mode\":\"%o\",\"checkpoints\":[%s]}\n",
		       version->seq, version->live ? "true" : "false",
		       (long long)version->st.st_ctim.tv_sec,
		       (long long)version->st.st_mtim.tv_sec,
		       (long long)version->st.st_size, version->st.st_mode, in->str);
	}
}

static int collect(const char *root, const GPtrArray *moments, const char *path,
		   GPtrArray *versions)
{
	int err = add_moment(versions, root, NULL, path);

	for (guint i = moments->len; i-- > 0 && err == 0;)
		err = add_moment(versions, root,
				 ((const MneMoment *)moments->pdata[i])->name, path);
	return err;
}

MneExit mne_cmd_history(MneCli *cli)
{
	g_autoptr(GPtrArray) versions = g_ptr_array_new_with_free_func(version_free);
	g_autofree char *root = NULL, *path = NULL;
	g_autoptr(GPtrArray) moments = NULL;
	MneExit status = mne_place_find(cli, &root);
	int err;

	if (status == MNE_EXIT_OK)
		status = mne_moments_path(cli, root, mne_cli_word(cli, 0), &path);
	if (status == MNE_EXIT_OK)
		status = mne_moments_read(root, &moments);
	if (status != MNE_EXIT_OK)
		return status;
	err = collect(root, moments, path, versions);
	if (err < 0) {
		mne_say_error("%s: %s", mne_cli_word(cli, 0), g_strerror(-err));
		return mne_exit_of(err);
	}
	if (versions->len == 0) {
		mne_say_error("%s is neither live nor in any checkpoint", path);
		return MNE_EXIT_NOT_FOUND;
	}
	if (cli->json)
		print_json(versions);
	else
		print_table(cli, versions);
	return MNE_EXIT_OK;
}
