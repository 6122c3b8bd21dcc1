/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-log.c - what LevelDB recovers from logs that a power loss damaged
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/engines.h"
#include "kv/logfile.h"

#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

#include "scratch.h"

typedef struct {
	char *dir;
	char *log; /* the one that holds everything */
	char *later; /* what a switch of logs would make */
} Fixture;

enum { N_BATCHES = 200, VALUE_LEN = 1000, PAGE = 4096 };

static MneKv *open_db(Fixture *f)
{
	MneLeveldbOptions options = { .create = true };
	MneKv *kv = NULL;

	g_assert_cmpint(mne_kv_leveldb_open(f->dir, &options, &kv), ==, 0);
	return kv;
}

static MneSlice number_key(uint32_t number, char to[16])
{
	return mne_slice(to, (size_t)g_snprintf(to, 16, "%08u", number));
}

static void put_number(MneKv *kv, uint32_t number)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	uint8_t value[VALUE_LEN];
	char key[16];

	memset(value, 'x', VALUE_LEN);
	mne_kv_batch_put(batch, number_key(number, key), mne_slice(value, VALUE_LEN));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

/* The numbers 0, 1, 2 and so on that are there; and no others may be. */
static uint32_t recovered(Fixture *f)
{
	g_autoptr(MneKv) kv = open_db(f);
	g_autoptr(MneKvIter) iter = NULL;
	uint32_t n = 0;
	char key[16];

	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, 0);
	for (mne_kv_iter_seek(iter, MNE_SLICE_EMPTY); mne_kv_iter_valid(iter);
	     mne_kv_iter_next(iter)) {
		g_assert_true(
			mne_slice_equal(mne_kv_iter_key(iter), number_key(n++, key)));
		g_assert_cmpuint(mne_kv_iter_value(iter).len, ==, VALUE_LEN);
	}
	return n;
}

static void set_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv;

	f->dir = g_dir_make_tmp("test-kv-XXXXXX", NULL);
	f->log = g_build_filename(f->dir, "000003.log", NULL);
	f->later = g_build_filename(f->dir, "000004.log", NULL);
	kv = open_db(f);
	for (uint32_t i = 0; i < N_BATCHES; i++)
		put_number(kv, i);
	mne_kv_close(kv);
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	scratch_remove(f->dir);
	g_free(f->dir);
	g_free(f->log);
	g_free(f->later);
}

static GBytes *contents(const char *path)
{
	char *text = NULL;
	gsize len;

	g_assert_true(g_file_get_contents(path, &text, &len, NULL));
	return g_bytes_new_take(text, len);
}

static void set_contents(const char *path, MneSlice bytes)
{
	g_assert_true(g_file_set_contents(path, (const char *)bytes.data,
					  (gssize)bytes.len, NULL));
}

/* Where the nth record ends. */
static size_t end_of(MneSlice log, uint32_t nth)
{
	MneLogReader reader = mne_log_reader(log);

	while (nth-- > 0)
		g_assert_true(mne_log_next(&reader, NULL));
	return reader.whole;
}

static bool something_was_kept(Fixture *f)
{
	g_autofree char *lost = g_strconcat(f->log, ".lost", NULL);

	return g_file_test(lost, G_FILE_TEST_EXISTS);
}

static void test_a_whole_log_is_recovered_whole(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	g_assert_cmpuint(recovered(f), ==, N_BATCHES);
	g_assert_false(something_was_kept(f));
}

static void test_a_torn_end_loses_one_batch_silently(Fixture *f,
						     gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) log = contents(f->log);

	g_assert_cmpint(truncate(f->log, (off_t)g_bytes_get_size(log) - 5), ==, 0);
	g_assert_cmpuint(recovered(f), ==, N_BATCHES - 1);
	g_assert_false(something_was_kept(f));
}

static void test_zeros_at_the_end_are_no_damage(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) log = contents(f->log);
	off_t longer = (off_t)g_bytes_get_size(log) + PAGE;

	g_assert_cmpint(truncate(f->log, longer), ==, 0);
	g_assert_cmpuint(recovered(f), ==, N_BATCHES);
	g_assert_false(something_was_kept(f));
}

