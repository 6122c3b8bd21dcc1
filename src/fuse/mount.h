/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/mount.h - what every request handler can reach
 */
#pragma once

#include "ns/ns.h"

#include <fuse_lowlevel.h>

typedef struct MneLoop MneLoop;
typedef struct MneCrew MneCrew;
typedef struct MneSyncs MneSyncs;
typedef struct MneUring MneUring;

typedef struct {
	MneStore *store; /* owned by fuse/session.c, as are those below */
	MneNs *ns;
	struct fuse_session *session;
	MneLoop *loop;
	MneCrew *crew;
	MneSyncs *syncs;
	MneUring *_Atomic uring; /* NULL: requests come through /dev/fuse */
	bool may_use_uring;
	bool read_only;
	_Atomic uint64_t init_unique; /* of the INIT request; 0: was answered */
	bool kernel_kills_late; /* the kernel offers HANDLE_KILLPRIV_V2 */
	bool kernel_has_uring; /* … and OVER_IO_URING: built in, and allowed by root */
	_Atomic bool is_ready; /* INIT was answered */
} MneMount;

#define MNE_MAX_WRITE (1u << 20) /* bytes of a WRITE, a READ, a listing */

static inline MneMount *mne_mount_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static inline MneInode *mne_mount_inode(MneMount *mount, fuse_ino_t number)
{
	return mne_inode_of_number(mount->ns->inodes, number);
}
