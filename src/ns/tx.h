/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/tx.h - transactions in the mount
 *
 *	/.tx/                 TXS    mkdir begins, rmdir aborts
 *	/.tx/J/…              LIVE   all tables, as J would have them: inodes of their own
 *	/.tx/J/.ctl           TXCTL  takes commands: see ns/txfile.c
 *	/.tx/J/.status        TXCTL  says how it stands, and what conflicted
 *	/.tx/J/.changes       TXCTL  lists what a commit would change
 *	/.tx/J/.tx/           TXS    of those inside J
 *
 * J is private to the user who began it.  It ends with commit, abort, rmdir, unmount, when
 * it was not used for too long, or with the process that owns it: whoever wrote `own` to
 * `.ctl` and keeps that open.
 *
 * Threads: all functions, any thread; an MneNsTx is valid as long as a reference is held.
 */
#pragma once

#include "txn/tx.h"
#include "util/ref.h"

#include <sys/types.h>

struct MneNs;
typedef struct MneNsTx MneNsTx;
typedef struct MneNsTxs MneNsTxs;

typedef struct {
	unsigned max; /* open at a time, nested ones included */
	unsigned idle_seconds; /* 0: for ever */
	uint64_t mem; /* bytes of memory of one */
	unsigned lock_seconds; /* that a lock is waited for; 0: for ever */
} MneNsTxLimits;

#define MNE_NS_TX_LIMITS_DEFAULT                      \
	((MneNsTxLimits){ .max = 64,                  \
			  .idle_seconds = 600,        \
			  .mem = UINT64_C(256) << 20, \
			  .lock_seconds = 60 })

MneNsTxs *mne_ns_txs_new(const MneNsTxLimits *limits);
/* All are aborted. */
void mne_ns_txs_end(struct MneNs *ns);
void mne_ns_txs_free(MneNsTxs *txs);

MneNsTx *mne_ns_tx_ref(MneNsTx *tx);
void mne_ns_tx_unref(MneNsTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneNsTx, mne_ns_tx_unref)

/* What its view reads and changes. */
MneStore *mne_ns_tx_store(const MneNsTx *tx);
/* TX_GONE after its end. */
int mne_ns_tx_require(const MneNsTx *tx) MNE_CHECKED;
uint64_t mne_ns_tx_id(const MneNsTx *tx);
uid_t mne_ns_tx_uid(const MneNsTx *tx);
const char *mne_ns_tx_name(const MneNsTx *tx);
/* One more open file owns it, or one less. */
void mne_ns_tx_own(MneNsTx *tx, int more);
bool mne_ns_tx_is_owned(const MneNsTx *tx);

/* outer: NULL for those at the root.  TX_LIMIT, -EEXIST. */
int mne_ns_tx_begin(struct MneNs *ns, MneNsTx *outer, MneSlice name, uid_t uid,
		    MneNsTx **out_tx) MNE_CHECKED;
/* NO_TX. */
int mne_ns_tx_find(struct MneNs *ns, const MneNsTx *outer, MneSlice name,
		   MneNsTx **out_tx) MNE_CHECKED;
/* Names, sorted: strings, owned. */
GPtrArray *mne_ns_tx_list(struct MneNs *ns, const MneNsTx *outer);
unsigned mne_ns_tx_count(struct MneNs *ns);

/* What mne_tx_commit() says; answer: what was done, for people. */
int mne_ns_tx_commit(struct MneNs *ns, MneNsTx *tx, bool durable, GString *answer)
	MNE_CHECKED;
void mne_ns_tx_abort(struct MneNs *ns, MneNsTx *tx);
/* What mne_tx_lock() says. */
int mne_ns_tx_lock(struct MneNs *ns, MneNsTx *tx, const GArray *wants,
		   const _Atomic bool *over) MNE_CHECKED;
MneTx *mne_ns_tx_inside(const MneNsTx *tx);
void mne_ns_tx_print(MneNsTx *tx, GString *to);
int mne_ns_tx_print_changes(MneNsTx *tx, GString *to) MNE_CHECKED;

/* Abort those that nobody used for too long; now and then. */
void mne_ns_tx_tick(struct MneNs *ns);

/* What the kernel must forget: an inode, or with a name the entry of that name in it. */
typedef struct {
	uint64_t number; /* of the kernel's */
	GBytes *name;
} MneStale;
/* All there is, handed out once: an array of MneStale. */
GArray *mne_ns_take_stale(struct MneNs *ns);
