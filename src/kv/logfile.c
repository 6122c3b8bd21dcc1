/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/logfile.c - the format of LevelDB's log files and manifests
 *
 * A file is a row of blocks of 32 KiB; a block is a row of fragments, and what is
 * too short for a fragment at its end is filled up:
 *
 *   crc:32 len:16 type:8 data      little-endian; crc-32c, masked, of type and data
 *
 * A record is a FULL fragment, or a FIRST, any MIDDLEs, and a LAST.  A log's records
 * are batches: sequence:64 count:32, then count entries, which are numbered from
 * sequence on.  A manifest's are edits: rows of fields, each with a tag.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/logfile.h"

#include "util/coding.h"

enum { BLOCK = 32768, HEAD = 7 };

enum { FULL = 1, FIRST, MIDDLE, LAST };

enum {
	TAG_COMPARATOR = 1,
	TAG_LOG_NUMBER = 2,
	TAG_NEXT_FILE = 3,
	TAG_LAST_SEQUENCE = 4,
	TAG_COMPACT_POINTER = 5,
	TAG_DELETED_FILE = 6,
	TAG_NEW_FILE = 7,
	TAG_OLD_LOG_NUMBER = 9,
};

typedef struct {
	uint8_t type;
	MneSlice data;
} Fragment;

static uint32_t unmask(uint32_t masked)
{
	uint32_t rotated = masked - 0xa282ead8u;

	return (rotated >> 17) | (rotated << 15);
}

/* left: in the block, and in the file, from reader->at on. */
static bool parse_fragment(MneLogReader *reader, size_t left, Fragment *out)
{
	const uint8_t *head = reader->file.data + reader->at;
	bool last = reader->at + left == reader->file.len;
	uint32_t crc;
	uint16_t len;

	memcpy(&crc, head, sizeof(crc));
	memcpy(&len, head + 4, sizeof(len));
	len = GUINT16_FROM_LE(len);
	if (len > left - HEAD) {
		reader->torn = last;
		return false;
	}
	if (unmask(GUINT32_FROM_LE(crc)) != mne_crc32c(0, head + 6, 1 + (size_t)len))
		return false;

	*out = (Fragment){ head[6], mne_slice(head + HEAD, len) };
	reader->at += HEAD + (size_t)len;
	return true;
}

static bool next_fragment(MneLogReader *reader, Fragment *out)
{
	size_t left = BLOCK - reader->at % BLOCK;

	if (left < HEAD) {
		reader->at += left;
		left = BLOCK;
	}
	if (reader->at + HEAD > reader->file.len) {
		reader->torn = true;
		return false;
	}
	return parse_fragment(reader, MIN(left, reader->file.len - reader->at), out);
}

MneLogReader mne_log_reader(MneSlice file)
{
	return (MneLogReader){ .file = file };
}

bool mne_log_next(MneLogReader *reader, GByteArray *out_record)
{
	bool inside = false;
	Fragment fragment;

	if (out_record)
		g_byte_array_set_size(out_record, 0);
	while (next_fragment(reader, &fragment)) {
		bool starts = fragment.type == FULL || fragment.type == FIRST;

		if (fragment.type < FULL || fragment.type > LAST || starts == inside)
			return false;
		if (out_record)
			mne_add_bytes(out_record, fragment.data);
		if (fragment.type == FULL || fragment.type == LAST) {
			reader->whole = reader->at;
			return true;
		}
		inside = true;
	}
	return false;
}

bool mne_log_sequences(MneSlice record, uint64_t *out_first, uint64_t *out_next)
{
	uint64_t first;
	uint32_t count;

	if (record.len < sizeof(first) + sizeof(count))
		return false;
	memcpy(&first, record.data, sizeof(first));
	memcpy(&count, record.data + sizeof(first), sizeof(count));
	*out_first = GUINT64_FROM_LE(first);
	*out_next = *out_first + GUINT32_FROM_LE(count);
	return true;
}

static void note_table(GHashTable *tables, uint64_t number, bool is_new)
{
	if (is_new)
		g_hash_table_add(tables, g_memdup2(&number, sizeof(number)));
	else
		g_hash_table_remove(tables, &number);
}

static bool read_field(MneReader *edit, MneManifest *io)
{
	uint64_t tag = mne_read_varint(edit);

	switch (tag) {
	case TAG_LOG_NUMBER: io->oldest_log = mne_read_varint(edit); return true;
	case TAG_COMPARATOR: mne_read_sized(edit); return true;
	case TAG_NEXT_FILE:
	case TAG_LAST_SEQUENCE:
	case TAG_OLD_LOG_NUMBER: mne_read_varint(edit); return true;
	case TAG_COMPACT_POINTER:
		mne_read_varint(edit);
		mne_read_sized(edit);
		return true;
	case TAG_NEW_FILE:
		mne_read_varint(edit); /* level */
		note_table(io->tables, mne_read_varint(edit), true);
		mne_read_varint(edit); /* size */
		mne_read_sized(edit);
		mne_read_sized(edit);
		return true;
	case TAG_DELETED_FILE:
		mne_read_varint(edit); /* level */
		note_table(io->tables, mne_read_varint(edit), false);
		return true;
	default: return false;
	}
}

/* What an edit deletes stands before what it adds: a table that only moves stays. */
static bool apply_edit(MneSlice edit, MneManifest *io)
{
	MneReader reader = mne_reader(edit);

	while (!mne_reader_done(&reader))
		if (!read_field(&reader, io) || reader.failed)
			return false;
	return true;
}

bool mne_manifest_read(MneSlice manifest, MneManifest *out)
{
	g_autoptr(GByteArray) record = g_byte_array_new();
	MneLogReader reader = mne_log_reader(manifest);

	*out = (MneManifest){ 0 };
	out->tables = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	while (mne_log_next(&reader, record))
		if (!apply_edit(mne_slice(record->data, record->len), out))
			return false;
	return out->oldest_log > 0;
}

void mne_manifest_clear(MneManifest *manifest)
{
	g_clear_pointer(&manifest->tables, g_hash_table_unref);
}

bool mne_log_oldest_needed(MneSlice manifest, uint64_t *out_number)
{
	g_auto(MneManifest) version = { 0 };

	if (!mne_manifest_read(manifest, &version))
		return false;
	*out_number = version.oldest_log;
	return true;
}
