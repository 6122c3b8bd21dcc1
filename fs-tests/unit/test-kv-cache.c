/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-cache.c - values at hand are those of the engine below
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/engines.h"

#include <stdatomic.h>
#include <string.h>

#include <glib.h>

enum { KEYS = 40, ROUNDS = 3000, READERS = 3 };

static bool is_kept(MneSlice key)
{
	return key.len > 0 && key.data[0] == 'k';
}

static MneSlice key_of(char *room, char kind, unsigned number)
{
	g_snprintf(room, 16, "%c%06u", kind, number);
	return mne_slice_str(room);
}

static int put(MneKv *kv, const char *key, const char *value)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	if (value)
		mne_kv_batch_put(batch, mne_slice_str(key), mne_slice_str(value));
	else
		mne_kv_batch_del(batch, mne_slice_str(key));
	return mne_kv_apply(kv, batch);
}

static void assert_has(MneKv *kv, const char *key, const char *want)
{
	g_autoptr(GBytes) value = NULL;

	g_assert_cmpint(mne_kv_get(kv, mne_slice_str(key), &value), ==, 0);
	g_assert_true(mne_slice_equal(mne_slice_of(value), mne_slice_str(want)));
}

static void assert_fails(MneKv *kv, const char *key, int want)
{
	g_autoptr(GBytes) value = NULL;

	g_assert_cmpint(mne_kv_get(kv, mne_slice_str(key), &value), ==, want);
}

/* Below it the nth call fails. */
static MneKv *cache_over_failing_read(uint64_t nth)
{
	MneKv *mem = mne_kv_mem_new();

	g_assert_cmpint(put(mem, "k1", "one"), ==, 0);
	g_assert_cmpint(put(mem, "other", "x"), ==, 0);
	return mne_kv_cache_new(mne_kv_fault_new(mem, MNE_FAULT_FAIL, nth, true),
				is_kept);
}

static void test_what_was_read_is_not_asked_for_again(void)
{
	g_autoptr(MneKv) kv = cache_over_failing_read(2);

	assert_has(kv, "k1", "one");
	assert_has(kv, "k1", "one");
	assert_fails(kv, "k2", -MNE_E_INJECTED); /* the second read below */
	assert_has(kv, "k1", "one");
}

static void test_other_keys_are_always_asked_for(void)
{
	g_autoptr(MneKv) kv = cache_over_failing_read(2);

	assert_has(kv, "other", "x");
	assert_fails(kv, "other", -MNE_E_INJECTED);
}

static void test_what_was_absent_is_not_asked_for_again_until_it_comes(void)
{
	g_autoptr(MneKv) kv = cache_over_failing_read(4);

	assert_fails(kv, "nobody", -ENOENT);
	assert_fails(kv, "nobody", -ENOENT);
	g_assert_cmpint(put(kv, "nobody", NULL), ==, 0);
	assert_fails(kv, "nobody", -ENOENT);
	g_assert_cmpint(put(kv, "nobody", "somebody"), ==, 0);
	assert_fails(kv, "nobody",
		     -MNE_E_INJECTED); /* the second read below: fourth call */
	assert_has(kv, "nobody", "somebody");
}

static void test_what_failed_to_come_comes_later(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(
		mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL, 1, false), is_kept);

	assert_fails(kv, "new", -ENOENT);
	g_assert_cmpint(put(kv, "new", "x"), ==, -MNE_E_INJECTED);
	assert_fails(kv, "new", -ENOENT);
	g_assert_cmpint(put(kv, "new", "y"), ==, 0);
	assert_has(kv, "new", "y");
}

static void test_absent_names_of_any_length_stay_apart(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(mne_kv_mem_new(), is_kept);
	char text[301] = { 0 };

	for (unsigned len = 1; len <= 300; len++) {
		memset(text, 'x', len);
		assert_fails(kv, text, -ENOENT);
	}
	for (unsigned len = 300; len >= 1; len--) {
		text[len] = '\0';
		if (len % 2)
			g_assert_cmpint(put(kv, text, "there"), ==, 0);
	}
	for (unsigned len = 1; len <= 300; len++) {
		memset(text, 'x', len);
		if (len % 2)
			assert_has(kv, text, "there");
		else
			assert_fails(kv, text, -ENOENT);
	}
}

static void test_what_was_written_is_at_hand(void)
{
	g_autoptr(MneKv) kv = cache_over_failing_read(2);

	g_assert_cmpint(put(kv, "k1", "two"), ==, 0);
	assert_has(kv, "k1", "two");
	assert_fails(kv, "k3", -MNE_E_INJECTED);
}

static void test_what_was_deleted_is_gone(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(mne_kv_mem_new(), is_kept);
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	g_assert_cmpint(put(kv, "k1", "one"), ==, 0);
	assert_has(kv, "k1", "one");
	g_assert_cmpint(put(kv, "k1", NULL), ==, 0);
	assert_fails(kv, "k1", -ENOENT);

	mne_kv_batch_put(batch, mne_slice_str("k1"), mne_slice_str("two"));
	mne_kv_batch_del(batch, mne_slice_str("k1"));
	mne_kv_batch_del(batch, mne_slice_str("k2"));
	mne_kv_batch_put(batch, mne_slice_str("k2"), mne_slice_str("back"));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
	assert_fails(kv, "k1", -ENOENT);
	assert_has(kv, "k2", "back");
}

