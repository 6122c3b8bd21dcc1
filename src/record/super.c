/* SPDX-License-Identifier: Apache-2.0
 *
 * record/super.c - what the SUPER key of a store says
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/super.h"

#include "record/keys.h"
#include "record/node.h"
#include "record/volume.h"
#include "util/coding.h"

GBytes *mne_super_encode(const MneSuper *super)
{
	GByteArray *to = g_byte_array_new();

	mne_value_begin(to, MNE_KIND_SUPER, super->seq);
	mne_add_varint(to, MNE_FORMAT_VERSION);
	mne_add_varint(to, super->features);
	mne_add_be64(to, super->cookie);
	mne_add_varint(to, super->next_id);
	mne_add_varint(to, super->next_table);
	mne_add_u8(to, super->clean);
	mne_add_varint(to, super->behind);
	if (super->features & MNE_FEATURE_MENDED)
		mne_add_varint(to, super->mended);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static int corrupt(void)
{
	return mne_throw(VALUE_CORRUPT, "the super record does not decode");
}

/* What comes behind these, only who knows them can say. */
static int read_version(MneReader *reader, MneSuper *super)
{
	uint64_t format = mne_read_varint(reader);

	super->features = mne_read_varint(reader);
	if (reader->failed || format == 0)
		return corrupt();
	if (format > MNE_FORMAT_VERSION || (super->features & ~MNE_FEATURES_KNOWN) != 0)
		return mne_throw(STORE_NEWER,
				 "the store has format %" G_GUINT64_FORMAT
				 " and features 0x%" G_GINT64_MODIFIER "x, this "
				 "mnefs knows %u and 0x%x",
				 format, super->features, MNE_FORMAT_VERSION,
				 (unsigned)MNE_FEATURES_KNOWN);
	return 0;
}

/* An old one ends before `behind`. */
static int read_counters(MneReader *reader, MneSuper *super)
{
	uint64_t table;
	uint8_t clean;

	super->cookie = mne_read_be64(reader);
	super->next_id = mne_read_varint(reader);
	table = mne_read_varint(reader);
	clean = mne_read_u8(reader);
	super->behind = reader->at < reader->end ? mne_read_varint(reader) : UINT64_MAX;
	super->mended = super->features & MNE_FEATURE_MENDED ? mne_read_varint(reader)
							     : 0;
	if (!mne_reader_done(reader) || table > UINT32_MAX || clean > 1)
		return corrupt();
	super->next_table = (uint32_t)table;
	super->clean = clean;
	return 0;
}

int mne_super_decode(MneSlice value, MneSuper *out)
{
	MneSuper super = { 0 };
	MneSlice payload;
	MneReader reader;
	MneKind kind;

	MNE_TRY(mne_value_open(value, &kind, &super.seq, &payload));
	if (kind != MNE_KIND_SUPER)
		return corrupt();
	reader = mne_reader(payload);
	MNE_TRY(read_version(&reader, &super));
	MNE_TRY(read_counters(&reader, &super));
	*out = super;
	return 0;
}

void mne_super_put(MneKvBatch *batch, const MneSuper *super)
{
	g_autoptr(GBytes) value = mne_super_encode(super);
	MneKey key;

	mne_key_super(&key);
	mne_kv_batch_put(batch, mne_key_slice(&key), mne_slice_of(value));
}
