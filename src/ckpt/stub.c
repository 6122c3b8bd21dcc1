/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/stub.c - what a bookmark keeps of a value
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/stub.h"

#include "record/keys.h"
#include "record/node.h"

bool mne_stub_is_kept(MneSlice key)
{
	switch (key.data[0]) {
	case MNE_TAG_TABLE:
	case MNE_TAG_NODE:
	case MNE_TAG_INODE:
	case MNE_TAG_NAME: return true;
	default: return false;
	}
}

int mne_stub_of(MneSlice value, GBytes **out_stub)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);
	g_auto(MneNode) node = { 0 };

	if (value.len == 0 || value.data[0] != MNE_KIND_INODE) {
		*out_stub = g_steal_pointer(&bytes);
		return 0;
	}
	MNE_TRY(mne_node_decode(bytes, &node));
	node.content = node.xattrs = MNE_SLICE_EMPTY;
	node.data = node.stored = 0;
	node.flags &= ~(uint32_t)MNE_NODE_BIG_XATTRS;
	*out_stub = mne_node_encode(&node);
	return 0;
}

int mne_stub_retain(uint64_t newest, MneSlice key, MneSlice now, MneKvBatch *batch)
{
	g_autoptr(GBytes) stub = NULL;
	MneKey at;

	if (newest == 0 || !mne_stub_is_kept(key) ||
	    (now.len > 0 && mne_value_seq(now) > newest))
		return 0;
	if (now.len > 0) {
		MNE_TRY(mne_stub_of(now, &stub));
		mne_key_stub(&at, key, newest);
		mne_kv_batch_put(batch, mne_key_slice(&at), mne_slice_of(stub));
	}
	mne_key_since(&at, newest, key);
	mne_kv_batch_put(batch, mne_key_slice(&at), MNE_SLICE_EMPTY);
	return 0;
}
