/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/forget.c - the kernel is told to ask again
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/forget.h"

/* libfuse sends the byte after the name as well, and wants it to be a NUL. */
void mne_forget_name(MneMount *mount, fuse_ino_t dir, MneSlice name)
{
	g_autofree char *text = g_strndup((const char *)name.data, name.len);

	(void)fuse_lowlevel_notify_inval_entry(mount->session, dir, text, name.len);
}

void mne_forget_inode(MneMount *mount, fuse_ino_t number, bool bytes)
{
	(void)fuse_lowlevel_notify_inval_inode(mount->session, number, bytes ? 0 : -1,
					       0);
}
