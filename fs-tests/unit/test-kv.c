/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv.c - the contract of kv/kv.h, asked of every engine
 *
 * What only one engine promises is in test-kv-engines.c.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/engines.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include <glib.h>

#include "scratch.h"

typedef struct {
	const char *name;
	MneKv *(*open)(const char *dir);
} Engine;

typedef struct {
	MneKv *kv;
	char *dir;
} Fixture;

enum { SMALL_BUFFER = 256 * 1024, LARGE_VALUE = 1024 * 1024 };

static MneKv *open_leveldb(const char *dir)
{
	/* A small buffer, so that tables are made and merged in every test. */
	MneLeveldbOptions options = { .write_buffer = SMALL_BUFFER, .create = true };
	MneKv *kv = NULL;

	g_assert_cmpint(mne_kv_leveldb_open(dir, &options, &kv), ==, 0);
	return kv;
}

static MneKv *open_mem(const char *dir G_GNUC_UNUSED)
{
	return mne_kv_mem_new();
}

static MneKv *open_trace(const char *dir G_GNUC_UNUSED)
{
	return mne_kv_trace_new(mne_kv_mem_new());
}

static MneKv *open_fault(const char *dir G_GNUC_UNUSED)
{
	return mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL, 0, true);
}

static const Engine engines[] = {
	{ "leveldb", open_leveldb },
	{ "mem", open_mem },
	{ "trace", open_trace },
	{ "fault", open_fault },
};

static void set_up(Fixture *fixture, gconstpointer data)
{
	const Engine *engine = data;

	fixture->dir = g_dir_make_tmp("test-kv-XXXXXX", NULL);
	fixture->kv = engine->open(fixture->dir);
}

static void tear_down(Fixture *fixture, gconstpointer data G_GNUC_UNUSED)
{
	mne_kv_close(fixture->kv);
	scratch_remove(fixture->dir);
	g_free(fixture->dir);
}

/* ---- words to test with ---- */

static void put(MneKv *kv, const char *key, const char *value)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_put(batch, mne_slice_str(key), mne_slice_str(value));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

static void del(MneKv *kv, const char *key)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_del(batch, mne_slice_str(key));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

static void assert_slice(MneSlice got, MneSlice want)
{
	g_assert_cmpmem(got.data, got.len, want.data, want.len);
}

static void assert_value(MneKv *kv, MneSlice key, MneSlice want)
{
	g_autoptr(GBytes) value = NULL;

	g_assert_cmpint(mne_kv_get(kv, key, &value), ==, 0);
	assert_slice(mne_slice_of(value), want);
}

static void assert_text(MneKv *kv, const char *key, const char *want)
{
	assert_value(kv, mne_slice_str(key), mne_slice_str(want));
}

static void assert_absent(MneKv *kv, const char *key)
{
	GBytes *value = NULL;

	g_assert_cmpint(mne_kv_get(kv, mne_slice_str(key), &value), ==, -ENOENT);
	g_assert_null(value);
}

static MneKvIter *iter_of(MneKv *kv)
{
	MneKvIter *iter = NULL;

	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, 0);
	return iter;
}

/* All keys and values, "a=1 b=2 ". */
static char *contents(MneKvIter *iter)
{
	GString *text = g_string_new(NULL);

	for (mne_kv_iter_seek(iter, MNE_SLICE_EMPTY); mne_kv_iter_valid(iter);
	     mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		MneSlice value = mne_kv_iter_value(iter);

		g_string_append_len(text, (const char *)key.data, (gssize)key.len);
		g_string_append_c(text, '=');
		g_string_append_len(text, (const char *)value.data, (gssize)value.len);
		g_string_append_c(text, ' ');
	}
	g_assert_cmpint(mne_kv_iter_status(iter), ==, 0);
	return g_string_free(text, false);
}

static void assert_contents(MneKv *kv, const char *want)
{
	g_autoptr(MneKvIter) iter = iter_of(kv);
	g_autofree char *got = contents(iter);

	g_assert_cmpstr(got, ==, want);
}

