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
#include "txn/overlay.h"
#include "txn/reads.h"
#include "txn/tx.h"

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
	uint64_t first_id; /* ids from here on were born after the beginning */
	uint64_t epoch; /* number of beginnings before */
	int64_t began;

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
	_Atomic int64_t used;
};

/* Of the live store: the transactions that are open in it, nested ones included. */
typedef struct MneTxs {
	MneLock lock;
	GQueue open; /* of MneTx, oldest first: borrowed, they leave before they go */
	uint64_t epochs;
	uint64_t mem;
	GHashTable
		*graves; /* empty segment -> epoch it became so, owned uint64_t both */
} MneTxs;

MneTxs *mne_txs_new(void);
void mne_txs_free(MneTxs *txs);

/* References to all that are open. */
GPtrArray *mne_txs_all(MneStore *live);
/* The live store under a transaction's. */
MneStore *mne_store_root(MneStore *store);

/* TX_GONE unless it is open. */
int mne_tx_require_open(MneTx *tx) MNE_CHECKED;
/* Into the staged map; the batch of the commit that holds the store's gate. */
int mne_tx_stage(MneTx *tx, MneCommit *commit) MNE_CHECKED;

/* txn/conflict.c: TX_CONFLICT when what was read or is written changed in tx->of.  Inside
 * the gate of that one. */
int mne_tx_validate(MneTx *tx, const MneReads *reads) MNE_CHECKED;
/* Of what key is about, by the directories of view: a new string. */
char *mne_tx_path(MneView *view, MneSlice key);
/* Note that key conflicts. */
void mne_tx_add_conflict(MneTx *tx, MneSlice key);
/* TX_CONFLICT when one was noted. */
int mne_tx_require_no_conflict(MneTx *tx) MNE_CHECKED;

/* txn/limit_tx.c: may the history keep what the transaction overwrites?  HISTORY_FULL.
 * Caller holds no lock: a checkpoint may be dropped. */
int mne_tx_admit(MneTx *tx) MNE_CHECKED;

/* txn/fold.c: the staged map becomes one commit of tx->of. */
int mne_tx_fold(MneTx *tx, const MneReads *reads, GArray *changes) MNE_CHECKED;

/* A segment that holds nothing live must stay while a transaction may read it: true when
 * none does any more.  Inside the gate of the live store. */
bool mne_txs_may_remove(MneStore *live, uint64_t segment);
void mne_txs_removed(MneStore *live, uint64_t segment);
/* It waits for that. */
bool mne_txs_is_grave(MneStore *live, uint64_t segment);
/* Ids of the segments that bytes it wrote lie in. */
void mne_tx_add_segments(MneTx *tx, GHashTable *segments);
