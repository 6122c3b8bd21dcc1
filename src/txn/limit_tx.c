/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/limit_tx.c - what a transaction would have kept for checkpoints
 *
 * As outside of one: overwriting, truncating, replacing and moving what a checkpoint can see
 * is asked for, with the bytes that would be retained; deleting and making something new
 * are not, and neither are inodes of directories.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "ckpt/tally.h"
#include "txn/txstate.h"

typedef struct {
	MneTx *tx;
	GHashTable *stays; /* set of record ids that will stand somewhere */
	GHashTable *given_up; /* set of data ids of staged orphans */
	uint64_t bytes;
} Sum;

static void sum_clear(Sum *sum)
{
	g_hash_table_unref(sum->stays);
	g_hash_table_unref(sum->given_up);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Sum, sum_clear)

static void sum_init(Sum *sum, MneTx *tx)
{
	*sum = (Sum){ .tx = tx };
	sum->stays = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	sum->given_up = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					      NULL);
}

static MneKind kind_of(MneSlice value)
{
	return value.len > 0 ? value.data[0] : 0;
}

static int node_of(MneSlice value, MneNode *out)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);

	return mne_node_decode(bytes, out);
}

static int note(void *user, MneSlice key, MneSlice staged)
{
	Sum *sum = user;
	g_auto(MneNode) node = { 0 };
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(key, &parts));
	if (parts.tag == MNE_TAG_ORPHAN)
		g_hash_table_add(sum->given_up, g_memdup2(&parts.id, sizeof(parts.id)));
	if (kind_of(staged) != MNE_KIND_INODE)
		return 0;
	MNE_TRY(node_of(staged, &node));
	g_hash_table_add(sum->stays, g_memdup2(&node.rec, sizeof(node.rec)));
	return 0;
}

/* An inode that is replaced by another, moved, or changed; not one that is removed. */
static int add_inode(Sum *sum, MneSlice key, MneSlice staged, MneSlice now)
{
	g_auto(MneNode) node = { 0 };

	MNE_TRY(node_of(now, &node));
	if (mne_node_is_dir(&node) ||
	    (staged.len == 0 && !g_hash_table_contains(sum->stays, &node.rec)))
		return 0;
	sum->bytes += (uint64_t)mne_tally_size(key, now);
	if (node.data != 0 && g_hash_table_contains(sum->given_up, &node.data))
		sum->bytes += node.stored;
	return 0;
}

static int add_value(Sum *sum, MneSlice key, MneSlice staged, MneSlice now)
{
	MneKeyParts parts;

	switch (kind_of(now)) {
	case MNE_KIND_INODE: return add_inode(sum, key, staged, now);
	case MNE_KIND_EXTENT:
		MNE_TRY(mne_key_parse(key, &parts));
		if (g_hash_table_contains(sum->given_up, &parts.id))
			return 0; /* counts with its inode */
		break;
	case MNE_KIND_XATTR:
		if (staged.len == 0)
			return 0;
		break;
	default: return 0;
	}
	sum->bytes += (uint64_t)mne_tally_size(key, now);
	return 0;
}

static int add(void *user, MneSlice key, MneSlice staged)
{
	Sum *sum = user;
	MneStore *store = sum->tx->of;
	uint64_t newest = mne_ckpts_newest(store->ckpts, mne_key_table_of(key));
	g_autoptr(GBytes) now = NULL;
	int err;

	if (newest == 0 || key.data[0] == MNE_TAG_ORPHAN)
		return 0;
	err = mne_view_get(&store->live.base, key, &now);
	if (err == -ENOENT)
		return 0;
	MNE_TRY(err);
	if (mne_value_seq(mne_slice_of(now)) > newest)
		return 0;
	return add_value(sum, key, staged, mne_slice_of(now));
}

/* 1 when a checkpoint gave way, and less may be retained now. */
static int ask(MneTx *tx)
{
	g_auto(Sum) sum;

	sum_init(&sum, tx);
	MNE_TRY(mne_tx_foreach_staged(tx, note, &sum));
	MNE_TRY(mne_tx_foreach_staged(tx, add, &sum));
	return mne_limit_make_room(tx->of, sum.bytes);
}

int mne_tx_admit(MneTx *tx)
{
	int more;

	if (mne_store_history_limit(tx->of) == 0)
		return 0;
	do
		more = ask(tx);
	while (more > 0);
	return more;
}
