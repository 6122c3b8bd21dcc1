/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-engines.c - what single engines promise beyond the contract
 *
 * The tests with a full disk mount a small one of their own, in a mount namespace
 * that ends with this process; without the right to do so they are skipped.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "kv/engines.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "scratch.h"

typedef struct {
	char *dir;
	bool may_mount;
	bool mounted;
} Fixture;

enum { VALUE_LEN = 5000, SMALL_BUFFER = 256 * 1024 };

static void set_up(Fixture *f, gconstpointer may_mount)
{
	f->may_mount = *(const bool *)may_mount;
	f->dir = g_dir_make_tmp("test-kv-XXXXXX", NULL);
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	scratch_remove(f->dir);
	if (f->mounted)
		g_assert_cmpint(umount2(f->dir, MNT_DETACH), ==, 0);
	g_rmdir(f->dir);
	g_free(f->dir);
}

static char *db_of(Fixture *f)
{
	return g_build_filename(f->dir, "db", NULL);
}

static int try_open(Fixture *f, bool create, MneKv **out_kv)
{
	g_autofree char *path = db_of(f);
	MneLeveldbOptions options = { .write_buffer = SMALL_BUFFER, .create = create };

	return mne_kv_leveldb_open(path, &options, out_kv);
}

static MneKv *open_db(Fixture *f)
{
	MneKv *kv = NULL;

	g_assert_cmpint(try_open(f, true, &kv), ==, 0);
	return kv;
}

static MneSlice number_key(uint32_t number, char to[16])
{
	return mne_slice(to, (size_t)g_snprintf(to, 16, "%08u", number));
}

/* Two keys of one number: a batch that can be seen torn. */
static int put_number(MneKv *kv, uint32_t number)
{
	static const uint8_t zeros[VALUE_LEN];
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	char key[16];

	mne_kv_batch_put(batch, number_key(number, key), mne_slice(zeros, VALUE_LEN));
	mne_kv_batch_put(batch, number_key(number + 50000000, key), MNE_SLICE_EMPTY);
	return mne_kv_apply(kv, batch);
}

static int get_number(MneKv *kv, uint32_t number)
{
	g_autoptr(GBytes) value = NULL;
	char key[16];

	return mne_kv_get(kv, number_key(number, key), &value);
}

/* Both keys of the numbers from first up to last - 1 are there. */
static void assert_numbers(MneKv *kv, uint32_t first, uint32_t last)
{
	for (uint32_t i = first; i < last; i++) {
		g_assert_cmpint(get_number(kv, i), ==, 0);
		g_assert_cmpint(get_number(kv, i + 50000000), ==, 0);
	}
}

static void assert_no_number(MneKv *kv, uint32_t number)
{
	g_assert_cmpint(get_number(kv, number), ==, -ENOENT);
	g_assert_cmpint(get_number(kv, number + 50000000), ==, -ENOENT);
}

/* ---- leveldb: opening ---- */

static void test_reopening_keeps_the_data(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	for (uint32_t first = 0; first < 300; first += 100) {
		g_autoptr(MneKv) kv = open_db(f);

		for (uint32_t i = first; i < first + 100; i++)
			g_assert_cmpint(put_number(kv, i), ==, 0);
		assert_numbers(kv, 0, first + 100);
	}
}

static void test_opening_what_is_not_there_makes_nothing(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *path = db_of(f);
	MneKv *kv = NULL;

	g_assert_cmpint(try_open(f, false, &kv), ==, -ENOENT);
	g_assert_null(kv);
	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_assert_cmpint(mne_kv_leveldb_repair(path), ==, -ENOENT);
}

static void test_only_one_can_have_it_open(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);
	MneKv *other = NULL;

	g_assert_cmpint(try_open(f, true, &other), ==, -MNE_E_STORE_LOCKED);
	g_assert_null(other);
	g_assert_cmpint(put_number(kv, 1), ==, 0);
}

static char *file_ending(Fixture *f, const char *ending)
{
	g_autofree char *path = db_of(f);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ending))
			return g_build_filename(path, name, NULL);
	return NULL;
}

/* Some tables. */
static void make_db(Fixture *f)
{
	g_autoptr(MneKv) kv = open_db(f);

	for (uint32_t i = 0; i < 200; i++)
		g_assert_cmpint(put_number(kv, i), ==, 0);
}

static void remove_all(Fixture *f, const char *prefix)
{
	g_autofree char *path = db_of(f);
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		if (g_str_has_prefix(name, prefix))
			g_assert_cmpint(g_unlink(file), ==, 0);
	}
}

