/* SPDX-License-Identifier: Apache-2.0
 *
 * check/scan.c - the first pass: once over all keys, decoding everything
 *
 * What does not decode is removed (with repair) and otherwise treated as if it were
 * not there; so the passes after this one meet only what decodes.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "ckpt/plan.h"
#include "ckpt/tally.h"
#include "txn/internal.h"

/* 0 when the value is good, and then its facts are noted. */
typedef int (*NoteFunc)(MneCheck *check, const MneKeyParts *parts, MneSlice value);

static int require_kind(MneSlice value, MneKind wanted, MneSlice *out_payload)
{
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_value_open(value, &kind, &seq, out_payload));
	if (kind != wanted)
		return mne_throw(VALUE_CORRUPT, "kind %d where %d should be", kind,
				 wanted);
	return 0;
}

static int decode_node(MneSlice value, MneNode *out)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);

	return mne_node_decode(bytes, out);
}

static int note_table(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	const MneTableFact *other;
	MneDirFact *root;
	MneTable schema;

	MNE_TRY(mne_table_decode(value, &schema));
	other = mne_fact_table(check, schema.id);
	if (other && other->live)
		mne_check_say(check, false, "two tables have the id %u: %.*s and %.*s",
			      schema.id, (int)g_bytes_get_size(other->name),
			      (const char *)g_bytes_get_data(other->name, NULL),
			      (int)parts->name.len, (const char *)parts->name.data);
	mne_fact_keep_table(check, &schema, parts->name, true);
	root = mne_fact_dir(check, MNE_ROOT_TABLE, MNE_ROOT_DIR, true);
	root->counted++;
	root->subdirs++;
	return 0;
}

/* What any inode, live or retained, says about others. */
static void note_node_owns(MneCheck *check, uint32_t table, const MneNode *node)
{
	if (node->data != 0)
		mne_fact_add(check->data, table, node->data);
	if (node->flags & MNE_NODE_BIG_XATTRS)
		mne_fact_add(check->big, table, node->rec);
}

static void note_live_owns(MneCheck *check, uint32_t table, const MneNode *node)
{
	note_node_owns(check, table, node);
	if (node->data != 0)
		mne_fact_add(check->live, table, node->data);
}

static int note_directory(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	g_auto(MneNode) node = { 0 };
	MneDirFact *fact;

	MNE_TRY(decode_node(value, &node));
	if (!mne_node_is_dir(&node) || node.rec != parts->id)
		return mne_throw(VALUE_CORRUPT, "not the inode of this directory");
	note_node_owns(check, parts->table, &node);
	fact = mne_fact_dir(check, parts->table, parts->id, true);
	fact->has_node = true;
	fact->entries = node.entries;
	fact->nlink = node.nlink;
	fact->parent = node.parent;
	fact->name = mne_slice_to_bytes(node.name);
	return 0;
}

static int note_reference(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	MNE_TRY(mne_ref_decode(value, &kind, &rec, &mode));
	if (kind == MNE_KIND_LINK) {
		mne_fact_file(check, parts->table, rec, true)->names++;
		return 0;
	}
	mne_fact_dir(check, parts->table, rec, true)->refs++;
	mne_fact_dir(check, parts->table, parts->id, true)->subdirs++;
	return 0;
}

static int note_entry(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	if (value.len > 0 && value.data[0] == MNE_KIND_INODE) {
		g_auto(MneNode) node = { 0 };

		MNE_TRY(decode_node(value, &node));
		if (mne_node_is_dir(&node))
			return mne_throw(VALUE_CORRUPT,
					 "a directory's inode under a name");
		note_live_owns(check, parts->table, &node);
	} else {
		MNE_TRY(note_reference(check, parts, value));
	}
	mne_fact_dir(check, parts->table, parts->id, true)->counted++;
	return 0;
}

static int note_node(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	if (parts->name.len == 0)
		return note_directory(check, parts, value);
	return note_entry(check, parts, value);
}