static void test_after_a_failed_apply_the_engine_is_asked(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(
		mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL, 2, false), is_kept);

	g_assert_cmpint(put(kv, "k1", "one"), ==, 0);
	g_assert_cmpint(put(kv, "k1", "two"), ==, -MNE_E_INJECTED);
	assert_has(kv, "k1", "one");
	g_assert_cmpint(put(kv, "k1", "three"), ==, 0);
	assert_has(kv, "k1", "three");
}

static void test_more_than_there_is_room_for(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(mne_kv_mem_new(), is_kept);
	g_autofree char *big = g_strnfill(5000, 'b');
	char room[16];

	for (unsigned i = 0; i < 2000; i++) {
		(void)key_of(room, 'k', i);
		g_assert_cmpint(put(kv, room, i % 7 ? room : big), ==, 0);
	}
	for (unsigned i = 0; i < 2000; i++) {
		(void)key_of(room, 'k', i);
		assert_has(kv, room, i % 7 ? room : big);
	}
}

/* One writer counts every key up, all keys in each batch; no reader sees one go back, nor
 * one that is behind what was applied before it looked. */
typedef struct {
	MneKv *kv;
	atomic_uint applied;
	atomic_bool stop;
} Race;

static void *read_all(void *data)
{
	Race *race = data;
	char room[16];

	while (!atomic_load(&race->stop)) {
		for (unsigned i = 0; i < KEYS; i++) {
			unsigned least = atomic_load(&race->applied);
			g_autoptr(GBytes) value = NULL;
			unsigned seen;

			g_assert_cmpint(
				mne_kv_get(race->kv, key_of(room, 'k', i), &value), ==,
				0);
			memcpy(&seen, g_bytes_get_data(value, NULL), sizeof(seen));
			g_assert_cmpuint(seen, >=, least);
		}
	}
	return NULL;
}

static void count_up(Race *race, unsigned round)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	char room[16];

	for (unsigned i = 0; i < KEYS; i++)
		mne_kv_batch_put(batch, key_of(room, 'k', i),
				 mne_slice(&round, sizeof(round)));
	g_assert_cmpint(mne_kv_apply(race->kv, batch), ==, 0);
	atomic_store(&race->applied, round);
}

static void test_readers_never_see_what_is_older_than_the_last_apply(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(mne_kv_mem_new(), is_kept);
	Race race = { .kv = kv };
	GThread *readers[READERS];

	count_up(&race, 1);
	for (unsigned i = 0; i < READERS; i++)
		readers[i] = g_thread_new("reader", read_all, &race);
	for (unsigned round = 2; round < ROUNDS; round++)
		count_up(&race, round);
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		g_thread_join(readers[i]);
}

/* Keys come one after the other; whoever looks finds all that had come before. */
static void *look_for_all(void *data)
{
	Race *race = data;
	char room[16];

	while (!atomic_load(&race->stop)) {
		unsigned come = atomic_load(&race->applied);

		for (unsigned i = come > 5 ? come - 5 : 0; i < come + 5; i++) {
			g_autoptr(GBytes) value = NULL;
			int err = mne_kv_get(race->kv, key_of(room, 'n', i), &value);

			g_assert_true(err == 0 || (err == -ENOENT && i >= come));
		}
	}
	return NULL;
}

static void test_readers_never_miss_what_had_come(void)
{
	g_autoptr(MneKv) kv = mne_kv_cache_new(mne_kv_mem_new(), is_kept);
	Race race = { .kv = kv };
	GThread *readers[READERS];
	char room[16];

	for (unsigned i = 0; i < READERS; i++)
		readers[i] = g_thread_new("reader", look_for_all, &race);
	for (unsigned i = 0; i < ROUNDS; i++) {
		(void)key_of(room, 'n', i);
		g_assert_cmpint(put(kv, room, "come"), ==, 0);
		atomic_store(&race.applied, i + 1);
	}
	atomic_store(&race.stop, true);
	for (unsigned i = 0; i < READERS; i++)
		g_thread_join(readers[i]);
}

#define TEST(name) g_test_add_func("/kv-cache/" #name, test_##name)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST(what_was_read_is_not_asked_for_again);
	TEST(other_keys_are_always_asked_for);
	TEST(what_was_written_is_at_hand);
	TEST(what_was_absent_is_not_asked_for_again_until_it_comes);
	TEST(what_failed_to_come_comes_later);
	TEST(absent_names_of_any_length_stay_apart);
	TEST(readers_never_miss_what_had_come);
	TEST(what_was_deleted_is_gone);
	TEST(after_a_failed_apply_the_engine_is_asked);
	TEST(more_than_there_is_room_for);
	TEST(readers_never_see_what_is_older_than_the_last_apply);
	return g_test_run();
}
