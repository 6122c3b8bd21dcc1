/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ns.h - the shape of a mount: what stands where, and what may be done there
 *
 *	/                       LIVE   the root: only tables
 *	/T/…                    LIVE   records
 *	D/.checkpoints          CKPTS  of every live directory D
 *	D/.checkpoints/C/…      PAST   D at checkpoint C; for the root all its tables
 *	/T/.frag, /T/0001       FRAGS, FRAG: see ns/frags.h
 *	/.mnefs/…               CTL    small files to read and to write
 *	/.tx/J/…                LIVE   all of that again, in a transaction: see ns/tx.h
 *
 * The functions here decide by what an inode is, and call txn/ or a view.  They know
 * nothing of the kernel's protocol.
 *
 * Threads: all functions, any thread; no lock is held across calls into txn/.
 */
#pragma once

#include "ns/auto.h"
#include "ns/hooks.h"
#include "ns/inode.h"
#include "ns/name.h"
#include "ns/stats.h"
#include "txn/attr.h"
#include "txn/names.h"
#include "txn/rollback.h"
#include "txn/store.h"
#include "util/lock.h"

#include <stdatomic.h>
#include <sys/stat.h>

typedef struct {
	MneCtlMode ctl;
	bool cplinks; /* st_nlink in a checkpoint counts the checkpoints that share it */
	bool read_only;
	MneCkpt *
		ckpt; /* borrowed: show this one at the root, and nothing else; NULL: live */
	MneAutoRules automatic; /* checkpoints that come by themselves */
	MneNsTxLimits tx;
	char *shown; /* as the user gave them */
	char *mount_point;
	char *hooks_dir; /* NULL: none */
	unsigned hook_timeout; /* ms */
	/* What was closed before the call has been committed on return; NULL: always so. */
	void (*settle)(void *user);
	void *settle_user;
} MneNsOptions;

typedef struct MneNs {
	MneStore *store; /* borrowed */
	MneNsOptions options; /* strings owned */
	MneInodes *inodes;
	struct MneDeltas *deltas; /* see ns/delta.h */
	struct MneShared *shared; /* see ns/frags.h */
	struct MneCtl *ctl; /* the nodes of `.mnefs`: see ns/ctl.h */
	struct MneGraves *graves; /* see ns/grave.h */
	struct MneVisits *visits; /* see ns/visit.h */
	struct MneLent *lent; /* see ns/lent.h */
	struct MneReopens *reopens; /* see ns/reopen.h */
	struct MneDigests *digests; /* see ns/digest.h */
	MneStats *stats;
	MneHooks *hooks;
	MneNsTxs *txs;
	int64_t started; /* seconds since the epoch */
	_Atomic bool over_uring; /* how requests come: through io_uring, or /dev/fuse */

	/* What the kernel has open: ends with the connection, closed or not. */
	MneLock open_lock;
	GQueue handles, streams; /* of what embeds the links */

	/* Of the `.checkpoints` directories, until unmount. */
	_Atomic uint32_t ckpts_mode;
	_Atomic uint32_t ckpts_gid; /* UINT32_MAX: that of the root */
} MneNs;

/* Options are copied.  op_names: of the requests that are counted, see ns/stats.h. */
MneNs *mne_ns_new(MneStore *store, const MneNsOptions *options,
		  const char *const *op_names, unsigned n_ops);
void mne_ns_free(MneNs *ns);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneNs, mne_ns_free)

/* An answer to the kernel: who it is, how it looks, how long that may be believed. */
typedef struct {
	MneInode *inode; /* one lookup was counted; NULL: there is nothing */
	struct stat attr;
	double entry_timeout, attr_timeout; /* seconds */
} MneFound;

/* Seconds for what only changes through this mount. */
#define MNE_LONG_TIMEOUT 86400.0
/* Seconds for attributes of what is in a checkpoint: see ns/lent.h. */
#define MNE_PAST_TIMEOUT 0.1

/* -ENOENT is an answer, too: 0 with inode NULL, when it may be remembered. */
int mne_ns_lookup(MneNs *ns, MneInode *parent, MneSlice name, MneFound *out)
	MNE_CHECKED;
/* Counts no lookup. */
int mne_ns_stat(MneNs *ns, MneInode *inode, MneFound *out) MNE_CHECKED;
int mne_ns_readlink(MneNs *ns, MneInode *inode, char **out_target) MNE_CHECKED;

/* The node of a LIVE or PAST inode; CKPT_GONE.  The finding is where it was found. */
int mne_ns_node(MneNs *ns, MneInode *inode, MneFinding *out_finding, MneNode *out_node)
	MNE_CHECKED;
/* CKPT_GONE, TX_GONE when inode belongs to a checkpoint that was dropped, or to a transaction
 * that has ended. */
int mne_ns_require_valid(const MneInode *inode) MNE_CHECKED;
/* CKPT_READONLY, or RESERVED_NAME, when inode is no live record or directory. */
int mne_ns_require_live(const MneInode *inode) MNE_CHECKED;