static int note_inode(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	g_auto(MneNode) node = { 0 };
	MneFileFact *fact;

	MNE_TRY(decode_node(value, &node));
	if (mne_node_is_dir(&node) || node.rec != parts->id)
		return mne_throw(VALUE_CORRUPT, "not the inode of this record");
	note_live_owns(check, parts->table, &node);
	fact = mne_fact_file(check, parts->table, parts->id, true);
	fact->has_node = true;
	fact->nlink = node.nlink;
	return 0;
}

static int note_name(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	(void)check;
	MNE_TRY(mne_ref_decode(value, &kind, &rec, &mode));
	if (kind != MNE_KIND_LINK || rec != parts->id)
		return mne_throw(VALUE_CORRUPT, "it names another file");
	return 0;
}

static int note_extent(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneExtent extent;
	MneSlice payload;

	MNE_TRY(require_kind(value, MNE_KIND_EXTENT, &payload));
	MNE_TRY(mne_extent_decode(payload, parts->offset, &extent));
	mne_fact_add_live(check, extent.ref.segment, (int64_t)extent.len);
	return 0;
}

static int note_xattr(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneSlice payload;

	(void)check;
	(void)parts;
	return require_kind(value, MNE_KIND_XATTR, &payload);
}

static int note_frags(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	g_autoptr(MneFragMap) map = NULL;

	return mne_frag_map_decode(value, parts->table, mne_frags_hash,
				   check->store->frags, &map);
}

static int note_ckpt(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneKind kind;
	MneSlice payload;
	uint64_t seq;

	(void)parts;
	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	if (kind != MNE_KIND_CKPT)
		return mne_throw(VALUE_CORRUPT, "kind %d where a checkpoint should be",
				 kind);
	g_hash_table_add(check->seqs, g_memdup2(&seq, sizeof(seq)));
	return 0;
}

static int note_retained_node(MneCheck *check, const MneKeyParts *inner, MneSlice value)
{
	g_auto(MneNode) node = { 0 };
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (value.len > 0 && value.data[0] != MNE_KIND_INODE)
		return mne_ref_decode(value, &kind, &rec, &mode);
	MNE_TRY(decode_node(value, &node));
	note_node_owns(check, inner->table, &node);
	return 0;
}

static int note_retained(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneKeyParts inner;
	MneTable schema;

	MNE_TRY(mne_key_parse(parts->inner, &inner));
	switch (inner.tag) {
	case MNE_TAG_TABLE:
		MNE_TRY(mne_table_decode(value, &schema));
		if (!mne_fact_table(check, schema.id))
			mne_fact_keep_table(check, &schema, inner.name, false);
		return 0;
	case MNE_TAG_NODE:
	case MNE_TAG_INODE:
	case MNE_TAG_NAME: return note_retained_node(check, &inner, value);
	case MNE_TAG_FRAGS: return note_frags(check, &inner, value);
	case MNE_TAG_EXTENT: return note_extent(check, &inner, value);
	case MNE_TAG_XATTR: return note_xattr(check, &inner, value);
	case MNE_TAG_SUPER:
	case MNE_TAG_ROLLBACK:
	case MNE_TAG_CKPT:
	case MNE_TAG_RETAINED:
	case MNE_TAG_CHANGED:
	case MNE_TAG_BOOKMARK:
	case MNE_TAG_STUB:
	case MNE_TAG_SINCE:
	case MNE_TAG_ORPHAN:
	case MNE_TAG_TALLY:
	case MNE_TAG_SEGMENT: break;
	}
	return mne_throw(VALUE_CORRUPT, "this kind of key is never retained");
}

static int note_bookmark(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneSlice payload;
	uint64_t seq = mne_value_seq(value);

	(void)parts;
	MNE_TRY(require_kind(value, MNE_KIND_CKPT, &payload));
	g_hash_table_add(check->marks, g_memdup2(&seq, sizeof(seq)));
	return 0;
}

