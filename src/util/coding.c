/* SPDX-License-Identifier: Apache-2.0
 *
 * util/coding.c - numbers to bytes and back; the only place that shifts bytes
 *
 * CRC-32C: the table does single bytes, and the processor's instruction, where there
 * is one, whole words.  Both are in use on every machine that has the instruction:
 * feeding the same bytes in other portions checks one against the other.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/coding.h"

#include <string.h>

/* --- fixed width -------------------------------------------------------------- */

void mne_put_be16(uint8_t *to, uint16_t value)
{
	value = GUINT16_TO_BE(value);
	memcpy(to, &value, sizeof(value));
}

void mne_put_be32(uint8_t *to, uint32_t value)
{
	value = GUINT32_TO_BE(value);
	memcpy(to, &value, sizeof(value));
}

void mne_put_be64(uint8_t *to, uint64_t value)
{
	value = GUINT64_TO_BE(value);
	memcpy(to, &value, sizeof(value));
}

uint16_t mne_get_be16(const uint8_t *from)
{
	uint16_t value;

	memcpy(&value, from, sizeof(value));
	return GUINT16_FROM_BE(value);
}

uint32_t mne_get_be32(const uint8_t *from)
{
	uint32_t value;

	memcpy(&value, from, sizeof(value));
	return GUINT32_FROM_BE(value);
}

uint64_t mne_get_be64(const uint8_t *from)
{
	uint64_t value;

	memcpy(&value, from, sizeof(value));
	return GUINT64_FROM_BE(value);
}

uint8_t *mne_put_varint(uint8_t *to, uint64_t value)
{
	for (; value >= 0x80; value >>= 7)
		*to++ = (uint8_t)(value | 0x80);
	*to++ = (uint8_t)value;
	return to;
}

/* --- appending ---------------------------------------------------------------- */

void mne_add_u8(GByteArray *to, uint8_t value)
{
	g_byte_array_append(to, &value, 1);
}

void mne_add_be32(GByteArray *to, uint32_t value)
{
	uint8_t bytes[4];

	mne_put_be32(bytes, value);
	g_byte_array_append(to, bytes, sizeof(bytes));
}

void mne_add_be64(GByteArray *to, uint64_t value)
{
	uint8_t bytes[8];

	mne_put_be64(bytes, value);
	g_byte_array_append(to, bytes, sizeof(bytes));
}

void mne_add_varint(GByteArray *to, uint64_t value)
{
	uint8_t bytes[MNE_VARINT_MAX];

	g_byte_array_append(to, bytes, (guint)(mne_put_varint(bytes, value) - bytes));
}

void mne_add_bytes(GByteArray *to, MneSlice bytes)
{
	g_assert(bytes.len <= G_MAXINT32);
	if (bytes.len > 0)
		g_byte_array_append(to, bytes.data, (guint)bytes.len);
}

void mne_add_sized(GByteArray *to, MneSlice bytes)
{
	mne_add_varint(to, bytes.len);
	mne_add_bytes(to, bytes);
}

/* --- reading ------------------------------------------------------------------ */

MneReader mne_reader(MneSlice bytes)
{
	/* Adding 0 to NULL is undefined. */
	return (MneReader){
		.at = bytes.data,
		.end = bytes.len > 0 ? bytes.data + bytes.len : bytes.data,
	};
}

static size_t left(const MneReader *reader)
{
	return reader->at ? (size_t)(reader->end - reader->at) : 0;
}

/* len bytes that may be read, or NULL, and nothing ever again.  len is not 0. */
static const uint8_t *take(MneReader *reader, size_t len)
{
	const uint8_t *taken = reader->at;

	if (reader->failed || left(reader) < len) {
		reader->failed = true;
		return NULL;
	}
	reader->at += len;
	return taken;
}

uint8_t mne_read_u8(MneReader *reader)
{
	const uint8_t *from = take(reader, 1);

	return from ? *from : 0;
}

uint32_t mne_read_be32(MneReader *reader)
{
	const uint8_t *from = take(reader, 4);

	return from ? mne_get_be32(from) : 0;
}

