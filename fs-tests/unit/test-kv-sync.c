/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-kv-sync.c - what a barrier of the engine says when the disk fails, or the
 * system runs out of something
 *
 * Some functions of the C library are replaced by ones that fail when told to.  As in
 * Linux, an error of writing a file back is told once to each descriptor that was open
 * then: not to those opened later, nor twice.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "blob/store.h"
#include "kv/engines.h"
#include "record/volume.h"

#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "scratch.h"

typedef struct {
	char *dir;
	MneKvOutside outside;
} Fixture;

enum {
	BUFFER = 64 * 1024,
	VALUE_LEN = 1000,
	ONE_SWITCH = 100,
	FDS = 1024,
	LATE_MS = 300
};

/* ---- what is replaced ---- */

static struct {
	const char *_Atomic named; /* what is done to such files is looked at */
	_Atomic int errors_told; /* -1: there are none to tell */
	void (*_Atomic while_failing)(void);
	atomic_bool doomed[FDS]; /* to these an error is to be told */
	atomic_bool stalls_tables;
	atomic_int write_error; /* of the next write to a log */
	atomic_int list_error; /* of the next listing of a directory */
	atomic_int listings;
	atomic_bool lists_nothing; /* more */
	atomic_bool has_no_watches;
	atomic_bool has_no_more; /* descriptors for new logs */
	atomic_bool was_refused; /* one */
	atomic_bool has_no_locks;
	void (*_Atomic before_current)(void); /* comes its new version */
	atomic_bool names_are_durable;
	const char *_Atomic above; /* a directory … */
	atomic_bool above_is_durable; /* … that was synced */
} fake;

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static bool is_at(int fd, const char *ending)
{
	char link[64], path[512];
	ssize_t len;

	g_snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 1);
	path[MAX(len, 0)] = '\0';
	return g_str_has_suffix(path, ending);
}

/* All whom it may concern hear of it, but only one of those who share a descriptor. */
static int tell_error(void)
{
	if (atomic_fetch_add(&fake.errors_told, 1) > 0)
		return 0;
	fake.while_failing();
	errno = EIO;
	return -1;
}

/* LevelDB, too, is to find these. */
#pragma GCC visibility push(default)

int fdatasync(int fd)
{
	while (atomic_load(&fake.stalls_tables) && is_at(fd, ".ldb"))
		g_usleep(1000);
	if (fd < FDS && fake.doomed[fd]) {
		fake.doomed[fd] = false;
		errno = EIO;
		return -1;
	}
	if (fake.named && is_at(fd, fake.named) && atomic_load(&fake.errors_told) >= 0)
		return tell_error();
	return NEXT(fdatasync)(fd);
}

int fsync(int fd)
{
	struct stat st;

	if (fstat(fd, &st) == 0 && S_ISDIR(st.st_mode))
		atomic_store(&fake.names_are_durable, true);
	if (fake.above && is_at(fd, fake.above))
		fake.above_is_durable = true;
	return NEXT(fsync)(fd);
}

int rename(const char *from, const char *to)
{
	bool is_current = g_str_has_suffix(to, "/CURRENT");
	int got;

	if (is_current && fake.before_current)
		fake.before_current();
	got = NEXT(rename)(from, to);
	if (is_current)
		atomic_store(&fake.names_are_durable, false);
	return got;
}

ssize_t write(int fd, const void *data, size_t len)
{
	int err = atomic_load(&fake.write_error);

	if (err > 0 && is_at(fd, ".log")) {
		atomic_store(&fake.write_error, 0);
		errno = err;
		return -1;
	}
	return NEXT(write)(fd, data, len);
}

DIR *opendir(const char *path)
{
	int err = atomic_load(&fake.lists_nothing)
			  ? EMFILE
			  : atomic_exchange(&fake.list_error, 0);

	atomic_fetch_add(&fake.listings, 1);
	if (err > 0) {
		errno = err;
		return NULL;
	}
	return NEXT(opendir)(path);
}

static int open_if_any(const char *path, int flags, mode_t mode)
{
	if (atomic_load(&fake.has_no_more) && (flags & O_CREAT) &&
	    g_str_has_suffix(path, ".log")) {
		atomic_store(&fake.was_refused, true);
		errno = EMFILE;
		return -1;
	}
	return openat(AT_FDCWD, path, flags, mode);
}

#define OPENER(name)                                           \
	int name(const char *path, int flags, ...)             \
	{                                                      \
		va_list more;                                  \
		mode_t mode = 0;                               \
                                                               \
		va_start(more, flags);                         \
		if (flags & O_CREAT)                           \
			mode = (mode_t)va_arg(more, unsigned); \
		va_end(more);                                  \
		return open_if_any(path, flags, mode);         \
	}

