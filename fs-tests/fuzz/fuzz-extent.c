/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-extent.c - a stored extent, and a list that is fed any extents
 *
 * The input is decoded as one value; then it is a program of puts and truncates.
 * Properties: what decodes lies inside its frame and encodes to itself; a list stays
 * sorted, without overlaps, and loses no byte but those that were replaced or cut.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "record/extent.h"
#include "util/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(MneSlice value, uint64_t offset)
{
	g_autoptr(GByteArray) again = g_byte_array_new();
	MneExtent extent;
	int err = mne_extent_decode(value, offset, &extent);

	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		return;
	}

	g_assert_false(mne_extent_is_hole(&extent));
	g_assert_cmpuint(extent.len, >, 0);
	g_assert_cmpuint(extent.from + extent.len, <=, extent.ref.len);
	g_assert_cmpuint(extent.ref.len, <=, MNE_BLOB_FRAME_MAX);
	g_assert_cmpuint(mne_extent_end(&extent), >, extent.offset);
	mne_extent_encode(&extent, again);
	g_assert_cmpuint(again->len, <=, MNE_EXTENT_VALUE_MAX);
	g_assert_cmpmem(again->data, again->len, value.data, value.len);
}

static uint64_t stored_bytes(const MneExtentList *list)
{
	uint64_t sum = 0;
	uint64_t end = 0;

	for (size_t i = 0; i < mne_extents_count(list); i++) {
		const MneExtent *extent = mne_extents_get(list, i);

		g_assert_cmpuint(extent->offset, >=, end);
		end = mne_extent_end(extent);
		g_assert_cmpuint(end, >, extent->offset);
		if (!mne_extent_is_hole(extent))
			sum += extent->len;
	}
	return sum;
}

static uint64_t step(MneExtentList *list, MneReader *reader, GArray *dropped)
{
	unsigned kind = mne_read_u8(reader) % 4;
	uint64_t offset = mne_read_varint(reader);
	uint64_t len = mne_read_varint(reader);
	MneExtent extent = mne_extent_hole(offset, len);

	if (kind == 0) {
		mne_extents_truncate(list, offset, dropped);
		return 0;
	}
	if (kind > 1) {
		extent.len = len % MNE_BLOB_FRAME_MAX + 1;
		extent.ref = (MneBlobRef){ kind, 0, (uint32_t)extent.len, 0 };
	}
	if (extent.len == 0 || extent.len > UINT64_MAX - offset)
		return 0;

	mne_extents_put(list, &extent, dropped);
	return kind > 1 ? extent.len : 0;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(MneExtentList) list = mne_extents_new();
	g_autoptr(GArray) dropped = g_array_new(FALSE, FALSE, sizeof(MneExtent));
	MneReader reader = mne_reader(mne_slice(data, size));
	uint64_t put = 0;

	decode(mne_slice(data, size), 0);
	decode(mne_slice(data, size), UINT64_MAX - 1000);
	while (!reader.failed && !mne_reader_done(&reader)) {
		put += step(list, &reader, dropped);
		for (unsigned i = 0; i < dropped->len; i++)
			put -= g_array_index(dropped, MneExtent, i).len;
		g_array_set_size(dropped, 0);
		g_assert_cmpuint(stored_bytes(list), ==, put);
	}
	return 0;
}
