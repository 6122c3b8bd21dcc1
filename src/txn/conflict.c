/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/conflict.c - did somebody else change what a transaction has read, or writes?
 *
 * A value carries the seq of the commit that wrote it; what is there now with a seq not
 * above that of the transaction's moment is what the transaction saw.  So it takes one get
 * for each key, and writers keep no list.
 *
 * Weaker: of a directory's inode only what is its own counts (mode, owner, attributes,
 * where it stands), unless the transaction removes it; its times, size and link count
 * follow from its entries.  A range is compared by names and by what stands there, and
 * only if its directory changed at all.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "table/schema.h"
#include "txn/txstate.h"
#include "view/iter.h"

#define MAX_CONFLICTS 100

/* ---- saying so ---- */

static void prepend(GString *path, MneSlice name)
{
	if (path->len > 0)
		g_string_prepend_c(path, '/');
	g_string_prepend_len(path, (const char *)name.data, (gssize)name.len);
}

static int dir_at(MneView *view, uint32_t table, uint64_t dir, MneNode *out)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	mne_key_node(&key, table, dir, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_get(view, mne_key_slice(&key), &value));
	return mne_node_decode(value, out);
}

/* The path of a directory, before what path says already. */
static void prepend_dirs(MneView *view, uint32_t table, uint64_t dir, GString *path)
{
	for (unsigned depth = 0; depth < 4096 && dir != MNE_ROOT_DIR; depth++) {
		g_auto(MneNode) node = { 0 };

		if (dir_at(view, table, dir, &node) < 0) {
			prepend(path, mne_slice_str("?"));
			return;
		}
		prepend(path, node.name);
		dir = node.parent;
	}
}

char *mne_tx_path(MneView *view, MneSlice key)
{
	GString *path = g_string_new(NULL);
	MneKeyParts parts;

	if (mne_key_parse(key, &parts) < 0)
		return g_string_free(path, FALSE);
	if (parts.name.len > 0 && parts.tag != MNE_TAG_XATTR)
		prepend(path, parts.name);
	if (parts.tag == MNE_TAG_NODE)
		prepend_dirs(view, parts.table, parts.id, path);
	else if (parts.tag != MNE_TAG_TABLE)
		g_string_append_printf(path, "(record %" G_GUINT64_FORMAT ")",
				       parts.id);
	if (path->len == 0)
		g_string_append_c(path, '.');
	return g_string_free(path, FALSE);
}

static bool is_noted(const GPtrArray *conflicts, const char *path)
{
	for (guint i = 0; i < conflicts->len; i++)
		if (strcmp(conflicts->pdata[i], path) == 0)
			return true;
	return false;
}

void mne_tx_add_conflict(MneTx *tx, MneSlice key)
{
	g_autofree char *path = mne_tx_path(tx->below, key);

	MNE_WITH_LOCK(&tx->lock);
	if (tx->conflicts->len < MAX_CONFLICTS && !is_noted(tx->conflicts, path))
		g_ptr_array_add(tx->conflicts, g_steal_pointer(&path));
}

static char *first_conflict(MneTx *tx, unsigned *out_count)
{
	MNE_WITH_LOCK(&tx->lock);
	*out_count = tx->conflicts->len;
	return *out_count > 0 ? g_strdup(tx->conflicts->pdata[0]) : NULL;
}

int mne_tx_require_no_conflict(MneTx *tx)
{
	unsigned count;
	g_autofree char *first = first_conflict(tx, &count);

	if (count == 0)
		return 0;
	if (count == 1)
		return mne_throw(TX_CONFLICT,
				 "conflict on %s; nothing was changed: run it again",
				 first);
	return mne_throw(
		TX_CONFLICT,
		"conflict on %s and %u more; nothing was changed: run it again", first,
		count - 1);
}

/* ---- looking ---- */

/* NULL when there is none. */
static int value_at(MneView *view, MneSlice key, GBytes **out_value)
{
	int err = mne_view_get(view, key, out_value);

	return err == -ENOENT ? 0 : err;
}

static bool is_dir_inode(MneSlice key)
{
	MneKeyParts parts;

	return key.data[0] == MNE_TAG_NODE && mne_key_parse(key, &parts) == 0 &&
	       parts.name.len == 0;
}

static bool same_dir(const MneNode *a, const MneNode *b)
{
	return a->mode == b->mode && a->uid == b->uid && a->gid == b->gid &&
	       a->parent == b->parent && mne_slice_equal(a->name, b->name) &&
	       mne_slice_equal(a->xattrs, b->xattrs);
}

static bool is_staged_removal(MneTx *tx, MneSlice key)
{
	g_autoptr(GBytes) staged = NULL;

	return mne_kv_get(tx->store->volume->kv, key, &staged) == 0 &&
	       g_bytes_get_size(staged) == 0;
}

/* A directory that changed, but does what changed count?  1: no. */
static int is_same_dir(MneTx *tx, MneSlice key, GBytes *now)
{
	g_autoptr(GBytes) was = NULL;
	g_auto(MneNode) before = { 0 };
	g_auto(MneNode) after = { 0 };

	if (is_staged_removal(tx, key))
		return 0;
	MNE_TRY(value_at(tx->below, key, &was));
	if (!was)
		return 0;
	MNE_TRY(mne_node_decode(was, &before));
	MNE_TRY(mne_node_decode(now, &after));
	return same_dir(&before, &after);
}

