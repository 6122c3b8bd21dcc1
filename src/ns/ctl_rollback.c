/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_rollback.c - the file `.mnefs/rollback`: run or preview, NAME, and tables, each
 * after a tab
 *
 * Without tables: all that the checkpoint covers.  Afterwards the same handle says what was
 * done, or would be, a key and a value on each line; and after an empty line the paths.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/moment.h"

static void answer_of(const MneRollbackResult *result, GString *answer)
{
	g_string_append_printf(answer,
			       "before %s\nreturned %" G_GUINT64_FORMAT
			       "\nchanged %" G_GUINT64_FORMAT
			       "\nremoved %" G_GUINT64_FORMAT "\ncut %u\n",
			       result->before, result->returned, result->changed,
			       result->removed, result->cut);
}

static int carry_out(MneNs *ns, const char *verb, const MneRollbackSpec *spec,
		     GString *answer)
{
	g_autoptr(GString) list = g_string_new(NULL);
	MneRollbackResult result;

	if (strcmp(verb, "preview") == 0)
		MNE_TRY(mne_store_preview_rollback(ns->store, spec, &result, list));
	else if (strcmp(verb, "run") == 0)
		MNE_TRY(mne_ns_rollback(ns, spec, &result));
	else
		return mne_throw(BAD_CTL, "run or preview, not %.64s", verb);
	answer_of(&result, answer);
	if (list->len > 0)
		g_string_append_printf(answer, "\n%s", list->str);
	return 0;
}

/* Of "@yesterday", the checkpoint it leads to by now. */
static int name_of(MneNs *ns, const char *word, char **out_name)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	if (!mne_moment_is(mne_slice_str(word))) {
		*out_name = g_strdup(word);
		return 0;
	}
	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(word), &ckpt));
	*out_name = mne_ckpt_name(ckpt);
	return 0;
}

static int run_line(MneNs *ns, const char *const *args, const char *line,
		    GString *answer)
{
	g_autoptr(GPtrArray) tables = g_ptr_array_new();
	g_auto(GStrv) words = g_strsplit(line, "\t", -1);
	MneRollbackSpec spec = { .tables = tables };
	g_autofree char *name = NULL;
	struct stat maker;

	(void)args;
	if (g_strv_length(words) < 2)
		return mne_throw(BAD_CTL,
				 "usage: run|preview, NAME, tables, each after "
				 "a tab");
	MNE_TRY(name_of(ns, words[1], &name));
	spec.name = mne_slice_str(name);
	MNE_TRY(mne_ctl_stat(ns, MNE_CTL_ROOT, &maker)); /* who owns it may write */
	spec.uid = maker.st_uid;
	spec.gid = maker.st_gid;
	for (char **table = words + 2; *table; table++)
		g_ptr_array_add(tables, *table);
	return carry_out(ns, words[0], &spec, answer);
}

const MneCtlKind mne_ctl_rollback[] = {
	{ .path = "rollback", .mode = S_IFREG | 0600, .line = run_line },
	{ 0 },
};
