/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-ends.c - how logs may end: at any place of a block, torn at any byte, with
 * zeros behind or without, with any sectors missing of what was not synced
 *
 * The logs are made here, to the byte, as LevelDB would write them.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/wal.h"
#include "util/coding.h"

#include <string.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>
#include <leveldb/c.h>

#include "scratch.h"

enum { BLOCK = 32768, HEAD = 7, FIRST_LEN = 100, KEY_LEN = 8, LEAST = 24 };

enum { FULL = 1, FIRST, MIDDLE, LAST };

typedef struct {
	char *dir;
	char *log, *later;
	MneWal *wal;
} Fixture;

/* ---- a log, written ---- */

typedef struct {
	GByteArray *bytes;
	GArray *ends; /* of size_t: where each record ends */
	uint64_t sequence; /* of the next batch */
} Log;

static Log log_new(uint64_t sequence)
{
	return (Log){ g_byte_array_new(), g_array_new(FALSE, FALSE, sizeof(size_t)),
		      sequence };
}

static void log_clear(Log *log)
{
	g_byte_array_unref(log->bytes);
	g_array_unref(log->ends);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Log, log_clear)

static void add_zeros(GByteArray *to, size_t count)
{
	guint before = to->len;

	g_byte_array_set_size(to, before + (guint)count);
	memset(to->data + before, 0, count);
}

static void add_fragment(GByteArray *to, uint8_t type, MneSlice data)
{
	uint8_t head[HEAD] = { 0 };
	uint32_t crc = mne_crc32c(mne_crc32c(0, &type, 1), data.data, data.len);

	crc = GUINT32_TO_LE(((crc >> 15) | (crc << 17)) + 0xa282ead8u);
	memcpy(head, &crc, sizeof(crc));
	head[4] = (uint8_t)(data.len & 0xff);
	head[5] = (uint8_t)(data.len >> 8);
	head[6] = type;
	g_byte_array_append(to, head, HEAD);
	mne_add_bytes(to, data);
}

static void add_record(Log *log, MneSlice record)
{
	bool begins = true;
	size_t end;

	do {
		size_t left = BLOCK - log->bytes->len % BLOCK;
		MneSlice piece;
		bool ends;

		if (left < HEAD) {
			add_zeros(log->bytes, left);
			left = BLOCK;
		}
		piece = mne_slice(record.data, MIN(record.len, left - HEAD));
		record = mne_slice(record.data + piece.len, record.len - piece.len);
		ends = record.len == 0;
		add_fragment(log->bytes,
			     begins ? (ends ? FULL : FIRST) : (ends ? LAST : MIDDLE),
			     piece);
		begins = false;
	} while (record.len > 0);
	end = log->bytes->len;
	g_array_append_val(log->ends, end);
}

static void add_varint(GByteArray *to, size_t value)
{
	uint8_t byte;

	for (; value >= 128; value >>= 7) {
		byte = (uint8_t)(value | 128);
		g_byte_array_append(to, &byte, 1);
	}
	byte = (uint8_t)value;
	g_byte_array_append(to, &byte, 1);
}

static size_t varint_len(size_t value)
{
	return value < 128 ? 1 : value < 16384 ? 2 : 3;
}

/* A batch of one put, of exactly so many bytes: LEAST at least. */
static void add_batch(Log *log, size_t len)
{
	g_autoptr(GByteArray) batch = g_byte_array_new();
	uint64_t sequence = GUINT64_TO_LE(log->sequence);
	uint32_t count = GUINT32_TO_LE(1);
	size_t key_len = KEY_LEN, value_len;
	char key[32];

	len -= sizeof(sequence) + sizeof(count) + 2 + KEY_LEN;
	value_len = len - varint_len(len - 1);
	if (value_len + varint_len(value_len) < len)
		key_len++, len--, value_len = len - varint_len(len - 1);
	g_assert_cmpuint(value_len + varint_len(value_len), ==, len);
	g_snprintf(key, sizeof(key), "%0*u", (int)key_len, (unsigned)log->sequence++);
	g_byte_array_append(batch, (const uint8_t *)&sequence, sizeof(sequence));
	g_byte_array_append(batch, (const uint8_t *)&count, sizeof(count));
	g_byte_array_append(batch, (const uint8_t *)"\1", 1);
	add_varint(batch, key_len);
	g_byte_array_append(batch, (const uint8_t *)key, (guint)key_len);
	add_varint(batch, value_len);
	while (value_len-- > 0)
		g_byte_array_append(batch, (const uint8_t *)"x", 1);
	add_record(log, mne_slice(batch->data, batch->len));
}