OPENER(open)
#ifndef open64
OPENER(open64)
#endif

int flock(int fd, int how)
{
	if (atomic_load(&fake.has_no_locks)) {
		errno = EBADF;
		return -1;
	}
	return NEXT(flock)(fd, how);
}

int inotify_init1(int flags)
{
	if (atomic_load(&fake.has_no_watches)) {
		errno = EMFILE;
		return -1;
	}
	return NEXT(inotify_init1)(flags);
}

#pragma GCC visibility pop

/* Whatever of the log is not on the disk is lost, and who has it open would hear of it. */
static void lose_log(void)
{
	for (int fd = 0; fd < FDS; fd++)
		fake.doomed[fd] = is_at(fd, ".log");
}

/* ---- a database ---- */

static bool holds(void *user G_GNUC_UNUSED, MneSlice key G_GNUC_UNUSED,
		  MneSlice value G_GNUC_UNUSED)
{
	return true;
}

static bool vouches(void *user G_GNUC_UNUSED, MneSlice key G_GNUC_UNUSED,
		    MneSlice value G_GNUC_UNUSED, uint64_t *out_behind G_GNUC_UNUSED)
{
	return false;
}

static int settle(void *user G_GNUC_UNUSED)
{
	return 0;
}

static MneKv *open_db(Fixture *f)
{
	const MneLeveldbOptions options = { .outside = &f->outside,
					    .write_buffer = BUFFER,
					    .create = true };
	MneKv *kv = NULL;

	g_assert_cmpint(mne_kv_leveldb_open(f->dir, &options, &kv), ==, 0);
	return kv;
}

static int put(MneKv *kv, uint32_t number)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	uint8_t value[VALUE_LEN];
	char key[16];

	memset(value, 'x', VALUE_LEN);
	g_snprintf(key, sizeof(key), "%08u", number);
	mne_kv_batch_put(batch, mne_slice_str(key), mne_slice(value, VALUE_LEN));
	return mne_kv_apply(kv, batch);
}

static void put_some(MneKv *kv, uint32_t from, uint32_t to)
{
	for (uint32_t i = from; i < to; i++)
		g_assert_cmpint(put(kv, i), ==, 0);
}

static bool has(MneKv *kv, uint32_t number)
{
	g_autoptr(GBytes) value = NULL;
	char key[16];

	g_snprintf(key, sizeof(key), "%08u", number);
	return mne_kv_get(kv, mne_slice_str(key), &value) == 0;
}

static void set_up(Fixture *f, gconstpointer data)
{
	memset(&fake, 0, sizeof(fake));
	fake.has_no_watches = data != NULL;
	atomic_store(&fake.errors_told, -1);
	f->dir = g_dir_make_tmp("test-sync-XXXXXX", NULL);
	f->outside = (MneKvOutside){ holds, vouches, settle, f };
}

static void tear_down(Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	scratch_remove(f->dir);
	g_free(f->dir);
}

/* What may not come is waited for a while. */
static void give_time_to(const atomic_bool *done)
{
	int64_t until = g_get_monotonic_time() + LATE_MS * 1000;

	while (!atomic_load(done) && g_get_monotonic_time() < until)
		g_usleep(1000);
}

/* ---- who is told ---- */

static struct {
	int (*barrier)(void);
	GThread *thread;
	MneKv *kv;
	MneBlobStore *blob;
	atomic_bool done;
	int result;
} other;

static void *run_other(void *data G_GNUC_UNUSED)
{
	other.result = other.barrier();
	atomic_store(&other.done, true);
	return NULL;
}

/* Somebody else asks, while this one is about to hear that syncing has failed. */
static void ask_meanwhile(void)
{
	other.thread = g_thread_new("other", run_other, NULL);
	give_time_to(&other.done);
}

static void fail_the_next_sync(const char *of, int (*barrier)(void))
{
	other.barrier = barrier;
	atomic_store(&other.done, false);
	fake.named = of;
	fake.while_failing = ask_meanwhile;
	atomic_store(&fake.errors_told, 0);
}

static int kv_barrier(void)
{
	return mne_kv_barrier(other.kv);
}

static int blob_barrier(void)
{
	return mne_blob_barrier(other.blob);
}

static void test_a_failed_sync_of_the_log_is_told_to_all_who_asked(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = other.kv = open_db(f);

	put_some(kv, 0, 3);
	fail_the_next_sync(".log", kv_barrier);
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
	g_thread_join(other.thread);
	g_assert_cmpint(other.result, ==, -EIO);
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
}