static int note_stub(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	g_auto(MneNode) node = { 0 };
	MneTable schema;
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	(void)check;
	if (parts->inner.data[0] == MNE_TAG_TABLE)
		return mne_table_decode(value, &schema);
	if (value.len > 0 && value.data[0] != MNE_KIND_INODE)
		return mne_ref_decode(value, &kind, &rec, &mode);
	MNE_TRY(decode_node(value, &node));
	if (node.content.len > 0 || node.data != 0)
		return mne_throw(VALUE_CORRUPT, "a stub with content");
	return 0;
}

static int note_orphan(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneSlice payload;

	MNE_TRY(require_kind(value, MNE_KIND_ORPHAN, &payload));
	mne_fact_add(check->data, parts->table, parts->id);
	return 0;
}

static int note_framed(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneSlice payload;

	(void)check;
	return require_kind(
		value, parts->tag == MNE_TAG_SUPER ? MNE_KIND_SUPER : MNE_KIND_SEGMENT,
		&payload);
}

static int note_tally(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	int64_t bytes, images;

	(void)check;
	(void)parts;
	return mne_tally_decode(value, &bytes, &images);
}

static int note_changed(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	(void)check;
	(void)parts;
	return value.len == 0 ? 0 : mne_throw(VALUE_CORRUPT, "it should be empty");
}

static int note_rollback(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	g_auto(MnePlan) plan = { 0 };

	(void)check;
	(void)parts;
	return mne_plan_decode(value, &plan);
}

static NoteFunc note_of(MneTag tag)
{
	switch (tag) {
	case MNE_TAG_SUPER: return note_framed;
	case MNE_TAG_ROLLBACK: return note_rollback;
	case MNE_TAG_TABLE: return note_table;
	case MNE_TAG_FRAGS: return note_frags;
	case MNE_TAG_NODE: return note_node;
	case MNE_TAG_INODE: return note_inode;
	case MNE_TAG_NAME: return note_name;
	case MNE_TAG_EXTENT: return note_extent;
	case MNE_TAG_XATTR: return note_xattr;
	case MNE_TAG_CKPT: return note_ckpt;
	case MNE_TAG_RETAINED: return note_retained;
	case MNE_TAG_CHANGED: return note_changed;
	case MNE_TAG_BOOKMARK: return note_bookmark;
	case MNE_TAG_STUB: return note_stub;
	case MNE_TAG_SINCE: return note_changed;
	case MNE_TAG_ORPHAN: return note_orphan;
	case MNE_TAG_TALLY: return note_tally;
	case MNE_TAG_SEGMENT: return note_framed;
	}
	return NULL;
}

static char *hex_of(MneSlice key)
{
	GString *text = g_string_new(NULL);

	for (size_t i = 0; i < key.len && i < 64; i++)
		g_string_append_printf(text, "%02x", key.data[i]);
	return g_string_free(text, FALSE);
}

static void note_key(MneCheck *check, MneSlice key, MneSlice value)
{
	MneKeyParts parts;
	int err = mne_key_parse(key, &parts);

	check->report->keys++;
	if (err < 0) {
		g_autofree char *hex = hex_of(key);

		mne_check_say(check, mne_check_del(check, key), "key %s: %s", hex,
			      mne_err_sentence(err));
		return;
	}
	err = note_of(parts.tag)(check, &parts, value);
	if (err < 0) {
		g_autofree char *text = mne_key_to_text(key);

		mne_check_say(check, mne_check_del(check, key), "%s: %s", text,
			      mne_err_sentence(err));
	}
}

int mne_pass_scan(MneCheck *check)
{
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(check->kv, &iter));
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter))
		note_key(check, mne_kv_iter_key(iter), mne_kv_iter_value(iter));
	return mne_kv_iter_status(iter);
}
