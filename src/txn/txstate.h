/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txstate.h - the inside of a transaction, for the files of txn/
 *
 * Locks: `lock` is a leaf, held for moments; the gate of the transaction's store comes
 * before it, and never together with the gate of the store it is folded into, except that
 * a commit holds that one while it reads a transaction that nobody changes any more.
 */
#pragma once

#include "frag/live.h"
#include "txn/commit.h"
#include "txn/locktable.h"
#include "txn/overlay.h"
#include "txn/reads.h"
#include "txn/recent.h"
#include "txn/tx.h"

typedef struct MneTxWaiter MneTxWaiter; /* txn/txlock.c */

struct MneTx {
	MneRef ref;
	MneStore *store; /* owned: the staged one */
	MneStore *of; /* borrowed: the live one, or that of `outer` */
	MneTx *outer; /* reference; NULL: none */

	MneOverlay overlay; /* what store->live.base forwards to */
	MneKv *moment; /* owned: a snapshot of what `of` held; NULL after the end */
	MneFrags *frags; /* owned: how the tables were spread at the moment, or NULL */
	MneLiveView live_base; /* over moment: of the live tables, */
	MneOverlay outer_base; /* or of a transaction */
	MneView *below; /* one of the two */
	uint64_t base_seq;
	uint64_t validated; /* what it read held at this seq; 0: not known */
	uint64_t first_id; /* ids from here on were born after the beginning */
	uint64_t epoch; /* number of beginnings before */
	int64_t began;
	char *label; /* its name, for people; or NULL */

	MneLock lock; /* of what follows */
	MneCond left;
	bool begun;
	MneTxState state;
	unsigned users; /* reads of moment in progress */
	unsigned inner; /* open transactions inside */
	MneReads *reads;
	GHashTable *segments; /* ids: of those its bytes were appended to */
	GPtrArray *conflicts; /* strings */
	uint64_t staged_bytes, writes, seq;
	char *activity; /* what is done in it; or NULL */
	char *lost_to; /* who has the lock that it failed for; or NULL */
	uint64_t born; /* its age among those that lock */
	unsigned lock_timeout; /* milliseconds */
	_Atomic int64_t used;

	/* Of the outermost one, under the lock of the locks. */
	MneLockOwner *locks; /* owned; NULL: it never asked for one */
	MneTxWaiter *waiter; /* borrowed; NULL: none */
};

/* Who holds which, and who waits: txn/txlock.c. */
typedef struct {
	MneLock lock; /* of what follows */
	MneLockTable *table;
	unsigned timeout; /* of those that begin; milliseconds */
	unsigned waiting;
} MneTxLocks;

/* Of the live store: the transactions that are open in it, nested ones included. */
typedef struct MneTxs {
	MneLock lock;
	GQueue open; /* of MneTx, oldest first: borrowed, they leave before they go */
	uint64_t epochs;
	uint64_t mem;
	GHashTable
		*graves; /* empty segment -> epoch it became so, owned uint64_t both */
	MneTxLocks locks;
	_Atomic unsigned n_open;
	MneRecent recent; /* under the gate */
} MneTxs;

MneTxs *mne_txs_new(void);
void mne_txs_free(MneTxs *txs);

/* References to all that are open. */
GPtrArray *mne_txs_all(MneStore *live);
/* The live store under a transaction's. */
MneStore *mne_store_root(MneStore *store);

/* TX_GONE unless it is open; waits while it moves to the present. */
int mne_tx_require_open(MneTx *tx) MNE_CHECKED;
/* Into the staged map; the batch of the commit that holds the store's gate. */
int mne_tx_stage(MneTx *tx, MneCommit *commit) MNE_CHECKED;

/* Every key that is staged, ascending, and its value; one that goes has none.  Stops at the
 * first failure. */
typedef int (*MneTxStagedFunc)(void *user, MneSlice key, MneSlice staged);
int mne_tx_foreach_staged(MneTx *tx, MneTxStagedFunc func, void *user) MNE_CHECKED;