static void test_a_failed_sync_of_a_segment_is_told_to_all_who_asked(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	static const MneBlobOwner owner = { 1, 1, 0 };
	MneBlobRef ref;

	g_assert_cmpint(mne_blob_open(f->dir, true, &other.blob), ==, 0);
	g_assert_cmpint(
		mne_blob_append(other.blob, &owner, mne_slice_str("bytes"), &ref), ==,
		0);
	fail_the_next_sync(".seg", blob_barrier);
	g_assert_cmpint(mne_blob_barrier(other.blob), ==, -EIO);
	g_thread_join(other.thread);
	g_assert_cmpint(other.result, ==, -EIO);
	g_assert_cmpint(mne_blob_barrier(other.blob), ==, -EIO);
	mne_blob_close(other.blob);
}

static void test_what_was_lost_between_two_barriers_is_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);

	put_some(kv, 0, 3);
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	put_some(kv, 3, 6);
	lose_log();
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
}

static void test_what_was_lost_before_the_first_barrier_is_told(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);

	put_some(kv, 0, 3);
	lose_log();
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
}

static void test_what_an_older_log_has_lost_is_told(Fixture *f,
						    gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);

	atomic_store(&fake.stalls_tables, true);
	put_some(kv, 0, 3);
	lose_log();
	put_some(kv, 3, ONE_SWITCH);
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
	atomic_store(&fake.stalls_tables, false);
}

/* Recovery would skip what is missing, and go on behind it. */
static void test_logs_that_have_lost_something_are_not_recovered_from(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);

	put_some(kv, 0, 3);
	lose_log();
	atomic_store(&fake.write_error, ENOSPC);
	g_assert_cmpint(put(kv, 3), ==, -ENOSPC);
	g_assert_cmpint(put(kv, 3), ==, -EIO);
	g_assert_true(has(kv, 2));
	g_assert_cmpint(mne_kv_barrier(kv), ==, -EIO);
}

/* ---- names ---- */

static void barrier_now(void)
{
	g_assert_cmpint(mne_kv_barrier(other.kv), ==, 0);
}

/* Else the manifest from before would be read, and what it needs is gone. */
static void test_a_barrier_after_healing_covers_the_new_manifests_name(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = other.kv = open_db(f);

	put_some(kv, 0, 3);
	atomic_store(&fake.write_error, ENOSPC);
	g_assert_cmpint(put(kv, 3), ==, -ENOSPC);
	fake.before_current = barrier_now;
	put_some(kv, 3, 4);
	fake.before_current = NULL;
	g_assert_false(atomic_load(&fake.names_are_durable));
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	g_assert_true(atomic_load(&fake.names_are_durable));
}

static void test_a_new_store_has_a_durable_name(Fixture *f,
						gconstpointer data G_GNUC_UNUSED)
{
	const MneVolumeOptions options = { .create = true, .in_memory = true };
	g_autofree char *above = g_build_filename(f->dir, "above", NULL);
	g_autofree char *path = g_build_filename(above, "store", NULL);
	g_autofree char *command = g_strdup_printf("rm -r %s", above);
	MneVolume *volume = NULL;

	fake.above = strrchr(f->dir, '/');
	g_assert_cmpint(mne_volume_open(path, &options, &volume), ==, 0);
	g_assert_true(fake.above_is_durable);
	mne_volume_close(volume, false);
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
	fake.above_is_durable = false;
	fake.above = "/above";
	g_assert_cmpint(g_mkdir(above, 0700), ==, 0);
	g_assert_cmpint(mne_volume_open(path, &options, &volume), ==, 0);
	g_assert_true(fake.above_is_durable);
	mne_volume_close(volume, false);
	g_assert_true(g_spawn_command_line_sync(command, NULL, NULL, NULL, NULL));
}

/* A large store has thousands of files. */
static void test_a_barrier_lists_files_only_after_a_log_has_come_or_gone(
	Fixture *f, gconstpointer has_no_watches)
{
	g_autoptr(MneKv) kv = open_db(f);
	int before;

	put_some(kv, 0, 3);
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	put_some(kv, 3, 4);
	before = atomic_load(&fake.listings);
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	g_assert_cmpint(atomic_load(&fake.listings), ==,
			has_no_watches ? before + 1 : before);
}

/* ---- what runs out ---- */

