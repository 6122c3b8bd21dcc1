/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-key.c - any bytes as a key of the store
 *
 * Properties: what parses is built from its parts again, byte for byte; it fits into a
 * key; its table is known without parsing; it has a text.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "record/keys.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void build(const MneKeyParts *parts, MneKey *out)
{
	switch (parts->tag) {
	case MNE_TAG_SUPER: mne_key_super(out); break;
	case MNE_TAG_ROLLBACK: mne_key_rollback(out); break;
	case MNE_TAG_TABLE: mne_key_table(out, parts->name); break;
	case MNE_TAG_FRAGS: mne_key_frags(out, parts->table); break;
	case MNE_TAG_NODE:
		mne_key_node(out, parts->table, parts->id, parts->name);
		break;
	case MNE_TAG_INODE: mne_key_inode(out, parts->table, parts->id); break;
	case MNE_TAG_NAME:
		mne_key_name(out, parts->table, parts->id, parts->dir, parts->name);
		break;
	case MNE_TAG_EXTENT:
		mne_key_extent(out, parts->table, parts->id, parts->offset);
		break;
	case MNE_TAG_XATTR:
		mne_key_xattr(out, parts->table, parts->id, parts->name);
		break;
	case MNE_TAG_CKPT: mne_key_ckpt(out, parts->id); break;
	case MNE_TAG_RETAINED: mne_key_retained(out, parts->inner, parts->seq); break;
	case MNE_TAG_CHANGED: mne_key_changed(out, parts->seq, parts->inner); break;
	case MNE_TAG_BOOKMARK: mne_key_bookmark(out, parts->id); break;
	case MNE_TAG_STUB: mne_key_stub(out, parts->inner, parts->seq); break;
	case MNE_TAG_SINCE: mne_key_since(out, parts->seq, parts->inner); break;
	case MNE_TAG_ORPHAN: mne_key_orphan(out, parts->table, parts->id); break;
	case MNE_TAG_SEGMENT: mne_key_segment(out, parts->id); break;
	case MNE_TAG_TALLY:
		mne_key_tally(out, parts->table, parts->id, parts->seq);
		break;
	}
}

static bool is_data(MneTag tag)
{
	return tag == MNE_TAG_FRAGS || tag == MNE_TAG_NODE || tag == MNE_TAG_INODE ||
	       tag == MNE_TAG_NAME || tag == MNE_TAG_EXTENT || tag == MNE_TAG_XATTR;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MneSlice bytes = mne_slice(data, size);
	g_autofree char *text = mne_key_to_text(bytes);
	MneKeyParts parts;
	MneKey again;
	int err = mne_key_parse(bytes, &parts);

	(void)mne_key_table_of(bytes);
	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		g_assert_cmpstr(text, ==, "?");
		return 0;
	}

	g_assert_cmpstr(text, !=, "?");
	g_assert_cmpuint(size, <=, MNE_KEY_MAX);
	if (is_data(parts.tag))
		g_assert_cmpuint(mne_key_table_of(bytes), ==, parts.table);
	if (parts.fragment != 0)
		return 0; /* builders make logical keys: of fragment 0 */
	build(&parts, &again);
	g_assert_cmpmem(again.bytes, again.len, data, size);
	return 0;
}
