/* SPDX-License-Identifier: Apache-2.0
 *
 * record/node.c - inodes to bytes and back
 *
 * Layout of a value: kind:8 seq:64be payload crc:32be, the CRC-32C over all before it.
 * Payload of an inode: varints in the order of encode_fixed(), then name, content and
 * xattrs, each with its length in front.
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/node.h"

#include "record/keys.h"
#include "util/coding.h"

enum { VALUE_HEAD = 9, VALUE_TAIL = 4, N_NUMBERS = 13 };

void mne_value_begin(GByteArray *to, MneKind kind, uint64_t seq)
{
	mne_add_u8(to, (uint8_t)kind);
	mne_add_be64(to, seq);
}

void mne_value_end(GByteArray *to)
{
	mne_add_be32(to, mne_crc32c(0, to->data, to->len));
}

int mne_value_open(MneSlice value, MneKind *out_kind, uint64_t *out_seq,
		   MneSlice *out_payload)
{
	size_t body = value.len - VALUE_TAIL;

	if (value.len < VALUE_HEAD + VALUE_TAIL)
		return mne_throw(VALUE_CORRUPT, "a value of %zu bytes is too short",
				 value.len);
	if (mne_crc32c(0, value.data, body) != mne_get_be32(value.data + body))
		return mne_throw(VALUE_CORRUPT, "checksum mismatch in a value");

	*out_kind = value.data[0];
	*out_seq = mne_get_be64(value.data + 1);
	*out_payload = mne_slice(value.data + VALUE_HEAD, body - VALUE_HEAD);
	return 0;
}

uint64_t mne_value_seq(MneSlice value)
{
	return value.len < VALUE_HEAD ? 0 : mne_get_be64(value.data + 1);
}

void mne_node_clear(MneNode *node)
{
	g_clear_pointer(&node->value, g_bytes_unref);
	*node = (MneNode){ 0 };
}

void mne_node_copy(const MneNode *node, MneNode *out)
{
	*out = *node;
	if (out->value)
		g_bytes_ref(out->value);
}

static uint8_t *put_time(uint8_t *to, struct timespec time)
{
	mne_put_be64(to, (uint64_t)time.tv_sec);
	mne_put_be32(to + 8, (uint32_t)time.tv_nsec);
	return to + 12;
}

static struct timespec read_time(MneReader *reader)
{
	struct timespec time = { 0 };

	time.tv_sec = (time_t)mne_read_be64(reader);
	time.tv_nsec = (long)mne_read_be32(reader);
	if (time.tv_nsec >= 1000000000)
		reader->failed = true;
	return time;
}

/* Returns where it ends. */
static uint8_t *encode_fixed(const MneNode *node, uint8_t *to)
{
	const uint64_t numbers[N_NUMBERS] = {
		node->rec,    node->version, node->mode,   node->uid,  node->gid,
		node->nlink,  node->flags,   node->rdev,   node->size, node->data,
		node->stored, node->entries, node->parent,
	};

	for (unsigned i = 0; i < N_NUMBERS; i++)
		to = mne_put_varint(to, numbers[i]);
	to = put_time(to, node->atime);
	to = put_time(to, node->mtime);
	to = put_time(to, node->ctime);
	return put_time(to, node->btime);
}

GBytes *mne_node_encode(const MneNode *node)
{
	GByteArray *to = g_byte_array_sized_new(
		160 + (guint)(node->name.len + node->content.len + node->xattrs.len));

	uint8_t fixed[N_NUMBERS * MNE_VARINT_MAX + 4 * 12];

	mne_value_begin(to, MNE_KIND_INODE, node->seq);
	mne_add_bytes(to,
		      mne_slice(fixed, (size_t)(encode_fixed(node, fixed) - fixed)));
	mne_add_sized(to, node->name);
	mne_add_sized(to, node->content);
	mne_add_sized(to, node->xattrs);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static uint32_t read_u32(MneReader *reader)
{
	uint64_t value = mne_read_varint(reader);

	if (value > UINT32_MAX)
		reader->failed = true;
	return (uint32_t)value;
}

static void decode_fixed(MneReader *reader, MneNode *node)
{
	node->rec = mne_read_varint(reader);
	node->version = mne_read_varint(reader);
	node->mode = read_u32(reader);
	node->uid = read_u32(reader);
	node->gid = read_u32(reader);
	node->nlink = read_u32(reader);
	node->flags = read_u32(reader);
	node->rdev = mne_read_varint(reader);
	node->size = mne_read_varint(reader);
	node->data = mne_read_varint(reader);
	node->stored = mne_read_varint(reader);
	node->entries = mne_read_varint(reader);
	node->parent = mne_read_varint(reader);
	node->atime = read_time(reader);
	node->mtime = read_time(reader);
	node->ctime = read_time(reader);
	node->btime = read_time(reader);
}

int mne_node_decode(GBytes *value, MneNode *out)
{
	MneNode node = { 0 };
	MneSlice payload;
	MneReader reader;
	MneKind kind;

	MNE_TRY(mne_value_open(mne_slice_of(value), &kind, &node.seq, &payload));
	if (kind != MNE_KIND_INODE)
		return mne_throw(VALUE_CORRUPT, "kind %d where an inode should be",
				 kind);

	reader = mne_reader(payload);
	decode_fixed(&reader, &node);
	node.name = mne_read_sized(&reader);
	node.content = mne_read_sized(&reader);
	node.xattrs = mne_read_sized(&reader);
	if (!mne_reader_done(&reader) || node.name.len > MNE_NAME_MAX ||
	    (S_ISREG(node.mode) && node.content.len > node.size))
		return mne_throw(VALUE_CORRUPT, "an inode does not decode");

	node.value = g_bytes_ref(value);
	*out = node;
	return 0;
}

GBytes *mne_ref_encode(MneKind kind, uint64_t seq, uint64_t rec, uint32_t mode)
{
	GByteArray *to = g_byte_array_sized_new(32);

	mne_value_begin(to, kind, seq);
	mne_add_varint(to, rec);
	mne_add_varint(to, mode & S_IFMT);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

int mne_ref_decode(MneSlice value, MneKind *out_kind, uint64_t *out_rec,
		   uint32_t *out_mode)
{
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint64_t seq, rec;
	uint32_t mode;

	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	if (kind != MNE_KIND_DIRREF && kind != MNE_KIND_LINK)
		return mne_throw(VALUE_CORRUPT, "kind %d where a reference should be",
				 kind);

	reader = mne_reader(payload);
	rec = mne_read_varint(&reader);
	mode = read_u32(&reader);
	if (!mne_reader_done(&reader))
		return mne_throw(VALUE_CORRUPT, "a reference does not decode");

	*out_kind = kind;
	*out_rec = rec;
	*out_mode = mode;
	return 0;
}

uint64_t mne_node_blocks(const MneNode *node)
{
	uint64_t bytes = node->data != 0 ? node->stored : node->content.len;
	uint64_t blocks = bytes / 512 + (bytes % 512 != 0);

	return blocks == 0 && node->size > 0 ? 1 : blocks;
}