/* txn/conflict.c: TX_CONFLICT when what was read or is written changed in tx->of.  Inside
 * the gate of that one. */
int mne_tx_validate(MneTx *tx, const MneReads *reads) MNE_CHECKED;
/* A key, or a range, that was read against what is there now: notes a conflict.  user: an
 * MneTxCheck. */
typedef struct {
	MneTx *tx;
	MneView *now;
} MneTxCheck;
int mne_tx_check_key(void *user, MneSlice key) MNE_CHECKED;
int mne_tx_check_range(void *user, MneSlice prefix, MneSlice from, MneSlice last,
		       bool ended) MNE_CHECKED;

/* txn/precheck.c: most of that beforehand, outside of the gate, if there is much to do; and
 * then in the gate the rest. */
int mne_tx_prevalidate(MneTx *tx, const MneReads *reads) MNE_CHECKED;
bool mne_tx_is_prevalidated(const MneTx *tx);
int mne_tx_recheck(MneTxCheck *check, const MneReads *reads) MNE_CHECKED;
/* A commit of the live tables changes key: in their gate. */
void mne_txs_note(MneStore *live, uint64_t seq, MneSlice key);
/* Of what key is about, by the directories of view: a new string. */
char *mne_tx_path(MneView *view, MneSlice key);
/* Note that key conflicts. */
void mne_tx_add_conflict(MneTx *tx, MneSlice key);
/* TX_CONFLICT when one was noted. */
int mne_tx_require_no_conflict(MneTx *tx) MNE_CHECKED;

/* txn/limit_tx.c: may the history keep what the transaction overwrites?  HISTORY_FULL.
 * Caller holds no lock: a checkpoint may be dropped. */
int mne_tx_admit(MneTx *tx) MNE_CHECKED;

/* Of events, whose transaction it is: more members of a JSON object, a new string. */
char *mne_tx_members(MneTx *tx);
/* What it has read so far, which it then has not; and back. */
MneReads *mne_tx_take_reads(MneTx *tx);
void mne_tx_add_reads(MneTx *tx, const MneReads *reads);

/* txn/txlock.c */
void mne_tx_locks_init(MneTxLocks *locks);
void mne_tx_locks_clear(MneTxLocks *locks);
unsigned mne_tx_locks_timeout(MneTxLocks *locks);
/* It has ended, or failed; it is the outermost. */
void mne_tx_release_locks(MneTx *tx);
/* An older one has the lock: it can only begin again. */
void mne_tx_fail_for_lock(MneTx *tx, const char *lost, const char *culprit);

/* The live tables as they are: in their gate. */
typedef struct {
	MneKv *moment;
	MneFrags *frags;
} MnePresent;
int mne_tx_take_present(MneTx *tx, MnePresent *out) MNE_CHECKED;
void mne_present_clear(MnePresent *present);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MnePresent, mne_present_clear)

/* txn/renew.c: what it sees is from now on the present of the live tables, if what it has
 * read and writes is the same there; else TX_CONFLICT, and it has failed.  Nothing, when
 * one inside it is open.  changes: as of mne_tx_lock(). */
int mne_tx_renew(MneTx *tx, GArray *changes) MNE_CHECKED;

/* txn/fold.c: the inode of a directory as staged gets the entries that others made since. */
int mne_tx_merge_dir(MneTx *tx, MneSlice key, GBytes *now, MneNode *node) MNE_CHECKED;
/* The staged map becomes one commit of tx->of. */
int mne_tx_fold(MneTx *tx, const MneReads *reads, GArray *changes) MNE_CHECKED;

/* A segment that holds nothing live must stay while a transaction may read it: true when
 * none does any more.  Inside the gate of the live store. */
bool mne_txs_may_remove(MneStore *live, uint64_t segment);
void mne_txs_removed(MneStore *live, uint64_t segment);
/* It waits for that. */
bool mne_txs_is_grave(MneStore *live, uint64_t segment);
/* Ids of the segments that bytes it wrote lie in. */
void mne_tx_add_segments(MneTx *tx, GHashTable *segments);