static void lengthen(const char *path)
{
	g_autoptr(GBytes) log = contents(path);

	g_assert_cmpint(truncate(path, (off_t)g_bytes_get_size(log) + PAGE), ==, 0);
}

static void test_a_torn_end_before_zeros_loses_one_batch_silently(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) log = contents(f->log);

	g_assert_cmpint(truncate(f->log, (off_t)g_bytes_get_size(log) - 900), ==, 0);
	lengthen(f->log);
	g_assert_cmpuint(recovered(f), ==, N_BATCHES - 1);
	g_assert_false(something_was_kept(f));
}

static void test_a_lost_page_takes_all_that_came_after_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const uint8_t zeros[PAGE];
	uint32_t at = 20;
	int fd = open(f->log, O_WRONLY);
	uint32_t n;

	g_assert_cmpint(pwrite(fd, zeros, PAGE, (off_t)at * PAGE), ==, PAGE);
	close(fd);
	n = recovered(f);
	g_assert_cmpuint(n, >=, at * PAGE / (VALUE_LEN + 100));
	g_assert_cmpuint(n, <=, at * PAGE / VALUE_LEN);
	g_assert_true(something_was_kept(f));
	g_assert_cmpuint(recovered(f), ==, n);
}

/* As if the log had been switched after 10 of 20 batches, and kept of each what
 * first and second say. */
static void split_log(Fixture *f, uint32_t first, uint32_t second)
{
	g_autoptr(GBytes) bytes = contents(f->log);
	MneSlice log = mne_slice_of(bytes);
	size_t middle = end_of(log, 10);

	set_contents(f->log, mne_slice(log.data, end_of(log, first)));
	set_contents(f->later,
		     mne_slice(log.data + middle, end_of(log, 10 + second) - middle));
}

static void test_both_of_two_logs_are_recovered(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 10, 10);
	g_assert_cmpuint(recovered(f), ==, 20);
	g_assert_false(something_was_kept(f));
}

static void test_an_end_missing_from_a_log_takes_the_next_log_with_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 7, 10);
	g_assert_cmpuint(recovered(f), ==, 7);
}

static void test_zeros_at_the_end_of_a_log_cost_the_next_one_nothing(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 10, 10);
	lengthen(f->log);
	lengthen(f->later);
	g_assert_cmpuint(recovered(f), ==, 20);
	g_assert_false(something_was_kept(f));
}

static void test_an_end_that_zeros_replaced_takes_the_next_log_with_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 7, 10);
	lengthen(f->log);
	g_assert_cmpuint(recovered(f), ==, 7);
}

static void test_an_emptied_log_takes_the_next_log_with_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 0, 10);
	g_assert_cmpuint(recovered(f), ==, 0);
}

static void test_an_empty_log_at_the_end_is_nothing_special(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	split_log(f, 10, 0);
	g_assert_cmpuint(recovered(f), ==, 10);
	g_assert_false(something_was_kept(f));
}

static void test_a_log_no_longer_needed_is_not_looked_at(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(GBytes) log = contents(f->log);
	MneKv *kv = open_db(f);

	put_number(kv, N_BATCHES);
	mne_kv_close(kv);
	/* As if its unlinking had not become durable, nor its contents. */
	set_contents(f->log, mne_slice(g_bytes_get_data(log, NULL), PAGE));
	g_assert_cmpuint(recovered(f), ==, N_BATCHES + 1);
}

#define TEST(name) \
	g_test_add("/kv-log/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* Damage is warned of; here it is wanted. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	TEST(a_whole_log_is_recovered_whole);
	TEST(a_torn_end_loses_one_batch_silently);
	TEST(zeros_at_the_end_are_no_damage);
	TEST(a_torn_end_before_zeros_loses_one_batch_silently);
	TEST(a_lost_page_takes_all_that_came_after_it);
	TEST(both_of_two_logs_are_recovered);
	TEST(an_end_missing_from_a_log_takes_the_next_log_with_it);
	TEST(zeros_at_the_end_of_a_log_cost_the_next_one_nothing);
	TEST(an_end_that_zeros_replaced_takes_the_next_log_with_it);
	TEST(an_emptied_log_takes_the_next_log_with_it);
	TEST(an_empty_log_at_the_end_is_nothing_special);
	TEST(a_log_no_longer_needed_is_not_looked_at);
	return g_test_run();
}