/* One batch more, so that the log ends at `end`; false when none ends there. */
static bool fill_up(Log *log, size_t end)
{
	for (size_t fragments = 1; fragments < 4; fragments++) {
		g_auto(Log) trial = log_new(log->sequence);
		size_t begin = log->bytes->len;

		if (end < begin + fragments * HEAD + LEAST)
			return false;
		mne_add_bytes(trial.bytes, mne_slice(log->bytes->data, begin));
		add_batch(&trial, end - begin - fragments * HEAD);
		if (trial.bytes->len != end)
			continue;
		add_batch(log, end - begin - fragments * HEAD);
		return true;
	}
	return false;
}

/* Two batches, and the log ends at this place of a block; false when none does. */
static bool log_to(Log *log, size_t place)
{
	add_batch(log, FIRST_LEN);
	return fill_up(log, place) || fill_up(log, BLOCK + place);
}

/* And from there on one more batch, of so many bytes. */
static bool log_on(Log *log, size_t place, size_t len, size_t *out_from)
{
	if (!log_to(log, place))
		return false;
	*out_from = log->bytes->len;
	add_batch(log, len);
	return true;
}

/* ---- and left on the disk ---- */

static void set_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->dir = g_dir_make_tmp("test-ends-XXXXXX", NULL);
	f->log = g_build_filename(f->dir, "000003.log", NULL);
	f->later = g_build_filename(f->dir, "000004.log", NULL);
	g_assert_cmpint(mne_wal_open(f->dir, &f->wal), ==, 0);
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	mne_wal_close(f->wal);
	scratch_remove(f->dir);
	g_free(f->dir);
	g_free(f->log);
	g_free(f->later);
}

static void put_file(const char *path, MneSlice bytes, size_t zeros)
{
	FILE *file;

	g_unlink(path); /* or ext4 would write it back at once */
	file = g_fopen(path, "w");
	g_assert_nonnull(file);
	g_assert_cmpuint(fwrite(bytes.data, 1, bytes.len, file), ==, bytes.len);
	fclose(file);
	g_assert_cmpint(truncate(path, (off_t)(bytes.len + zeros)), ==, 0);
}

static GBytes *contents(const char *path)
{
	char *text = NULL;
	gsize len;

	if (!g_file_get_contents(path, &text, &len, NULL))
		return g_bytes_new(NULL, 0);
	return g_bytes_new_take(text, len);
}

static void assert_begins(MneSlice log, MneSlice found)
{
	g_assert_cmpuint(found.len, <=, log.len);
	g_assert_cmpint(memcmp(log.data, found.data, found.len), ==, 0);
}

/* What LevelDB finds by itself, which is to take nothing for damage if it is strict. */
static guint found_by_leveldb(Fixture *f, bool strict)
{
	leveldb_options_t *options = leveldb_options_create();
	leveldb_readoptions_t *reading = leveldb_readoptions_create();
	leveldb_iterator_t *iter;
	char *error = NULL;
	leveldb_t *db;
	guint count = 0;

	leveldb_options_set_create_if_missing(options, true);
	leveldb_options_set_paranoid_checks(options, strict);
	db = leveldb_open(options, f->dir, &error);
	g_assert_cmpstr(error, ==, NULL);
	iter = leveldb_create_iterator(db, reading);
	for (leveldb_iter_seek_to_first(iter); leveldb_iter_valid(iter);
	     leveldb_iter_next(iter))
		count++;
	leveldb_iter_destroy(iter);
	leveldb_close(db);
	leveldb_readoptions_destroy(reading);
	leveldb_options_destroy(options);
	return count;
}

/* ---- every place, every byte ---- */

/* Zeros up to here, too: behind the end of the block, and some of its last bytes. */
static guint zeros_of(size_t end, bool all, size_t out[12])
{
	static const size_t few[] = { 0, 1, 6, 7, 8, 100, 4096 };
	size_t left = BLOCK - end % BLOCK;
	guint n = 0;

	out[n++] = 0;
	out[n++] = left + BLOCK;
	for (guint i = 1; all && i < G_N_ELEMENTS(few); i++)
		out[n++] = few[i];
	if (all) {
		out[n++] = left;
		out[n++] = left + 3;
		out[n++] = left - 1;
	}
	return n;
}

