/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/written.c - what a rollback wrote, for whoever remembers how it was before
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/written.h"

#include "txn/internal.h"

struct MneWritten {
	MneStore *store; /* borrowed */
	MneCkpt *before; /* reference */
	MneKvIter *iter; /* owned */
	MneKey prefix;
	bool stands; /* iter is at an entry not looked at yet, or at the end */
	uint64_t also; /* record that the next notice is about; 0: none */
};

int mne_written_open(MneStore *store, MneCkpt *before, MneWritten **out_written)
{
	g_autoptr(MneWritten) written = g_new0(MneWritten, 1);

	written->store = store;
	written->before = mne_ckpt_ref(before);
	mne_key_changed(&written->prefix, before->seq, MNE_SLICE_EMPTY);
	MNE_TRY(mne_kv_iter(store->volume->kv, &written->iter));
	*out_written = g_steal_pointer(&written);
	return 0;
}

void mne_written_free(MneWritten *written)
{
	g_clear_pointer(&written->iter, mne_kv_iter_free);
	mne_ckpt_unref(written->before);
	g_free(written);
}

/* The record at a name, or whose inode it is; 0: none. */
static uint64_t record_of(MneView *view, MneSlice key)
{
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) node = { 0 };
	MneSlice bytes;
	uint32_t mode;
	uint64_t rec;
	MneKind kind;

	if (mne_view_get(view, key, &value) < 0)
		return 0;
	bytes = mne_slice_of(value);
	if (bytes.len > 0 && bytes.data[0] == MNE_KIND_INODE)
		return mne_node_decode(value, &node) < 0 ? 0 : node.rec;
	return mne_ref_decode(bytes, &kind, &rec, &mode) < 0 ? 0 : rec;
}

static void say_name(MneWritten *written, MneSlice key, const MneKeyParts *parts,
		     MneNotice *out)
{
	uint64_t was = record_of(&written->before->view, key);
	uint64_t now = record_of(&written->store->live.base, key);

	*out = (MneNotice){
		.rec = now,
		.bytes = true,
		.dir = parts->tag == MNE_TAG_TABLE ? MNE_ROOT_DIR : parts->id,
		.now = now,
		.name_len = (uint8_t)parts->name.len,
	};
	memcpy(out->name, parts->name.data, parts->name.len);
	written->also = was == now ? 0 : was;
}

/* 1: there is something to say of the key. */
static int say(MneWritten *written, MneSlice key, MneNotice *out)
{
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(key, &parts));
	switch (parts.tag) {
	case MNE_TAG_TABLE: say_name(written, key, &parts, out); return 1;
	case MNE_TAG_NODE:
		if (parts.name.len > 0) {
			say_name(written, key, &parts, out);
			return 1;
		}
		break;
	case MNE_TAG_INODE: break;
	default: return 0; /* of what belongs to an inode that is told of itself */
	}
	*out = (MneNotice){ .rec = parts.id, .bytes = true };
	return 1;
}

int mne_written_next(MneWritten *written, MneNotice *out)
{
	MneSlice prefix = mne_key_slice(&written->prefix);

	if (written->also != 0) {
		*out = (MneNotice){ .rec = written->also, .bytes = true };
		written->also = 0;
		return 1;
	}
	if (!written->stands)
		mne_kv_iter_seek(written->iter, prefix);
	for (; mne_kv_iter_valid(written->iter); mne_kv_iter_next(written->iter)) {
		MneSlice key = mne_kv_iter_key(written->iter);
		MneKeyParts parts;
		int got;

		if (!mne_slice_has_prefix(key, prefix))
			break;
		MNE_TRY(mne_key_parse(key, &parts));
		got = say(written, parts.inner, out);
		if (got == 0)
			continue;
		mne_kv_iter_next(written->iter);
		written->stands = true;
		return got;
	}
	written->stands = false;
	return mne_kv_iter_status(written->iter);
}
