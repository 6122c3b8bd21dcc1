/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-kvlog.c - LevelDB's log format, written from the input and then damaged
 *
 * Input: position:32 mask:8, then records, each length:16 and its bytes.  Properties:
 * the undamaged file gives back all records; with the byte at position changed (or the
 * file cut there, when the mask is 0) all records that end before it come back, and
 * nothing that was not written; and any bytes at all can be read as a manifest.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "kv/logfile.h"
#include "util/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BLOCK = 32768, HEAD = 7, MAX_RECORDS = 1000 };

enum { FULL = 1, FIRST, MIDDLE, LAST };

static void add_fragment(GByteArray *file, uint8_t type, MneSlice data)
{
	uint8_t head[HEAD] = { 0 };
	uint32_t crc = mne_crc32c(mne_crc32c(0, &type, 1), data.data, data.len);
	uint32_t masked = GUINT32_TO_LE(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
	uint16_t len = GUINT16_TO_LE((uint16_t)data.len);

	memcpy(head, &masked, sizeof(masked));
	memcpy(head + 4, &len, sizeof(len));
	head[6] = type;
	mne_add_bytes(file, mne_slice(head, HEAD));
	mne_add_bytes(file, data);
}

static void add_record(GByteArray *file, MneSlice record)
{
	static const uint8_t zeros[HEAD];
	bool first = true;
	bool last;

	do {
		size_t left = BLOCK - file->len % BLOCK;
		MneSlice part;

		if (left < HEAD) {
			mne_add_bytes(file, mne_slice(zeros, left));
			left = BLOCK;
		}
		part = mne_slice(record.data, MIN(left - HEAD, record.len));
		last = part.len == record.len;
		add_fragment(file,
			     first && last ? FULL
			     : first       ? FIRST
			     : last        ? LAST
					   : MIDDLE,
			     part);
		record = mne_slice(record.data + part.len, record.len - part.len);
		first = false;
	} while (!last);
}

/* Up to 128 KiB, so that some span blocks. */
static GBytes *read_record(MneReader *input)
{
	size_t len = mne_read_u8(input);
	size_t times = mne_read_u8(input) % 4 == 3 ? 512 : 1;
	MneSlice bytes = mne_read_bytes(input,
					MIN(len, (size_t)(input->end - input->at)));
	g_autoptr(GByteArray) record = g_byte_array_new();

	while (times-- > 0)
		mne_add_bytes(record, bytes);
	return g_byte_array_free_to_bytes(g_steal_pointer(&record));
}

/* The records of input, into file; where each ends, into ends. */
static GPtrArray *write_all(MneReader *input, GByteArray *file, GArray *ends)
{
	GPtrArray *records =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	while (!mne_reader_done(input) && !input->failed &&
	       records->len < MAX_RECORDS) {
		GBytes *record = read_record(input);

		add_record(file, mne_slice_of(record));
		g_ptr_array_add(records, record);
		g_array_append_val(ends, file->len);
	}
	return records;
}

/* How many came back, all of them being what was written. */
static guint read_all(const GByteArray *file, GPtrArray *records)
{
	MneLogReader reader = mne_log_reader(mne_slice(file->data, file->len));
	g_autoptr(GByteArray) record = g_byte_array_new();
	uint64_t first, next;
	guint n = 0;

	for (; mne_log_next(&reader, record); n++) {
		MneSlice want;

		g_assert_cmpuint(n, <, records->len);
		want = mne_slice_of(g_ptr_array_index(records, n));
		g_assert_cmpmem(record->data, record->len, want.data, want.len);
		(void)mne_log_sequences(want, &first, &next);
		g_assert_cmpuint(reader.whole, <=, file->len);
	}
	(void)mne_log_oldest_needed(mne_slice(file->data, file->len), &first);
	return n;
}

static void damage(GByteArray *file, uint32_t at, uint8_t mask)
{
	if (mask == 0)
		g_byte_array_set_size(file, at);
	else
		file->data[at] ^= mask;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MneReader input = mne_reader(mne_slice(data, size));
	uint32_t at = mne_read_be32(&input);
	uint8_t mask = mne_read_u8(&input);
	g_autoptr(GByteArray) file = g_byte_array_new();
	g_autoptr(GArray) ends = g_array_new(false, false, sizeof(guint));
	g_autoptr(GPtrArray) records = write_all(&input, file, ends);
	uint64_t number;
	guint n;

	(void)mne_log_oldest_needed(mne_slice(data, size), &number);
	g_assert_cmpuint(read_all(file, records), ==, records->len);
	if (file->len == 0)
		return 0;
	at %= file->len;
	damage(file, at, mask);
	n = read_all(file, records);
	g_assert_true(n == records->len || g_array_index(ends, guint, n) > at);
	return 0;
}
