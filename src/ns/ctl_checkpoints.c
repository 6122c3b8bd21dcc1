/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_checkpoints.c - `.mnefs/checkpoints/`: a directory for each active checkpoint
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ckpt/space.h"
#include "ns/ctl.h"
#include "ns/status.h"

bool mne_ctl_ckpt_exists(MneNs *ns, const char *const *args)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	return mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt) == 0;
}

void mne_ctl_ckpt_list(MneNs *ns, const char *const *args, GPtrArray *names)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));

	(void)args;
	for (unsigned i = 0; i < ckpts->len; i++)
		g_ptr_array_add(names, mne_ckpt_name(g_ptr_array_index(ckpts, i)));
}

void mne_ctl_ckpt_own(MneNs *ns, const char *const *args, struct stat *io_attr)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	if (mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt) < 0)
		return;
	io_attr->st_uid = ckpt->uid;
	io_attr->st_gid = ckpt->gid;
}

static bool is_among(const GArray *ids, uint32_t id)
{
	for (unsigned i = 0; i < ids->len; i++)
		if (g_array_index(ids, uint32_t, i) == id)
			return true;
	return false;
}

static void print_table(MneCkpt *ckpt, const MneEntry *entry, GString *to)
{
	g_autofree char *name = g_strndup((const char *)entry->name.data,
					  entry->name.len);
	MneCkptSpace space;

	mne_ckpt_space(ckpt, &entry->table, &space);
	g_string_append(to, g_strdelimit(name, "\t\n", '?'));
	g_string_append_printf(
		to, "\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\t%s\t%s\tlocal\n",
		space.used_images, space.used,
		is_among(ckpt->max_tables, entry->table) ? "max" : "min", "yes");
}

/* A line for each: name, values and bytes retained, copies (min: one, max: on every node),
 * does it really retain, and where its copy is. */
static int print_tables(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneListing) listing = NULL;
	g_autoptr(MneCkpt) ckpt = NULL;
	MneEntry entry;
	int got;

	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt));
	MNE_TRY(mne_view_list(&ckpt->view, MNE_ROOT_TABLE, MNE_ROOT_DIR,
			      MNE_SLICE_EMPTY, &listing));
	while ((got = mne_listing_next(listing, &entry, NULL)) > 0)
		print_table(ckpt, &entry, to);
	return got;
}

const MneCtlKind mne_ctl_checkpoints[] = {
	{ .path = "checkpoints", .mode = S_IFDIR | 0755, .list = mne_ctl_ckpt_list },
	{ .path = "checkpoints/*",
	  .mode = S_IFDIR | 0755,
	  .exists = mne_ctl_ckpt_exists },
	{ .path = "checkpoints/*/info.json",
	  .mode = S_IFREG | 0444,
	  .print = mne_status_checkpoint_json },
	{ .path = "checkpoints/*/tables",
	  .mode = S_IFREG | 0444,
	  .print = print_tables },
	{ 0 },
};
