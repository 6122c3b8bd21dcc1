/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_bookmarks.c - `.mnefs/bookmarks`: lists them, and takes lines
 *
 *	make CHECKPOINT [NAME]		the name of the checkpoint, if none is given
 *	replace CHECKPOINT [NAME]	give up what had the name
 *	drop NAME
 *	rename OLD NEW
 *
 * Words are separated by tabs, or, in a line without tabs, by blanks.  What is read are
 * the names, seqs and times (seconds since the epoch), separated by tabs.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "txn/bookmark.h"
#include "util/text.h"

static int print(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GPtrArray) marks = mne_ckpts_list(mne_store_bookmarks(ns->store));

	(void)args;
	for (guint i = 0; i < marks->len; i++) {
		MneCkpt *mark = marks->pdata[i];
		g_autofree char *name = mne_ckpt_name(mark);

		g_string_append_printf(
			to, "%s\t%" G_GUINT64_FORMAT "\t%" G_GINT64_FORMAT "\n", name,
			mark->seq, mark->time_ns / 1000000000);
	}
	return 0;
}

static int print_json(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GPtrArray) marks = mne_ckpts_list(mne_store_bookmarks(ns->store));

	(void)args;
	for (guint i = 0; i < marks->len; i++) {
		MneCkpt *mark = marks->pdata[i];
		g_autofree char *name = mne_ckpt_name(mark);

		g_string_append(to, "{\"name\":");
		mne_text_add_json(to, mne_slice_str(name));
		g_string_append_printf(to,
				       ",\"seq\":%" G_GUINT64_FORMAT
				       ",\"time\":%" G_GINT64_FORMAT ",\"all\":%s}\n",
				       mark->seq, mark->time_ns / 1000000000,
				       mark->all_tables ? "true" : "false");
	}
	return 0;
}

static bool is(char **words, const char *verb, guint least, guint most)
{
	guint n = g_strv_length(words);

	return strcmp(words[0], verb) == 0 && n >= least && n <= most;
}

/* The checkpoint may be that of a time: without another name the bookmark has its name. */
static int make(MneNs *ns, char **words, bool replaces)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autofree char *name = NULL;

	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(words[1]), &ckpt));
	name = mne_ckpt_name(ckpt);
	return mne_store_bookmark(ns->store, mne_slice_str(name),
				  mne_slice_str(words[2] ? words[2] : name), replaces);
}

static int run(MneNs *ns, char **words)
{
	MneStore *store = ns->store;

	if (is(words, "make", 2, 3))
		return make(ns, words, false);
	if (is(words, "replace", 2, 3))
		return make(ns, words, true);
	if (is(words, "drop", 2, 2))
		return mne_store_drop_bookmark(store, mne_slice_str(words[1]));
	if (is(words, "rename", 3, 3))
		return mne_store_rename_bookmark(store, mne_slice_str(words[1]),
						 mne_slice_str(words[2]));
	return mne_throw(BAD_CTL, "make CHECKPOINT [NAME], replace CHECKPOINT [NAME], "
				  "drop NAME, or rename OLD NEW");
}

static int line(MneNs *ns, const char *const *args, const char *text, GString *answer)
{
	g_auto(GStrv) words = g_strsplit(text, strchr(text, '\t') ? "\t" : " ", -1);

	(void)args;
	(void)answer;
	if (!words[0] || !*words[0])
		return 0;
	return run(ns, words);
}

const MneCtlKind mne_ctl_bookmarks[] = {
	{ .path = "bookmarks", .mode = S_IFREG | 0644, .print = print, .line = line },
	{ .path = "bookmarks.json", .mode = S_IFREG | 0444, .print = print_json },
	{ 0 },
};
