/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-outside.c - values that name what lies outside of the engine, and what
 * is left of LevelDB's own files, after power went
 *
 * A value's first byte is the number of a thing outside, 0 for none.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/engines.h"
#include "kv/manifest.h"

#include <signal.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "scratch.h"

typedef struct {
	char *dir;
	MneKvOutside outside;
	bool missing[256]; /* things outside */
	unsigned settles;
	int settle_error;
} Fixture;

enum { BUFFER = 64 * 1024, VALUE_LEN = 1000, ONE_SWITCH = 100, VOUCHES = 255 };

static bool holds(void *user, MneSlice key G_GNUC_UNUSED, MneSlice value)
{
	const Fixture *f = user;

	return value.len == 0 || value.data[0] == VOUCHES || !f->missing[value.data[0]];
}

/* The second byte says for how many batches before it not. */
static bool vouches(void *user G_GNUC_UNUSED, MneSlice key G_GNUC_UNUSED,
		    MneSlice value, uint64_t *out_behind)
{
	if (value.len != 2 || value.data[0] != VOUCHES)
		return false;
	*out_behind = value.data[1];
	return true;
}

static int settle(void *user)
{
	Fixture *f = user;

	f->settles++;
	return f->settle_error;
}

static int try_open(Fixture *f, MneKv **out_kv)
{
	const MneLeveldbOptions options = { .outside = &f->outside,
					    .write_buffer = BUFFER,
					    .create = true };

	return mne_kv_leveldb_open(f->dir, &options, out_kv);
}

static MneKv *open_db(Fixture *f)
{
	MneKv *kv = NULL;

	g_assert_cmpint(try_open(f, &kv), ==, 0);
	return kv;
}

static int put(MneKv *kv, const char *key, MneSlice value)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_put(batch, mne_slice_str(key), value);
	return mne_kv_apply(kv, batch);
}

static void put_thing(MneKv *kv, const char *key, uint8_t thing)
{
	g_assert_cmpint(put(kv, key, mne_slice(&thing, 1)), ==, 0);
}

static void put_vouch(MneKv *kv, uint8_t behind)
{
	const uint8_t value[2] = { VOUCHES, behind };

	g_assert_cmpint(put(kv, "vouch", mne_slice(value, 2)), ==, 0);
}

static void del(MneKv *kv, const char *key)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	mne_kv_batch_del(batch, mne_slice_str(key));
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

static char *keys_of(MneKv *kv)
{
	g_autoptr(MneKvIter) iter = NULL;
	GString *text = g_string_new(NULL);

	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, 0);
	for (mne_kv_iter_seek(iter, MNE_SLICE_EMPTY); mne_kv_iter_valid(iter);
	     mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);

		g_string_append_printf(text, "%s%.*s", text->len ? " " : "",
				       (int)key.len, (const char *)key.data);
	}
	return g_string_free(text, FALSE);
}

static void assert_keys(Fixture *f, const char *expected)
{
	g_autoptr(MneKv) kv = open_db(f);
	g_autofree char *keys = keys_of(kv);

	g_assert_cmpstr(keys, ==, expected);
}

static char *file_of(Fixture *f, const char *prefix, const char *ending)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	g_autofree char *best = NULL;
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		if (!g_str_has_prefix(name, prefix) ||
		    !g_str_has_suffix(name, ending) || (best && strcmp(name, best) < 0))
			continue;
		g_free(best);
		best = g_strdup(name);
	}
	return best ? g_build_filename(f->dir, best, NULL) : NULL;
}

static unsigned count_of(Fixture *f, const char *ending)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	unsigned count = 0;
	const char *name;

	while ((name = g_dir_read_name(dir)))
		count += g_str_has_suffix(name, ending);
	return count;
}

static void set_up(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	f->dir = g_dir_make_tmp("test-kv-XXXXXX", NULL);
	f->outside = (MneKvOutside){ holds, vouches, settle, f };
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	scratch_remove(f->dir);
	g_free(f->dir);
}

/* ---- trial ---- */

