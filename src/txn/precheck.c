/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/precheck.c - what a transaction has read is validated before it takes the gate
 *
 * Against a moment of the live tables that is as late as can be; nobody waits meanwhile.
 * In the gate only what was changed after that moment is looked at again: txn/recent.h
 * knows.  It does not know of keys that are changed in other ways than by
 * mne_commit_put() and mne_commit_del(); who read one of those, and who read little, is
 * validated in the gate, as a whole.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/txstate.h"

#define FEW      64u /* reads: not worth a snapshot */
#define STEM_LEN 13u /* tag, table and directory, or record */

static bool is_known(MneSlice key)
{
	switch (key.data[0]) {
	case MNE_TAG_TABLE:
	case MNE_TAG_NODE:
	case MNE_TAG_INODE:
	case MNE_TAG_XATTR:
	case MNE_TAG_NAME: return true;
	default: return false;
	}
}

static int require_known_key(void *user, MneSlice key)
{
	(void)user;
	return is_known(key) ? 0 : -EOPNOTSUPP;
}

static int require_known_range(void *user, MneSlice prefix, MneSlice from,
			       MneSlice last, bool ended)
{
	(void)from;
	(void)last;
	(void)ended;
	return require_known_key(user, prefix);
}

static bool is_worth_it(const MneReads *reads)
{
	return mne_reads_count(reads) >= FEW &&
	       mne_reads_foreach(reads, require_known_key, require_known_range, NULL) ==
		       0;
}

static int take_present(MneTx *tx, MnePresent *out, uint64_t *out_seq)
{
	MNE_WITH_LOCK(&tx->of->gate);
	*out_seq = tx->of->volume->seq;
	return mne_tx_take_present(tx, out);
}

int mne_tx_prevalidate(MneTx *tx, const MneReads *reads)
{
	g_auto(MnePresent) present = { 0 };
	MneLiveView view = { 0 };
	MneTxCheck check = { tx, &view.base };
	uint64_t seq;

	tx->validated = 0;
	if (tx->outer || !is_worth_it(reads))
		return 0;
	MNE_TRY(take_present(tx, &present, &seq));
	mne_live_view_init(&view, present.moment, present.frags, tx->of->volume->blob);
	MNE_TRY(mne_reads_foreach(reads, mne_tx_check_key, mne_tx_check_range, &check));
	MNE_TRY(mne_tx_require_no_conflict(tx));
	tx->validated = seq;
	return 0;
}

bool mne_tx_is_prevalidated(const MneTx *tx)
{
	return tx->validated != 0 && !tx->outer &&
	       mne_recent_covers(&tx->of->txs->recent, tx->validated);
}

/* ---- in the gate ---- */

typedef struct {
	MneTxCheck *check;
	const MneReads *reads;
	GHashTable *stems; /* of keys that were changed: set of GBytes */
} Recheck;

static GBytes *stem_of(MneSlice key)
{
	return mne_slice_to_bytes(mne_slice(key.data, MIN(key.len, STEM_LEN)));
}

static int recheck_key(void *user, MneSlice key)
{
	const Recheck *recheck = user;

	g_hash_table_add(recheck->stems, stem_of(key));
	return mne_reads_has_key(recheck->reads, key)
		       ? mne_tx_check_key(recheck->check, key)
		       : 0;
}

/* Of a listing of one fragment the prefix says which; a key that was changed does not. */
static int recheck_range(void *user, MneSlice prefix, MneSlice from, MneSlice last,
			 bool ended)
{
	const Recheck *recheck = user;
	g_autoptr(GBytes) stem = stem_of(prefix);

	if (prefix.len >= STEM_LEN && !g_hash_table_contains(recheck->stems, stem))
		return 0;
	return mne_tx_check_range(recheck->check, prefix, from, last, ended);
}

int mne_tx_recheck(MneTxCheck *check, const MneReads *reads)
{
	g_autoptr(GHashTable) stems = g_hash_table_new_full(
		g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
	Recheck recheck = { check, reads, stems };
	const MneTx *tx = check->tx;

	MNE_TRY(mne_recent_foreach(&tx->of->txs->recent, tx->validated, recheck_key,
				   &recheck));
	if (g_hash_table_size(stems) == 0)
		return 0;
	return mne_reads_foreach(reads, NULL, recheck_range, &recheck);
}
