/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/tx.c - transactions in the mount: which there are, how they end
 *
 * After a commit the kernel is told, before the commit is answered, which names and
 * inodes of the live tables it must ask for again.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/tx.h"

#include "ns/ns.h"
#include "txn/txlock.h"
#include "util/log.h"

#include <stdlib.h>

struct MneNsTx {
	MneRef ref;
	MneTx *tx; /* reference */
	MneNsTx *outer; /* reference; NULL: at the root */
	char *name;
	uint64_t id;
	uid_t uid;
	_Atomic bool ended;
	_Atomic unsigned owners; /* open `.ctl` files that own it */
};

struct MneNsTxs {
	MneNsTxLimits limits;
	MneLock lock; /* of what follows */
	GQueue open; /* of MneNsTx, references */
	GArray *stale; /* MneStale */
	uint64_t next_id;
};

static void stale_clear(void *data)
{
	g_clear_pointer(&((MneStale *)data)->name, g_bytes_unref);
}

static GArray *stale_array(void)
{
	GArray *stale = g_array_new(FALSE, FALSE, sizeof(MneStale));

	g_array_set_clear_func(stale, stale_clear);
	return stale;
}

MneNsTxs *mne_ns_txs_new(const MneNsTxLimits *limits)
{
	MneNsTxs *txs = g_new0(MneNsTxs, 1);

	txs->limits = *limits;
	mne_lock_init(&txs->lock, MNE_RANK_HANDLE);
	g_queue_init(&txs->open);
	txs->stale = stale_array();
	return txs;
}

void mne_ns_txs_free(MneNsTxs *txs)
{
	g_assert(g_queue_is_empty(&txs->open));
	g_array_unref(txs->stale);
	mne_lock_clear(&txs->lock);
	g_free(txs);
}

MneNsTx *mne_ns_tx_ref(MneNsTx *tx)
{
	mne_ref_get(&tx->ref);
	return tx;
}

void mne_ns_tx_unref(MneNsTx *tx)
{
	if (!tx || !mne_ref_put(&tx->ref))
		return;
	mne_tx_unref(tx->tx);
	mne_ns_tx_unref(tx->outer);
	g_free(tx->name);
	g_free(tx);
}

MneStore *mne_ns_tx_store(const MneNsTx *tx)
{
	return mne_tx_store(tx->tx);
}

int mne_ns_tx_require(const MneNsTx *tx)
{
	if (tx->ended)
		return mne_throw(TX_GONE, "transaction %s has ended", tx->name);
	return 0;
}

uint64_t mne_ns_tx_id(const MneNsTx *tx)
{
	return tx->id;
}

uid_t mne_ns_tx_uid(const MneNsTx *tx)
{
	return tx->uid;
}

const char *mne_ns_tx_name(const MneNsTx *tx)
{
	return tx->name;
}

void mne_ns_tx_own(MneNsTx *tx, int more)
{
	if (more > 0)
		tx->owners++;
	else
		tx->owners--;
}

bool mne_ns_tx_is_owned(const MneNsTx *tx)
{
	return tx->owners > 0;
}

/* ---- the set ---- */

/* Caller holds the lock. */
static MneNsTx *find(MneNsTxs *txs, const MneNsTx *outer, MneSlice name)
{
	for (GList *link = txs->open.head; link; link = link->next) {
		MneNsTx *tx = link->data;

		if (tx->outer == outer &&
		    mne_slice_equal(mne_slice_str(tx->name), name))
			return tx;
	}
	return NULL;
}

int mne_ns_tx_find(MneNs *ns, const MneNsTx *outer, MneSlice name, MneNsTx **out_tx)
{
	MneNsTx *tx;

	MNE_WITH_LOCK(&ns->txs->lock);
	tx = find(ns->txs, outer, name);
	if (!tx)
		return mne_throw(NO_TX, "no transaction %.*s is open", (int)name.len,
				 (const char *)name.data);
	*out_tx = mne_ns_tx_ref(tx);
	return 0;
}

static int enroll(MneNs *ns, MneNsTx *tx)
{
	MneNsTxs *txs = ns->txs;

	MNE_WITH_LOCK(&txs->lock);
	if (find(txs, tx->outer, mne_slice_str(tx->name)))
		return -EEXIST;
	if (g_queue_get_length(&txs->open) >= txs->limits.max)
		return mne_throw(TX_LIMIT,
				 "%u transactions are open, and no more may be: end "
				 "one, or mount with -o tx_max=",
				 txs->limits.max);
	tx->id = ++txs->next_id;
	g_queue_push_tail(&txs->open, mne_ns_tx_ref(tx));
	return 0;
}

static void leave(MneNs *ns, MneNsTx *tx)
{
	bool found;

	mne_lock(&ns->txs->lock);
	found = g_queue_remove(&ns->txs->open, tx);
	mne_unlock(&ns->txs->lock);
	if (found)
		mne_ns_tx_unref(tx);
}

