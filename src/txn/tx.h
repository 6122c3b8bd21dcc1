/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tx.h - a transaction: many changes that become one commit, or none
 *
 * A transaction is a store of its own, as far as those who read and change it see: all
 * functions of txn/ take mne_tx_store() and work as on the live tables.  It shows the
 * state of the moment it began and its own changes, which stay in memory (the bytes of big
 * files go to segments, where nothing names them yet).
 *
 *	OPEN ---commit---> COMMITTING ---> COMMITTED      OPEN <---lock---> RENEWING
 *	 |                      |---conflict---> CONFLICT ---abort---> ABORTED
 *	 |                      `---other failure---> OPEN
 *	 `----abort----> ABORTED
 *
 * Commit holds what was read and what is written against the live tables: where somebody
 * else changed it since the beginning, nothing is applied (TX_CONFLICT).  A name that was
 * looked for and was absent, and a listing, are reads, too; so transactions are
 * serializable.  Of a directory not its times, its size and its link count: those follow
 * from its entries, and two transactions that add different ones do not conflict.
 * One that changed nothing never conflicts: it has its place where it began.
 *
 * A transaction begun in another one (of is that one's store) folds into it.
 *
 * Threads: all functions, any thread.  The view is valid as long as a reference is held;
 * after the end it answers TX_GONE.
 */
#pragma once

#include "txn/store.h"

typedef struct MneTx MneTx;

typedef enum {
	MNE_TX_OPEN,
	MNE_TX_RENEWING, /* open; see txn/renew.c */
	MNE_TX_COMMITTING,
	MNE_TX_COMMITTED,
	MNE_TX_CONFLICT,
	MNE_TX_ABORTED,
} MneTxState;

/* of: the live tables, or the store of an open transaction.  -EROFS, STORE_FAILED,
 * TX_GONE. */
int mne_tx_begin(MneStore *of, MneTx **out_tx) MNE_CHECKED;

/* Its name, for people: before anybody else uses it. */
void mne_tx_set_label(MneTx *tx, const char *label);
/* What is done in it; another name, if any, each time. */
void mne_tx_set_activity(MneTx *tx, const char *name);
/* NULL: it has none.  A new string. */
char *mne_tx_activity(MneTx *tx);

MneTx *mne_tx_ref(MneTx *tx);
void mne_tx_unref(MneTx *tx);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneTx, mne_tx_unref)

/* What to read and to change.  Borrowed. */
MneStore *mne_tx_store(MneTx *tx);
/* The transaction whose store it is; NULL: the live tables.  Borrowed. */
MneTx *mne_store_tx(MneStore *store);

/* A directory entry, or a record, that a commit changed. */
typedef struct {
	uint64_t rec; /* that stands there now, or whose inode changed; 0: none */
	uint64_t was; /* record that stood there before; 0: none */
	uint32_t table;
	uint64_t dir; /* of the entry; 0: only the inode changed */
	GBytes *name; /* NULL: only the inode changed */
} MneTxChange;

/* TX_CONFLICT, TX_BUSY (one inside is open), TX_GONE, or what writing fails with: then it is
 * still open.  out_changes, unless NULL: an array of MneTxChange. */
int mne_tx_commit(MneTx *tx, bool durable, GArray **out_changes) MNE_CHECKED;
/* With all that are open inside.  Nothing when it has ended. */
void mne_tx_abort(MneTx *tx);

MneTxState mne_tx_state(MneTx *tx);
/* What conflicted, for people: strings such as "users/alice", owned. */
GPtrArray *mne_tx_conflicts(MneTx *tx);
/* It failed for a lock ("lock write users/alice" among the conflicts) that this one has:
 * its name, a new string, or NULL. */
char *mne_tx_lost_to(MneTx *tx);

/* What it would change: a line for each path, sorted: "+ ", "~ " or "- " before it. */
int mne_tx_list(MneTx *tx, GString *to) MNE_CHECKED;

typedef struct {
	uint64_t base_seq; /* the commit it sees last */
	uint64_t seq; /* of its commit; 0: none yet */
	uint64_t reads, writes; /* keys */
	uint64_t bytes; /* of memory */
	int64_t began, used; /* monotonic, µs */
} MneTxInfo;
void mne_tx_info(MneTx *tx, MneTxInfo *out);

/* The most bytes of memory one transaction takes (TX_FULL beyond). */
void mne_store_set_tx_mem(MneStore *store, uint64_t bytes);
/* How many are open, and the oldest moment one of them looks at (0: none is). */
unsigned mne_store_open_txs(MneStore *store);