static void try_cut(Fixture *f, const Log *log, size_t cut, size_t zeros)
{
	g_autofree char *lost = g_strconcat(f->log, ".lost", NULL);
	g_autoptr(GBytes) left = NULL;
	size_t whole = 0;

	put_file(f->log, mne_slice(log->bytes->data, cut), zeros);
	g_assert_cmpint(mne_wal_cut(f->wal, NULL), ==, 0);
	left = contents(f->log);
	for (guint i = 0; i < log->ends->len; i++)
		if (g_array_index(log->ends, size_t, i) <= cut)
			whole = g_array_index(log->ends, size_t, i);
	g_assert_cmpuint(g_bytes_get_size(left), ==, whole);
	assert_begins(mne_slice(log->bytes->data, log->bytes->len), mne_slice_of(left));
	g_assert_false(g_file_test(lost, G_FILE_TEST_EXISTS));
}

/* Every byte around where something begins or ends, some of the others. */
static bool is_worth_it(const Log *log, size_t from, size_t cut)
{
	size_t to_block = (cut + HEAD + 1) % BLOCK;

	if (cut <= from + HEAD + 16 || cut + 2 >= log->bytes->len ||
	    to_block <= 3 * HEAD + 2)
		return true;
	return (cut - from) % 1201 == 0;
}

static void try_tail(Fixture *f, size_t place, size_t tail, bool all)
{
	g_auto(Log) log = log_new(1);
	size_t from;

	if (!log_on(&log, place, tail, &from))
		return;
	for (size_t cut = from; cut <= log.bytes->len; cut++) {
		size_t zeros[12];
		guint n = zeros_of(cut, all, zeros);

		for (guint i = 0; is_worth_it(&log, from, cut) && i < n; i++)
			try_cut(f, &log, cut, zeros[i]);
	}
}

enum { NEAR = 18, FAR = 1999 };

static bool is_near_the_border(size_t place)
{
	return place < NEAR || place >= BLOCK - NEAR;
}

/* All places with -m thorough. */
static size_t next_place(size_t place)
{
	bool next = is_near_the_border(place) || g_test_thorough();

	return next ? place + 1 : MIN(place + FAR, BLOCK - NEAR);
}

static void test_a_torn_end_is_cut_off_and_nothing_else(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (size_t place = 0; place < BLOCK; place = next_place(place)) {
		try_tail(f, place, LEAST, is_near_the_border(place));
		try_tail(f, place, 200, false);
		if (place % 8 == 0)
			try_tail(f, place, BLOCK + 5000, false);
	}
}

/* Nobody who has only LevelDB is to lack anything: a store with room in its log, killed or
 * copied, opens as it is. */
static void test_plain_leveldb_reads_over_zeros(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	for (size_t place = 0; place < BLOCK; place = next_place(place)) {
		g_auto(Log) log = log_new(1);
		size_t zeros[12];
		guint n;

		if (!log_to(&log, place))
			continue;
		n = zeros_of(log.bytes->len, place < 10 || place >= BLOCK - 10, zeros);
		for (guint i = 0; i < n; i++) {
			put_file(f->log, mne_slice(log.bytes->data, log.bytes->len),
				 zeros[i]);
			g_assert_cmpuint(found_by_leveldb(f, true), ==, 2);
			scratch_empty(f->dir);
		}
	}
}

/* As it is after a kill amid a write: by default LevelDB takes no offence. */
static void test_plain_leveldb_reads_up_to_a_torn_batch_before_zeros(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (size_t place = BLOCK - 40; place < BLOCK + 40; place += 3) {
		g_auto(Log) log = log_new(1);
		size_t from;

		if (!log_on(&log, place % BLOCK, LEAST, &from))
			continue;
		for (size_t cut = from + 5; cut < log.bytes->len; cut += 11) {
			put_file(f->log, mne_slice(log.bytes->data, cut), 2 * BLOCK);
			g_assert_cmpuint(found_by_leveldb(f, false), ==, 2);
			scratch_empty(f->dir);
		}
	}
}

static void test_plain_leveldb_reads_what_was_cut(Fixture *f,
						  gconstpointer data G_GNUC_UNUSED)
{
	for (size_t place = BLOCK - 12; place < BLOCK + 12; place++) {
		g_auto(Log) log = log_new(1);
		size_t from;

		if (!log_on(&log, place % BLOCK, LEAST, &from))
			continue;
		for (size_t cut = from + 1; cut < log.bytes->len; cut += 3) {
			try_cut(f, &log, cut, cut % 2 * BLOCK);
			g_assert_cmpuint(found_by_leveldb(f, true), ==, 2);
			scratch_empty(f->dir);
		}
	}
}