static void test_a_lost_list_of_tables_is_corruption_and_no_table_is_deleted(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *table = NULL;
	MneKv *kv = NULL;

	make_db(f);
	remove_all(f, "CURRENT");
	remove_all(f, "MANIFEST-");
	g_assert_cmpint(try_open(f, true, &kv), ==, -MNE_E_KV_CORRUPT);
	table = file_ending(f, ".ldb");
	g_assert_nonnull(table);
}

static void test_repair_brings_back_what_can_be_read(Fixture *f,
						     gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *path = db_of(f);
	g_autofree char *current = NULL;
	MneKv *kv = NULL;

	make_db(f);
	current = file_ending(f, "CURRENT");
	remove_all(f, "MANIFEST-");
	g_assert_true(g_file_set_contents(current, "nonsense\n", -1, NULL));
	g_assert_cmpint(try_open(f, false, &kv), <, 0);
	g_assert_cmpint(mne_kv_leveldb_repair(path), ==, 0);
	g_assert_cmpint(try_open(f, false, &kv), ==, 0);
	assert_numbers(kv, 0, 200);
	mne_kv_close(kv);
}

static void flip(const char *path, off_t at)
{
	int fd = open(path, O_RDWR);
	uint8_t byte;

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pread(fd, &byte, 1, at), ==, 1);
	byte ^= 0x10;
	g_assert_cmpint(pwrite(fd, &byte, 1, at), ==, 1);
	close(fd);
}

static void test_a_damaged_table_is_corruption_not_other_bytes(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *table = NULL;
	unsigned corrupt = 0;
	MneKv *kv = NULL;

	make_db(f);
	table = file_ending(f, ".ldb");
	for (off_t at = 100; at < 100000; at += 20000)
		flip(table, at);
	g_assert_cmpint(try_open(f, false, &kv), ==, 0);
	for (uint32_t i = 0; i < 200; i++)
		corrupt += get_number(kv, i) == -MNE_E_KV_CORRUPT;
	g_assert_cmpuint(corrupt, >, 0);
	mne_kv_close(kv);
}

static void test_a_torn_log_keeps_the_whole_batches_before(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autofree char *log = NULL;
	MneKv *kv = open_db(f);

	for (uint32_t i = 0; i < 10; i++)
		g_assert_cmpint(put_number(kv, i), ==, 0);
	mne_kv_close(kv);
	log = file_ending(f, ".log");
	g_assert_cmpint(truncate(log, (10 * VALUE_LEN) - 100), ==, 0);

	kv = open_db(f);
	assert_numbers(kv, 0, 9);
	assert_no_number(kv, 9);
	mne_kv_close(kv);
}

/* ---- leveldb: a full disk ---- */

static bool mount_small(Fixture *f)
{
	if (!f->may_mount) {
		g_test_skip("needs the right to mount");
		return false;
	}
	g_assert_cmpint(mount("small", f->dir, "tmpfs", 0, "size=8m"), ==, 0);
	f->mounted = true;
	return true;
}

static char *ballast_of(Fixture *f)
{
	return g_build_filename(f->dir, "ballast", NULL);
}

/* Take all space but the last spare bytes. */
static void fill(Fixture *f, off_t spare)
{
	static const uint8_t zeros[4096];
	g_autofree char *path = ballast_of(f);
	int fd = open(path, O_CREAT | O_WRONLY | O_APPEND, 0600);

	g_assert_cmpint(fd, >=, 0);
	while (write(fd, zeros, sizeof(zeros)) > 0)
		;
	g_assert_cmpint(ftruncate(fd, lseek(fd, 0, SEEK_END) - spare), ==, 0);
	close(fd);
}

static void make_room(Fixture *f)
{
	g_autofree char *path = ballast_of(f);

	g_assert_cmpint(g_unlink(path), ==, 0);
}

/* Put numbers from first until one fails, which is returned. */
static uint32_t put_until_full(MneKv *kv, uint32_t first)
{
	uint32_t i = first;
	int err = 0;

	while (i < first + 100000 && (err = put_number(kv, i)) == 0)
		i++;
	g_assert_cmpint(err, ==, -ENOSPC);
	return i;
}

/* The same until it fails three times more: what is merged meanwhile may leave room again. */
static uint32_t put_until_it_stays_full(MneKv *kv, uint32_t first)
{
	uint32_t failed = put_until_full(kv, first);
	int again = 0, err;

	while (again++ < 3) {
		err = put_number(kv, failed);
		if (err == 0) {
			failed = put_until_full(kv, failed + 1);
			again = 0;
		} else {
			g_assert_cmpint(err, ==, -ENOSPC);
		}
	}
	return failed;
}

