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

int mne_super_decode(MneSlice value, MneSuper *out)
{
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint64_t format;

	MNE_TRY(mne_value_open(value, &kind, &out->seq, &payload));
	reader = mne_reader(payload);
	format = mne_read_varint(&reader);
	out->features = mne_read_varint(&reader);
	out->cookie = mne_read_be64(&reader);
	out->next_id = mne_read_varint(&reader);
	out->next_table = (uint32_t)mne_read_varint(&reader);
	out->clean = mne_read_u8(&reader) != 0;
	out->behind = reader.at < reader.end ? mne_read_varint(&reader) : UINT64_MAX;
	out->mended = out->features & MNE_FEATURE_MENDED ? mne_read_varint(&reader) : 0;
	if (kind != MNE_KIND_SUPER || reader.failed)
		return mne_throw(VALUE_CORRUPT, "the super record does not decode");
	if (format > MNE_FORMAT_VERSION || (out->features & ~MNE_FEATURES_KNOWN) != 0)
		return mne_throw(STORE_NEWER,
				 "the store has format %u and features 0x%x, this "
				 "mnefs knows %u and 0x%x",
				 (unsigned)format, (unsigned)out->features,
				 MNE_FORMAT_VERSION, (unsigned)MNE_FEATURES_KNOWN);
	return 0;
}

void mne_super_put(MneKvBatch *batch, const MneSuper *super)
{
	g_autoptr(GBytes) value = mne_super_encode(super);
	MneKey key;

	mne_key_super(&key);
	mne_kv_batch_put(batch, mne_key_slice(&key), mne_slice_of(value));
}
