/* SPDX-License-Identifier: Apache-2.0
 *
 * table/schema.c - what a table is, to bytes and back
 */
#define G_LOG_DOMAIN "mne-table"

#include "config.h"

#include "table/schema.h"

#include "record/node.h"
#include "util/coding.h"

GBytes *mne_table_encode(const MneTable *table)
{
	GByteArray *to = g_byte_array_new();

	mne_value_begin(to, MNE_KIND_TABLE, table->seq);
	mne_add_varint(to, table->id);
	mne_add_varint(to, table->dir);
	mne_add_be64(to, table->cookie);
	mne_add_varint(to, table->version);
	mne_add_varint(to, table->storage);
	mne_add_varint(to, table->fragments);
	if (table->commit.when != MNE_COMMIT_CLOSE)
		mne_add_varint(to, table->commit.when);
	if (table->commit.when == MNE_COMMIT_SECONDS)
		mne_add_varint(to, table->commit.seconds);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static uint32_t read_u32(MneReader *reader)
{
	uint64_t value = mne_read_varint(reader);

	if (value > UINT32_MAX)
		reader->failed = true;
	return (uint32_t)value;
}

/* It is left out where it says nothing special. */
static void read_commit(MneReader *reader, MneCommitPolicy *out)
{
	uint32_t when;

	*out = (MneCommitPolicy){ 0 };
	if (mne_reader_done(reader))
		return;
	when = read_u32(reader);
	out->when = (MneCommitWhen)when;
	if (when == MNE_COMMIT_SECONDS)
		out->seconds = read_u32(reader);
	if (when == MNE_COMMIT_CLOSE || when > MNE_COMMIT_SECONDS ||
	    out->seconds > MNE_COMMIT_SECONDS_MAX ||
	    (when == MNE_COMMIT_SECONDS && out->seconds == 0))
		reader->failed = true;
}

int mne_table_decode(MneSlice value, MneTable *out)
{
	MneTable table = { 0 };
	MneSlice payload;
	MneReader reader;
	MneKind kind;

	MNE_TRY(mne_value_open(value, &kind, &table.seq, &payload));
	reader = mne_reader(payload);
	table.id = read_u32(&reader);
	table.dir = mne_read_varint(&reader);
	table.cookie = mne_read_be64(&reader);
	table.version = mne_read_varint(&reader);
	table.storage = (MneStorage)read_u32(&reader);
	table.fragments = read_u32(&reader);
	read_commit(&reader, &table.commit);
	if (kind != MNE_KIND_TABLE || !mne_reader_done(&reader) || table.id == 0 ||
	    table.storage != MNE_STORAGE_DISC_COPIES || table.fragments == 0)
		return mne_throw(VALUE_CORRUPT, "a table's schema does not decode");
	*out = table;
	return 0;
}