/* spare decides what fails: a log, or a table. */
static void fill_and_heal(Fixture *f, off_t spare)
{
	MneKv *kv = open_db(f);
	uint32_t failed;

	for (uint32_t i = 0; i < 5; i++)
		g_assert_cmpint(put_number(kv, i), ==, 0);
	fill(f, spare);
	failed = put_until_it_stays_full(kv, 5);
	assert_numbers(kv, 0, failed);
	assert_no_number(kv, failed);

	make_room(f);
	for (uint32_t i = failed + 1; i < failed + 50; i++)
		g_assert_cmpint(put_number(kv, i), ==, 0);
	assert_no_number(kv, failed);
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	mne_kv_close(kv);

	kv = open_db(f);
	assert_numbers(kv, 0, failed);
	assert_no_number(kv, failed);
	assert_numbers(kv, failed + 1, failed + 50);
	mne_kv_close(kv);
}

static void test_a_disk_that_is_full_for_the_log_heals(Fixture *f,
						       gconstpointer data G_GNUC_UNUSED)
{
	if (mount_small(f))
		fill_and_heal(f, 60000);
}

static void test_a_disk_that_is_full_for_a_table_heals(Fixture *f,
						       gconstpointer data G_GNUC_UNUSED)
{
	if (mount_small(f))
		fill_and_heal(f, 360000);
}

static void test_a_disk_that_is_full_for_a_merge_heals(Fixture *f,
						       gconstpointer data G_GNUC_UNUSED)
{
	if (mount_small(f))
		fill_and_heal(f, 3500000);
}

static void test_an_open_iterator_outlives_a_full_disk(Fixture *f,
						       gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = NULL;
	MneKvIter *iter = NULL;
	uint32_t failed;

	if (!mount_small(f))
		return;
	kv = open_db(f);
	g_assert_cmpint(put_number(kv, 0), ==, 0);
	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, 0);
	fill(f, 60000);
	failed = put_until_full(kv, 1);
	make_room(f);

	/* Healing has to wait for it, and it can be used meanwhile. */
	g_assert_cmpint(put_number(kv, failed), ==, -ENOSPC);
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	g_assert_true(mne_kv_iter_valid(iter));
	mne_kv_iter_next(iter);
	mne_kv_iter_next(iter);
	g_assert_false(mne_kv_iter_valid(iter));
	g_assert_cmpint(mne_kv_iter_status(iter), ==, 0);
	mne_kv_iter_free(iter);
	g_assert_cmpint(put_number(kv, failed), ==, 0);
	assert_numbers(kv, 0, failed + 1);
}

typedef struct {
	MneKv *kv;
	atomic_bool stop;
} Readers;

/* Number 0 is there all the time. */
static void *read_on(void *user)
{
	Readers *readers = user;

	while (!atomic_load(&readers->stop)) {
		g_autoptr(MneKvIter) iter = NULL;

		g_assert_cmpint(get_number(readers->kv, 0), ==, 0);
		g_assert_cmpint(mne_kv_iter(readers->kv, &iter), ==, 0);
		mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
		g_assert_true(mne_kv_iter_valid(iter));
	}
	return NULL;
}

static void test_readers_go_on_while_a_full_disk_heals(Fixture *f,
						       gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = NULL;
	Readers readers;
	pthread_t threads[2];
	uint32_t failed = 1;

	if (!mount_small(f))
		return;
	kv = open_db(f);
	g_assert_cmpint(put_number(kv, 0), ==, 0);
	readers.kv = kv;
	atomic_init(&readers.stop, false);
	for (int i = 0; i < 2; i++)
		g_assert_cmpint(pthread_create(&threads[i], NULL, read_on, &readers),
				==, 0);
	for (int round = 0; round < 5; round++) {
		fill(f, 100000);
		failed = put_until_full(kv, failed);
		make_room(f);
		g_assert_cmpint(put_number(kv, failed), ==, 0);
	}
	atomic_store(&readers.stop, true);
	for (int i = 0; i < 2; i++)
		g_assert_cmpint(pthread_join(threads[i], NULL), ==, 0);
	assert_numbers(kv, 0, failed + 1);
}

/* ---- trace ---- */

static void test_trace_counts_and_times_every_call(void)
{
	g_autoptr(MneKv) kv = mne_kv_trace_new(
		mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL, 3, false));
	g_autoptr(MneKvIter) iter = NULL;
	g_autofree char *stats = NULL;

	g_assert_cmpint(put_number(kv, 1), ==, 0);
	g_assert_cmpint(put_number(kv, 2), ==, 0);
	g_assert_cmpint(put_number(kv, 3), ==, -MNE_E_INJECTED);
	g_assert_cmpint(get_number(kv, 7), ==, -ENOENT);
	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, 0);
	stats = mne_kv_stats(kv);
	g_assert_nonnull(strstr(stats, "apply calls=3 failed=1 ns="));
	g_assert_nonnull(strstr(stats, "get calls=1 failed=0 ns="));
	g_assert_nonnull(strstr(stats, "iter calls=1 failed=0 ns="));
	g_assert_nonnull(strstr(stats, "barrier calls=0 failed=0 ns=0\n"));
}

