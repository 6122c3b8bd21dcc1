/* SPDX-License-Identifier: Apache-2.0
 *
 * record/keys.h - the key space of a store
 *
 * Every key is one tag byte, fixed-width big-endian numbers, then the rest; so keys
 * of a kind are adjacent and sort as they count.  A name ends its key and holds no
 * NUL, and a seq behind a key starts with a NUL (seqs are below 2^56): therefore
 * RETAINED keys sort by the key they retain, then by seq.
 *
 * MNE_KEY(NAME, tag, "layout", "what the value is") - the tag is on disk: never
 * reuse one, never change one.  docs/format.md is generated from this list.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#define MNE_KEYS(MNE_KEY)                                                                \
	MNE_KEY(SUPER, 0x01, "-", "format version, feature bits, cookie, counters")      \
	MNE_KEY(ROLLBACK, 0x02, "-", "a rollback under way: which tables, to what")      \
	MNE_KEY(TABLE, 0x10, "name", "table id, root directory id, cookie, schema")      \
	MNE_KEY(FRAGS, 0x11, "table:32",                                                 \
		"how many fragments the table has, its hash module and that one's "      \
		"state, the split or merge under way; absent: one fragment")             \
	MNE_KEY(NODE, 0x20, "table:32 dir:64 fragment:32 name",                          \
		"the inode; of a subdirectory or a hard-linked file a reference to it; " \
		"with an empty name the directory's own inode")                          \
	MNE_KEY(INODE, 0x21, "table:32 record:64", "the inode of a hard-linked file")    \
	MNE_KEY(NAME, 0x22, "table:32 record:64 dir:64 name",                            \
		"the same as the NODE key of that name, which leads to a hard-linked "   \
		"file: how its names are found")                                         \
	MNE_KEY(EXTENT, 0x23, "table:32 data:64 offset:64",                              \
		"segment, place, length and checksum of a piece of a file")              \
	MNE_KEY(XATTR, 0x24, "table:32 record:64 name", "a big extended attribute")      \
	MNE_KEY(CKPT, 0x30, "checkpoint:64", "name, seq, time, tables covered, state")   \
	MNE_KEY(RETAINED, 0x31, "key seq:64", "the value as it was")                     \
	MNE_KEY(CHANGED, 0x32, "seq:64 key", "nothing: the key was touched since seq")   \
	MNE_KEY(TALLY, 0x36, "table:32 first:64 last:64",                                \
		"bytes and number of the values retained under last, and seen by the "   \
		"checkpoints from first on")                                             \
	MNE_KEY(BOOKMARK, 0x38, "bookmark:64", "a checkpoint's, without its bytes")      \
	MNE_KEY(STUB, 0x39, "key seq:64",                                                \
		"what a bookmark needs of the value as it was: no content")              \
	MNE_KEY(SINCE, 0x3a, "seq:64 key",                                               \
		"nothing: the key was touched since the bookmark of seq")                \
	MNE_KEY(ORPHAN, 0x40, "table:32 data:64",                                        \
		"seq: extents nobody names any more")                                    \
	MNE_KEY(SEGMENT, 0x41, "segment:64", "live bytes")

typedef enum {
#define MNE_KEY_TAG(name, tag, layout, value) MNE_TAG_##name = (tag),
	MNE_KEYS(MNE_KEY_TAG)
#undef MNE_KEY_TAG
} MneTag;

#define MNE_NAME_MAX 255u
#define MNE_KEY_MAX  300u

/* A key on the stack. */
typedef struct {
	uint16_t len;
	uint8_t bytes[MNE_KEY_MAX];
} MneKey;

static inline MneSlice mne_key_slice(const MneKey *key)
{
	return (MneSlice){ key->bytes, key->len };
}

/* Builders.  fragment is 0 in a logical key; frag/ routes it before it meets the store. */
void mne_key_super(MneKey *out);
void mne_key_rollback(MneKey *out);
void mne_key_table(MneKey *out, MneSlice name);
void mne_key_frags(MneKey *out, uint32_t table);
void mne_key_node(MneKey *out, uint32_t table, uint64_t dir, MneSlice name);
/* Of a NODE key, or of the beginning of one up to the name. */
void mne_key_set_fragment(MneKey *key, uint32_t fragment);
uint32_t mne_key_fragment(MneSlice key);
#define MNE_KEY_NODE_PREFIX 17u /* bytes of a NODE key before the name */
void mne_key_inode(MneKey *out, uint32_t table, uint64_t record);
void mne_key_name(MneKey *out, uint32_t table, uint64_t record, uint64_t dir,
		  MneSlice name);
void mne_key_extent(MneKey *out, uint32_t table, uint64_t data, uint64_t offset);
void mne_key_xattr(MneKey *out, uint32_t table, uint64_t record, MneSlice name);
void mne_key_ckpt(MneKey *out, uint64_t checkpoint);
void mne_key_retained(MneKey *out, MneSlice key, uint64_t seq);
void mne_key_changed(MneKey *out, uint64_t seq, MneSlice key);
void mne_key_bookmark(MneKey *out, uint64_t bookmark);
void mne_key_stub(MneKey *out, MneSlice key, uint64_t seq);
void mne_key_since(MneKey *out, uint64_t seq, MneSlice key);
void mne_key_orphan(MneKey *out, uint32_t table, uint64_t data);
void mne_key_segment(MneKey *out, uint64_t segment);
void mne_key_tally(MneKey *out, uint32_t table, uint64_t first, uint64_t last);

/* Everything a key can say.  The fields its tag does not have are 0. */
typedef struct {
	MneTag tag;
	uint32_t table;
	uint64_t
		id; /* dir, record, data, checkpoint, bookmark or segment; TALLY: first */
	uint32_t fragment;
	uint64_t offset; /* EXTENT */
	uint64_t seq; /* RETAINED, CHANGED, STUB, SINCE; TALLY: last */
	uint64_t dir; /* NAME */
	MneSlice name; /* borrowed from the key */
	MneSlice inner; /* RETAINED, CHANGED, STUB, SINCE: the key inside */
} MneKeyParts;

/* VALUE_CORRUPT for anything a builder cannot have made. */
int mne_key_parse(MneSlice key, MneKeyParts *out) MNE_CHECKED;

/* The table a key belongs to, 0 for TABLE keys and those without. */
uint32_t mne_key_table_of(MneSlice key);

/* Is it that of a directory's own inode? */
bool mne_key_is_dir(MneSlice key);

/* For logs: a new string such as "NODE(3,17,0,alice)". */
char *mne_key_to_text(MneSlice key);
