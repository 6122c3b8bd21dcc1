/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-record.c - keys, and the values that stand under them
 */
#include "config.h"

#include "record/keys.h"
#include "record/node.h"
#include "record/xattr.h"
#include "table/schema.h"

static const uint32_t u32s[] = { 0, 1, 255, 256, UINT32_MAX };
static const uint64_t u64s[] = { 0,         1,          255,
				 256,       UINT32_MAX, (UINT64_C(1) << 56) - 1,
				 UINT64_MAX };
static const char *const names[] = { "a", "a\x01", "a\x01z",   "aa",   "ab",
				     "b", "\xff",  "\xff\xff", "a\xff" };

static uint32_t some_u32(void)
{
	return u32s[g_test_rand_int_range(0, G_N_ELEMENTS(u32s))];
}

static uint64_t some_u64(void)
{
	return u64s[g_test_rand_int_range(0, G_N_ELEMENTS(u64s))];
}

static MneSlice some_name(void)
{
	return mne_slice_str(names[g_test_rand_int_range(0, G_N_ELEMENTS(names))]);
}

/* --- keys -------------------------------------------------------------------------- */

/* A key of a view, at random. */
static void some_data_key(MneKey *out)
{
	switch (g_test_rand_int_range(0, 5)) {
	case 0: mne_key_table(out, some_name()); break;
	case 1: mne_key_node(out, some_u32(), some_u64(), some_name()); break;
	case 2: mne_key_inode(out, some_u32(), some_u64()); break;
	case 3: mne_key_extent(out, some_u32(), some_u64(), some_u64()); break;
	case 4:
		mne_key_name(out, some_u32(), some_u64(), some_u64(), some_name());
		break;
	default: mne_key_xattr(out, some_u32(), some_u64(), some_name()); break;
	}
}

/* Build from what was parsed. */
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

static void assert_identity(const MneKey *key)
{
	MneKeyParts parts;
	MneKey again;

	g_assert_cmpint(mne_key_parse(mne_key_slice(key), &parts), ==, 0);
	build(&parts, &again);
	g_assert_cmpmem(key->bytes, key->len, again.bytes, again.len);
}

static void some_key(MneTag tag, MneKey *out)
{
	MneKey inner;

	some_data_key(&inner);
	switch (tag) {
	case MNE_TAG_SUPER: mne_key_super(out); break;
	case MNE_TAG_ROLLBACK: mne_key_rollback(out); break;
	case MNE_TAG_TABLE: mne_key_table(out, some_name()); break;
	case MNE_TAG_FRAGS: mne_key_frags(out, some_u32()); break;
	case MNE_TAG_NODE:
		mne_key_node(out, some_u32(), some_u64(),
			     g_test_rand_int_range(0, 3) ? some_name()
							 : MNE_SLICE_EMPTY);
		break;
	case MNE_TAG_INODE: mne_key_inode(out, some_u32(), some_u64()); break;
	case MNE_TAG_NAME:
		mne_key_name(out, some_u32(), some_u64(), some_u64(), some_name());
		break;
	case MNE_TAG_EXTENT:
		mne_key_extent(out, some_u32(), some_u64(), some_u64());
		break;
	case MNE_TAG_XATTR:
		mne_key_xattr(out, some_u32(), some_u64(), some_name());
		break;
	case MNE_TAG_CKPT: mne_key_ckpt(out, some_u64()); break;
	case MNE_TAG_RETAINED:
		mne_key_retained(out, mne_key_slice(&inner), some_u64());
		break;
	case MNE_TAG_CHANGED:
		mne_key_changed(out, some_u64(), mne_key_slice(&inner));
		break;
	case MNE_TAG_BOOKMARK: mne_key_bookmark(out, some_u64()); break;
	case MNE_TAG_STUB: mne_key_stub(out, mne_key_slice(&inner), some_u64()); break;
	case MNE_TAG_SINCE:
		mne_key_since(out, some_u64(), mne_key_slice(&inner));
		break;
	case MNE_TAG_ORPHAN: mne_key_orphan(out, some_u32(), some_u64()); break;
	case MNE_TAG_SEGMENT: mne_key_segment(out, some_u64()); break;
	case MNE_TAG_TALLY:
		mne_key_tally(out, some_u32(), some_u64(), some_u64());
		break;
	}
}

static const MneTag tags[] = {
#define TAG(name, tag, layout, value) MNE_TAG_##name,
	MNE_KEYS(TAG)
#undef TAG
};

