/* SPDX-License-Identifier: Apache-2.0
 *
 * record/salvage.c - what is left of a key space, when it cannot be opened as it is
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/salvage.h"

#include "record/keys.h"
#include "record/node.h"

static void note_node(MneSlice value, MneSalvage *io)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);
	g_auto(MneNode) node = { 0 };

	if (mne_node_decode(bytes, &node) < 0)
		return;
	io->id = MAX(io->id, MAX(node.rec, MAX(node.version, node.data)));
}

static void note_ref(MneSlice value, MneSalvage *io)
{
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (mne_ref_decode(value, &kind, &rec, &mode) == 0)
		io->id = MAX(io->id, rec);
}

static void note_value(MneKind kind, MneSlice value, MneSalvage *io)
{
	if (kind == MNE_KIND_INODE)
		note_node(value, io);
	else if (kind == MNE_KIND_DIRREF || kind == MNE_KIND_LINK)
		note_ref(value, io);
}

static bool is_number_of_segment(MneTag tag)
{
	return tag == MNE_TAG_SEGMENT || tag == MNE_TAG_TALLY;
}

static void note_key(const MneKeyParts *parts, MneSalvage *io)
{
	MneKeyParts inner;

	io->table = MAX(io->table, parts->table);
	io->seq = MAX(io->seq, parts->seq);
	if (!is_number_of_segment(parts->tag))
		io->id = MAX(io->id, parts->id);
	if (parts->inner.len > 0 && mne_key_parse(parts->inner, &inner) == 0) {
		io->table = MAX(io->table, inner.table);
		io->id = MAX(io->id, inner.id);
	}
}

/* false: nobody has written this. */
static bool note(MneSlice key, MneSlice value, MneSalvage *io)
{
	MneKeyParts parts;
	MneSlice payload;
	MneKind kind;
	uint64_t seq;

	if (mne_key_parse(key, &parts) < 0)
		return false;
	note_key(&parts, io);
	if (parts.tag == MNE_TAG_CHANGED)
		return value.len == 0;
	if (mne_value_open(value, &kind, &seq, &payload) < 0)
		return false;
	io->seq = MAX(io->seq, seq);
	note_value(kind, value, io);
	return true;
}

int mne_salvage(MneKv *kv, MneSalvage *out)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(MneKvIter) iter = NULL;

	*out = (MneSalvage){ 0 };
	MNE_TRY(mne_kv_iter(kv, &iter));
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		g_autofree char *text = NULL;

		if (note(key, mne_kv_iter_value(iter), out))
			continue;
		text = mne_key_to_text(key);
		g_message("%s does not decode: removed", text);
		mne_kv_batch_del(batch, key);
		out->purged++;
	}
	MNE_TRY(mne_kv_iter_status(iter));
	return out->purged > 0 ? mne_kv_apply(kv, batch) : 0;
}