static void assert_at(const MneKvIter *iter, const char *key)
{
	g_assert_cmpint(mne_kv_iter_valid(iter), ==, key != NULL);
	g_assert_cmpint(mne_kv_iter_status(iter), ==, 0);
	if (key)
		assert_slice(mne_kv_iter_key(iter), mne_slice_str(key));
}

/* ---- one key ---- */

static void test_what_was_put_is_got(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	put(f->kv, "a", "1");
	assert_text(f->kv, "a", "1");
	put(f->kv, "a", "2");
	assert_text(f->kv, "a", "2");
}

static void test_an_absent_key_is_enoent(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	assert_absent(f->kv, "a");
	put(f->kv, "aa", "1");
	assert_absent(f->kv, "a");
	assert_absent(f->kv, "aaa");
	assert_absent(f->kv, "");
}

static void test_a_deleted_key_is_gone(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	put(f->kv, "a", "1");
	put(f->kv, "b", "2");
	del(f->kv, "a");
	assert_absent(f->kv, "a");
	del(f->kv, "a");
	assert_contents(f->kv, "b=2 ");
}

static void test_keys_are_any_bytes(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const struct {
		const char *bytes;
		size_t len;
	} keys[] = { { "", 0 },        { "\0", 1 },   { "\0\0", 2 }, { "\0\1", 2 },
		     { "a", 1 },       { "a\0", 2 },  { "a\0b", 3 }, { "a\1", 2 },
		     { "\x7f", 1 },    { "\x80", 1 }, { "\xff", 1 }, { "\xff\0", 2 },
		     { "\xff\xff", 2 } };
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(MneKvIter) iter = NULL;

	for (size_t i = G_N_ELEMENTS(keys); i-- > 0;)
		mne_kv_batch_put(batch, mne_slice(keys[i].bytes, keys[i].len),
				 mne_slice(&i, sizeof(i)));
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);

	iter = iter_of(f->kv);
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (size_t i = 0; i < G_N_ELEMENTS(keys); i++) {
		MneSlice key = mne_slice(keys[i].bytes, keys[i].len);

		g_assert_true(mne_kv_iter_valid(iter));
		assert_slice(mne_kv_iter_key(iter), key);
		assert_slice(mne_kv_iter_value(iter), mne_slice(&i, sizeof(i)));
		assert_value(f->kv, key, mne_slice(&i, sizeof(i)));
		mne_kv_iter_next(iter);
	}
	g_assert_false(mne_kv_iter_valid(iter));
}

static void test_a_value_may_be_empty(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	put(f->kv, "a", "");
	mne_kv_batch_put(batch, mne_slice_str("b"), MNE_SLICE_EMPTY);
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	assert_text(f->kv, "a", "");
	assert_text(f->kv, "b", "");
	assert_contents(f->kv, "a= b= ");
}

static void test_a_value_may_be_large(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	const size_t len = LARGE_VALUE;
	g_autofree uint8_t *value = g_malloc(len);
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	for (size_t i = 0; i < len; i++)
		value[i] = (uint8_t)(i * 2654435761u >> 24);
	mne_kv_batch_put(batch, mne_slice_str("a"), mne_slice(value, len));
	mne_kv_batch_put(batch, mne_slice_str("b"), mne_slice(value, len - 1));
	g_assert_cmpuint(mne_kv_batch_bytes(batch), >=, 2 * len);
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	assert_value(f->kv, mne_slice_str("a"), mne_slice(value, len));
	assert_value(f->kv, mne_slice_str("b"), mne_slice(value, len - 1));
}

/* ---- batches ---- */

