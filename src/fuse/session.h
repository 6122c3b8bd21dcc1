/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/session.h - one mount, from the first check to the last
 */
#pragma once

#include "ns/ns.h"
#include "txn/store.h"

typedef struct {
	const char *store; /* path of the store */
	const char *mount_point;
	const char
		*ckpt; /* mount this checkpoint, or that of a time; NULL: the store */
	MneStoreOptions store_options;
	MneCtlMode ctl; /* the dot directories: hidden, visible, off */
	bool foreground; /* stay; otherwise the caller's process ends when it is usable */
	bool debug; /* log every request; implies verbose messages */
	bool read_only;
	bool allow_other;
	bool no_uring; /* requests come through /dev/fuse even where io_uring is to be had */
	bool no_cplinks; /* st_nlink in checkpoints is 1 */
	MneNsTxLimits tx;
	MneAutoRules automatic; /* checkpoints that come by themselves */
	const char *hooks_dir; /* of programs told of checkpoints; may be absent */
	unsigned hook_timeout; /* ms */
	unsigned readers; /* threads that read requests; 0: as many as pays */
	const char *mount_options; /* for the kernel: "noexec,nodev"; may be NULL */
	const char
		*shown_options; /* what the user asked for, for status; may be NULL */
} MneFuseOptions;

/* Open the store, mount it, and serve it until it is unmounted or SIGTERM or SIGINT come.
 * Returns what the process shall exit with, or a negative error; in both cases of failure
 * a sentence was said on stderr.  In the background (not foreground) the caller's process
 * gets 0 as soon as the mount is usable, otherwise the exit status of the process that
 * tried.  A dead mount of ours at the mount point is unmounted first.  The process should
 * have no threads yet. */
int mne_fuse_run(const MneFuseOptions *options);
