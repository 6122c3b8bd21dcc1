/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_changed.c - `.mnefs/changed/`: what changed between two checkpoints, or since one
 *
 * Any two can be named; of those that can, the directory lists what changed since each, and
 * from each to the next.  The names of records are for those who may read the root's group:
 * a list shows what stands in directories that are closed.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/changed.h"
#include "ns/ctl.h"

static bool exists(MneNs *ns, const char *const *args)
{
	g_auto(MneChanged) changed = { 0 };

	return mne_changed_find(ns, args[0], &changed) == 0 &&
	       changed.form != MNE_CHANGED_TREE &&
	       (changed.form != MNE_CHANGED_LISTED ||
		mne_changed_require_walk(&changed) == 0);
}

static void list(MneNs *ns, const char *const *args, GPtrArray *names)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));
	g_autoptr(GPtrArray) marks = mne_ckpts_list(mne_store_bookmarks(ns->store));
	g_autofree char *before = NULL;

	(void)args;
	for (guint i = 0; i < marks->len; i++)
		g_ptr_array_add(names, mne_ckpt_name(marks->pdata[i]));
	for (guint i = 0; i < ckpts->len; i++) {
		g_autofree char *name = mne_ckpt_name(ckpts->pdata[i]);

		if (before)
			g_ptr_array_add(names, g_strconcat(before, "..", name, NULL));
		g_ptr_array_add(names, g_strdup(name));
		g_free(before);
		before = g_steal_pointer(&name);
	}
}

static int print(MneNs *ns, const char *const *args, GString *to)
{
	g_auto(MneChanged) changed = { 0 };

	MNE_TRY(mne_changed_find(ns, args[0], &changed));
	return mne_changed_print(&changed, to);
}

const MneCtlKind mne_ctl_changed[] = {
	{ .path = "changed", .mode = S_IFDIR | 0755, .list = list },
	{ .path = "changed/*",
	  .mode = S_IFREG | 0440,
	  .exists = exists,
	  .print = print },
	{ 0 },
};