int mne_tx_check_key(void *user, MneSlice key)
{
	const MneTxCheck *check = user;
	MneTx *tx = check->tx;
	g_autoptr(GBytes) now = NULL;
	g_autoptr(GBytes) was = NULL;
	int same;

	MNE_TRY(value_at(check->now, key, &now));
	if (now && mne_value_seq(mne_slice_of(now)) <= tx->base_seq)
		return 0;
	if (!now) {
		MNE_TRY(value_at(tx->below, key, &was));
		same = !was;
	} else {
		same = is_dir_inode(key) ? is_same_dir(tx, key, now) : 0;
		MNE_TRY(same);
	}
	if (!same)
		mne_tx_add_conflict(tx, key);
	return 0;
}

/* What stands at a name: 0 for what has no record id. */
static uint64_t record_in(MneSlice value)
{
	g_autoptr(GBytes) bytes = NULL;
	g_auto(MneNode) node = { 0 };
	MneTable table;
	uint64_t rec = 0;
	uint32_t mode;
	MneKind kind;

	switch (value.len > 0 ? value.data[0] : 0) {
	case MNE_KIND_INODE:
		bytes = mne_slice_to_bytes(value);
		return mne_node_decode(bytes, &node) < 0 ? 0 : node.rec;
	case MNE_KIND_TABLE: return mne_table_decode(value, &table) < 0 ? 0 : table.dir;
	case MNE_KIND_DIRREF:
	case MNE_KIND_LINK:
		return mne_ref_decode(value, &kind, &rec, &mode) < 0 ? 0 : rec;
	default: return 0;
	}
}

static bool same_entry(const MneTx *tx, MneSlice was, MneSlice now)
{
	uint64_t rec;

	if (mne_value_seq(now) <= tx->base_seq)
		return true;
	rec = record_in(now);
	return rec != 0 && rec == record_in(was);
}

typedef struct {
	MneSlice prefix, from, last;
	bool ended;
} Range;

static int next_in(const Range *range, MneIter *iter, MneSlice *out_key,
		   MneSlice *out_value)
{
	int got = mne_iter_next(iter, out_key, out_value);

	if (got > 0 && !range->ended && mne_slice_compare(*out_key, range->last) > 0)
		return 0;
	return got;
}

/* Step both through the range as long as they say the same. */
static int compare_range(const MneTxCheck *check, const Range *range)
{
	MneTx *tx = check->tx;
	g_autoptr(MneIter) before = NULL;
	g_autoptr(MneIter) after = NULL;
	MneSlice key, value, old_key, old_value;
	int got, had;

	MNE_TRY(mne_view_iter(tx->below, range->prefix, range->from, &before));
	MNE_TRY(mne_view_iter(check->now, range->prefix, range->from, &after));
	do {
		had = next_in(range, before, &old_key, &old_value);
		MNE_TRY(had);
		got = next_in(range, after, &key, &value);
		MNE_TRY(got);
	} while (had && got && mne_slice_equal(key, old_key) &&
		 same_entry(tx, old_value, value));
	if (!had && !got)
		return 0;
	if (!got || (had && mne_slice_compare(old_key, key) < 0))
		key = old_key;
	mne_tx_add_conflict(tx, key);
	return 0;
}

/* The inode that changes with every name of the range; false: there is none. */
static bool dir_of_range(MneSlice prefix, MneKey *out)
{
	MneKeyParts parts;

	if (prefix.data[0] == MNE_TAG_TABLE) {
		mne_key_node(out, MNE_ROOT_TABLE, MNE_ROOT_DIR, MNE_SLICE_EMPTY);
		return true;
	}
	if (prefix.data[0] != MNE_TAG_NODE || mne_key_parse(prefix, &parts) < 0)
		return false;
	mne_key_node(out, parts.table, parts.id, MNE_SLICE_EMPTY);
	return true;
}

int mne_tx_check_range(void *user, MneSlice prefix, MneSlice from, MneSlice last,
		       bool ended)
{
	const Range range = { prefix, from, last, ended };
	g_autoptr(GBytes) now = NULL;
	const MneTxCheck *check = user;
	MneKey dir;

	if (dir_of_range(prefix, &dir)) {
		MNE_TRY(value_at(check->now, mne_key_slice(&dir), &now));
		if (now && mne_value_seq(mne_slice_of(now)) <= check->tx->base_seq)
			return 0;
	}
	return compare_range(check, &range);
}

static bool is_versioned(MneSlice key)
{
	switch (key.data[0]) {
	case MNE_TAG_TABLE:
	case MNE_TAG_NODE:
	case MNE_TAG_INODE:
	case MNE_TAG_XATTR: return true;
	default: return false;
	}
}

static int check_written(void *user, MneSlice key, MneSlice staged G_GNUC_UNUSED)
{
	return is_versioned(key) ? mne_tx_check_key(user, key) : 0;
}

int mne_tx_validate(MneTx *tx, const MneReads *reads)
{
	MneTxCheck check = { tx, &tx->of->live.base };

	if (mne_tx_is_prevalidated(tx))
		MNE_TRY(mne_tx_recheck(&check, reads));
	else
		MNE_TRY(mne_reads_foreach(reads, mne_tx_check_key, mne_tx_check_range,
					  &check));
	MNE_TRY(mne_tx_foreach_staged(tx, check_written, &check));
	return mne_tx_require_no_conflict(tx);
}