static void test_the_later_entry_of_a_batch_wins(Fixture *f,
						 gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_put(batch, mne_slice_str("a"), mne_slice_str("1"));
	mne_kv_batch_put(batch, mne_slice_str("a"), mne_slice_str("2"));
	mne_kv_batch_put(batch, mne_slice_str("b"), mne_slice_str("1"));
	mne_kv_batch_del(batch, mne_slice_str("b"));
	mne_kv_batch_del(batch, mne_slice_str("c"));
	mne_kv_batch_put(batch, mne_slice_str("c"), mne_slice_str("3"));
	g_assert_cmpuint(mne_kv_batch_count(batch), ==, 6);
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	assert_contents(f->kv, "a=2 c=3 ");
}

static void test_an_empty_batch_changes_nothing(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	put(f->kv, "a", "1");
	g_assert_cmpuint(mne_kv_batch_count(batch), ==, 0);
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	assert_contents(f->kv, "a=1 ");
}

static void test_a_cleared_batch_can_be_filled_again(Fixture *f,
						     gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_put(batch, mne_slice_str("a"), mne_slice_str("1"));
	mne_kv_batch_clear(batch);
	g_assert_cmpuint(mne_kv_batch_bytes(batch), ==, 0);
	mne_kv_batch_put(batch, mne_slice_str("b"), mne_slice_str("2"));
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	g_assert_cmpint(mne_kv_apply(f->kv, batch), ==, 0);
	assert_contents(f->kv, "b=2 ");
}

static void append_entry(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	g_assert_cmpint(is_delete, ==, value.data == NULL);
	g_string_append_printf(user, "%.*s%s%.*s ", (int)key.len,
			       (const char *)key.data, is_delete ? "!" : "=",
			       (int)value.len,
			       value.len ? (const char *)value.data : "");
}

static void test_a_batch_is_walked_in_its_order(void)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(GString) text = g_string_new(NULL);
	char key[] = "a";

	for (; key[0] <= 'c'; key[0]++)
		mne_kv_batch_put(batch, mne_slice_str(key), mne_slice_str("xy"));
	mne_kv_batch_del(batch, mne_slice_str("b"));
	mne_kv_batch_put(batch, mne_slice_str(""), mne_slice_str(""));
	mne_kv_batch_foreach(batch, append_entry, text);
	g_assert_cmpstr(text->str, ==, "a=xy b=xy c=xy b! = ");
}

/* ---- iterators ---- */

static void test_seek_stands_at_the_first_key_not_below(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvIter) iter = NULL;

	put(f->kv, "b", "1");
	put(f->kv, "d", "2");
	iter = iter_of(f->kv);
	mne_kv_iter_seek(iter, mne_slice_str("a"));
	assert_at(iter, "b");
	mne_kv_iter_seek(iter, mne_slice_str("b"));
	assert_at(iter, "b");
	mne_kv_iter_seek(iter, mne_slice_str("c"));
	assert_at(iter, "d");
	mne_kv_iter_next(iter);
	assert_at(iter, NULL);
	mne_kv_iter_seek(iter, mne_slice_str("e"));
	assert_at(iter, NULL);
}

static void test_seek_before_stands_at_the_last_key_below(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvIter) iter = NULL;

	put(f->kv, "b", "1");
	put(f->kv, "d", "2");
	iter = iter_of(f->kv);
	mne_kv_iter_seek_before(iter, mne_slice_str("e"));
	assert_at(iter, "d");
	mne_kv_iter_seek_before(iter, mne_slice_str("d"));
	assert_at(iter, "b");
	mne_kv_iter_next(iter);
	assert_at(iter, "d");
	mne_kv_iter_seek_before(iter, mne_slice_str("c"));
	assert_at(iter, "b");
	mne_kv_iter_seek_before(iter, mne_slice_str("b"));
	assert_at(iter, NULL);
	mne_kv_iter_seek_before(iter, MNE_SLICE_EMPTY);
	assert_at(iter, NULL);
}

static void test_an_iterator_over_nothing_is_never_valid(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvIter) iter = iter_of(f->kv);

	assert_at(iter, NULL);
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	assert_at(iter, NULL);
	mne_kv_iter_seek_before(iter, mne_slice_str("a"));
	assert_at(iter, NULL);
}