static void make_four(Fixture *f)
{
	g_autoptr(MneKv) kv = open_db(f);

	put_thing(kv, "a", 1);
	put_thing(kv, "b", 2);
	put_thing(kv, "c", 3);
	put_thing(kv, "d", 4);
}

static void test_when_nothing_is_missing_nothing_is_dropped(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	make_four(f);
	assert_keys(f, "a b c d");
	g_assert_cmpuint(count_of(f, ".lost"), ==, 0);
}

static void test_what_is_missing_takes_all_that_came_after_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	make_four(f);
	f->missing[3] = true;
	assert_keys(f, "a b");
	g_assert_cmpuint(count_of(f, ".lost"), ==, 1);
	f->missing[3] = false;
	assert_keys(f, "a b");
}

static void test_everything_may_be_missing(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	make_four(f);
	f->missing[1] = true;
	assert_keys(f, "");
}

static void test_what_a_later_batch_gave_up_may_be_missing(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv;

	make_four(f);
	kv = open_db(f); /* what was in the log is in a table now */
	put_thing(kv, "e", 5);
	put_thing(kv, "f", 6);
	del(kv, "e");
	put_thing(kv, "f", 7);
	put_thing(kv, "g", 8);
	mne_kv_close(kv);
	f->missing[5] = f->missing[6] = true;
	assert_keys(f, "a b c d f g");
}

static void test_the_state_left_lacks_nothing_at_any_key(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);

	put_thing(kv, "a", 1);
	put_thing(kv, "b", 2); /* missing up to the deletion … */
	put_thing(kv, "c", 3);
	put_thing(kv, "d", 4); /* … and this one is missing meanwhile */
	del(kv, "b");
	put_thing(kv, "e", 5);
	mne_kv_close(kv);
	f->missing[2] = f->missing[4] = true;
	assert_keys(f, "a");
}

static void test_what_is_vouched_for_is_not_asked_about(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);

	put_thing(kv, "a", 1);
	put_thing(kv, "b", 2);
	put_vouch(kv, 1); /* for "a" only */
	put_thing(kv, "c", 3);
	mne_kv_close(kv);
	f->missing[1] = f->missing[3] = true;
	assert_keys(f, "a b vouch");
}

static void test_who_vouches_is_not_believed_beyond_what_it_says(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);

	put_thing(kv, "a", 1);
	put_thing(kv, "b", 2);
	put_vouch(kv, 1);
	mne_kv_close(kv);
	f->missing[2] = true;
	assert_keys(f, "a");
}

/* ---- memtable ---- */

static int put_long(MneKv *kv, unsigned number)
{
	static const uint8_t value[VALUE_LEN];
	g_autofree char *key = g_strdup_printf("%06u", number);

	return put(kv, key, mne_slice(value, VALUE_LEN));
}

static void test_a_log_is_left_only_after_settling(Fixture *f,
						   gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);
	g_autofree char *log = file_of(f, "", ".log");
	unsigned switches = 0;

	g_assert_cmpuint(f->settles, ==, 1); /* at the opening */
	for (unsigned i = 0; i < 1000; i++) {
		unsigned settles = f->settles;
		char *now;

		g_assert_cmpint(put_long(kv, i), ==, 0);
		now = file_of(f, "", ".log");
		if (strcmp(log, now) != 0) {
			g_assert_cmpuint(f->settles, ==, settles + 1);
			switches++;
		}
		g_free(log);
		log = now;
	}
	g_assert_cmpuint(f->settles, ==, switches + 1);
	g_assert_cmpuint(switches, >=, 1000 * VALUE_LEN / BUFFER);
}

static void test_what_cannot_be_settled_stays_in_its_log(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);
	g_autofree char *log = file_of(f, "", ".log");
	g_autofree char *now = NULL;
	unsigned n = 0;

	f->settle_error = -EIO;
	while (n < 1000 && put_long(kv, n) == 0)
		n++;
	g_assert_cmpuint(n, <, 2 * BUFFER / VALUE_LEN);
	g_assert_cmpint(put_long(kv, n), ==, -EIO);
	now = file_of(f, "", ".log");
	g_assert_cmpstr(now, ==, log);

	f->settle_error = 0;
	g_assert_cmpint(put_long(kv, n), ==, 0);
	mne_kv_close(kv);
}

