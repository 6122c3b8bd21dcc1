/* SPDX-License-Identifier: Apache-2.0
 *
 * record/extent.c - which bytes of a file lie where: extents, and lists of them
 *
 * A list is an array of pointers: an extent of writing in order is appended, any other
 * moves eight bytes for each one behind it, and the n-th is at hand.
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/extent.h"

#include "util/coding.h"

struct MneExtentList {
	GPtrArray *extents; /* of MneExtent, owned */
};

/* --- one extent --- */

void mne_extent_encode(const MneExtent *extent, GByteArray *to)
{
	g_assert(!mne_extent_is_hole(extent));
	mne_add_varint(to, extent->ref.segment);
	mne_add_varint(to, extent->ref.at);
	mne_add_varint(to, extent->ref.len);
	mne_add_varint(to, extent->from);
	mne_add_varint(to, extent->len);
	mne_add_be32(to, extent->ref.crc);
}

int mne_extent_decode(MneSlice value, uint64_t offset, MneExtent *out)
{
	MneReader reader = mne_reader(value);
	uint64_t segment = mne_read_varint(&reader);
	uint64_t at = mne_read_varint(&reader);
	uint64_t payload = mne_read_varint(&reader);
	uint64_t from = mne_read_varint(&reader);
	uint64_t len = mne_read_varint(&reader);
	uint32_t crc = mne_read_be32(&reader);

	if (!mne_reader_done(&reader) || segment == 0 || at > MNE_BLOB_SEGMENT_MAX ||
	    payload > MNE_BLOB_FRAME_MAX || len == 0 || len > payload ||
	    from > payload - len || len > UINT64_MAX - offset)
		return mne_throw(VALUE_CORRUPT, "extent at %" G_GUINT64_FORMAT, offset);

	*out = (MneExtent){
		.offset = offset,
		.len = len,
		.from = (uint32_t)from,
		.ref = { segment, at, (uint32_t)payload, crc },
	};
	return 0;
}

static uint64_t range_end(uint64_t offset, uint64_t len)
{
	return len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
}

/* The part from start to end, which lie in extent. */
static MneExtent part(const MneExtent *extent, uint64_t start, uint64_t end)
{
	MneExtent piece = *extent;

	g_assert(extent->offset <= start && start < end &&
		 end <= mne_extent_end(extent));
	piece.offset = start;
	piece.len = end - start;
	if (!mne_extent_is_hole(extent))
		piece.from += (uint32_t)(start - extent->offset);
	return piece;
}

MneExtent mne_extent_clip(const MneExtent *extent, uint64_t offset, uint64_t len)
{
	return part(extent, MAX(offset, extent->offset),
		    MIN(range_end(offset, len), mne_extent_end(extent)));
}

unsigned mne_extent_cut(const MneExtent *old, uint64_t offset, uint64_t len,
			MneExtent out_remains[2])
{
	uint64_t old_end = mne_extent_end(old);
	uint64_t cut_end = range_end(offset, len);
	unsigned n = 0;

	if (len == 0 || cut_end <= old->offset || offset >= old_end) {
		out_remains[0] = *old;
		return 1;
	}

	if (old->offset < offset)
		out_remains[n++] = part(old, old->offset, offset);
	if (cut_end < old_end)
		out_remains[n++] = part(old, cut_end, old_end);
	return n;
}

/* --- lists --- */

MneExtentList *mne_extents_new(void)
{
	MneExtentList *list = g_new(MneExtentList, 1);

	list->extents = g_ptr_array_new_with_free_func(g_free);
	return list;
}

void mne_extents_free(MneExtentList *list)
{
	if (!list)
		return;

	g_ptr_array_unref(list->extents);
	g_free(list);
}

size_t mne_extents_count(const MneExtentList *list)
{
	return list->extents->len;
}

const MneExtent *mne_extents_get(const MneExtentList *list, size_t index)
{
	g_assert(index < list->extents->len);
	return list->extents->pdata[index];
}

size_t mne_extents_find(const MneExtentList *list, uint64_t offset)
{
	size_t count = mne_extents_count(list);
	size_t low = 0;
	size_t high = count;

	/* Writing in order asks for what is behind the last one. */
	if (count > 0 && mne_extent_end(mne_extents_get(list, count - 1)) <= offset)
		return count;

	while (low < high) {
		size_t middle = low + (high - low) / 2;

		if (mne_extent_end(mne_extents_get(list, middle)) > offset)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

const MneExtent *mne_extents_at(const MneExtentList *list, uint64_t offset)
{
	size_t index = mne_extents_find(list, offset);

	return index < mne_extents_count(list) ? mne_extents_get(list, index) : NULL;
}

static void insert(MneExtentList *list, size_t index, const MneExtent *extent)
{
	g_ptr_array_insert(list->extents, (int)index,
			   g_memdup2(extent, sizeof(*extent)));
}

/* Take [offset, offset+len) out of the list; returns the index of what comes there. */
static size_t cut_out(MneExtentList *list, uint64_t offset, uint64_t len,
		      GArray *out_dropped)
{
	size_t first = mne_extents_find(list, offset);
	size_t last = first;
	uint64_t end = range_end(offset, len);
	MneExtent remains[3];
	unsigned n = 0;
	unsigned n_before;

	while (last < mne_extents_count(list) &&
	       mne_extents_get(list, last)->offset < end) {
		const MneExtent *old = mne_extents_get(list, last++);
		MneExtent gone = mne_extent_clip(old, offset, len);

		/* Only the outer two leave something, or a single one two pieces. */
		n += mne_extent_cut(old, offset, len, remains + n);
		if (out_dropped && !mne_extent_is_hole(old))
			g_array_append_val(out_dropped, gone);
	}
	if (last > first)
		g_ptr_array_remove_range(list->extents, (unsigned)first,
					 (unsigned)(last - first));

	n_before = n > 0 && remains[0].offset < offset;
	for (unsigned i = 0; i < n; i++)
		insert(list, first + i, &remains[i]);
	return first + n_before;
}

void mne_extents_put(MneExtentList *list, const MneExtent *extent, GArray *out_dropped)
{
	size_t index;

	g_assert(extent->len > 0 && extent->len <= UINT64_MAX - extent->offset);
	index = cut_out(list, extent->offset, extent->len, out_dropped);
	insert(list, index, extent);
}

void mne_extents_truncate(MneExtentList *list, uint64_t size, GArray *out_dropped)
{
	(void)cut_out(list, size, UINT64_MAX, out_dropped);
}

void mne_extents_clear(MneExtentList *list)
{
	g_ptr_array_set_size(list->extents, 0);
}
