/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-extent.c - extents and their lists against a plain array of bytes
 *
 * The model knows for each byte of a small file which byte of which frame it is.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "record/extent.h"
#include "util/coding.h"

#include <string.h>

#include <glib.h>

#define FILE_MAX 512u

/* What a byte is: of the frame with this number, at this place; a hole; or nothing. */
typedef struct {
	uint64_t segment; /* 0: a hole */
	uint64_t at;
	uint64_t from;
	bool known;
} Byte;

static MneExtent random_extent(GRand *rand, uint64_t serial)
{
	uint64_t offset = (uint64_t)g_rand_int_range(rand, 0, FILE_MAX);
	uint64_t len = 1 +
		       (uint64_t)g_rand_int_range(rand, 0, (int)(FILE_MAX - offset));
	uint32_t from = (uint32_t)g_rand_int_range(rand, 0, 50);

	if (g_rand_int_range(rand, 0, 4) > 0)
		len = MIN(len, 20);
	if (g_rand_int_range(rand, 0, 4) == 0)
		return mne_extent_hole(offset, len);

	return (MneExtent){ offset,
			    len,
			    from,
			    { 1 + serial % 3, serial * 8, (uint32_t)len + from, 7 } };
}

static Byte byte_of(const MneExtent *extent, uint64_t offset)
{
	bool hole = mne_extent_is_hole(extent);

	return (Byte){ extent->ref.segment, extent->ref.at,
		       hole ? 0 : extent->from + (offset - extent->offset), true };
}

static void assert_same_byte(Byte a, Byte b)
{
	g_assert_cmpint(a.known, ==, b.known);
	g_assert_cmpuint(a.segment, ==, b.segment);
	g_assert_cmpuint(a.at, ==, b.at);
	g_assert_cmpuint(a.from, ==, b.from);
}

static void assert_list_is_model(const MneExtentList *list, const Byte model[FILE_MAX])
{
	uint64_t end = 0;

	for (size_t i = 0; i < mne_extents_count(list); i++) {
		const MneExtent *extent = mne_extents_get(list, i);

		g_assert_cmpuint(extent->offset, >=, end);
		g_assert_cmpuint(extent->len, >, 0);
		end = mne_extent_end(extent);
	}

	for (uint64_t offset = 0; offset < FILE_MAX; offset++) {
		const MneExtent *extent = mne_extents_at(list, offset);
		Byte found = { 0 };

		if (extent && extent->offset <= offset)
			found = byte_of(extent, offset);
		assert_same_byte(found, model[offset]);
	}
}

/* Every byte that leaves the model must be in exactly one dropped piece. */
static void check_dropped(const GArray *dropped, const Byte model[FILE_MAX],
			  uint64_t offset, uint64_t end)
{
	uint64_t n = 0;

	for (unsigned i = 0; i < dropped->len; i++) {
		const MneExtent *piece = &g_array_index(dropped, MneExtent, i);

		g_assert_false(mne_extent_is_hole(piece));
		for (uint64_t o = piece->offset; o < mne_extent_end(piece); o++, n++)
			assert_same_byte(byte_of(piece, o), model[o]);
	}
	for (uint64_t o = offset; o < end; o++)
		n -= model[o].known && model[o].segment != 0;
	g_assert_cmpuint(n, ==, 0);
}

static void random_step(GRand *rand, MneExtentList *list, Byte model[FILE_MAX],
			uint64_t serial)
{
	g_autoptr(GArray) dropped = g_array_new(FALSE, FALSE, sizeof(MneExtent));
	MneExtent extent = random_extent(rand, serial);
	bool truncate = g_rand_int_range(rand, 0, 16) == 0;
	uint64_t end = truncate ? FILE_MAX : mne_extent_end(&extent);

	if (truncate)
		mne_extents_truncate(list, extent.offset, dropped);
	else
		mne_extents_put(list, &extent, dropped);
	check_dropped(dropped, model, extent.offset, end);
	for (uint64_t o = extent.offset; o < end; o++)
		model[o] = truncate ? (Byte){ 0 } : byte_of(&extent, o);
}

