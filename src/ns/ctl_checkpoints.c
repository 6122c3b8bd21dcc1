/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_checkpoints.c - `.mnefs/checkpoints/`: a directory for each active checkpoint
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/status.h"

static bool exists(MneNs *ns, const char *const *args)
{
	g_autoptr(MneCkpt) ckpt = NULL;

	return mne_ckpts_find(mne_store_ckpts(ns->store), mne_slice_str(args[0]),
			      &ckpt) == 0;
}

static void list(MneNs *ns, const char *const *args, GPtrArray *names)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));

	(void)args;
	for (unsigned i = 0; i < ckpts->len; i++)
		g_ptr_array_add(names, mne_ckpt_name(g_ptr_array_index(ckpts, i)));
}

const MneCtlKind mne_ctl_checkpoints[] = {
	{ .path = "checkpoints", .mode = S_IFDIR | 0755, .list = list },
	{ .path = "checkpoints/*", .mode = S_IFDIR | 0755, .exists = exists },
	{ .path = "checkpoints/*/info.json",
	  .mode = S_IFREG | 0444,
	  .print = mne_status_checkpoint_json },
	{ 0 },
};
