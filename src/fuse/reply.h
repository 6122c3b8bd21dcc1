/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/reply.h - the border: our answers become the kernel's
 *
 * Each function answers the request; nothing of it may be used afterwards, nor an inode
 * that the kernel may forget from then on.
 */
#pragma once

#include "fuse/mount.h"
#include "ns/handle.h"

/* op: for the log. */
void mne_reply_err(fuse_req_t req, const char *op, fuse_ino_t ino, int err);
/* Success, or err < 0. */
void mne_reply_status(fuse_req_t req, const char *op, fuse_ino_t ino, int err);

void mne_reply_found(fuse_req_t req, const MneFound *found);
void mne_reply_attr(fuse_req_t req, const MneFound *found);
/* With an open file.  info->fh and how it is cached are set here. */
void mne_reply_open(fuse_req_t req, MneHandle *handle, struct fuse_file_info *info);
void mne_reply_create(fuse_req_t req, const MneFound *found, MneHandle *handle,
		      struct fuse_file_info *info);

struct fuse_entry_param mne_entry_of(MneMount *mount, const MneFound *found);