int mne_ns_tx_begin(MneNs *ns, MneNsTx *outer, MneSlice name, uid_t uid,
		    MneNsTx **out_tx)
{
	MneStore *of = outer ? mne_ns_tx_store(outer) : ns->store;
	g_autoptr(MneNsTx) tx = g_new0(MneNsTx, 1);
	int err;

	mne_ref_init(&tx->ref);
	tx->outer = outer ? mne_ns_tx_ref(outer) : NULL;
	tx->name = g_strndup((const char *)name.data, name.len);
	tx->uid = uid;
	MNE_TRY(mne_tx_begin(of, &tx->tx));
	mne_tx_set_label(tx->tx, tx->name);
	err = enroll(ns, tx);
	if (err < 0) {
		mne_tx_abort(tx->tx);
		return err;
	}
	*out_tx = g_steal_pointer(&tx);
	return 0;
}

static int compare_names(const void *first, const void *second)
{
	return strcmp(*(const char *const *)first, *(const char *const *)second);
}

GPtrArray *mne_ns_tx_list(MneNs *ns, const MneNsTx *outer)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);

	mne_lock(&ns->txs->lock);
	for (GList *link = ns->txs->open.head; link; link = link->next) {
		const MneNsTx *tx = link->data;

		if (tx->outer == outer)
			g_ptr_array_add(names, g_strdup(tx->name));
	}
	mne_unlock(&ns->txs->lock);
	if (names->len > 1)
		qsort(names->pdata, names->len, sizeof(gpointer), compare_names);
	return names;
}

unsigned mne_ns_tx_count(MneNs *ns)
{
	MNE_WITH_LOCK(&ns->txs->lock);
	return g_queue_get_length(&ns->txs->open);
}

static GPtrArray *all_of(MneNs *ns)
{
	GPtrArray *all =
		g_ptr_array_new_with_free_func((GDestroyNotify)mne_ns_tx_unref);

	MNE_WITH_LOCK(&ns->txs->lock);
	for (GList *link = ns->txs->open.head; link; link = link->next)
		g_ptr_array_add(all, mne_ns_tx_ref(link->data));
	return all;
}

/* ---- what the kernel must forget ---- */

static void add_stale(MneNs *ns, uint64_t number, GBytes *name)
{
	MneStale stale = { number, name ? g_bytes_ref(name) : NULL };

	MNE_WITH_LOCK(&ns->txs->lock);
	g_array_append_val(ns->txs->stale, stale);
}

GArray *mne_ns_take_stale(MneNs *ns)
{
	GArray *stale;

	MNE_WITH_LOCK(&ns->txs->lock);
	stale = ns->txs->stale;
	ns->txs->stale = stale_array();
	return stale;
}

static void forget_change(MneNs *ns, MneNsTx *in, const MneTxChange *change)
{
	uint64_t recs[] = { change->rec, change->was };
	uint64_t number;

	for (unsigned i = 0; i < G_N_ELEMENTS(recs); i++) {
		number = recs[i] ? mne_inodes_number_of(ns->inodes, in, recs[i]) : 0;
		if (number != 0)
			add_stale(ns, number, NULL);
	}
	if (!change->name)
		return;
	number = mne_inodes_number_of(ns->inodes, in, change->dir);
	if (number != 0 && change->rec != change->was)
		add_stale(ns, number, change->name);
}

static void forget_changes(MneNs *ns, MneNsTx *in, const GArray *changes)
{
	for (guint i = 0; i < changes->len; i++)
		forget_change(ns, in, &g_array_index(changes, MneTxChange, i));
}

/* ---- locks ---- */

MneTx *mne_ns_tx_inside(const MneNsTx *tx)
{
	return tx->tx;
}

int mne_ns_tx_lock(MneNs *ns, MneNsTx *tx, const GArray *wants,
		   const _Atomic bool *over)
{
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));
	int err;

	MNE_TRY(mne_ns_tx_require(tx));
	err = mne_tx_lock(tx->tx, (const MneLockWant *)(const void *)wants->data,
			  wants->len, over, changes);
	while (tx->outer)
		tx = tx->outer;
	forget_changes(ns, tx, changes);
	return err;
}

/* ---- ending ---- */

static void end(MneNs *ns, MneNsTx *tx)
{
	tx->ended = true;
	leave(ns, tx);
}

/* The inodes of what was moved are where the commit put them. */
static void follow(MneNs *ns, MneNsTx *in, const GArray *changes)
{
	for (guint i = 0; i < changes->len; i++) {
		const MneTxChange *change = &g_array_index(changes, MneTxChange, i);

		if (change->name && change->rec != 0 && change->rec != change->was)
			mne_inodes_moved(ns->inodes, in, change->rec, change->dir,
					 mne_slice_of(change->name));
	}
}

int mne_ns_tx_commit(MneNs *ns, MneNsTx *tx, bool durable, GString *answer)
{
	g_autoptr(GArray) changes = NULL;
	MneTxInfo info;
	int err;

	MNE_TRY(mne_ns_tx_require(tx));
	mne_inodes_move_begin(ns->inodes);
	err = mne_tx_commit(tx->tx, durable, &changes);
	if (changes)
		follow(ns, tx->outer, changes);
	mne_inodes_move_end(ns->inodes);
	if (changes) {
		forget_changes(ns, tx->outer, changes);
		end(ns, tx);
	}
	MNE_TRY(err);
	mne_tx_info(tx->tx, &info);
	if (answer)
		g_string_append_printf(
			answer, "committed %u changes at seq %" G_GUINT64_FORMAT "\n",
			changes->len, info.seq);
	return 0;
}

