/* SPDX-License-Identifier: Apache-2.0
 *
 * util/coding.h - numbers to bytes and back; the only place that shifts bytes
 *
 * Keys use big-endian, so that they sort as they count.  Values use the same
 * fixed widths or varints (LEB128).  Readers never run past their end: they turn
 * `failed` and answer zeros, so a decoder checks once, at the end.
 */
#pragma once

#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define MNE_VARINT_MAX 10u /* bytes of the longest varint */

void mne_put_be16(uint8_t *to, uint16_t value);
void mne_put_be32(uint8_t *to, uint32_t value);
void mne_put_be64(uint8_t *to, uint64_t value);
uint16_t mne_get_be16(const uint8_t *from);
uint32_t mne_get_be32(const uint8_t *from);
uint64_t mne_get_be64(const uint8_t *from);

/* Append to a growing value. */
/* Returns where it ends: at most MNE_VARINT_MAX bytes. */
uint8_t *mne_put_varint(uint8_t *to, uint64_t value);

void mne_add_u8(GByteArray *to, uint8_t value);
void mne_add_be32(GByteArray *to, uint32_t value);
void mne_add_be64(GByteArray *to, uint64_t value);
void mne_add_varint(GByteArray *to, uint64_t value);
void mne_add_bytes(GByteArray *to, MneSlice bytes); /* no length */
void mne_add_sized(GByteArray *to, MneSlice bytes); /* varint length, then the bytes */

typedef struct {
	const uint8_t *at;
	const uint8_t *end;
	bool failed;
} MneReader;

MneReader mne_reader(MneSlice bytes);
uint8_t mne_read_u8(MneReader *reader);
uint32_t mne_read_be32(MneReader *reader);
uint64_t mne_read_be64(MneReader *reader);
uint64_t mne_read_varint(MneReader *reader);
MneSlice mne_read_bytes(MneReader *reader, size_t len); /* borrowed from the input */
MneSlice mne_read_sized(MneReader *reader);
/* True when nothing failed and every byte was read. */
bool mne_reader_done(const MneReader *reader);

/* CRC-32C (Castagnoli, RFC 3720 B.4), hardware where the CPU has it.
 * mne_crc32c(0, "123456789", 9) == 0xe3069283; continues from a former result. */
uint32_t mne_crc32c(uint32_t crc, const void *data, size_t len);
