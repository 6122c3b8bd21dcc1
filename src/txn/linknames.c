/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/linknames.c - NAME keys for a store from before there were any
 *
 * Every value that is the name of a hard-linked file, live or retained, gets its double under
 * NAME.  Once, in batches that may be repeated: the feature bit comes last.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "record/keys.h"
#include "txn/internal.h"

#define BATCH_KEYS 1000u

static int add_name(MneKvBatch *batch, MneSlice key, MneSlice value)
{
	MneKeyParts outer, parts;
	MneKey name, at;
	uint32_t mode;
	uint64_t rec;
	MneKind kind;

	MNE_TRY(mne_key_parse(key, &outer));
	parts = outer;
	if (outer.tag == MNE_TAG_RETAINED)
		MNE_TRY(mne_key_parse(outer.inner, &parts));
	if (parts.tag != MNE_TAG_NODE || parts.name.len == 0 || value.len == 0 ||
	    value.data[0] != MNE_KIND_LINK)
		return 0;
	MNE_TRY(mne_ref_decode(value, &kind, &rec, &mode));
	mne_key_name(&name, parts.table, rec, parts.id, parts.name);
	if (outer.tag != MNE_TAG_RETAINED) {
		mne_kv_batch_put(batch, mne_key_slice(&name), value);
		return 0;
	}
	mne_key_retained(&at, mne_key_slice(&name), outer.seq);
	mne_kv_batch_put(batch, mne_key_slice(&at), value);
	mne_key_changed(&at, outer.seq, mne_key_slice(&name));
	mne_kv_batch_put(batch, mne_key_slice(&at), MNE_SLICE_EMPTY);
	return 0;
}

static int add_names_of(MneStore *store, MneTag of)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(MneKvIter) iter = NULL;
	const uint8_t tag = (uint8_t)of;

	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		if (mne_kv_iter_key(iter).data[0] != tag)
			break;
		if (add_name(batch, mne_kv_iter_key(iter), mne_kv_iter_value(iter)) < 0)
			continue; /* a check has more to say about it */
		if (mne_kv_batch_count(batch) < BATCH_KEYS)
			continue;
		MNE_TRY(mne_volume_apply(store->volume, batch));
		mne_kv_batch_clear(batch);
	}
	MNE_TRY(mne_kv_iter_status(iter));
	return mne_volume_apply(store->volume, batch);
}

int mne_store_add_names(MneStore *store)
{
	if (store->volume->features & MNE_FEATURE_NAMES)
		return 0;
	g_message("the names of hard-linked files are being listed, once");
	MNE_TRY(add_names_of(store, MNE_TAG_NODE));
	MNE_TRY(add_names_of(store, MNE_TAG_RETAINED));
	MNE_TRY(mne_store_tally_anew(store));
	return mne_volume_add_feature(store->volume, MNE_FEATURE_NAMES);
}