static void test_a_failed_write_takes_nothing_along_when_descriptors_had_run_out(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = open_db(f);
	uint32_t n = 40;

	put_some(kv, 0, n);
	atomic_store(&fake.has_no_more, true);
	atomic_store(&fake.list_error, EMFILE);
	while (atomic_load(&fake.list_error) > 0)
		(void)put(kv, n++);
	give_time_to(&fake.was_refused);
	atomic_store(&fake.has_no_more, false);
	(void)put(kv, n);
	atomic_store(&fake.write_error, ENOSPC);
	g_assert_cmpint(put(kv, n + 1), ==, -ENOSPC);
	g_assert_cmpint(put(kv, n + 2), ==, 0);
	for (uint32_t i = 0; i < 40; i++)
		g_assert_true(has(kv, i));
	g_assert_true(has(kv, n));
	g_assert_true(has(kv, n + 2));
}

static void remove_named(Fixture *f, const char *beginning)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(f->dir, name, NULL);

		if (g_str_has_prefix(name, beginning))
			g_assert_cmpint(g_unlink(file), ==, 0);
	}
}

static int try_to_open(Fixture *f)
{
	const MneLeveldbOptions options = { .outside = &f->outside, .create = true };
	MneKv *kv = NULL;
	int err = mne_kv_leveldb_open(f->dir, &options, &kv);

	if (err == 0)
		mne_kv_close(kv);
	return err;
}

static void test_who_cannot_look_does_not_take_a_database_for_an_empty_one(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);

	put_some(kv, 0, ONE_SWITCH);
	mne_kv_close(kv);
	remove_named(f, "CURRENT");
	remove_named(f, "MANIFEST-");
	atomic_store(&fake.lists_nothing, true);
	g_assert_cmpint(try_to_open(f), ==, -EMFILE);
	atomic_store(&fake.lists_nothing, false);
	g_assert_cmpint(try_to_open(f), ==, -MNE_E_KV_CORRUPT);
}

/* The torn batch must not lie before others: what comes after it nobody would read. */
static void test_nothing_is_written_behind_a_write_that_failed_in_whatever_way(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	MneKv *kv = open_db(f);
	bool taken;

	put_some(kv, 0, 3);
	atomic_store(&fake.write_error, EINVAL);
	g_assert_cmpint(put(kv, 3), <, 0);
	taken = put(kv, 4) == 0;
	g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	mne_kv_close(kv);
	kv = open_db(f);
	g_assert_true(has(kv, 2));
	g_assert_true(has(kv, 4) == taken);
	mne_kv_close(kv);
}

static uint64_t log_bytes(Fixture *f)
{
	g_autoptr(GDir) dir = g_dir_open(f->dir, 0, NULL);
	uint64_t bytes = 0;
	const char *name;

	while ((name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(f->dir, name, NULL);
		struct stat st;

		if (g_str_has_suffix(name, ".log") && stat(file, &st) == 0)
			bytes += (uint64_t)st.st_size;
	}
	return bytes;
}

/* Who cannot lock the logs does not trim them either, when they are opened next. */
static void test_no_room_is_made_in_logs_that_cannot_be_locked(
	Fixture *f, gconstpointer data G_GNUC_UNUSED)
{
	g_autoptr(MneKv) kv = NULL;

	atomic_store(&fake.has_no_locks, true);
	kv = open_db(f);
	for (uint32_t i = 0; i < 20; i++) {
		put_some(kv, i, i + 1);
		g_assert_cmpint(mne_kv_barrier(kv), ==, 0);
	}
	g_assert_cmpuint(log_bytes(f), <, 20 * (VALUE_LEN + 100));
}

/* Each where the kernel tells when logs come and go, and where it does not. */
#define TEST(name)                                                                    \
	g_test_add("/kv-sync/" #name, Fixture, NULL, set_up, test_##name, tear_down); \
	g_test_add("/kv-sync/without-watches/" #name, Fixture, "none", set_up,        \
		   test_##name, tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* Failures are warned of; here they are wanted. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	TEST(a_failed_sync_of_the_log_is_told_to_all_who_asked);
	TEST(a_failed_sync_of_a_segment_is_told_to_all_who_asked);
	TEST(what_was_lost_between_two_barriers_is_told);
	TEST(what_was_lost_before_the_first_barrier_is_told);
	TEST(what_an_older_log_has_lost_is_told);
	TEST(logs_that_have_lost_something_are_not_recovered_from);
	TEST(a_barrier_lists_files_only_after_a_log_has_come_or_gone);
	TEST(a_new_store_has_a_durable_name);
	TEST(a_barrier_after_healing_covers_the_new_manifests_name);
	TEST(a_failed_write_takes_nothing_along_when_descriptors_had_run_out);
	TEST(who_cannot_look_does_not_take_a_database_for_an_empty_one);
	TEST(nothing_is_written_behind_a_write_that_failed_in_whatever_way);
	TEST(no_room_is_made_in_logs_that_cannot_be_locked);
	return g_test_run();
}
