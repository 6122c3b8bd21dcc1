/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_hold.c - `.mnefs/hold/`: whoever has a file in it open holds that checkpoint
 *
 * The kernel tells when the last descriptor is closed, also when its process was killed.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ckpt/hold.h"
#include "ns/ctl.h"
#include "ns/ctl_text.h"

#include <fcntl.h>

typedef struct {
	MneCtlFile base;
	MneHold *hold; /* owned */
} Holding;

/* Its name, as long as it is there. */
static ssize_t holding_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			    const MneCtlWait *wait)
{
	MneCkpt *ckpt = mne_hold_ckpt(((Holding *)file)->hold);
	g_autofree char *name = mne_ckpt_name(ckpt);
	g_autofree char *line = g_strconcat(name, "\n", NULL);

	(void)wait;
	if (!mne_ckpt_is_active(ckpt))
		return mne_throw(CKPT_GONE, "checkpoint %s was dropped by force", name);
	return mne_ctl_text_read(mne_slice_str(line), offset, buffer, len);
}

static void holding_close(MneCtlFile *file)
{
	Holding *holding = (Holding *)file;

	mne_hold_release(holding->hold);
	g_free(holding);
}

static int open_hold(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		     MneCtlFile **out_file)
{
	static const MneCtlFileOps ops = { .read = holding_read,
					   .close = holding_close };
	g_autoptr(MneCkpt) ckpt = NULL;
	MneHold *hold = NULL;
	MneProcess who;
	Holding *holding;

	if ((how->flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt));
	mne_process_meet(&who, how->pid);
	MNE_TRY(mne_hold_take(ckpt, &who, &hold));
	holding = g_new0(Holding, 1);
	holding->base.ops = &ops;
	holding->hold = hold;
	*out_file = &holding->base;
	return 0;
}

const MneCtlKind mne_ctl_hold[] = {
	{ .path = "hold", .mode = S_IFDIR | 0755, .list = mne_ctl_ckpt_list },
	{ .path = "hold/*",
	  .mode = S_IFREG | 0444,
	  .exists = mne_ctl_ckpt_exists,
	  .open = open_hold },
	{ 0 },
};
