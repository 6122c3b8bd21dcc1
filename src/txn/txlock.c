/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txlock.c - locks of transactions: waiting for them, and what one brings
 *
 * The lock of the table is a leaf.  Who waits sleeps on a condition of his own, in a thread
 * that is there for what may wait.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/txlock.h"

#include "txn/txstate.h"

#define DEFAULT_TIMEOUT 60000u

/* Who waits, on his stack. */
struct MneTxWaiter {
	MneCond granted;
	bool ended; /* the transaction has */
};

/* ---- the set ---- */

void mne_tx_locks_init(MneTxLocks *locks)
{
	mne_lock_init(&locks->lock, MNE_RANK_LOCKS);
	locks->table = mne_lock_table_new();
	locks->timeout = DEFAULT_TIMEOUT;
}

void mne_tx_locks_clear(MneTxLocks *locks)
{
	g_clear_pointer(&locks->table, mne_lock_table_free);
	mne_lock_clear(&locks->lock);
}

static MneTxLocks *locks_of(const MneTx *tx)
{
	return &mne_store_root(tx->of)->txs->locks;
}

static MneTx *outermost(MneTx *tx)
{
	while (tx->outer)
		tx = tx->outer;
	return tx;
}

void mne_store_set_tx_lock_timeout(MneStore *store, unsigned milliseconds)
{
	MneTxLocks *locks = &store->txs->locks;

	MNE_WITH_LOCK(&locks->lock);
	locks->timeout = milliseconds;
}

unsigned mne_tx_locks_timeout(MneTxLocks *locks)
{
	MNE_WITH_LOCK(&locks->lock);
	return locks->timeout;
}

void mne_tx_set_lock_timeout(MneTx *tx, unsigned milliseconds)
{
	tx = outermost(tx);
	MNE_WITH_LOCK(&tx->lock);
	tx->lock_timeout = milliseconds;
}

/* Caller holds the lock: those whose request was granted go on. */
static void wake_granted(MneTxLocks *locks)
{
	MneTxWaiter *waiter;

	mne_lock_assert_held(&locks->lock);
	while ((waiter = mne_lock_table_take_granted(locks->table)))
		mne_cond_signal(&waiter->granted);
}

void mne_tx_release_locks(MneTx *tx)
{
	MneTxLocks *locks = locks_of(tx);

	MNE_WITH_LOCK(&locks->lock);
	if (!tx->locks)
		return;
	g_clear_pointer(&tx->locks, mne_lock_owner_free);
	if (tx->waiter) {
		tx->waiter->ended = true;
		mne_cond_signal(&tx->waiter->granted);
	}
	wake_granted(locks);
}

void mne_tx_lock_wake(MneTx *tx)
{
	MneTxLocks *locks = locks_of(tx);

	tx = outermost(tx);
	MNE_WITH_LOCK(&locks->lock);
	if (tx->waiter)
		mne_cond_signal(&tx->waiter->granted);
}

/* ---- age ---- */

uint64_t mne_tx_born(MneTx *tx)
{
	tx = outermost(tx);
	MNE_WITH_LOCK(&tx->lock);
	return tx->born;
}

static bool has_asked(MneTx *tx)
{
	MneTxLocks *locks = locks_of(tx);

	MNE_WITH_LOCK(&locks->lock);
	return tx->locks != NULL;
}

int mne_tx_set_born(MneTx *tx, uint64_t born)
{
	if (tx->outer && born == mne_tx_born(tx))
		return 0;
	if (tx->outer)
		return mne_throw(BAD_CTL,
				 "an inner transaction is as old as the outer");
	MNE_WITH_LOCK(&tx->lock);
	if (born == 0 || born > tx->epoch + 1)
		return mne_throw(BAD_CTL,
				 "no transaction was born %" G_GUINT64_FORMAT " yet",
				 born);
	if (has_asked(tx))
		return mne_throw(TX_LOCK_BUSY,
				 "the age is set before the first lock is asked for");
	tx->born = born;
	return 0;
}

/* ---- asking ---- */

typedef struct {
	MneTx *tx;
	MneTxLocks *locks;
	const _Atomic bool *over;
	unsigned timeout;
	MneTxWaiter waiter;
	MneLockAnswer answer;
} Asking;

static int require_may_ask(const Asking *asking)
{
	const MneTx *tx = asking->tx;

	if (tx->waiter)
		return mne_throw(TX_LOCK_BUSY,
				 "the transaction waits for a lock already");
	if (asking->locks->waiting >= MNE_TX_MAX_WAITING)
		return mne_throw(TX_LIMIT, "%u transactions wait for locks already",
				 MNE_TX_MAX_WAITING);
	return 0;
}

/* Caller holds the locks.  A verdict. */
static int ask(Asking *asking, const MneLockWant *wants, unsigned n)
{
	MneTx *tx = asking->tx;

	MNE_TRY(require_may_ask(asking));
	if (!tx->locks)
		tx->locks = mne_lock_owner_new(asking->locks->table, tx->born,
					       tx->label ? tx->label : "?");
	return (int)mne_lock_ask(tx->locks, wants, n, &asking->waiter, &asking->answer);
}