/* ---- room in the log ---- */

static off_t log_size(Fixture *f)
{
	g_autofree char *log = file_of(f, "", ".log");
	struct stat st;

	g_assert_cmpint(stat(log, &st), ==, 0);
	return st.st_size;
}

static void sync_often(MneKv *kv)
{
	for (unsigned i = 0; i < 10; i++)
		g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
}

static void test_a_log_that_is_synced_often_does_not_grow_with_each_batch(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);
	off_t size;

	g_assert_cmpint(put_long(kv, 0), ==, 0);
	g_assert_cmpint(log_size(f), <, 2 * VALUE_LEN);
	sync_often(kv);
	g_assert_cmpint(put_long(kv, 1), ==, 0);
	size = log_size(f);
	for (unsigned i = 2; i < 20; i++)
		g_assert_cmpint(put_long(kv, i), ==, 0);
	g_assert_cmpint(log_size(f), ==, size);
}

static void test_in_logs_with_room_all_batches_are_found_again(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);

	for (unsigned i = 0; i < 1000; i++) {
		g_assert_cmpint(put_long(kv, i), ==, 0);
		g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	}
	for (unsigned round = 0; round < 3; round++) {
		g_autofree char *keys = NULL;

		mne_kv_close(g_steal_pointer(&kv));
		kv = open_db(f);
		keys = keys_of(kv);
		g_assert_cmpuint(strlen(keys), ==, 7 * 1000 - 1);
		g_assert_cmpuint(count_of(f, ".lost"), ==, 0);
	}
}

static void test_a_record_torn_before_room_is_healed(Fixture *f,
						     gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);
	struct rlimit limits, was;
	g_autofree char *keys = NULL;

	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &was), ==, 0);
	g_assert_cmpint(put_long(kv, 0), ==, 0);
	limits = was;
	limits.rlim_cur = (rlim_t)log_size(f) + VALUE_LEN + 500;
	sync_often(kv);
	g_assert_cmpint(put_long(kv, 1), ==, 0);

	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limits), ==, 0);
	g_assert_cmpint(put_long(kv, 2), ==, -EFBIG);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &was), ==, 0);

	g_assert_cmpint(put_long(kv, 3), ==, 0);
	keys = keys_of(kv);
	g_assert_cmpstr(keys, ==, "000000 000001 000003");
	mne_kv_close(kv);
	assert_keys(f, "000000 000001 000003");
}

/* ---- manifest ---- */

static void make_tables(Fixture *f)
{
	g_autoptr(MneKv) kv = open_db(f);

	for (unsigned i = 0; i < 500; i++)
		g_assert_cmpint(put_long(kv, i), ==, 0);
}

static void assert_numbers(Fixture *f, unsigned count)
{
	g_autoptr(MneKv) kv = open_db(f);

	for (unsigned i = 0; i <= count; i++) {
		g_autofree char *key = g_strdup_printf("%06u", i);
		g_autoptr(GBytes) value = NULL;

		g_assert_cmpint(mne_kv_get(kv, mne_slice_str(key), &value), ==,
				i < count ? 0 : -ENOENT);
	}
}

static char *stray_of(Fixture *f)
{
	g_autofree char *table = file_of(f, "0", ".ldb");
	g_autofree char *dir = g_path_get_dirname(table);
	char *stray = g_build_filename(dir, "987654.ldb", NULL);
	g_autofree char *text = NULL;
	gsize len;

	g_assert_true(g_file_get_contents(table, &text, &len, NULL));
	g_assert_true(g_file_set_contents(stray, text, (gssize)len, NULL));
	return stray;
}