static void test_a_list_maps_every_byte_like_a_plain_array(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int() & 0x7fffffff);

	for (int round = 0; round < 20; round++) {
		g_autoptr(MneExtentList) list = mne_extents_new();
		Byte model[FILE_MAX] = { 0 };

		for (uint64_t step = 0; step < 200; step++) {
			random_step(rand, list, model, step);
			assert_list_is_model(list, model);
		}
		mne_extents_clear(list);
		g_assert_cmpuint(mne_extents_count(list), ==, 0);
		g_assert_null(mne_extents_at(list, 0));
	}
}

static void test_cutting_leaves_exactly_the_bytes_outside_the_cut(void)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int() & 0x7fffffff);

	for (uint64_t step = 0; step < 3000; step++) {
		MneExtent old = random_extent(rand, step);
		MneExtent cut = random_extent(rand, step);
		MneExtent remains[2];
		unsigned n = mne_extent_cut(&old, cut.offset, cut.len, remains);

		for (uint64_t o = old.offset; o < mne_extent_end(&old); o++) {
			bool inside = o >= cut.offset && o < mne_extent_end(&cut);
			unsigned covers = 0;

			for (unsigned i = 0; i < n; i++) {
				if (o < remains[i].offset ||
				    o >= mne_extent_end(&remains[i]))
					continue;
				covers++;
				assert_same_byte(byte_of(&remains[i], o),
						 byte_of(&old, o));
			}
			g_assert_cmpuint(covers, ==, inside ? 0 : 1);
		}
	}
}

static void test_holes_reach_to_the_end_of_all_numbers(void)
{
	g_autoptr(MneExtentList) list = mne_extents_new();
	MneExtent hole = mne_extent_hole(10, UINT64_MAX - 10);
	MneExtent data = { UINT64_C(1) << 61, 4096, 0, { 1, 0, 4096, 0 } };

	mne_extents_put(list, &hole, NULL);
	mne_extents_put(list, &data, NULL);
	g_assert_cmpuint(mne_extents_count(list), ==, 3);
	g_assert_cmpuint(mne_extents_get(list, 0)->len, ==, data.offset - 10);
	g_assert_cmpuint(mne_extents_get(list, 1)->ref.segment, ==, 1);
	g_assert_cmpuint(mne_extent_end(mne_extents_get(list, 2)), ==, UINT64_MAX);

	mne_extents_truncate(list, UINT64_MAX, NULL);
	g_assert_cmpuint(mne_extents_count(list), ==, 3);
	mne_extents_truncate(list, data.offset + 1, NULL);
	g_assert_cmpuint(mne_extents_count(list), ==, 2);
	g_assert_cmpuint(mne_extents_get(list, 1)->len, ==, 1);
}

static void test_a_hundred_thousand_writes_stay_in_order(void)
{
	g_autoptr(MneExtentList) list = mne_extents_new();
	uint64_t n = 100000;

	for (uint64_t i = 0; i < n; i++) {
		MneExtent extent = { i * 4096, 4096, 0, { 1, i * 8, 4096, 0 } };

		mne_extents_put(list, &extent, NULL);
	}
	g_assert_cmpuint(mne_extents_count(list), ==, n);

	/* Again, in an order that jumps about. */
	for (uint64_t i = 0; i < n; i++) {
		MneExtent extent = {
			i * 7919 % n * 4096, 4096, 0, { 2, i * 8, 4096, 0 }
		};

		mne_extents_put(list, &extent, NULL);
	}
	g_assert_cmpuint(mne_extents_count(list), ==, n);
	for (uint64_t i = 0; i < n; i++)
		g_assert_cmpuint(mne_extents_get(list, i)->ref.segment, ==, 2);
}

/* --- the stored form --- */

static MneSlice slice_of(const GByteArray *bytes)
{
	return mne_slice(bytes->data, bytes->len);
}

static void assert_same_extent(const MneExtent *a, const MneExtent *b)
{
	g_assert_cmpuint(a->offset, ==, b->offset);
	g_assert_cmpuint(a->len, ==, b->len);
	g_assert_cmpuint(a->from, ==, b->from);
	g_assert_cmpuint(a->ref.segment, ==, b->ref.segment);
	g_assert_cmpuint(a->ref.at, ==, b->ref.at);
	g_assert_cmpuint(a->ref.len, ==, b->ref.len);
	g_assert_cmpuint(a->ref.crc, ==, b->ref.crc);
}

