/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/statfs.c - what df says: one row for the store, one for the history in it
 *
 * statfs(2) is asked of a file, so `df MNT MNT/.checkpoints` asks twice, and is told
 * how much the checkpoints keep, and how much more they may.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ckpt/space.h"
#include "ns/ns.h"

static void show_history(MneNs *ns, struct statvfs *io)
{
	uint64_t limit = mne_store_history_limit(ns->store) / io->f_frsize;
	MneHistorySpace history;
	uint64_t used;

	mne_ckpts_history(mne_store_ckpts(ns->store), &history);
	used = (history.bytes + history.pending + io->f_frsize - 1) / io->f_frsize;
	if (limit > 0) {
		io->f_blocks = MAX(limit, used);
		io->f_bfree = io->f_blocks - used;
		io->f_bavail = MIN(io->f_bavail, io->f_bfree);
	} else {
		io->f_blocks = used + io->f_bavail;
		io->f_bfree = io->f_bavail;
	}
}

int mne_ns_statfs(MneNs *ns, const MneInode *inode, struct statvfs *out)
{
	MneIdentity identity = mne_inode_identity(inode);

	MNE_TRY(mne_store_statvfs(ns->store, out));
	switch (identity.object) {
	case MNE_OBJECT_CKPTS:
	case MNE_OBJECT_PAST: show_history(ns, out); break;
	case MNE_OBJECT_FRAGS:
	case MNE_OBJECT_FRAG:
		if (identity.ckpt)
			show_history(ns, out);
		break;
	case MNE_OBJECT_LIVE:
	case MNE_OBJECT_TXS:
	case MNE_OBJECT_TXCTL:
	case MNE_OBJECT_CTL: break;
	}
	return 0;
}