static void test_an_iterator_sees_the_moment_it_was_made(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvIter) iter = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;

	put(f->kv, "a", "1");
	put(f->kv, "c", "1");
	iter = iter_of(f->kv);
	put(f->kv, "b", "2");
	before = contents(iter);
	put(f->kv, "a", "2");
	del(f->kv, "c");
	after = contents(iter);
	g_assert_cmpstr(before, ==, "a=1 c=1 ");
	g_assert_cmpstr(after, ==, "a=1 c=1 ");
	assert_contents(f->kv, "a=2 b=2 ");
}

/* ---- many ---- */

enum { N_KEYS = 100000, PER_BATCH = 1000, STRIDE = 61 };

static MneSlice number_key(uint32_t number, char to[16])
{
	return mne_slice(to, (size_t)g_snprintf(to, 16, "%08u", number));
}

/* In no order: STRIDE shares no factor with N_KEYS. */
static void put_many(MneKv *kv)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	char key[16];

	for (uint32_t i = 0; i < N_KEYS; i++) {
		uint32_t number = (uint32_t)((uint64_t)i * STRIDE % N_KEYS);

		mne_kv_batch_put(batch, number_key(number, key),
				 mne_slice(&number, sizeof(number)));
		if (mne_kv_batch_count(batch) < PER_BATCH)
			continue;
		g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
		mne_kv_batch_clear(batch);
	}
}

static void delete_odd(MneKv *kv)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	char key[16];

	for (uint32_t i = 1; i < N_KEYS; i += 2)
		mne_kv_batch_del(batch, number_key(i, key));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

static void test_a_hundred_thousand_keys_are_kept(Fixture *f,
						  gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKvIter) iter = NULL;
	uint32_t count = 0;
	char key[16];

	put_many(f->kv);
	delete_odd(f->kv);
	iter = iter_of(f->kv);
	for (mne_kv_iter_seek(iter, MNE_SLICE_EMPTY); mne_kv_iter_valid(iter);
	     mne_kv_iter_next(iter)) {
		assert_slice(mne_kv_iter_key(iter), number_key(count, key));
		assert_slice(mne_kv_iter_value(iter), mne_slice(&count, sizeof(count)));
		count += 2;
	}
	g_assert_cmpuint(count, ==, N_KEYS);
	for (uint32_t i = 0; i < N_KEYS; i += 998)
		assert_value(f->kv, number_key(i, key), mne_slice(&i, sizeof(i)));
	g_assert_cmpuint(mne_kv_size(f->kv, mne_slice_str("0"), mne_slice_str("9")), >,
			 0);
}

/* ---- threads ---- */

enum { N_WRITERS = 2, N_READERS = 2, N_ROUNDS = 1500 };

typedef struct {
	MneKv *kv;
	atomic_int writing;
} Race;

/* Each batch gives two keys one number. */
static void *write_pairs(void *user)
{
	Race *race = user;
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	for (uint32_t i = 0; i < N_ROUNDS; i++) {
		MneSlice number = mne_slice(&i, sizeof(i));

		mne_kv_batch_clear(batch);
		mne_kv_batch_put(batch, mne_slice_str("left"), number);
		mne_kv_batch_put(batch, mne_slice_str("middle"), mne_slice_str("m"));
		mne_kv_batch_put(batch, mne_slice_str("right"), number);
		g_assert_cmpint(mne_kv_apply(race->kv, batch), ==, 0);
		if (i % 100 == 0)
			g_assert_cmpint(mne_kv_barrier(race->kv), ==, 0);
	}
	atomic_fetch_sub(&race->writing, 1);
	return NULL;
}

static void read_pair(MneKv *kv)
{
	g_autoptr(MneKvIter) iter = iter_of(kv);
	g_autoptr(GBytes) left = NULL;

	mne_kv_iter_seek(iter, mne_slice_str("left"));
	if (!mne_kv_iter_valid(iter))
		return;
	left = mne_slice_to_bytes(mne_kv_iter_value(iter));
	mne_kv_iter_seek(iter, mne_slice_str("right"));
	g_assert_true(mne_kv_iter_valid(iter));
	assert_slice(mne_kv_iter_value(iter), mne_slice_of(left));
}

