/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/reads.c - what a transaction has read
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/reads.h"

typedef struct {
	size_t len;
	uint8_t bytes[];
} KeyBytes;

typedef struct {
	KeyBytes *prefix; /* the hash table's key, too */
	KeyBytes *from, *last;
	bool ended;
} Range;

struct MneReads {
	GHashTable *keys; /* of KeyBytes */
	GHashTable *ranges; /* KeyBytes -> Range */
	size_t bytes;
};

static KeyBytes *bytes_new(MneSlice key)
{
	KeyBytes *bytes = g_malloc(sizeof(*bytes) + key.len);

	bytes->len = key.len;
	if (key.len > 0)
		memcpy(bytes->bytes, key.data, key.len);
	return bytes;
}

static MneSlice slice_of(const KeyBytes *bytes)
{
	return mne_slice(bytes->bytes, bytes->len);
}

static guint bytes_hash(gconstpointer data)
{
	const KeyBytes *bytes = data;
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < bytes->len; i++)
		hash = (hash ^ bytes->bytes[i]) * 16777619u;
	return hash;
}

static gboolean bytes_equal(gconstpointer a, gconstpointer b)
{
	return mne_slice_equal(slice_of(a), slice_of(b));
}

static void range_free(void *data)
{
	Range *range = data;

	g_free(range->prefix);
	g_free(range->from);
	g_free(range->last);
	g_free(range);
}

MneReads *mne_reads_new(void)
{
	MneReads *reads = g_new0(MneReads, 1);

	reads->keys = g_hash_table_new_full(bytes_hash, bytes_equal, g_free, NULL);
	reads->ranges = g_hash_table_new_full(bytes_hash, bytes_equal, NULL,
					      range_free);
	return reads;
}

void mne_reads_free(MneReads *reads)
{
	if (!reads)
		return;
	g_hash_table_unref(reads->keys);
	g_hash_table_unref(reads->ranges);
	g_free(reads);
}

void mne_reads_add_key(MneReads *reads, MneSlice key)
{
	KeyBytes *bytes;

	if (key.data[0] == MNE_TAG_EXTENT)
		return;
	bytes = bytes_new(key);
	if (g_hash_table_add(reads->keys, bytes))
		reads->bytes += sizeof(*bytes) + key.len + 32;
}

static void widen(Range *range, MneSlice from, MneSlice last, bool ended)
{
	if (mne_slice_compare(from, slice_of(range->from)) < 0) {
		g_free(range->from);
		range->from = bytes_new(from);
	}
	if (mne_slice_compare(last, slice_of(range->last)) > 0) {
		g_free(range->last);
		range->last = bytes_new(last);
	}
	range->ended = range->ended || ended;
}

void mne_reads_add_range(MneReads *reads, MneSlice prefix, MneSlice from, MneSlice last,
			 bool ended)
{
	g_autofree KeyBytes *sought = NULL;
	Range *range;

	if (prefix.data[0] == MNE_TAG_EXTENT)
		return;
	sought = bytes_new(prefix);
	range = g_hash_table_lookup(reads->ranges, sought);
	if (range) {
		widen(range, from, last, ended);
		return;
	}
	range = g_new0(Range, 1);
	range->prefix = g_steal_pointer(&sought);
	range->from = bytes_new(from);
	range->last = bytes_new(last);
	range->ended = ended;
	g_hash_table_insert(reads->ranges, range->prefix, range);
	reads->bytes += sizeof(*range) + prefix.len + from.len + last.len + 96;
}

void mne_reads_add_all(MneReads *reads, const MneReads *from)
{
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, from->keys);
	while (g_hash_table_iter_next(&iter, &each, NULL))
		mne_reads_add_key(reads, slice_of(each));
	g_hash_table_iter_init(&iter, from->ranges);
	while (g_hash_table_iter_next(&iter, NULL, &each)) {
		const Range *range = each;

		mne_reads_add_range(reads, slice_of(range->prefix),
				    slice_of(range->from), slice_of(range->last),
				    range->ended);
	}
}

size_t mne_reads_bytes(const MneReads *reads)
{
	return reads->bytes;
}

size_t mne_reads_count(const MneReads *reads)
{
	return g_hash_table_size(reads->keys) + g_hash_table_size(reads->ranges);
}

bool mne_reads_has_key(const MneReads *reads, MneSlice key)
{
	g_autofree KeyBytes *sought = bytes_new(key);

	return g_hash_table_contains(reads->keys, sought);
}

int mne_reads_foreach(const MneReads *reads, MneReadKeyFunc key_func,
		      MneReadRangeFunc range_func, void *user)
{
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, reads->keys);
	while (key_func && g_hash_table_iter_next(&iter, &each, NULL))
		MNE_TRY(key_func(user, slice_of(each)));
	g_hash_table_iter_init(&iter, reads->ranges);
	while (range_func && g_hash_table_iter_next(&iter, NULL, &each)) {
		const Range *range = each;

		MNE_TRY(range_func(user, slice_of(range->prefix), slice_of(range->from),
				   slice_of(range->last), range->ended));
	}
	return 0;
}
