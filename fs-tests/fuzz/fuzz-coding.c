/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-coding.c - the reader over any bytes
 *
 * The first byte says which reads to do.  Properties: nothing outside the input is read
 * (for a sanitizer to see), what is handed out lies inside it, a failed reader stays
 * failed and answers zeros, and what was read encodes to the bytes it was read from.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "util/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void read_slice(MneReader *reader, GByteArray *again, bool sized, size_t len)
{
	const uint8_t *from = reader->at;
	MneSlice got = sized ? mne_read_sized(reader) : mne_read_bytes(reader, len);

	if (reader->failed) {
		g_assert_cmpuint(got.len, ==, 0);
		return;
	}
	if (got.len > 0)
		g_assert_true(got.data >= from && got.data + got.len == reader->at);
	if (sized)
		mne_add_sized(again, got);
	else
		mne_add_bytes(again, got);
}

static void read_number(MneReader *reader, GByteArray *again, unsigned kind)
{
	uint64_t number = kind == 0   ? mne_read_u8(reader)
			  : kind == 1 ? mne_read_be32(reader)
			  : kind == 2 ? mne_read_be64(reader)
				      : mne_read_varint(reader);

	if (reader->failed)
		g_assert_cmpuint(number, ==, 0);
	else if (kind == 0)
		mne_add_u8(again, (uint8_t)number);
	else if (kind == 1)
		mne_add_be32(again, (uint32_t)number);
	else if (kind == 2)
		mne_add_be64(again, number);
	else
		mne_add_varint(again, number);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GByteArray) again = g_byte_array_new();
	uint32_t plan = size > 0 ? data[0] * 0x01000193u : 0;
	MneSlice input = size > 0 ? mne_slice(data + 1, size - 1) : MNE_SLICE_EMPTY;
	MneReader reader = mne_reader(input);

	while (!mne_reader_done(&reader) && !reader.failed) {
		unsigned kind = (plan >> 8) % 6;

		plan = plan * 1664525u + 1013904223u;
		if (kind < 4)
			read_number(&reader, again, kind);
		else
			read_slice(&reader, again, kind == 4, 1 + plan % 19);
	}

	g_assert_cmpuint(again->len, <=, input.len);
	if (again->len > 0)
		g_assert_cmpmem(again->data, again->len, input.data, again->len);
	if (reader.failed)
		g_assert_cmpuint(mne_read_varint(&reader), ==, 0);
	return 0;
}
