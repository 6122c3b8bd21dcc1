/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/share.c - the kernel forgets what it believes of a table that gets several paths
 *
 * That a table is shared was noted before; so answers to requests that come from now on are
 * believed for no time.  Those to earlier ones are waited for, and then taken back: names
 * that are there one by one, those that are not with the table itself, whose name the
 * kernel drops with all it knows below, and looks up again.
 *
 * The kernel takes the lock of the directory concerned, here the root's and the table's.
 * Who waits for this holds neither: it looks a name up in `.frag`, or writes to a file.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/share.h"

#include "fuse/forget.h"
#include "fuse/loop.h"
#include "ns/frags.h"

static void forget_table(MneMount *mount, const MneShare *share)
{
	MneInodes *inodes = mount->ns->inodes;
	uint64_t number = mne_inodes_number_of(inodes, NULL, share->dir);
	g_autoptr(GPtrArray) names = NULL;
	g_autoptr(GBytes) own = NULL;

	if (number == 0)
		return;
	names = mne_inodes_names_in(inodes, share->dir);
	for (guint i = 0; i < names->len; i++)
		mne_forget_name(mount, number, mne_slice_of(names->pdata[i]));
	mne_forget_inode(mount, number, true);
	own = mne_inodes_name_of(inodes, share->dir);
	if (own)
		mne_forget_name(mount, FUSE_ROOT_ID, mne_slice_of(own));
}

/* A directory may now change by another way than the one it is kept for. */
static void forget_listings(MneMount *mount, const MneShare *share)
{
	MneInodes *inodes = mount->ns->inodes;
	g_autoptr(GArray) dirs = mne_kepts_of(mne_inodes_kepts(inodes), share->table);

	for (guint i = 0; i < dirs->len; i++) {
		uint64_t dir = g_array_index(dirs, uint64_t, i);
		uint64_t number = mne_inodes_number_of(inodes, NULL, dir);

		if (number != 0)
			mne_forget_inode(mount, number, true);
	}
}

void mne_share_tables(MneMount *mount)
{
	MneShare share;

	while (mne_ns_share_next(mount->ns, &share)) {
		mne_loop_fence(mount->loop);
		forget_listings(mount, &share);
		forget_table(mount, &share);
		mne_ns_share_end(mount->ns, share.table);
	}
}
