/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/value.c - a checkpoint as the value of its CKPT key
 *
 * What every checkpoint has comes first.  What only some have follows as fields: a tag and
 * a sized value, tags ascending, none that says nothing.  So a checkpoint has one encoding,
 * and a field that a later version adds leaves the old ones readable.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/value.h"

#include "record/keys.h"
#include "record/node.h"
#include "util/coding.h"

/* On disk: never change one, never use one again. */
enum {
	FIELD_PINNED = 1, /* empty */
	FIELD_NOTE = 2, /* bytes, no NUL */
	FIELD_EXPIRES = 3, /* ns:64 */
	FIELD_FLAGS = 4, /* varint: MneCkptFlags */
	FIELD_MAX = 5, /* table ids:32, ascending */
};

static void add_field(GByteArray *to, unsigned tag, MneSlice value)
{
	mne_add_varint(to, tag);
	mne_add_sized(to, value);
}

static void add_ids(GByteArray *to, const GArray *tables)
{
	for (guint i = 0; i < tables->len; i++)
		mne_add_be32(to, g_array_index(tables, uint32_t, i));
}

static void add_fields(GByteArray *to, const MneCkpt *ckpt, const MneCkptTraits *traits)
{
	g_autoptr(GByteArray) scratch = g_byte_array_new();

	if (traits->pinned)
		add_field(to, FIELD_PINNED, MNE_SLICE_EMPTY);
	if (traits->note && *traits->note)
		add_field(to, FIELD_NOTE, mne_slice_str(traits->note));
	if (traits->expires_ns > 0) {
		mne_add_be64(scratch, (uint64_t)traits->expires_ns);
		add_field(to, FIELD_EXPIRES, mne_slice(scratch->data, scratch->len));
	}
	if (ckpt->flags != 0) {
		g_byte_array_set_size(scratch, 0);
		mne_add_varint(scratch, ckpt->flags);
		add_field(to, FIELD_FLAGS, mne_slice(scratch->data, scratch->len));
	}
	if (ckpt->max_tables->len > 0) {
		g_byte_array_set_size(scratch, 0);
		add_ids(scratch, ckpt->max_tables);
		add_field(to, FIELD_MAX, mne_slice(scratch->data, scratch->len));
	}
}

GBytes *mne_ckpt_encode(const MneCkpt *ckpt, MneCkptState state, MneSlice name,
			const MneCkptTraits *traits)
{
	GByteArray *to = g_byte_array_new();

	mne_value_begin(to, MNE_KIND_CKPT, ckpt->seq);
	mne_add_be64(to, ckpt->cookie);
	mne_add_be64(to, (uint64_t)ckpt->time_ns);
	mne_add_varint(to, ckpt->uid);
	mne_add_varint(to, ckpt->gid);
	mne_add_u8(to, (uint8_t)state);
	mne_add_u8(to, ckpt->all_tables);
	mne_add_sized(to, name);
	mne_add_varint(to, ckpt->tables->len);
	add_ids(to, ckpt->tables);
	add_fields(to, ckpt, traits);
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

static void read_ids(MneReader *reader, uint64_t n, GArray *tables)
{
	for (; n > 0 && !reader->failed; n--) {
		uint32_t table = mne_read_be32(reader);

		if (tables->len > 0 &&
		    table < g_array_index(tables, uint32_t, tables->len - 1))
			reader->failed = true; /* they ascend */
		g_array_append_val(tables, table);
	}
}

static bool read_note(MneSlice value, char **out_note)
{
	if (value.len == 0 || value.len > MNE_CKPT_NOTE_MAX ||
	    memchr(value.data, 0, value.len))
		return false;
	*out_note = g_strndup((const char *)value.data, value.len);
	return true;
}

/* false: it cannot be. */
static bool read_field(MneCkpt *ckpt, uint64_t tag, MneSlice value)
{
	MneReader reader = mne_reader(value);

	switch (tag) {
	case FIELD_PINNED: ckpt->traits.pinned = true; break;
	case FIELD_NOTE: return read_note(value, &ckpt->traits.note);
	case FIELD_EXPIRES:
		ckpt->traits.expires_ns = (int64_t)mne_read_be64(&reader);
		if (ckpt->traits.expires_ns <= 0)
			return false;
		break;
	case FIELD_FLAGS:
		ckpt->flags = read_u32(&reader);
		if (ckpt->flags == 0 || ckpt->flags & ~(unsigned)MNE_CKPT_ALL_FLAGS)
			return false;
		break;
	case FIELD_MAX:
		read_ids(&reader, MAX(value.len / 4, 1), ckpt->max_tables);
		break;
	default: return false;
	}
	return mne_reader_done(&reader);
}

static void read_fields(MneReader *reader, MneCkpt *ckpt)
{
	uint64_t last = 0;

	while (reader->at < reader->end && !reader->failed) {
		uint64_t tag = mne_read_varint(reader);
		MneSlice value = mne_read_sized(reader);

		if (reader->failed || tag <= last || !read_field(ckpt, tag, value))
			reader->failed = true;
		last = tag;
	}
}

static bool covers_all(const MneCkpt *ckpt, const GArray *tables)
{
	for (guint i = 0; i < tables->len; i++)
		if (!mne_ckpt_covers(ckpt, g_array_index(tables, uint32_t, i)))
			return false;
	return true;
}

static bool can_be_name(MneSlice name)
{
	return name.len > 0 && name.len <= MNE_NAME_MAX &&
	       !memchr(name.data, 0, name.len) && !memchr(name.data, '/', name.len);
}

int mne_ckpt_decode(MneCkpt *ckpt, MneSlice value)
{
	MneSlice payload, name;
	MneReader reader;
	MneKind kind;
	uint8_t all;

	MNE_TRY(mne_value_open(value, &kind, &ckpt->seq, &payload));
	reader = mne_reader(payload);
	ckpt->cookie = mne_read_be64(&reader);
	ckpt->time_ns = (int64_t)mne_read_be64(&reader);
	ckpt->uid = read_u32(&reader);
	ckpt->gid = read_u32(&reader);
	ckpt->state = mne_read_u8(&reader);
	all = mne_read_u8(&reader);
	ckpt->all_tables = all != 0;
	name = mne_read_sized(&reader);
	read_ids(&reader, mne_read_varint(&reader), ckpt->tables);
	read_fields(&reader, ckpt);
	if (kind != MNE_KIND_CKPT || !mne_reader_done(&reader) || all > 1 ||
	    (all == 0) != (ckpt->tables->len > 0) || !can_be_name(name) ||
	    !covers_all(ckpt, ckpt->max_tables) ||
	    (ckpt->state != MNE_CKPT_ACTIVE && ckpt->state != MNE_CKPT_DROPPING))
		return mne_throw(VALUE_CORRUPT, "a checkpoint does not decode");
	ckpt->name = g_strndup((const char *)name.data, name.len);
	return 0;
}
