/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/moments.c - checkpoints as the commands about history need them
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/moments.h"

#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <string.h>
#include <sys/xattr.h>
#include <unistd.h>

static void moment_free(gpointer data)
{
	MneMoment *moment = data;

	g_free(moment->name);
	g_free(moment);
}

static int by_seq(const void *a, const void *b)
{
	const MneMoment *x = *(const MneMoment *const *)a,
			*y = *(const MneMoment *const *)b;

	return (x->seq > y->seq) - (x->seq < y->seq);
}

MneExit mne_moments_read(const char *root, GPtrArray **out_moments)
{
	g_autoptr(GPtrArray) moments = g_ptr_array_new_with_free_func(moment_free);
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	MneExit status = mne_place_must_read(root, "checkpoints.json", &text);

	if (status != MNE_EXIT_OK)
		return status;
	lines = g_strsplit(text, "\n", -1);
	for (char **line = lines; *line; line++) {
		g_autoptr(GHashTable) object = **line ? mne_json_parse(*line) : NULL;
		MneMoment *moment;

		if (!object)
			continue;
		moment = g_new0(MneMoment, 1);
		moment->name = g_strdup(mne_json_text(object, "name", ""));
		moment->seq = mne_json_number(object, "seq");
		moment->time = (int64_t)mne_json_number(object, "time");
		g_ptr_array_add(moments, moment);
	}
	g_ptr_array_sort(moments, by_seq);
	*out_moments = g_steal_pointer(&moments);
	return MNE_EXIT_OK;
}

MneExit mne_moments_find(const GPtrArray *moments, const char *name,
			 const MneMoment **out_moment)
{
	for (guint i = 0; i < moments->len; i++) {
		const MneMoment *moment = moments->pdata[i];

		if (strcmp(moment->name, name) != 0)
			continue;
		*out_moment = moment;
		return MNE_EXIT_OK;
	}
	mne_say_error("there is no checkpoint %s", name);
	mne_say_hint("mnefs ck list shows those there are");
	return MNE_EXIT_NOT_FOUND;
}

static char *base_of(const MneCli *cli, const char *root)
{
	return cli->at ? g_strdup(root) : g_get_current_dir();
}

/* A symlink on the way to it is followed, if there is a way. */
static char *resolve(const char *absolute)
{
	g_autofree char *canonical = g_canonicalize_filename(absolute, "/");
	g_autofree char *parent = g_path_get_dirname(canonical);
	g_autofree char *name = g_path_get_basename(canonical);
	g_autofree char *real = realpath(parent, NULL);

	if (!real)
		return g_steal_pointer(&canonical);
	return g_build_filename(real, name, NULL);
}

static bool is_control(const char *path)
{
	return g_str_has_prefix(path, ".mnefs") && (path[6] == '\0' || path[6] == '/');
}

MneExit mne_moments_path(const MneCli *cli, const char *root, const char *given,
			 char **out_path)
{
	g_autofree char *base = base_of(cli, root);
	g_autofree char *joined = g_canonicalize_filename(given, base);
	g_autofree char *path = strcmp(joined, root) == 0 ? g_strdup(root)
							  : resolve(joined);
	size_t len = strlen(root);

	if (strcmp(path, root) == 0) {
		*out_path = g_strdup("");
		return MNE_EXIT_OK;
	}
	if (strncmp(path, root, len) != 0 || path[len] != '/') {
		mne_say_error("%s is not in %s", given, root);
		return MNE_EXIT_USAGE;
	}
	*out_path = g_strdup(path + len + 1);
	if (is_control(*out_path)) {
		mne_say_error("%s is no record", given);
		return MNE_EXIT_USAGE;
	}
	if ((*out_path)[0] == '.' && g_str_has_prefix(*out_path, ".checkpoints")) {
		mne_say_error("%s is in a checkpoint: give the path of the record",
			      given);
		return MNE_EXIT_USAGE;
	}
	return MNE_EXIT_OK;
}

int mne_moments_fact(const char *path, const char *name, uint64_t *out_value)
{
	g_autofree char *full = g_strconcat("mnefs.", name, NULL);
	char text[32] = "";
	ssize_t got = lgetxattr(path, full, text, sizeof text - 1);

	if (got < 0)
		return -errno;
	*out_value = g_ascii_strtoull(text, NULL, 10);
	return 0;
}

char *mne_moments_at(const char *root, const char *name, const char *path)
{
	if (!name)
		return g_build_filename(root, *path ? path : ".", NULL);
	return g_build_filename(root, ".checkpoints", name, *path ? path : ".", NULL);
}