/* While it is open nobody releases what it holds. */
static int ask_open(Asking *asking, const MneLockWant *wants, unsigned n)
{
	MneTx *tx = asking->tx;
	int verdict;

	MNE_TRY(mne_tx_require_open(tx));
	MNE_WITH_LOCK(&tx->lock);
	if (tx->state != MNE_TX_OPEN && tx->state != MNE_TX_RENEWING)
		return mne_throw(TX_GONE, "the transaction has ended");
	asking->timeout = tx->lock_timeout;
	mne_lock(&asking->locks->lock);
	verdict = ask(asking, wants, n);
	if (verdict == MNE_LOCK_WAITS) {
		tx->waiter = &asking->waiter;
		asking->locks->waiting++;
	}
	mne_unlock(&asking->locks->lock);
	return verdict;
}

static int say_late(const Asking *asking)
{
	g_autoptr(GString) what = g_string_new(NULL);
	const char *who = mne_lock_request_print(asking->answer.request, " ", what);

	g_string_truncate(what, strcspn(what->str, "\n"));
	if (!asking->over)
		return -EAGAIN;
	return mne_throw(TX_LOCK_TIME,
			 "the lock%s was not to be had in %u s: %s is in the way",
			 what->str, (asking->timeout + 999) / 1000, who ? who : "?");
}

/* Caller holds the lock. */
static int sleep_until_granted(Asking *asking)
{
	MneTxWaiter *waiter = &asking->waiter;
	MneLock *lock = &asking->locks->lock;
	int64_t deadline = g_get_monotonic_time() + (int64_t)asking->timeout * 1000;

	while (!mne_lock_request_is_granted(asking->answer.request)) {
		int64_t left = deadline - g_get_monotonic_time();

		if (waiter->ended)
			return mne_throw(TX_GONE, "the transaction has ended");
		if (asking->over && atomic_load(asking->over))
			return -EINTR;
		if (!asking->over || (asking->timeout > 0 && left <= 0))
			return say_late(asking);
		if (asking->timeout > 0)
			(void)mne_cond_wait_ms(&waiter->granted, lock,
					       (unsigned)(left / 1000) + 1);
		else
			mne_cond_wait(&waiter->granted, lock);
	}
	return 0;
}

static int wait_for_it(Asking *asking)
{
	int err;

	MNE_WITH_LOCK(&asking->locks->lock);
	err = sleep_until_granted(asking);
	asking->locks->waiting--;
	asking->tx->used = g_get_monotonic_time(); /* who waits is not idle */
	asking->tx->waiter = NULL;
	mne_lock_request_free(asking->answer.request);
	wake_granted(asking->locks);
	return err;
}

/* It must begin again; nobody is to wait for it any more. */
static int die(Asking *asking)
{
	MneLockAnswer *answer = &asking->answer;
	g_autofree char *lost = answer->lost, *culprit = answer->culprit;

	mne_tx_fail_for_lock(asking->tx, lost, culprit);
	return mne_throw(TX_LOCKED,
			 "the lock %s is in the hands of %s, which is older: run it "
			 "again",
			 lost, culprit);
}

static int acquire(Asking *asking, const MneLockWant *wants, unsigned n)
{
	int verdict = ask_open(asking, wants, n);

	MNE_TRY(verdict);
	switch ((MneLockVerdict)verdict) {
	case MNE_LOCK_GRANTED: break;
	case MNE_LOCK_WAITS: return wait_for_it(asking);
	case MNE_LOCK_DIES: return die(asking);
	}
	return 0;
}

int mne_tx_lock(MneTx *tx, const MneLockWant *wants, unsigned n,
		const _Atomic bool *over, GArray *out_changes)
{
	Asking asking = { .tx = outermost(tx), .locks = locks_of(tx), .over = over };
	int err;

	if (tx->outer)
		MNE_TRY(mne_tx_require_open(tx));
	mne_cond_init(&asking.waiter.granted);
	err = acquire(&asking, wants, n);
	mne_cond_clear(&asking.waiter.granted);
	tx->used = g_get_monotonic_time();
	MNE_TRY(err);
	return mne_tx_renew(asking.tx, out_changes);
}

/* ---- for people ---- */

bool mne_tx_waits(MneTx *tx)
{
	MneTxLocks *locks = locks_of(tx);

	tx = outermost(tx);
	MNE_WITH_LOCK(&locks->lock);
	return tx->waiter != NULL;
}

void mne_tx_print_locks(MneTx *tx, GString *to)
{
	MneTxLocks *locks = locks_of(tx);
	const MneLockRequest *request;
	const char *who;

	g_string_append_printf(to, "born %" G_GUINT64_FORMAT "\n", mne_tx_born(tx));
	tx = outermost(tx);
	MNE_WITH_LOCK(&locks->lock);
	if (!tx->locks)
		return;
	mne_lock_owner_print(tx->locks, "lock ", to);
	request = mne_lock_owner_request(tx->locks);
	if (!request)
		return;
	who = mne_lock_request_print(request, "waits ", to);
	if (who)
		g_string_append_printf(to, "behind %s\n", who);
}