static void test_every_key_that_is_built_parses_to_what_it_was_built_from(void)
{
	for (unsigned i = 0; i < 20000; i++) {
		MneTag tag = tags[i % G_N_ELEMENTS(tags)];
		g_autofree char *text = NULL;
		MneKeyParts parts;
		MneKey key;

		some_key(tag, &key);
		assert_identity(&key);
		g_assert_cmpint(mne_key_parse(mne_key_slice(&key), &parts), ==, 0);
		g_assert_cmpint(parts.tag, ==, tag);
		text = mne_key_to_text(mne_key_slice(&key));
		g_assert_cmpstr(text, !=, "?");
	}
}

static void test_no_key_is_longer_than_a_key_may_be(void)
{
	char longest[MNE_NAME_MAX];
	MneKey node, xattr, key;

	memset(longest, 'n', sizeof(longest));
	mne_key_node(&node, UINT32_MAX, UINT64_MAX,
		     mne_slice(longest, sizeof(longest)));
	mne_key_retained(&key, mne_key_slice(&node), UINT64_MAX);
	assert_identity(&key);
	mne_key_changed(&key, UINT64_MAX, mne_key_slice(&node));
	assert_identity(&key);
	mne_key_xattr(&xattr, UINT32_MAX, UINT64_MAX,
		      mne_slice(longest, sizeof(longest)));
	mne_key_retained(&key, mne_key_slice(&xattr), UINT64_MAX);
	assert_identity(&key);
	g_assert_cmpuint(key.len, <=, MNE_KEY_MAX);
}

/* The key, cut short or with a byte changed, is refused, or is just another key. */
static void test_a_damaged_key_is_refused_or_is_another_whole_key(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		MneKeyParts parts;
		MneKey key;

		some_key(tags[i % G_N_ELEMENTS(tags)], &key);
		for (uint16_t len = 0; len < key.len; len++) {
			MneKey cut = key;

			cut.len = len;
			if (mne_key_parse(mne_key_slice(&cut), &parts) == 0)
				assert_identity(&cut);
		}
		for (uint16_t at = 0; at < key.len; at++) {
			MneKey bad = key;

			bad.bytes[at] ^= (uint8_t)(1 << g_test_rand_int_range(0, 8));
			if (mne_key_parse(mne_key_slice(&bad), &parts) == 0 &&
			    parts.fragment == 0)
				g_assert_cmpuint(parts.tag, ==, bad.bytes[0]);
		}
	}
}

static void assert_refused(const char *bytes, size_t len)
{
	MneKeyParts parts;
	g_autofree char *text = mne_key_to_text(mne_slice(bytes, len));

	g_assert_cmpint(mne_key_parse(mne_slice(bytes, len), &parts), ==,
			-MNE_E_VALUE_CORRUPT);
	g_assert_cmpstr(text, ==, "?");
}

static void test_keys_that_nobody_builds_are_refused(void)
{
	char too_long[1 + MNE_NAME_MAX + 1];

	memset(too_long, 'n', sizeof(too_long));
	too_long[0] = MNE_TAG_TABLE;
	assert_refused("", 0);
	assert_refused("\x03", 1); /* no such tag */
	assert_refused("\x01x", 2); /* SUPER with something behind */
	assert_refused("\x10", 1); /* a table without a name */
	assert_refused("\x10"
		       "a\0b",
		       4); /* NUL in a name */
	assert_refused(too_long, sizeof(too_long));
	assert_refused("\x30\0\0\0\0\0\0\0", 8); /* 7 bytes of 8 */
	assert_refused("\x31\0\0\0\0\0\0\0\1", 9); /* RETAINED of nothing */
	assert_refused("\x31\x30\0\0\0\0\0\0\0\1\0\0\0\0\0\0\0\1", 18); /* of a CKPT */
	assert_refused("\x32\0\0\0\0\0\0\0\1\x31\x10"
		       "a\0\0\0\0\0\0\0\1",
		       20); /* CHANGED of a RETAINED */
}

/* --- order ------------------------------------------------------------------------- */

typedef struct {
	MneKey inner;
	uint64_t seq;
	MneKey key;
} Kept;

static int sign(int value)
{
	return (value > 0) - (value < 0);
}

static int compare_meaning(const Kept *a, const Kept *b)
{
	int order = mne_slice_compare(mne_key_slice(&a->inner),
				      mne_key_slice(&b->inner));

	return order != 0 ? sign(order) : (a->seq > b->seq) - (a->seq < b->seq);
}