static void test_of_tables_only_those_that_nothing_names_are_leftovers(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *stray = NULL;
	g_autofree char *path = NULL;
	g_autofree char *current = NULL;

	make_tables(f);
	assert_numbers(f, 500); /* what was superfluous is gone */
	current = file_of(f, "CURRENT", "");
	path = g_path_get_dirname(current);
	g_assert_cmpuint(mne_manifest_leftovers(path, true), ==, 0);
	stray = stray_of(f);
	g_assert_cmpuint(mne_manifest_leftovers(path, false), >, 0);
	g_assert_true(g_file_test(stray, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(mne_manifest_leftovers(path, true), >, 0);
	g_assert_false(g_file_test(stray, G_FILE_TEST_EXISTS));
	g_assert_cmpuint(mne_manifest_leftovers(path, false), ==, 0);
	assert_numbers(f, 500);
}

static void test_who_does_not_know_what_is_named_takes_nothing_for_leftovers(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *stray = NULL;
	g_autofree char *path = NULL;
	g_autofree char *current = NULL;

	make_tables(f);
	stray = stray_of(f);
	current = file_of(f, "CURRENT", "");
	path = g_path_get_dirname(current);
	g_assert_true(g_file_set_contents(current, "MANIFEST-999999\n", -1, NULL));
	g_assert_cmpuint(mne_manifest_leftovers(path, true), ==, 0);
	g_assert_cmpint(g_unlink(current), ==, 0);
	g_assert_cmpuint(mne_manifest_leftovers(path, true), ==, 0);
	g_assert_true(g_file_test(stray, G_FILE_TEST_EXISTS));
	assert_numbers(f, 500);
}

static void test_a_lost_current_is_made_anew(Fixture *f,
					     gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *current = NULL;

	make_tables(f);
	current = file_of(f, "CURRENT", "");
	g_assert_cmpint(g_unlink(current), ==, 0);
	assert_numbers(f, 500);
}

static void test_a_current_of_before_is_brought_up_to_date(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *current = NULL;

	make_tables(f);
	current = file_of(f, "CURRENT", "");
	g_assert_true(g_file_set_contents(current, "MANIFEST-000001\n", -1, NULL));
	assert_numbers(f, 500);
}

static void keep(const char *path)
{
	g_autofree char *kept = g_strconcat(path, ".kept", NULL);

	g_assert_cmpint(link(path, kept), ==, 0);
}

static void restore(const char *path)
{
	g_autofree char *kept = g_strconcat(path, ".kept", NULL);

	g_assert_cmpint(g_rename(kept, path), ==, 0);
}

static void copy(const char *from, const char *ending)
{
	g_autofree char *to = g_strconcat(from, ending, NULL);
	g_autofree char *text = NULL;
	gsize len;

	g_assert_true(g_file_get_contents(from, &text, &len, NULL));
	g_assert_true(g_file_set_contents(to, text, (gssize)len, NULL));
}

/* The old manifest came back from the dead, its log did not. */
static void test_a_current_whose_log_is_gone_is_brought_up_to_date(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *current = NULL;
	g_autofree char *manifest = NULL;

	make_tables(f);
	current = file_of(f, "CURRENT", "");
	manifest = file_of(f, "MANIFEST", "");
	copy(current, ".kept");
	copy(manifest, ".kept");
	assert_numbers(f, 500);
	restore(current);
	restore(manifest);
	assert_numbers(f, 500);
}

static void test_a_log_that_is_lost_is_corruption(Fixture *f,
						  gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *log = NULL;
	MneKv *kv = NULL;

	make_tables(f);
	log = file_of(f, "", ".log");
	g_assert_cmpint(g_unlink(log), ==, 0);
	g_assert_cmpint(try_open(f, &kv), ==, -MNE_E_KV_CORRUPT);
}

/* Five bytes, whose checksum is wrong. */
static void append_record(const char *path)
{
	static const char record[] = "crc.\5\0\1edit!";
	FILE *file = g_fopen(path, "a");

	g_assert_nonnull(file);
	g_assert_cmpint(fwrite(record, 1, sizeof(record) - 1, file), ==,
			sizeof(record) - 1);
	g_assert_cmpint(fclose(file), ==, 0);
}

static void test_an_edit_that_did_not_come_to_the_disk_is_cut_off(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *manifest = NULL;

	make_tables(f);
	manifest = file_of(f, "MANIFEST", "");
	append_record(manifest);
	assert_numbers(f, 500);
	g_assert_cmpuint(count_of(f, ".lost"), ==, 1);
}

/* The log that a table was made from, and the table. */
static void switch_once(Fixture *f, char **out_log, char **out_table)
{
	g_autoptr(MneKv) kv = open_db(f);

	*out_log = file_of(f, "", ".log");
	keep(*out_log);
	for (unsigned i = 0; i < ONE_SWITCH; i++)
		g_assert_cmpint(put_long(kv, i), ==, 0);
	while (g_file_test(*out_log, G_FILE_TEST_EXISTS))
		g_usleep(1000);
	g_assert_cmpuint(count_of(f, ".ldb"), ==, 1);
	*out_table = file_of(f, "", ".ldb");
}

static void test_a_table_whose_name_did_not_come_to_the_disk_is_made_again(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *log = NULL;
	g_autofree char *table = NULL;

	switch_once(f, &log, &table);
	restore(log);
	g_assert_cmpint(g_unlink(table), ==, 0);
	assert_numbers(f, ONE_SWITCH);
}

/* The edit came to the disk before the names it needs, and of those only the table's did. */
static void test_a_log_whose_name_did_not_come_to_the_disk_was_empty(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *log = NULL;
	g_autofree char *table = NULL;
	g_autofree char *newest = NULL;
	g_autofree char *keys = NULL;
	g_autoptr(MneKv) kv = NULL;

	switch_once(f, &log, &table);
	newest = file_of(f, "", ".log");
	restore(log);
	g_assert_cmpint(g_unlink(newest), ==, 0);
	kv = open_db(f);
	keys = keys_of(kv);
	g_assert_true(g_str_has_prefix(keys, "000000 000001 "));
	g_assert_cmpuint(strlen(keys), >=, 7 * (BUFFER / 2 / VALUE_LEN));
}

static void test_a_table_that_is_lost_is_corruption(Fixture *f,
						    gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *log = NULL;
	g_autofree char *table = NULL;
	g_autofree char *manifest = NULL;
	g_autofree char *before = NULL;
	g_autofree char *after = NULL;
	MneKv *kv = NULL;

	switch_once(f, &log, &table);
	manifest = file_of(f, "MANIFEST", "");
	g_assert_true(g_file_get_contents(manifest, &before, NULL, NULL));
	g_assert_cmpint(g_unlink(table), ==, 0);
	g_assert_cmpint(try_open(f, &kv), ==, -MNE_E_KV_CORRUPT);
	g_assert_true(g_file_get_contents(manifest, &after, NULL, NULL));
	g_assert_cmpstr(before, ==, after);
}

#define TEST(name) \
	g_test_add("/kv-outside/" #name, Fixture, NULL, set_up, test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	signal(SIGXFSZ, SIG_IGN);
	/* What is dropped is warned of; here it is wanted. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	TEST(when_nothing_is_missing_nothing_is_dropped);
	TEST(what_is_missing_takes_all_that_came_after_it);
	TEST(everything_may_be_missing);
	TEST(what_a_later_batch_gave_up_may_be_missing);
	TEST(the_state_left_lacks_nothing_at_any_key);
	TEST(what_is_vouched_for_is_not_asked_about);
	TEST(who_vouches_is_not_believed_beyond_what_it_says);
	TEST(a_log_is_left_only_after_settling);
	TEST(what_cannot_be_settled_stays_in_its_log);
	TEST(a_log_that_is_synced_often_does_not_grow_with_each_batch);
	TEST(in_logs_with_room_all_batches_are_found_again);
	TEST(a_record_torn_before_room_is_healed);
	TEST(of_tables_only_those_that_nothing_names_are_leftovers);
	TEST(who_does_not_know_what_is_named_takes_nothing_for_leftovers);
	TEST(a_lost_current_is_made_anew);
	TEST(a_current_of_before_is_brought_up_to_date);
	TEST(a_current_whose_log_is_gone_is_brought_up_to_date);
	TEST(a_log_that_is_lost_is_corruption);
	TEST(an_edit_that_did_not_come_to_the_disk_is_cut_off);
	TEST(a_table_whose_name_did_not_come_to_the_disk_is_made_again);
	TEST(a_log_whose_name_did_not_come_to_the_disk_was_empty);
	TEST(a_table_that_is_lost_is_corruption);
	return g_test_run();
}
