/* SPDX-License-Identifier: Apache-2.0
 *
 * record/keys.c - building and taking apart the keys of the store
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/keys.h"

#include "util/coding.h"

#include <glib.h>

static void key_begin(MneKey *key, MneTag tag)
{
	key->bytes[0] = (uint8_t)tag;
	key->len = 1;
}

static void key_u32(MneKey *key, uint32_t value)
{
	mne_put_be32(key->bytes + key->len, value);
	key->len += 4;
}

static void key_u64(MneKey *key, uint64_t value)
{
	mne_put_be64(key->bytes + key->len, value);
	key->len += 8;
}

static void key_bytes(MneKey *key, MneSlice bytes)
{
	g_assert(key->len + bytes.len <= MNE_KEY_MAX);
	if (bytes.len > 0)
		memcpy(key->bytes + key->len, bytes.data, bytes.len);
	key->len += (uint16_t)bytes.len;
}

void mne_key_super(MneKey *out)
{
	key_begin(out, MNE_TAG_SUPER);
}

void mne_key_rollback(MneKey *out)
{
	key_begin(out, MNE_TAG_ROLLBACK);
}

void mne_key_table(MneKey *out, MneSlice name)
{
	key_begin(out, MNE_TAG_TABLE);
	key_bytes(out, name);
}

void mne_key_frags(MneKey *out, uint32_t table)
{
	key_begin(out, MNE_TAG_FRAGS);
	key_u32(out, table);
}

void mne_key_set_fragment(MneKey *key, uint32_t fragment)
{
	g_assert(key->len >= MNE_KEY_NODE_PREFIX && key->bytes[0] == MNE_TAG_NODE);
	mne_put_be32(key->bytes + MNE_KEY_NODE_PREFIX - 4, fragment);
}

uint32_t mne_key_fragment(MneSlice key)
{
	g_assert(key.len >= MNE_KEY_NODE_PREFIX && key.data[0] == MNE_TAG_NODE);
	return mne_get_be32(key.data + MNE_KEY_NODE_PREFIX - 4);
}

void mne_key_node(MneKey *out, uint32_t table, uint64_t dir, MneSlice name)
{
	key_begin(out, MNE_TAG_NODE);
	key_u32(out, table);
	key_u64(out, dir);
	key_u32(out, 0);
	key_bytes(out, name);
}

bool mne_key_is_dir(MneSlice key)
{
	return key.len == 1 + 4 + 8 + 4 && key.data[0] == MNE_TAG_NODE;
}

void mne_key_inode(MneKey *out, uint32_t table, uint64_t record)
{
	key_begin(out, MNE_TAG_INODE);
	key_u32(out, table);
	key_u64(out, record);
}

void mne_key_name(MneKey *out, uint32_t table, uint64_t record, uint64_t dir,
		  MneSlice name)
{
	key_begin(out, MNE_TAG_NAME);
	key_u32(out, table);
	key_u64(out, record);
	key_u64(out, dir);
	key_bytes(out, name);
}

void mne_key_extent(MneKey *out, uint32_t table, uint64_t data, uint64_t offset)
{
	key_begin(out, MNE_TAG_EXTENT);
	key_u32(out, table);
	key_u64(out, data);
	key_u64(out, offset);
}

void mne_key_xattr(MneKey *out, uint32_t table, uint64_t record, MneSlice name)
{
	key_begin(out, MNE_TAG_XATTR);
	key_u32(out, table);
	key_u64(out, record);
	key_bytes(out, name);
}

void mne_key_ckpt(MneKey *out, uint64_t checkpoint)
{
	key_begin(out, MNE_TAG_CKPT);
	key_u64(out, checkpoint);
}

void mne_key_retained(MneKey *out, MneSlice key, uint64_t seq)
{
	key_begin(out, MNE_TAG_RETAINED);
	key_bytes(out, key);
	key_u64(out, seq);
}

void mne_key_changed(MneKey *out, uint64_t seq, MneSlice key)
{
	key_begin(out, MNE_TAG_CHANGED);
	key_u64(out, seq);
	key_bytes(out, key);
}

void mne_key_bookmark(MneKey *out, uint64_t bookmark)
{
	mne_key_ckpt(out, bookmark);
	out->bytes[0] = MNE_TAG_BOOKMARK;
}

void mne_key_stub(MneKey *out, MneSlice key, uint64_t seq)
{
	mne_key_retained(out, key, seq);
	out->bytes[0] = MNE_TAG_STUB;
}

void mne_key_since(MneKey *out, uint64_t seq, MneSlice key)
{
	mne_key_changed(out, seq, key);
	out->bytes[0] = MNE_TAG_SINCE;
}

void mne_key_orphan(MneKey *out, uint32_t table, uint64_t data)
{
	key_begin(out, MNE_TAG_ORPHAN);
	key_u32(out, table);
	key_u64(out, data);
}

void mne_key_segment(MneKey *out, uint64_t segment)
{
	key_begin(out, MNE_TAG_SEGMENT);
	key_u64(out, segment);
}

void mne_key_tally(MneKey *out, uint32_t table, uint64_t first, uint64_t last)
{
	key_begin(out, MNE_TAG_TALLY);
	key_u32(out, table);
	key_u64(out, first);
	key_u64(out, last);
}

static MneSlice rest_of(MneReader *reader)
{
	return mne_read_bytes(reader, (size_t)(reader->end - reader->at));
}

static bool is_data_tag(uint8_t tag)
{
	return tag == MNE_TAG_TABLE || tag == MNE_TAG_FRAGS || tag == MNE_TAG_NODE ||
	       tag == MNE_TAG_INODE || tag == MNE_TAG_NAME || tag == MNE_TAG_EXTENT ||
	       tag == MNE_TAG_XATTR;
}

/* The key inside a RETAINED or CHANGED key must itself be one of a view. */
static void parse_inner(MneReader *reader, MneSlice inner, MneKeyParts *out)
{
	MneKeyParts parts;

	out->inner = inner;
	if (inner.len == 0 || !is_data_tag(inner.data[0])) {
		reader->failed = true;
		return;
	}
	if (mne_key_parse(inner, &parts) < 0)
		reader->failed = true;
	else
		out->table = parts.table;
}