static void test_retained_keys_sort_by_the_key_they_keep_and_then_by_seq(void)
{
	static const uint64_t seqs[] = {
		0, 1, 255, 256, 0x0101010101, 0x61616161616161, (UINT64_C(1) << 56) - 1
	};
	enum { N = 400 };
	g_autofree Kept *all = g_new0(Kept, N);

	for (unsigned i = 0; i < N; i++) {
		/* Names that are prefixes of each other, in one directory. */
		if (i % 2)
			mne_key_node(&all[i].inner, 1, 2, some_name());
		else
			some_data_key(&all[i].inner);
		all[i].seq = seqs[g_test_rand_int_range(0, G_N_ELEMENTS(seqs))];
		mne_key_retained(&all[i].key, mne_key_slice(&all[i].inner), all[i].seq);
	}
	for (unsigned i = 0; i < N; i++)
		for (unsigned j = 0; j < N; j++)
			g_assert_cmpint(
				sign(mne_slice_compare(mne_key_slice(&all[i].key),
						       mne_key_slice(&all[j].key))),
				==, compare_meaning(&all[i], &all[j]));
}

static void test_keys_of_a_kind_sort_as_they_count(void)
{
	MneKey one, two;

	for (unsigned i = 0; i < G_N_ELEMENTS(u64s); i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(u64s); j++) {
			int wants = (u64s[i] > u64s[j]) - (u64s[i] < u64s[j]);

			mne_key_extent(&one, 7, 8, u64s[i]);
			mne_key_extent(&two, 7, 8, u64s[j]);
			g_assert_cmpint(sign(mne_slice_compare(mne_key_slice(&one),
							       mne_key_slice(&two))),
					==, wants);
			mne_key_node(&one, 7, u64s[i], mne_slice_str("\xff"));
			mne_key_node(&two, 7, u64s[j], mne_slice_str("\xff"));
			g_assert_cmpint(sign(mne_slice_compare(mne_key_slice(&one),
							       mne_key_slice(&two))),
					==, wants);
		}
	}
}

static void test_a_key_tells_its_table_without_being_parsed(void)
{
	for (unsigned i = 0; i < 1000; i++) {
		MneKeyParts parts;
		MneKey key;

		some_data_key(&key);
		g_assert_cmpint(mne_key_parse(mne_key_slice(&key), &parts), ==, 0);
		g_assert_cmpuint(mne_key_table_of(mne_key_slice(&key)), ==,
				 parts.table);
	}
	g_assert_cmpuint(mne_key_table_of(MNE_SLICE_EMPTY), ==, 0);
	g_assert_cmpuint(mne_key_table_of(mne_slice("\x20\0\0\0", 4)), ==, 0);
}

/* --- values ------------------------------------------------------------------------ */

static struct timespec some_time(void)
{
	return (struct timespec){ .tv_sec = (time_t)some_u64(),
				  .tv_nsec = g_test_rand_int_range(0, 1000000000) };
}

static MneNode some_node(void)
{
	MneNode node = {
		.seq = some_u64(),
		.rec = some_u64(),
		.version = some_u64(),
		.mode = S_IFREG | 0644,
		.uid = some_u32(),
		.gid = some_u32(),
		.nlink = some_u32(),
		.flags = MNE_NODE_LINKED,
		.rdev = some_u64(),
		.size = UINT64_MAX,
		.data = some_u64(),
		.stored = some_u64(),
		.entries = some_u64(),
		.parent = some_u64(),
		.atime = some_time(),
		.mtime = some_time(),
		.ctime = some_time(),
		.btime = some_time(),
		.name = some_name(),
		.content = some_name(),
		.xattrs = some_name(),
	};

	return node;
}

static void assert_same_node(const MneNode *a, const MneNode *b)
{
	MneNode x = *a, y = *b;

	g_assert_true(mne_slice_equal(x.name, y.name));
	g_assert_true(mne_slice_equal(x.content, y.content));
	g_assert_true(mne_slice_equal(x.xattrs, y.xattrs));
	x.name = x.content = x.xattrs = MNE_SLICE_EMPTY;
	y.name = y.content = y.xattrs = MNE_SLICE_EMPTY;
	x.value = y.value = NULL;
	g_assert_cmpmem(&x, sizeof(x), &y, sizeof(y));
}

