/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/tally.c - how much is retained, by the checkpoints that can see it
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/tally.h"

#include "record/extent.h"
#include "record/keys.h"
#include "record/node.h"
#include "util/coding.h"

struct MneTally {
	MneLock lock;
	GHashTable *cells; /* set of MneTallyCell *, none of them empty */
};

static guint cell_hash(gconstpointer data)
{
	const MneTallyCell *cell = data;
	uint64_t mixed = (cell->first * UINT64_C(0x9e3779b97f4a7c15)) ^
			 (cell->last * UINT64_C(0xc2b2ae3d27d4eb4f)) ^ cell->table;

	return (guint)(mixed >> 32 ^ mixed);
}

static int cell_compare(const void *a, const void *b)
{
	const MneTallyCell *x = a, *y = b;

	if (x->table != y->table)
		return x->table < y->table ? -1 : 1;
	if (x->first != y->first)
		return x->first < y->first ? -1 : 1;
	return (x->last > y->last) - (x->last < y->last);
}

static gboolean cell_equal(gconstpointer a, gconstpointer b)
{
	return cell_compare(a, b) == 0;
}

MneTally *mne_tally_new(void)
{
	MneTally *tally = g_new0(MneTally, 1);

	mne_lock_init(&tally->lock, MNE_RANK_TALLY);
	tally->cells = g_hash_table_new_full(cell_hash, cell_equal, g_free, NULL);
	return tally;
}

void mne_tally_free(MneTally *tally)
{
	g_hash_table_unref(tally->cells);
	mne_lock_clear(&tally->lock);
	g_free(tally);
}

void mne_tally_clear(MneTally *tally)
{
	MNE_WITH_LOCK(&tally->lock);
	g_hash_table_remove_all(tally->cells);
}

void mne_tally_add(MneTally *tally, const MneTallyCell *delta)
{
	MNE_WITH_LOCK(&tally->lock);
	MneTallyCell *cell = g_hash_table_lookup(tally->cells, delta);

	if (!cell) {
		cell = g_memdup2(delta, sizeof(*delta));
		cell->bytes = cell->images = 0;
		g_hash_table_add(tally->cells, cell);
	}
	cell->bytes += delta->bytes;
	cell->images += delta->images;
	if (cell->bytes == 0 && cell->images == 0)
		g_hash_table_remove(tally->cells, cell);
}

static void put_value(const MneKey *key, int64_t bytes, int64_t images, uint64_t seq,
		      MneKvBatch *batch)
{
	g_autoptr(GByteArray) value = g_byte_array_sized_new(32);

	mne_value_begin(value, MNE_KIND_TALLY, seq);
	mne_add_be64(value, (uint64_t)bytes);
	mne_add_be64(value, (uint64_t)images);
	mne_value_end(value);
	mne_kv_batch_put(batch, mne_key_slice(key), mne_slice(value->data, value->len));
}

int mne_tally_decode(MneSlice value, int64_t *out_bytes, int64_t *out_images)
{
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	reader = mne_reader(payload);
	*out_bytes = (int64_t)mne_read_be64(&reader);
	*out_images = (int64_t)mne_read_be64(&reader);
	if (kind != MNE_KIND_TALLY || !mne_reader_done(&reader))
		return mne_throw(VALUE_CORRUPT, "a tally does not decode");
	return 0;
}

static MneTallyCell sum_of(MneTally *tally, const MneTallyCell *delta)
{
	MNE_WITH_LOCK(&tally->lock);
	const MneTallyCell *cell = g_hash_table_lookup(tally->cells, delta);
	MneTallyCell sum = *delta;

	sum.bytes += cell ? cell->bytes : 0;
	sum.images += cell ? cell->images : 0;
	return sum;
}

void mne_tally_put(MneTally *tally, const MneTallyCell *delta, uint64_t seq,
		   MneKvBatch *batch)
{
	MneTallyCell sum = sum_of(tally, delta);
	MneKey key;

	mne_key_tally(&key, sum.table, sum.first, sum.last);
	if (sum.bytes == 0 && sum.images == 0)
		mne_kv_batch_del(batch, mne_key_slice(&key));
	else
		put_value(&key, sum.bytes, sum.images, seq, batch);
}

void mne_tally_put_mark(uint64_t seq, MneKvBatch *batch)
{
	MneKey key;

	mne_key_tally(&key, 0, 0, 0);
	put_value(&key, 0, 0, seq, batch);
}

int mne_tally_load(MneTally *tally, MneKv *kv, bool *out_counted)
{
	const uint8_t tag = MNE_TAG_TALLY;
	g_autoptr(MneKvIter) iter = NULL;

	*out_counted = false;
	MNE_TRY(mne_kv_iter(kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		MneTallyCell cell;
		MneKeyParts parts;

		if (key.data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(key, &parts));
		cell = (MneTallyCell){ .table = parts.table,
				       .first = parts.id,
				       .last = parts.seq };
		MNE_TRY(mne_tally_decode(mne_kv_iter_value(iter), &cell.bytes,
					 &cell.images));
		if (cell.last == 0)
			*out_counted = true;
		else
			mne_tally_add(tally, &cell);
	}
	return mne_kv_iter_status(iter);
}

static int compare_cells(gconstpointer a, gconstpointer b)
{
	return cell_compare(a, b);
}

GArray *mne_tally_cells(MneTally *tally)
{
	GArray *cells = g_array_new(FALSE, FALSE, sizeof(MneTallyCell));
	GHashTableIter iter;
	gpointer cell;

	mne_lock(&tally->lock);
	g_hash_table_iter_init(&iter, tally->cells);
	while (g_hash_table_iter_next(&iter, &cell, NULL))
		g_array_append_vals(cells, cell, 1);
	mne_unlock(&tally->lock);
	g_array_sort(cells, compare_cells);
	return cells;
}

int64_t mne_tally_size(MneSlice key, MneSlice value)
{
	int64_t size = 1 + (int64_t)key.len + 8;
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	uint64_t seq;

	if (key.data[0] != MNE_TAG_EXTENT)
		return size + (int64_t)value.len;
	if (mne_value_open(value, &kind, &seq, &payload) == 0 &&
	    mne_extent_decode(payload, 0, &extent) == 0)
		size += (int64_t)extent.len;
	return size + MNE_EXTENT_VALUE_MAX;
}