static void parse_retained(MneReader *reader, MneKeyParts *out)
{
	size_t len = (size_t)(reader->end - reader->at);
	MneSlice inner;

	if (len < 8) {
		reader->failed = true;
		return;
	}
	inner = mne_read_bytes(reader, len - 8);
	out->seq = mne_read_be64(reader);
	parse_inner(reader, inner, out);
}

static void parse_name(MneReader *reader, MneKeyParts *out, size_t least)
{
	out->name = rest_of(reader);
	if (out->name.len < least || out->name.len > MNE_NAME_MAX ||
	    (out->name.len > 0 && memchr(out->name.data, 0, out->name.len)))
		reader->failed = true;
}

static void parse_rest(MneReader *reader, MneKeyParts *out)
{
	switch (out->tag) {
	case MNE_TAG_SUPER:
	case MNE_TAG_ROLLBACK: break;
	case MNE_TAG_TABLE: parse_name(reader, out, 1); break;
	case MNE_TAG_FRAGS: out->table = mne_read_be32(reader); break;
	case MNE_TAG_NODE:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		out->fragment = mne_read_be32(reader);
		parse_name(reader, out, 0);
		break;
	case MNE_TAG_INODE:
	case MNE_TAG_ORPHAN:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		break;
	case MNE_TAG_NAME:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		out->dir = mne_read_be64(reader);
		parse_name(reader, out, 1);
		break;
	case MNE_TAG_EXTENT:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		out->offset = mne_read_be64(reader);
		break;
	case MNE_TAG_XATTR:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		parse_name(reader, out, 1);
		break;
	case MNE_TAG_CKPT:
	case MNE_TAG_BOOKMARK:
	case MNE_TAG_SEGMENT: out->id = mne_read_be64(reader); break;
	case MNE_TAG_STUB:
	case MNE_TAG_RETAINED: parse_retained(reader, out); break;
	case MNE_TAG_TALLY:
		out->table = mne_read_be32(reader);
		out->id = mne_read_be64(reader);
		out->seq = mne_read_be64(reader);
		break;
	case MNE_TAG_SINCE:
	case MNE_TAG_CHANGED:
		out->seq = mne_read_be64(reader);
		parse_inner(reader, rest_of(reader), out);
		break;
	}
}

static bool is_known_tag(uint8_t tag)
{
	switch (tag) {
#define MNE_KEY_CASE(name, tag, layout, value) case tag:
		MNE_KEYS(MNE_KEY_CASE)
#undef MNE_KEY_CASE
		return true;
	}
	return false;
}

int mne_key_parse(MneSlice key, MneKeyParts *out)
{
	MneReader reader = mne_reader(key);
	MneKeyParts parts = { 0 };
	uint8_t tag = mne_read_u8(&reader);

	if (reader.failed || !is_known_tag(tag))
		return mne_throw(VALUE_CORRUPT, "a key of an unknown kind");

	parts.tag = tag;
	parse_rest(&reader, &parts);
	if (!mne_reader_done(&reader))
		return mne_throw(VALUE_CORRUPT,
				 "a key of kind 0x%02x has the wrong form", tag);
	*out = parts;
	return 0;
}

uint32_t mne_key_table_of(MneSlice key)
{
	if (key.len < 5 || key.data[0] == MNE_TAG_TABLE || !is_data_tag(key.data[0]))
		return 0;
	return mne_get_be32(key.data + 1);
}

static const char *tag_name(MneTag tag)
{
	switch (tag) {
#define MNE_KEY_NAME(name, tag, layout, value) \
	case tag: return #name;
		MNE_KEYS(MNE_KEY_NAME)
#undef MNE_KEY_NAME
	}
	return "?";
}

char *mne_key_to_text(MneSlice key)
{
	g_autofree char *name = NULL;
	g_autofree char *inner = NULL;
	MneKeyParts parts;

	if (mne_key_parse(key, &parts) < 0)
		return g_strdup("?");

	name = g_strndup((const char *)parts.name.data, parts.name.len);
	if (parts.inner.len > 0) {
		inner = mne_key_to_text(parts.inner);
		return g_strdup_printf("%s(%s@%" G_GUINT64_FORMAT ")",
				       tag_name(parts.tag), inner, parts.seq);
	}
	return g_strdup_printf("%s(%u,%" G_GUINT64_FORMAT ",%" G_GUINT64_FORMAT ",%s)",
			       tag_name(parts.tag), parts.table, parts.id, parts.offset,
			       name);
}