/* Answers for nodes that a lookup or a listing brought: one lookup is counted. */
void mne_ns_found_live(MneNs *ns, const MneIdentity *parent, uint32_t table,
		       const MneNode *node, MneSlice name, MneFound *out);
int mne_ns_found_past(MneNs *ns, const MneIdentity *parent, uint32_t table,
		      const MneNode *node, MneSlice name, MneFound *out) MNE_CHECKED;

/* What a LIVE object is read from and changed in: the live tables, or a transaction. */
MneStore *mne_ns_store_of(MneNs *ns, const MneIdentity *self);

/* Makes a checkpoint, when parent is a `.checkpoints`, or begins a transaction: see mne_ns_is_slow(). */
int mne_ns_make(MneNs *ns, MneInode *parent, MneSlice name, const MneMake *what,
		MneFound *out) MNE_CHECKED;
/* Of a checkpoint: -ESTALE when it was dropped, upon which the kernel asks again, see
 * ns/grave.h.  pid: the thread that asks; 0: one that will not. */
int mne_ns_remove(MneNs *ns, MneInode *parent, MneSlice name, bool is_dir, pid_t pid)
	MNE_CHECKED;
int mne_ns_rename(MneNs *ns, MneInode *parent, MneSlice name, MneInode *new_parent,
		  MneSlice new_name, unsigned flags) MNE_CHECKED;
int mne_ns_link(MneNs *ns, MneInode *inode, MneInode *parent, MneSlice name,
		MneFound *out) MNE_CHECKED;

/* What the kernel remembers follows. */
int mne_ns_rollback(MneNs *ns, const MneRollbackSpec *spec,
		    MneRollbackResult *out_result) MNE_CHECKED;
/* Is it a control file? */
bool mne_ns_is_control(const MneInode *inode);

/* Changes in this directory take long, and need a fence before them: every request that was
 * read from the kernel earlier must have been carried out. */
bool mne_ns_is_slow(const MneInode *parent);

/* size: NULL, or the new size.  Counts no lookup. */
int mne_ns_setattr(MneNs *ns, MneInode *inode, const MneAttrChange *change,
		   const uint64_t *size, MneFound *out) MNE_CHECKED;

/* value.data == NULL removes. */
int mne_ns_setxattr(MneNs *ns, MneInode *inode, MneSlice name, MneSlice value,
		    int flags) MNE_CHECKED;
int mne_ns_getxattr(MneNs *ns, MneInode *inode, MneSlice name, GBytes **out_value)
	MNE_CHECKED;
/* Names, each followed by a NUL, are appended to out. */
int mne_ns_listxattr(MneNs *ns, MneInode *inode, GByteArray *out) MNE_CHECKED;

/* ns/statfs.c: of the store; inside `.checkpoints`, of the history. */
int mne_ns_statfs(MneNs *ns, const MneInode *inode, struct statvfs *out) MNE_CHECKED;

/* By name, or, as ns/moment.h says, by time.  A new reference; NO_CKPT. */
int mne_ns_find_ckpt(MneNs *ns, MneSlice name, MneCkpt **out_ckpt) MNE_CHECKED;
int mne_ckpts_by_name_or_time(MneStore *store, MneSlice name, MneCkpt **out_ckpt)
	MNE_CHECKED;

/* ns/ckpts.c: the `.checkpoints` directories.  dir is the identity of one. */
int mne_ckpts_dir_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name,
			 MneFound *out) MNE_CHECKED;
/* For thread pid: CKPT_GONE when it was at one that is gone, see ns/visit.h. */
int mne_ckpts_dir_lookup_for(MneNs *ns, const MneIdentity *dir, MneSlice name,
			     pid_t pid, MneFound *out) MNE_CHECKED;
int mne_ckpts_dir_stat(MneNs *ns, const MneIdentity *dir, struct stat *out) MNE_CHECKED;
int mne_ckpts_dir_setattr(MneNs *ns, const MneIdentity *dir,
			  const MneAttrChange *change) MNE_CHECKED;
int mne_ckpts_dir_make(MneNs *ns, const MneIdentity *dir, MneSlice name,
		       const MneMake *what, MneFound *out) MNE_CHECKED;
int mne_ckpts_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name, pid_t pid)
	MNE_CHECKED;
/* What the thread that dropped it sees instead: false, when there is nothing. */
bool mne_ckpts_dir_find_grave(MneNs *ns, const MneIdentity *dir, MneSlice name,
			      pid_t pid, MneFound *out);
int mne_ckpts_dir_rename(MneNs *ns, const MneIdentity *dir, MneSlice name,
			 const MneIdentity *new_dir, MneSlice new_name, unsigned flags)
	MNE_CHECKED;
/* Names of the checkpoints in which the directory exists, sorted: strings, owned. */
GPtrArray *mne_ckpts_dir_list(MneNs *ns, const MneIdentity *dir);