/* ---- fault ---- */

static void test_exactly_the_nth_call_fails_and_does_nothing(void)
{
	for (uint32_t nth = 1; nth <= 6; nth++) {
		g_autoptr(MneKv) kv = mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL,
						       nth, false);

		for (uint32_t i = 1; i <= 5; i++) {
			int err = put_number(kv, i);

			g_assert_cmpint(err, ==, i == nth ? -MNE_E_INJECTED : 0);
			g_assert_true(err == 0 ||
				      strstr(mne_err_sentence(err), "INJECTED"));
			g_assert_cmpint(get_number(kv, i), ==, i == nth ? -ENOENT : 0);
		}
		g_assert_cmpint(mne_kv_barrier(kv), ==, nth == 6 ? -MNE_E_INJECTED : 0);
	}
}

static void test_reads_count_when_asked_for(void)
{
	g_autoptr(MneKv) kv = mne_kv_fault_new(mne_kv_mem_new(), MNE_FAULT_FAIL, 2,
					       true);
	MneKvIter *iter = NULL;

	g_assert_cmpint(put_number(kv, 1), ==, 0);
	g_assert_cmpint(mne_kv_iter(kv, &iter), ==, -MNE_E_INJECTED);
	g_assert_null(iter);
	g_assert_cmpint(get_number(kv, 1), ==, 0);
}

/* A process that dies at its second put; was that put done? */
static void die_at_second(Fixture *f, MneFaultKind kind, int want)
{
	g_autoptr(MneKv) kv = NULL;
	int status;
	pid_t pid = fork();

	g_assert_cmpint(pid, >=, 0);
	if (pid == 0) {
		MneKv *doomed = mne_kv_fault_new(open_db(f), kind, 2, false);

		for (uint32_t i = 1; i < 4; i++)
			if (put_number(doomed, i) < 0)
				_exit(1);
		_exit(0);
	}
	g_assert_cmpint(waitpid(pid, &status, 0), ==, pid);
	g_assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	kv = open_db(f);
	g_assert_cmpint(get_number(kv, 1), ==, 0);
	g_assert_cmpint(get_number(kv, 2), ==, want);
	g_assert_cmpint(get_number(kv, 3), ==, -ENOENT);
}

static void test_a_kill_before_the_call_leaves_nothing_of_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	die_at_second(f, MNE_FAULT_KILL, -ENOENT);
}

static void test_a_kill_after_the_call_leaves_all_of_it(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	die_at_second(f, MNE_FAULT_KILL_AFTER, 0);
}

#define TEST(group, name)                                                           \
	g_test_add("/kv-" group "/" #name, Fixture, may_mount, set_up, test_##name, \
		   tear_down)

/* The first two come before any LevelDB has threads, for they fork. */
static void add_tests(const bool *may_mount)
{
	TEST("fault", a_kill_before_the_call_leaves_nothing_of_it);
	TEST("fault", a_kill_after_the_call_leaves_all_of_it);
	TEST("leveldb", reopening_keeps_the_data);
	TEST("leveldb", opening_what_is_not_there_makes_nothing);
	TEST("leveldb", only_one_can_have_it_open);
	TEST("leveldb", a_lost_list_of_tables_is_corruption_and_no_table_is_deleted);
	TEST("leveldb", repair_brings_back_what_can_be_read);
	TEST("leveldb", a_damaged_table_is_corruption_not_other_bytes);
	TEST("leveldb", a_torn_log_keeps_the_whole_batches_before);
	TEST("leveldb", a_disk_that_is_full_for_the_log_heals);
	TEST("leveldb", a_disk_that_is_full_for_a_table_heals);
	TEST("leveldb", a_disk_that_is_full_for_a_merge_heals);
	TEST("leveldb", an_open_iterator_outlives_a_full_disk);
	TEST("leveldb", readers_go_on_while_a_full_disk_heals);
}

int main(int argc, char **argv)
{
	bool may_mount = unshare(CLONE_NEWNS) == 0 &&
			 mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) == 0;
	g_test_init(&argc, &argv, NULL);
	/* Failing writes and damage are warned of; here they are wanted. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	add_tests(&may_mount);
	g_test_add_func("/kv-trace/trace_counts_and_times_every_call",
			test_trace_counts_and_times_every_call);
	g_test_add_func("/kv-fault/exactly_the_nth_call_fails_and_does_nothing",
			test_exactly_the_nth_call_fails_and_does_nothing);
	g_test_add_func("/kv-fault/reads_count_when_asked_for",
			test_reads_count_when_asked_for);
	return g_test_run();
}