static void test_an_inode_comes_back_as_it_was(void)
{
	for (unsigned i = 0; i < 2000; i++) {
		MneNode node = some_node();
		g_autoptr(GBytes) value = mne_node_encode(&node);
		g_auto(MneNode) got = { 0 };
		g_auto(MneNode) copy = { 0 };

		g_assert_cmpuint(mne_value_seq(mne_slice_of(value)), ==, node.seq);
		g_assert_cmpint(mne_node_decode(value, &got), ==, 0);
		assert_same_node(&got, &node);
		mne_node_copy(&got, &copy);
		mne_node_clear(&got);
		assert_same_node(&copy, &node);
	}
}

typedef int (*Decode)(MneSlice value);

static int decode_node(MneSlice value)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);
	g_auto(MneNode) node = { 0 };

	return mne_node_decode(bytes, &node);
}

static int decode_ref(MneSlice value)
{
	uint32_t mode;
	MneKind kind;
	uint64_t rec;

	return mne_ref_decode(value, &kind, &rec, &mode);
}

static int decode_table(MneSlice value)
{
	MneTable table;

	return mne_table_decode(value, &table);
}

/* Cut short anywhere, with a byte too many, or with any bit of any byte changed. */
static void assert_every_damage_is_seen(GBytes *value, Decode decode)
{
	MneSlice good = mne_slice_of(value);
	g_autofree uint8_t *bad = g_malloc0(good.len + 1);

	memcpy(bad, good.data, good.len);
	g_assert_cmpint(decode(good), ==, 0);
	for (size_t len = 0; len < good.len; len++)
		g_assert_cmpint(decode(mne_slice(bad, len)), ==, -MNE_E_VALUE_CORRUPT);
	g_assert_cmpint(decode(mne_slice(bad, good.len + 1)), ==, -MNE_E_VALUE_CORRUPT);
	for (size_t at = 0; at < good.len; at++) {
		for (unsigned with = 1; with < 256; with++) {
			bad[at] ^= (uint8_t)with;
			g_assert_cmpint(decode(mne_slice(bad, good.len)), ==,
					-MNE_E_VALUE_CORRUPT);
			bad[at] ^= (uint8_t)with;
		}
	}
}

static void test_every_damage_of_a_value_is_seen(void)
{
	const MneTable table = { .seq = 1,
				 .id = 2,
				 .dir = 3,
				 .cookie = 4,
				 .version = 5,
				 .storage = MNE_STORAGE_DISC_COPIES,
				 .fragments = 1 };
	MneNode node = some_node();
	g_autoptr(GBytes) node_value = mne_node_encode(&node);
	g_autoptr(GBytes) ref_value = mne_ref_encode(MNE_KIND_LINK, 9, some_u64(),
						     S_IFREG | 0644);
	g_autoptr(GBytes) table_value = mne_table_encode(&table);

	assert_every_damage_is_seen(node_value, decode_node);
	assert_every_damage_is_seen(ref_value, decode_ref);
	assert_every_damage_is_seen(table_value, decode_table);
	g_assert_cmpint(decode_node(mne_slice_of(ref_value)), <, 0);
	g_assert_cmpint(decode_ref(mne_slice_of(node_value)), <, 0);
	g_assert_cmpint(decode_table(mne_slice_of(node_value)), <, 0);
}

static void test_a_node_that_contradicts_itself_is_refused(void)
{
	char longest[MNE_NAME_MAX + 1];
	MneNode node = some_node();
	g_autoptr(GBytes) more_content_than_size = NULL;
	g_autoptr(GBytes) nanoseconds = NULL;
	g_autoptr(GBytes) name = NULL;

	memset(longest, 'n', sizeof(longest));
	node.size = 0;
	more_content_than_size = mne_node_encode(&node);
	g_assert_cmpint(decode_node(mne_slice_of(more_content_than_size)), <, 0);
	node = some_node();
	node.mtime.tv_nsec = 1000000000;
	nanoseconds = mne_node_encode(&node);
	g_assert_cmpint(decode_node(mne_slice_of(nanoseconds)), <, 0);
	node = some_node();
	node.name = mne_slice(longest, sizeof(longest));
	name = mne_node_encode(&node);
	g_assert_cmpint(decode_node(mne_slice_of(name)), <, 0);
}