static void *read_pairs(void *user)
{
	Race *race = user;

	while (atomic_load(&race->writing) > 0) {
		g_autoptr(GBytes) value = NULL;
		int err = mne_kv_get(race->kv, mne_slice_str("right"), &value);

		g_assert_true(err == 0 || err == -ENOENT);
		read_pair(race->kv);
	}
	return NULL;
}

static void test_readers_see_whole_batches_beside_writers(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	Race race = { .kv = f->kv };
	pthread_t threads[N_WRITERS + N_READERS];

	atomic_init(&race.writing, N_WRITERS);
	for (int i = 0; i < N_WRITERS + N_READERS; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL,
					       i < N_WRITERS ? write_pairs : read_pairs,
					       &race),
				==, 0);
	for (int i = 0; i < N_WRITERS + N_READERS; i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
	read_pair(f->kv);
}

/* ---- the rest ---- */

static void test_a_snapshot_stays_as_it_was(Fixture *f,
					    gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) value = NULL;
	MneKv *snapshot = NULL;

	put(f->kv, "a", "1");
	put(f->kv, "b", "1");
	g_assert_cmpint(mne_kv_snapshot(f->kv, &snapshot), ==, 0);
	put(f->kv, "a", "2");
	put(f->kv, "c", "2");
	assert_contents(snapshot, "a=1 b=1 ");
	assert_contents(f->kv, "a=2 b=1 c=2 ");
	g_assert_cmpint(mne_kv_get(snapshot, mne_slice_str("c"), &value), ==, -ENOENT);
	mne_kv_close(snapshot);
	assert_contents(f->kv, "a=2 b=1 c=2 ");
}

static void test_a_barrier_succeeds_and_changes_nothing(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpint(mne_kv_barrier(f->kv), ==, 0);
	put(f->kv, "a", "1");
	g_assert_cmpint(mne_kv_barrier(f->kv), ==, 0);
	g_assert_cmpint(mne_kv_barrier(f->kv), ==, 0);
	assert_contents(f->kv, "a=1 ");
}

typedef struct {
	const char *name;
	void (*func)(Fixture *, gconstpointer);
} Test;

#define TEST(name)                 \
	{                          \
#name, test_##name \
	}

static const Test tests[] = {
	TEST(what_was_put_is_got),
	TEST(an_absent_key_is_enoent),
	TEST(a_deleted_key_is_gone),
	TEST(keys_are_any_bytes),
	TEST(a_value_may_be_empty),
	TEST(a_value_may_be_large),
	TEST(the_later_entry_of_a_batch_wins),
	TEST(an_empty_batch_changes_nothing),
	TEST(a_cleared_batch_can_be_filled_again),
	TEST(seek_stands_at_the_first_key_not_below),
	TEST(seek_before_stands_at_the_last_key_below),
	TEST(an_iterator_over_nothing_is_never_valid),
	TEST(an_iterator_sees_the_moment_it_was_made),
	TEST(a_snapshot_stays_as_it_was),
	TEST(a_hundred_thousand_keys_are_kept),
	TEST(readers_see_whole_batches_beside_writers),
	TEST(a_barrier_succeeds_and_changes_nothing),
};

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/kv/batch/a_batch_is_walked_in_its_order",
			test_a_batch_is_walked_in_its_order);
	for (size_t e = 0; e < G_N_ELEMENTS(engines); e++) {
		for (size_t t = 0; t < G_N_ELEMENTS(tests); t++) {
			g_autofree char *path = g_strdup_printf(
				"/kv/%s/%s", engines[e].name, tests[t].name);

			g_test_add(path, Fixture, &engines[e], set_up, tests[t].func,
				   tear_down);
		}
	}
	return g_test_run();
}
