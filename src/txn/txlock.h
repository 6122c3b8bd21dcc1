/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txlock.h - locks of transactions: waiting for them, and what one brings
 *
 * Locks are among transactions only: nobody else's reads and writes know of them.  They
 * belong to the outermost transaction, and are released when it ends or has failed.  Who
 * gets which, see txn/locktable.h.
 *
 * Together with a lock the transaction gets the present: its view moves to the last commit
 * (txn/renew.c), so that it sees what who held the lock before has done.  So transactions
 * that lock what they read and write before they do it, never conflict.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "txn/locktable.h"
#include "txn/tx.h"

#define MNE_TX_MAX_WAITING 512u /* each takes a thread */

/* All of the wants at once.  Waits until *over (then -EINTR), or NULL: does not wait
 * (-EAGAIN).  TX_LOCKED: the transaction has failed; TX_LOCK_TIME, TX_LOCK_BUSY: it goes on
 * without the lock; TX_CONFLICT: it has failed, what it read was changed before it had the
 * lock; TX_GONE.  out_changes: directories whose times are not what they were: an array
 * of MneTxChange, to be appended to. */
int mne_tx_lock(MneTx *tx, const MneLockWant *wants, unsigned n,
		const _Atomic bool *over, GArray *out_changes) MNE_CHECKED;
/* Who waits for a lock of it looks at *over. */
void mne_tx_lock_wake(MneTx *tx);

/* How old it is: the smaller, the older. */
uint64_t mne_tx_born(MneTx *tx);
/* It carries on for one that was born then, and failed.  -EINVAL: nobody was born then yet,
 * or it is an inner one, and the outermost was not; -EBUSY: it asked for a lock before. */
int mne_tx_set_born(MneTx *tx, uint64_t born) MNE_CHECKED;

/* How long a lock is waited for: 0: for ever.  Of those that begin from now on, */
void mne_store_set_tx_lock_timeout(MneStore *store, unsigned milliseconds);
/* and of one. */
void mne_tx_set_lock_timeout(MneTx *tx, unsigned milliseconds);

bool mne_tx_waits(MneTx *tx);
/* Lines for people: its age, what it holds, what it waits for, who is in the way. */
void mne_tx_print_locks(MneTx *tx, GString *to);