static void test_what_is_encoded_decodes_to_itself(void)
{
	static const MneExtent samples[] = {
		{ 0, 1, 0, { 1, 0, 1, 0 } },
		{ 4096, 4096, 0, { 300, 48, 4096, 0xdeadbeef } },
		{ UINT64_C(1) << 62, 1, 131071, { 9, 67108000, 131072, 1 } },
		{ UINT64_MAX - 131072,
		  131072,
		  0,
		  { UINT64_MAX, MNE_BLOB_SEGMENT_MAX, 131072, UINT32_MAX } },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(samples); i++) {
		g_autoptr(GByteArray) bytes = g_byte_array_new();
		MneExtent back = { 0 };

		mne_extent_encode(&samples[i], bytes);
		g_assert_cmpuint(bytes->len, <=, MNE_EXTENT_VALUE_MAX);
		g_assert_cmpint(
			mne_extent_decode(slice_of(bytes), samples[i].offset, &back),
			==, 0);
		assert_same_extent(&samples[i], &back);
	}
}

static GByteArray *raw(uint64_t segment, uint64_t at, uint64_t payload, uint64_t from,
		       uint64_t len)
{
	GByteArray *bytes = g_byte_array_new();

	mne_add_varint(bytes, segment);
	mne_add_varint(bytes, at);
	mne_add_varint(bytes, payload);
	mne_add_varint(bytes, from);
	mne_add_varint(bytes, len);
	mne_add_be32(bytes, 0);
	return bytes;
}

static void assert_corrupt(MneSlice value, uint64_t offset)
{
	MneExtent extent;

	g_assert_cmpint(mne_extent_decode(value, offset, &extent), ==,
			-MNE_E_VALUE_CORRUPT);
}

static void test_an_odd_value_is_corrupt(void)
{
	static const uint64_t odd[][5] = {
		{ 0, 0, 10, 0, 10 }, /* no segment */
		{ 1, 0, 10, 0, 0 }, /* nothing */
		{ 1, 0, 10, 0, 11 }, /* more than the frame */
		{ 1, 0, 10, 1, 10 },
		{ 1, 0, 10, 11, 1 },
		{ 1, 0, 10, UINT64_MAX, 2 },
		{ 1, 0, 10, 1, UINT64_MAX },
		{ 1, 0, UINT64_C(1) << 32 | 10, 0, 10 },
		{ 1, 0, MNE_BLOB_FRAME_MAX + 1, 0, 10 },
		{ 1, MNE_BLOB_SEGMENT_MAX + 1, 10, 0, 10 },
		{ 1, UINT64_MAX, 10, 0, 10 },
	};

	for (size_t i = 0; i < G_N_ELEMENTS(odd); i++) {
		g_autoptr(GByteArray) bytes = raw(odd[i][0], odd[i][1], odd[i][2],
						  odd[i][3], odd[i][4]);

		assert_corrupt(slice_of(bytes), 0);
	}
}

static void test_a_cut_or_longer_value_is_corrupt(void)
{
	g_autoptr(GByteArray) bytes = raw(1, 4096, 1000, 10, 90);
	MneExtent extent;

	g_assert_cmpint(mne_extent_decode(slice_of(bytes), 0, &extent), ==, 0);
	assert_corrupt(slice_of(bytes), UINT64_MAX - 89);
	for (size_t len = 0; len < bytes->len; len++)
		assert_corrupt(mne_slice(bytes->data, len), 0);
	mne_add_u8(bytes, 0);
	assert_corrupt(slice_of(bytes), 0);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/extent/a_list_maps_every_byte_like_a_plain_array",
			test_a_list_maps_every_byte_like_a_plain_array);
	g_test_add_func("/extent/cutting_leaves_exactly_the_bytes_outside_the_cut",
			test_cutting_leaves_exactly_the_bytes_outside_the_cut);
	g_test_add_func("/extent/holes_reach_to_the_end_of_all_numbers",
			test_holes_reach_to_the_end_of_all_numbers);
	g_test_add_func("/extent/a_hundred_thousand_writes_stay_in_order",
			test_a_hundred_thousand_writes_stay_in_order);
	g_test_add_func("/extent/what_is_encoded_decodes_to_itself",
			test_what_is_encoded_decodes_to_itself);
	g_test_add_func("/extent/an_odd_value_is_corrupt",
			test_an_odd_value_is_corrupt);
	g_test_add_func("/extent/a_cut_or_longer_value_is_corrupt",
			test_a_cut_or_longer_value_is_corrupt);
	return g_test_run();
}
