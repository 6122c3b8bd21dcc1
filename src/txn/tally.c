/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tally.c - counting what a commit retains, frees and moves
 *
 * What changes is gathered by cell while the commit is built, goes into its batch at the
 * end, and into memory when that was applied.  A commit may retain one key twice (a name
 * is removed, and taken by another): the batch then holds one image, and it counts once.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "ckpt/retain.h"
#include "txn/commit.h"

static void add_to(GArray *cells, const MneTallyCell *delta)
{
	for (guint i = 0; i < cells->len; i++) {
		MneTallyCell *cell = &g_array_index(cells, MneTallyCell, i);

		if (cell->table != delta->table || cell->first != delta->first ||
		    cell->last != delta->last)
			continue;
		cell->bytes += delta->bytes;
		cell->images += delta->images;
		return;
	}
	g_array_append_vals(cells, delta, 1);
}

static void count(MneCommit *commit, const MneTallyCell *delta)
{
	if (!commit->cells)
		commit->cells = g_array_new(FALSE, FALSE, sizeof(MneTallyCell));
	add_to(commit->cells, delta);
}

static MneTallyCell cell_of(MneStore *store, MneSlice key, MneSlice image,
			    uint64_t under)
{
	uint32_t table = mne_key_table_of(key);

	return (MneTallyCell){
		.table = table,
		.first = mne_ckpts_first_from(store->ckpts, table,
					      mne_value_seq(image)),
		.last = under,
		.bytes = mne_tally_size(key, image),
		.images = 1,
	};
}

void mne_commit_count(MneCommit *commit, MneSlice key, MneSlice image, uint64_t under,
		      int sign)
{
	MneTallyCell delta = cell_of(commit->store, key, image, under);

	delta.bytes *= sign;
	delta.images *= sign;
	count(commit, &delta);
}

static bool is_first_time(MneCommit *commit, MneSlice key)
{
	if (!commit->kept)
		commit->kept = g_hash_table_new_full(g_bytes_hash, g_bytes_equal,
						     (GDestroyNotify)g_bytes_unref,
						     NULL);
	return g_hash_table_add(commit->kept, mne_slice_to_bytes(key));
}

void mne_commit_retain(MneCommit *commit, uint64_t newest, MneSlice key, MneSlice now)
{
	if (mne_retain(newest, key, now, commit->store->batch) &&
	    is_first_time(commit, key)) {
		mne_commit_count(commit, key, now, newest, 1);
		commit->retained += mne_tally_size(key, now);
	}
}

void mne_commit_forget_ckpt(MneCommit *commit, const MneCkpt *ckpt)
{
	MneCkpts *set = commit->store->ckpts;
	g_autoptr(GArray) cells = mne_tally_cells(mne_ckpts_tally(set));

	for (guint i = 0; i < cells->len; i++) {
		MneTallyCell cell = g_array_index(cells, MneTallyCell, i);
		MneTallyCell gone = cell;

		if (cell.first != ckpt->seq)
			continue;
		gone.bytes = -gone.bytes;
		gone.images = -gone.images;
		count(commit, &gone);
		cell.first = mne_ckpts_first_from(set, cell.table, ckpt->seq + 1);
		count(commit, &cell);
	}
}

void mne_commit_put_tally(MneCommit *commit)
{
	MneTally *tally = mne_ckpts_tally(commit->store->ckpts);

	for (guint i = 0; commit->cells && i < commit->cells->len; i++)
		mne_tally_put(tally, &g_array_index(commit->cells, MneTallyCell, i),
			      commit->seq, commit->store->batch);
}

void mne_commit_tallied(MneCommit *commit)
{
	MneTally *tally = mne_ckpts_tally(commit->store->ckpts);

	for (guint i = 0; commit->cells && i < commit->cells->len; i++)
		mne_tally_add(tally, &g_array_index(commit->cells, MneTallyCell, i));
	mne_limit_add(commit->store, commit->retained);
}

/* --- a count of all ---------------------------------------------------------- */

int mne_store_count_retained(MneStore *store, GArray **out_cells)
{
	const uint8_t tag = MNE_TAG_RETAINED;
	g_autoptr(MneTally) tally = mne_tally_new();
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneTallyCell cell;
		MneKeyParts parts;

		if (mne_kv_iter_key(iter).data[0] != tag)
			break;
		if (mne_key_parse(mne_kv_iter_key(iter), &parts) < 0)
			continue;
		cell = cell_of(store, parts.inner, mne_kv_iter_value(iter), parts.seq);
		mne_tally_add(tally, &cell);
	}
	MNE_TRY(mne_kv_iter_status(iter));
	*out_cells = mne_tally_cells(tally);
	return 0;
}

/* Delete what is said now. */
static int forget_all(MneStore *store, MneKvBatch *batch)
{
	const uint8_t tag = MNE_TAG_TALLY;
	g_autoptr(MneKvIter) iter = NULL;

	mne_tally_clear(mne_ckpts_tally(store->ckpts));
	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == tag;
	     mne_kv_iter_next(iter))
		mne_kv_batch_del(batch, mne_kv_iter_key(iter));
	return mne_kv_iter_status(iter);
}

int mne_store_tally_anew(MneStore *store)
{
	MneTally *tally = mne_ckpts_tally(store->ckpts);
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(GArray) cells = NULL;
	uint64_t seq = store->volume->seq;

	MNE_TRY(forget_all(store, batch));
	MNE_TRY(mne_store_count_retained(store, &cells));
	for (guint i = 0; i < cells->len; i++)
		mne_tally_put(tally, &g_array_index(cells, MneTallyCell, i), seq,
			      batch);
	mne_tally_put_mark(seq, batch);
	if (!store->options.read_only)
		MNE_TRY(mne_volume_apply(store->volume, batch));
	for (guint i = 0; i < cells->len; i++)
		mne_tally_add(tally, &g_array_index(cells, MneTallyCell, i));
	return 0;
}

int mne_store_load_tally(MneStore *store)
{
	bool counted;

	MNE_TRY(mne_tally_load(mne_ckpts_tally(store->ckpts), store->volume->kv,
			       &counted));
	return counted ? 0 : mne_store_tally_anew(store);
}