static void test_references_and_tables_come_back_as_they_were(void)
{
	static const MneCommitPolicy policies[] = {
		{ MNE_COMMIT_CLOSE, 0 },
		{ MNE_COMMIT_WRITE, 0 },
		{ MNE_COMMIT_SECONDS, 1 },
		{ MNE_COMMIT_SECONDS, MNE_COMMIT_SECONDS_MAX },
	};

	for (unsigned i = 0; i < 500; i++) {
		MneKind kind = i % 2 ? MNE_KIND_LINK : MNE_KIND_DIRREF, got_kind;
		uint64_t rec = some_u64(), got_rec;
		uint32_t got_mode;
		g_autoptr(GBytes) ref = mne_ref_encode(kind, 9, rec, S_IFIFO | 0644);
		const MneTable table = { .seq = some_u64(),
					 .id = 1 + i,
					 .dir = some_u64(),
					 .cookie = some_u64(),
					 .version = some_u64(),
					 .storage = MNE_STORAGE_DISC_COPIES,
					 .fragments = 1 + i,
					 .commit = policies[i % 4] };
		g_autoptr(GBytes) value = mne_table_encode(&table);
		MneTable got = { 0 };

		g_assert_cmpint(mne_ref_decode(mne_slice_of(ref), &got_kind, &got_rec,
					       &got_mode),
				==, 0);
		g_assert_cmpint(got_kind, ==, kind);
		g_assert_cmpuint(got_rec, ==, rec);
		g_assert_cmpuint(got_mode, ==, S_IFIFO);
		g_assert_cmpint(mne_table_decode(mne_slice_of(value), &got), ==, 0);
		g_assert_cmpuint(got.seq, ==, table.seq);
		g_assert_cmpuint(got.id, ==, table.id);
		g_assert_cmpuint(got.dir, ==, table.dir);
		g_assert_cmpuint(got.cookie, ==, table.cookie);
		g_assert_cmpuint(got.version, ==, table.version);
		g_assert_cmpuint(got.storage, ==, table.storage);
		g_assert_cmpuint(got.fragments, ==, table.fragments);
		g_assert_cmpuint(got.commit.when, ==, table.commit.when);
		g_assert_cmpuint(got.commit.seconds, ==, table.commit.seconds);
	}
}

static void test_a_table_that_cannot_be_is_refused(void)
{
	static const MneTable bad[] = {
		{ .id = 0, .storage = MNE_STORAGE_DISC_COPIES, .fragments = 1 },
		{ .id = 1, .storage = 2, .fragments = 1 },
		{ .id = 1, .storage = MNE_STORAGE_DISC_COPIES, .fragments = 0 },
		{ .id = 1,
		  .storage = MNE_STORAGE_DISC_COPIES,
		  .fragments = 1,
		  .commit = { .when = (MneCommitWhen)3 } },
		{ .id = 1,
		  .storage = MNE_STORAGE_DISC_COPIES,
		  .fragments = 1,
		  .commit = { MNE_COMMIT_SECONDS, 0 } },
		{ .id = 1,
		  .storage = MNE_STORAGE_DISC_COPIES,
		  .fragments = 1,
		  .commit = { MNE_COMMIT_SECONDS, MNE_COMMIT_SECONDS_MAX + 1 } },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(bad); i++) {
		g_autoptr(GBytes) value = mne_table_encode(&bad[i]);

		g_assert_cmpint(decode_table(mne_slice_of(value)), ==,
				-MNE_E_VALUE_CORRUPT);
	}
}

/* Numbers of more than 32 bits where only 32 are kept must not become others. */
static void test_numbers_too_big_for_a_schema_are_refused(void)
{
	static const uint8_t wide[] = { 0x81, 0x80, 0x80, 0x80, 0x10 }; /* 2^32 + 1 */

	for (unsigned which = 0; which < 3; which++) {
		g_autoptr(GByteArray) to = g_byte_array_new();
		static const uint8_t one = 1, zeros[8] = { 0 };

		mne_value_begin(to, MNE_KIND_TABLE, 1);
		g_byte_array_append(to, which == 0 ? wide : &one, which == 0 ? 5 : 1);
		g_byte_array_append(to, &one, 1); /* dir */
		g_byte_array_append(to, zeros, 8); /* cookie */
		g_byte_array_append(to, &one, 1); /* version */
		g_byte_array_append(to, which == 1 ? wide : &one, which == 1 ? 5 : 1);
		g_byte_array_append(to, which == 2 ? wide : &one, which == 2 ? 5 : 1);
		mne_value_end(to);
		g_assert_cmpint(decode_table(mne_slice(to->data, to->len)), ==,
				-MNE_E_VALUE_CORRUPT);
	}
}