static void end_inner(MneNs *ns, const MneNsTx *outer)
{
	g_autoptr(GPtrArray) all = all_of(ns);

	for (guint i = 0; i < all->len; i++) {
		MneNsTx *tx = all->pdata[i];

		if (tx->outer == outer)
			mne_ns_tx_abort(ns, tx);
	}
}

void mne_ns_tx_abort(MneNs *ns, MneNsTx *tx)
{
	if (tx->ended)
		return;
	end_inner(ns, tx);
	mne_tx_abort(tx->tx);
	end(ns, tx);
}

void mne_ns_txs_end(MneNs *ns)
{
	g_autoptr(GPtrArray) all = all_of(ns);

	for (guint i = 0; i < all->len; i++)
		mne_ns_tx_abort(ns, all->pdata[i]);
}

static bool has_inner(MneNs *ns, const MneNsTx *outer)
{
	MNE_WITH_LOCK(&ns->txs->lock);
	for (GList *link = ns->txs->open.head; link; link = link->next)
		if (((const MneNsTx *)link->data)->outer == outer)
			return true;
	return false;
}

static bool is_idle(MneNs *ns, MneNsTx *tx)
{
	int64_t limit = (int64_t)ns->txs->limits.idle_seconds * G_USEC_PER_SEC;
	MneTxInfo info;

	if (limit == 0 || mne_ns_tx_is_owned(tx) || has_inner(ns, tx) ||
	    mne_tx_waits(tx->tx))
		return false;
	mne_tx_info(tx->tx, &info);
	return g_get_monotonic_time() - info.used > limit;
}

static void abort_idle(MneNs *ns, MneNsTx *tx)
{
	g_autofree char *activity = mne_tx_activity(tx->tx);

	mne_log_say("transaction %s%s%s%s was not used for %u s and is aborted "
		    "(mount with -o tx_idle= to allow more)",
		    tx->name, activity ? " (" : "", activity ? activity : "",
		    activity ? ")" : "", ns->txs->limits.idle_seconds);
	mne_ns_tx_abort(ns, tx);
}

void mne_ns_tx_tick(MneNs *ns)
{
	g_autoptr(GPtrArray) all = all_of(ns);

	for (guint i = 0; i < all->len; i++) {
		MneNsTx *tx = all->pdata[i];

		if (is_idle(ns, tx))
			abort_idle(ns, tx);
	}
}

static const char *state_name(MneTxState state)
{
	switch (state) {
	case MNE_TX_OPEN:
	case MNE_TX_RENEWING: return "open";
	case MNE_TX_COMMITTING: return "committing";
	case MNE_TX_COMMITTED: return "committed";
	case MNE_TX_CONFLICT: return "conflict";
	case MNE_TX_ABORTED: break;
	}
	return "aborted";
}

void mne_ns_tx_print(MneNsTx *tx, GString *to)
{
	g_autoptr(GPtrArray) conflicts = mne_tx_conflicts(tx->tx);
	g_autofree char *lost_to = mne_tx_lost_to(tx->tx);
	g_autofree char *activity = mne_tx_activity(tx->tx);
	int64_t now = g_get_monotonic_time();
	MneTxInfo info;

	mne_tx_info(tx->tx, &info);
	g_string_append_printf(to, "state %s\n", state_name(mne_tx_state(tx->tx)));
	g_string_append_printf(to, "base_seq %" G_GUINT64_FORMAT "\n", info.base_seq);
	if (info.seq != 0)
		g_string_append_printf(to, "seq %" G_GUINT64_FORMAT "\n", info.seq);
	g_string_append_printf(to, "reads %" G_GUINT64_FORMAT "\n", info.reads);
	g_string_append_printf(to, "writes %" G_GUINT64_FORMAT "\n", info.writes);
	g_string_append_printf(to, "bytes %" G_GUINT64_FORMAT "\n", info.bytes);
	g_string_append_printf(to, "age %" G_GINT64_FORMAT "\n",
			       (now - info.began) / G_USEC_PER_SEC);
	g_string_append_printf(to, "idle %" G_GINT64_FORMAT "\n",
			       (now - info.used) / G_USEC_PER_SEC);
	g_string_append_printf(to, "uid %u\n", (unsigned)tx->uid);
	g_string_append_printf(to, "owned %s\n", mne_ns_tx_is_owned(tx) ? "yes" : "no");
	if (activity)
		g_string_append_printf(to, "name %s\n", activity);
	mne_tx_print_locks(tx->tx, to);
	for (guint i = 0; i < conflicts->len; i++)
		g_string_append_printf(to, "conflict %s\n",
				       (const char *)conflicts->pdata[i]);
	if (lost_to)
		g_string_append_printf(to, "behind %s\n", lost_to);
}

int mne_ns_tx_print_changes(MneNsTx *tx, GString *to)
{
	return mne_tx_list(tx->tx, to);
}