/* ---- any sectors ---- */

/* What of a log may be on the disk when its first bytes were synced, with room or without. */
static GByteArray *after_loss(const Log *log, size_t synced, size_t room)
{
	GByteArray *left = g_byte_array_new();
	size_t sector = g_test_rand_bit() ? 512 : 4096;
	int chance = g_test_rand_int_range(0, 5);

	add_zeros(left, MAX(log->bytes->len, room));
	memcpy(left->data, log->bytes->data, synced);
	for (size_t at = synced; at < log->bytes->len;) {
		size_t end = MIN((at / sector + 1) * sector, log->bytes->len);

		if (g_test_rand_int_range(0, 4) < chance)
			memcpy(left->data + at, log->bytes->data + at, end - at);
		at = end;
	}
	if (room == 0)
		g_byte_array_set_size(
			left, (guint)g_test_rand_int_range((int)synced,
							   (int)log->bytes->len + 1));
	return left;
}

static void add_some(Log *log)
{
	int count = g_test_rand_int_range(1, 30);

	while (count-- > 0)
		add_batch(log, (size_t)g_test_rand_int_range(
				       LEAST,
				       g_test_rand_int_range(0, 8) == 0 ? 50000 : 900));
}

/* A place where a sync may have been: the end of a record, or the beginning. */
static guint some_end(const Log *log, size_t *out_end)
{
	guint n = (guint)g_test_rand_int_range(0, (int)log->ends->len + 1);

	*out_end = n == 0 ? 0 : g_array_index(log->ends, size_t, n - 1);
	return n;
}

/* How many of the log's records are in the file, which holds nothing else. */
static guint records_in(const char *path, const Log *log)
{
	g_autoptr(GBytes) left = contents(path);
	size_t len = g_bytes_get_size(left);

	assert_begins(mne_slice(log->bytes->data, log->bytes->len), mne_slice_of(left));
	for (guint i = 0; i < log->ends->len; i++)
		if (g_array_index(log->ends, size_t, i) == len)
			return i + 1;
	g_assert_cmpuint(len, ==, 0);
	return 0;
}

static void put_after_loss(const char *path, const Log *log, size_t synced)
{
	size_t room = g_test_rand_bit()
			      ? log->bytes->len +
					(size_t)g_test_rand_int_range(0, BLOCK)
			      : 0;
	g_autoptr(GByteArray) left = after_loss(log, synced, room);

	put_file(path, mne_slice(left->data, left->len), 0);
}

/* A sync covers both logs: what of the second one was synced, only after all of the first. */
static void lose_and_recover(Fixture *f)
{
	g_auto(Log) first = log_new((uint64_t)g_test_rand_int_range(1, 1000));
	g_auto(Log) second = log_new(0);
	size_t synced, synced_later = 0;
	guint least, found, found_later;

	add_some(&first);
	second.sequence = first.sequence;
	add_some(&second);
	least = some_end(&first, &synced);
	if (g_test_rand_bit()) {
		synced = first.bytes->len;
		least = first.ends->len + some_end(&second, &synced_later);
	}
	put_after_loss(f->log, &first, synced);
	put_after_loss(f->later, &second, synced_later);
	g_assert_cmpint(mne_wal_cut(f->wal, NULL), ==, 0);
	found = records_in(f->log, &first);
	found_later = records_in(f->later, &second);
	g_assert_true(found_later == 0 || found == first.ends->len);
	g_assert_cmpuint(found + found_later, >=, least);
	if (g_test_rand_int_range(0, 8) == 0)
		g_assert_cmpuint(found_by_leveldb(f, true), ==, found + found_later);
	scratch_empty(f->dir);
}

static void test_of_what_was_not_synced_there_is_a_prefix(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (int i = 0; i < (g_test_thorough() ? 20000 : 200); i++)
		lose_and_recover(f);
}

#define TEST(name) \
	g_test_add("/kv-ends/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* Damage is warned of; here it is wanted. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	TEST(a_torn_end_is_cut_off_and_nothing_else);
	TEST(plain_leveldb_reads_over_zeros);
	TEST(plain_leveldb_reads_up_to_a_torn_batch_before_zeros);
	TEST(plain_leveldb_reads_what_was_cut);
	TEST(of_what_was_not_synced_there_is_a_prefix);
	return g_test_run();
}