uint64_t mne_read_be64(MneReader *reader)
{
	const uint8_t *from = take(reader, 8);

	return from ? mne_get_be64(from) : 0;
}

/* Each number has one encoding, the shortest: so what decodes, encodes the same. */
uint64_t mne_read_varint(MneReader *reader)
{
	uint64_t value = 0;

	for (unsigned shift = 0; shift < 7 * MNE_VARINT_MAX; shift += 7) {
		const uint8_t *from = take(reader, 1);

		if (!from)
			return 0;
		if ((shift > 0 && *from == 0) || (shift == 63 && *from > 1))
			break;
		value |= (uint64_t)(*from & 0x7f) << shift;
		if (*from < 0x80)
			return value;
	}
	reader->failed = true;
	return 0;
}

MneSlice mne_read_bytes(MneReader *reader, size_t len)
{
	const uint8_t *from;

	if (len == 0)
		return mne_slice(reader->at, 0);
	from = take(reader, len);
	return mne_slice(from, from ? len : 0);
}

MneSlice mne_read_sized(MneReader *reader)
{
	uint64_t len = mne_read_varint(reader);

	if (len > left(reader)) {
		reader->failed = true;
		return MNE_SLICE_EMPTY;
	}
	return mne_read_bytes(reader, (size_t)len);
}

bool mne_reader_done(const MneReader *reader)
{
	return !reader->failed && reader->at == reader->end;
}

/* --- CRC-32C ------------------------------------------------------------------ */

/* The checksum is linear: the entry of a byte is the sum of those of its bits. */
#define BIT(i, bit, crc) (((i) >> (bit)) & 1u ? (crc) : 0u)
#define CRC1(i)                                                                     \
	(BIT(i, 0, 0xf26b8303u) ^ BIT(i, 1, 0xe13b70f7u) ^ BIT(i, 2, 0xc79a971fu) ^ \
	 BIT(i, 3, 0x8ad958cfu) ^ BIT(i, 4, 0x105ec76fu) ^ BIT(i, 5, 0x20bd8edeu) ^ \
	 BIT(i, 6, 0x417b1dbcu) ^ BIT(i, 7, 0x82f63b78u))
#define CRC4(i)  CRC1(i), CRC1((i) + 1u), CRC1((i) + 2u), CRC1((i) + 3u)
#define CRC16(i) CRC4(i), CRC4((i) + 4u), CRC4((i) + 8u), CRC4((i) + 12u)
#define CRC64(i) CRC16(i), CRC16((i) + 16u), CRC16((i) + 32u), CRC16((i) + 48u)

static const uint32_t crc_table[256] = {
	CRC64(0u),
	CRC64(64u),
	CRC64(128u),
	CRC64(192u),
};

static uint32_t crc_bytes(uint32_t crc, const uint8_t *data, size_t len)
{
	for (size_t i = 0; i < len; i++)
		crc = (crc >> 8) ^ crc_table[(crc ^ data[i]) & 0xff];
	return crc;
}

#if defined(__x86_64__)

static bool has_crc_words(void)
{
	return __builtin_cpu_supports("sse4.2") != 0;
}

__attribute__((target("sse4.2"))) static uint32_t crc_words(uint32_t crc,
							    const uint8_t *data,
							    size_t n_words)
{
	uint64_t state = crc;

	for (size_t i = 0; i < n_words; i++) {
		uint64_t word;

		memcpy(&word, data + i * sizeof(word), sizeof(word));
		state = __builtin_ia32_crc32di(state, word);
	}
	return (uint32_t)state;
}

#else

static bool has_crc_words(void)
{
	return false;
}

static uint32_t crc_words(uint32_t crc, const uint8_t *data, size_t n_words)
{
	return crc_bytes(crc, data, n_words * sizeof(uint64_t));
}

#endif

uint32_t mne_crc32c(uint32_t crc, const void *data, size_t len)
{
	const uint8_t *from = data;
	size_t n_words = has_crc_words() ? len / sizeof(uint64_t) : 0;
	size_t in_words = n_words * sizeof(uint64_t);

	if (len == 0)
		return crc;
	crc = crc_words(~crc, from, n_words);
	return ~crc_bytes(crc, from + in_words, len - in_words);
}