static void test_a_file_with_bytes_never_has_no_blocks(void)
{
	const MneNode empty = { .mode = S_IFREG };
	const MneNode hole = { .mode = S_IFREG, .size = 1 };
	const MneNode small = { .size = 3, .content = mne_slice_str("abc") };
	const MneNode big = { .size = 1025, .data = 1, .stored = 1025 };

	g_assert_cmpuint(mne_node_blocks(&empty), ==, 0);
	g_assert_cmpuint(mne_node_blocks(&hole), ==, 1);
	g_assert_cmpuint(mne_node_blocks(&small), ==, 1);
	g_assert_cmpuint(mne_node_blocks(&big), ==, 3);
}

/* --- lists of attributes ----------------------------------------------------------- */

static void assert_list(const GByteArray *list, GHashTable *model)
{
	MneSlice all = mne_slice(list->data, list->len), name, value;
	MneSlice last = MNE_SLICE_EMPTY;
	unsigned n = 0;
	size_t at = 0;
	int got;

	while ((got = mne_xattrs_next(all, &at, &name, &value)) > 0) {
		g_autofree char *key = g_strndup((const char *)name.data, name.len);
		GBytes *want = g_hash_table_lookup(model, key);

		g_assert_nonnull(want);
		g_assert_true(mne_slice_equal(value, mne_slice_of(want)));
		g_assert_cmpint(mne_slice_compare(last, name), <, 0);
		last = name;
		n++;
	}
	g_assert_cmpint(got, ==, 0);
	g_assert_cmpuint(n, ==, g_hash_table_size(model));
}

static void test_a_list_of_attributes_is_a_sorted_map(void)
{
	g_autoptr(GHashTable) model = g_hash_table_new_full(
		g_str_hash, g_str_equal, g_free, (GDestroyNotify)g_bytes_unref);
	g_autoptr(GByteArray) list = g_byte_array_new();
	static const char zeros[600];

	for (unsigned i = 0; i < 3000; i++) {
		const char *name = names[g_test_rand_int_range(0, G_N_ELEMENTS(names))];
		MneSlice value = mne_slice(zeros,
					   (size_t)g_test_rand_int_range(0, 600));
		MneSlice got, all = mne_slice(list->data, list->len);
		bool has = g_hash_table_contains(model, name);
		GByteArray *next;

		g_assert_cmpint(mne_xattrs_get(all, mne_slice_str(name), &got), ==,
				has ? 0 : -ENODATA);
		if (g_test_rand_int_range(0, 2)) {
			value = MNE_SLICE_EMPTY;
			g_hash_table_remove(model, name);
		} else {
			g_hash_table_insert(model, g_strdup(name),
					    mne_slice_to_bytes(value));
		}
		next = mne_xattrs_with(all, mne_slice_str(name), value);
		g_byte_array_unref(list);
		list = next;
		assert_list(list, model);
	}
}

static void test_a_damaged_list_of_attributes_is_refused(void)
{
	MneSlice name, value;
	size_t at = 0;

	g_assert_cmpint(mne_xattrs_next(mne_slice("\x05"
						  "ab",
						  3),
					&at, &name, &value),
			==, -MNE_E_VALUE_CORRUPT);
	g_assert_cmpint(
		mne_xattrs_get(mne_slice("\x01", 1), mne_slice_str("a"), &value), ==,
		-MNE_E_VALUE_CORRUPT);
}

#define ADD(func) g_test_add_func("/record/" #func, func)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_every_key_that_is_built_parses_to_what_it_was_built_from);
	ADD(test_no_key_is_longer_than_a_key_may_be);
	ADD(test_a_damaged_key_is_refused_or_is_another_whole_key);
	ADD(test_keys_that_nobody_builds_are_refused);
	ADD(test_retained_keys_sort_by_the_key_they_keep_and_then_by_seq);
	ADD(test_keys_of_a_kind_sort_as_they_count);
	ADD(test_a_key_tells_its_table_without_being_parsed);
	ADD(test_an_inode_comes_back_as_it_was);
	ADD(test_every_damage_of_a_value_is_seen);
	ADD(test_a_node_that_contradicts_itself_is_refused);
	ADD(test_references_and_tables_come_back_as_they_were);
	ADD(test_a_table_that_cannot_be_is_refused);
	ADD(test_numbers_too_big_for_a_schema_are_refused);
	ADD(test_a_file_with_bytes_never_has_no_blocks);
	ADD(test_a_list_of_attributes_is_a_sorted_map);
	ADD(test_a_damaged_list_of_attributes_is_refused);
	return g_test_run();
}
