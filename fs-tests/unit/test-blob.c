/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-blob.c - the set of segments: append, read, barrier, accounting, many at once
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "blob/store.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

#include "blobs.h"

/* --- append and read --- */

static void test_what_is_appended_reads_back(Blobs *f, const void *data)
{
	static const uint32_t lens[] = { 1, 7, 8, 9, 4096, 100000, MNE_BLOB_FRAME_MAX };
	MneBlobRef refs[G_N_ELEMENTS(lens)];

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++)
		refs[i] = blobs_append(f, i, lens[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++)
		blobs_assert_reads(f, &refs[i], i);

	blobs_reopen(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(lens); i++)
		blobs_assert_reads(f, &refs[i], i);
}

static void test_more_than_the_frame_holds_is_refused(Blobs *f, const void *data)
{
	MneBlobRef ref = blobs_append(f, 1, 100);

	(void)data;
	g_assert_cmpint(blobs_read_part(f, &ref, 0, 101), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &ref, 100, 1), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &ref, UINT32_MAX, 2), ==,
			-MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &ref, 2, UINT32_MAX), ==,
			-MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &ref, 100, 0), ==, 0);
}

/* D3: the bytes that went in, or an error. */
static void test_a_flipped_bit_is_corrupt_whatever_part_is_read(Blobs *f,
								const void *data)
{
	MneBlobRef ref = blobs_append(f, 1, 100);
	g_autofree uint8_t *bytes = blobs_payload(1, 100);
	uint8_t flipped = bytes[60] ^ 4;

	(void)data;
	blobs_damage(f, ref.segment, ref.at + MNE_BLOB_HEADER_SIZE + 60, &flipped, 1);
	g_assert_cmpint(blobs_read_part(f, &ref, 0, 100), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &ref, 0, 1), ==, -MNE_E_BLOB_CORRUPT);
}

static void test_a_reference_to_nowhere_is_an_error(Blobs *f, const void *data)
{
	MneBlobRef ref = blobs_append(f, 1, 100);
	MneBlobRef past = { ref.segment, 4096, 100, 0 };
	MneBlobRef far = { ref.segment, UINT64_MAX - 7, 100, 0 };
	MneBlobRef big = { ref.segment, 0, MNE_BLOB_FRAME_MAX + 1, 0 };
	MneBlobRef gone = { 999, 0, 100, 0 };

	(void)data;
	g_assert_cmpint(blobs_read_part(f, &past, 0, 100), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &far, 0, 100), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &big, 0, 100), ==, -MNE_E_BLOB_CORRUPT);
	g_assert_cmpint(blobs_read_part(f, &gone, 0, 100), ==, -MNE_E_NO_SEGMENT);
}

static void test_a_lost_file_is_no_segment(Blobs *f, const void *data)
{
	MneBlobRef ref = blobs_append(f, 1, 100);
	g_autofree char *path = blobs_path_of(f, ref.segment);

	(void)data;
	blobs_reopen(f);
	g_assert_cmpint(g_remove(path), ==, 0);
	g_assert_cmpint(blobs_read_part(f, &ref, 0, 100), ==, -MNE_E_NO_SEGMENT);
	g_assert_true(mne_err_is(-MNE_E_NO_SEGMENT, EIO));
	g_assert_cmpint(mne_blob_remove(f->store, ref.segment), ==, 0);
}

static void test_a_full_segment_is_followed_by_a_new_one(Blobs *f, const void *data)
{
	g_autoptr(GArray) infos = NULL;
	MneBlobRef first = blobs_append(f, 0, MNE_BLOB_FRAME_MAX);
	MneBlobRef last = first;
	uint64_t n = 1;

	(void)data;
	for (; last.segment == first.segment; n++)
		last = blobs_append(f, n, MNE_BLOB_FRAME_MAX);
	g_assert_cmpuint(last.segment, ==, first.segment + 1);
	g_assert_cmpuint(last.at, ==, 0);
	g_assert_cmpuint(blobs_count_walked(f, first.segment), ==, n - 1);

	infos = mne_blob_segments(f->store);
	g_assert_cmpuint(infos->len, ==, 2);
	g_assert_cmpuint(g_array_index(infos, MneBlobSegmentInfo, 0).size, <=,
			 MNE_BLOB_SEGMENT_MAX);
	g_assert_false(g_array_index(infos, MneBlobSegmentInfo, 0).open);
	g_assert_true(g_array_index(infos, MneBlobSegmentInfo, 1).open);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, 0);
	blobs_assert_reads(f, &first, 0);
	blobs_assert_reads(f, &last, n - 1);
}

/* --- names and ids --- */

static void test_a_segment_of_before_is_never_appended_to(Blobs *f, const void *data)
{
	MneBlobRef first = blobs_append(f, 1, 10);
	MneBlobRef second;

	(void)data;
	blobs_reopen(f);
	second = blobs_append(f, 2, 10);
	g_assert_cmpuint(second.segment, ==, first.segment + 1);
	blobs_assert_reads(f, &first, 1);
	blobs_assert_reads(f, &second, 2);
}

static void test_a_new_id_is_above_every_id_ever_told(Blobs *f, const void *data)
{
	(void)data;
	mne_blob_set_live(f->store, 40, 5);
	g_assert_cmpint(mne_blob_add_live(f->store, 50, 5), ==, 5);
	mne_blob_set_live(f->store, UINT64_MAX, 5);
	g_assert_cmpuint(blobs_append(f, 1, 10).segment, ==, 51);
	mne_blob_set_live(f->store, 90, 0);
	mne_blob_seal(f->store);
	g_assert_cmpuint(blobs_append(f, 1, 10).segment, ==, 91);
}

static void test_files_of_other_names_are_left_alone(Blobs *f, const void *data)
{
	g_autofree char *note = g_build_filename(f->path, "README", NULL);
	g_autoptr(GArray) infos = NULL;

	(void)data;
	g_assert_true(g_file_set_contents(note, "hello", -1, NULL));
	blobs_reopen(f);
	infos = mne_blob_segments(f->store);
	g_assert_cmpuint(infos->len, ==, 0);
	g_assert_cmpuint(mne_blob_total(f->store), ==, 0);
}

static void test_a_missing_directory_is_enoent_and_nothing_is_made(void)
{
	MneBlobStore *store = NULL;

	g_assert_cmpint(mne_blob_open("/nowhere/at/all", false, &store), ==, -ENOENT);
	g_assert_null(store);
}

static void test_a_segment_is_made_by_the_first_append_for_its_owner_only(
	Blobs *f, const void *data)
{
	g_autofree char *path = blobs_path_of(f, 1);
	GStatBuf st;

	(void)data;
	g_assert_cmpint(g_stat(path, &st), ==, -1);
	blobs_append(f, 1, 10);
	g_assert_cmpint(g_stat(path, &st), ==, 0);
	g_assert_cmpuint(st.st_mode & 07777, ==, 0600);
}

/* --- failing appends --- */

/* Writes beyond limit fail with EFBIG, as they would with ENOSPC on a full disk. */
static void limit_files(rlim_t limit)
{
	struct rlimit limits;

	g_assert_cmpint(getrlimit(RLIMIT_FSIZE, &limits), ==, 0);
	limits.rlim_cur = MIN(limit, limits.rlim_max);
	g_assert_cmpint(setrlimit(RLIMIT_FSIZE, &limits), ==, 0);
}

static void test_a_failed_append_gives_its_place_back(Blobs *f, const void *data)
{
	MneBlobRef first = blobs_append(f, 1, 1000);
	uint64_t total = mne_blob_total(f->store);
	MneBlobRef ref = { 0 };
	MneBlobRef next;

	(void)data;
	signal(SIGXFSZ, SIG_IGN);
	limit_files(20000);
	g_assert_cmpint(blobs_try_append(f, 2, 100000, &ref), ==, -EFBIG);
	g_assert_cmpuint(ref.segment, ==, 0);
	g_assert_cmpuint(mne_blob_total(f->store), ==, total);
	limit_files(RLIM_INFINITY);

	next = blobs_append(f, 3, 500);
	g_assert_cmpuint(next.segment, ==, first.segment);
	g_assert_cmpuint(next.at, ==, total);
	g_assert_cmpuint(blobs_count_walked(f, first.segment), ==, 2);
	blobs_assert_reads(f, &first, 1);
	blobs_assert_reads(f, &next, 3);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, 0);
}

static void test_the_nth_append_or_barrier_fails_once(Blobs *f, const void *data)
{
	MneBlobRef ref;

	(void)data;
	mne_blob_set_fault(f->store, 2, false);
	blobs_append(f, 1, 10);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, -MNE_E_INJECTED);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, 0);
	mne_blob_set_fault(f->store, 1, false);
	g_assert_cmpint(blobs_try_append(f, 1, 10, &ref), ==, -MNE_E_INJECTED);
	blobs_append(f, 1, 10);
	mne_blob_set_fault(f->store, 1, false);
	mne_blob_set_fault(f->store, 0, false);
	blobs_append(f, 1, 10);
}

static void test_an_injected_kill_kills(Blobs *f, const void *data)
{
	pid_t child = fork();
	int status = 0;

	(void)data;
	g_assert_cmpint(child, >=, 0);
	if (child == 0) {
		mne_blob_set_fault(f->store, 1, true);
		_exit(mne_blob_barrier(f->store) == 0 ? 0 : 1);
	}
	g_assert_cmpint(waitpid(child, &status, 0), ==, child);
	g_assert_true(WIFSIGNALED(status));
	g_assert_cmpint(WTERMSIG(status), ==, SIGKILL);
}

/* --- accounting --- */

static void test_a_segment_ends_where_it_was_told_to(Blobs *f, const void *data)
{
	(void)data;
	mne_blob_set_segment_max(f->store, 30000);
	g_assert_cmpuint(blobs_append(f, 1, 10000).segment, ==, 1);
	g_assert_cmpuint(blobs_append(f, 2, 10000).segment, ==, 1);
	g_assert_cmpuint(blobs_append(f, 3, 10000).segment, ==, 2);
}

static void test_removing_takes_the_file_and_its_bytes_away(Blobs *f, const void *data)
{
	g_autofree char *path = blobs_path_of(f, 1);
	g_autoptr(GArray) infos = NULL;
	MneBlobRef ref = blobs_append(f, 1, 1000);
	(void)data;
	g_assert_cmpuint(mne_blob_total(f->store), ==, 1048);
	g_assert_cmpint(mne_blob_remove(f->store, 1), ==, -EBUSY);
	mne_blob_seal(f->store);
	g_assert_cmpint(mne_blob_remove(f->store, 1), ==, 0);
	g_assert_cmpint(mne_blob_remove(f->store, 1), ==, 0);

	g_assert_false(g_file_test(path, G_FILE_TEST_EXISTS));
	g_assert_cmpint(blobs_read_part(f, &ref, 0, 1000), ==, -MNE_E_NO_SEGMENT);
	g_assert_cmpuint(mne_blob_total(f->store), ==, 0);
	infos = mne_blob_segments(f->store);
	g_assert_cmpuint(infos->len, ==, 0);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, 0);
	g_assert_cmpuint(blobs_append(f, 2, 10).segment, ==, 2);
}

static void test_sizes_and_live_bytes_are_listed_by_id(Blobs *f, const void *data)
{
	g_autoptr(GArray) infos = NULL;

	(void)data;
	for (uint64_t i = 1; i <= 20; i++) {
		blobs_append(f, i, (uint32_t)i * 100);
		mne_blob_seal(f->store);
	}
	blobs_reopen(f);
	mne_blob_set_live(f->store, 3, 77);
	mne_blob_set_live(f->store, 1000, 5); /* has no file: is not listed */

	infos = mne_blob_segments(f->store);
	g_assert_cmpuint(infos->len, ==, 20);
	for (unsigned i = 0; i < infos->len; i++) {
		const MneBlobSegmentInfo *info = &g_array_index(infos,
								MneBlobSegmentInfo, i);

		g_assert_cmpuint(info->id, ==, i + 1);
		g_assert_cmpuint(info->size, ==, 48 + (i + 1) * 100);
		g_assert_cmpint(info->live, ==, info->id == 3 ? 77 : 0);
		g_assert_false(info->open);
	}
}

/* --- many --- */

static unsigned count_descriptors(void)
{
	g_autoptr(GDir) dir = g_dir_open("/proc/self/fd", 0, NULL);
	unsigned n = 0;

	if (!dir)
		return 0;
	while (g_dir_read_name(dir))
		n++;
	return n;
}

static void test_many_segments_need_few_descriptors(Blobs *f, const void *data)
{
	MneBlobRef refs[400];
	unsigned before = count_descriptors();

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++) {
		refs[i] = blobs_append(f, i, 10);
		mne_blob_seal(f->store);
	}
	for (unsigned round = 0; round < 2; round++)
		for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++)
			blobs_assert_reads(f, &refs[i], i);
	g_assert_cmpuint(count_descriptors(), <=, before + 300);
	g_assert_cmpint(mne_blob_barrier(f->store), ==, 0);
}

#define N_WRITERS 4
#define N_EACH    300

typedef struct {
	Blobs *f;
	unsigned number;
	MneBlobRef refs[N_EACH];
} Writer;

static void *write_many(void *user)
{
	Writer *writer = user;

	for (unsigned i = 0; i < N_EACH; i++) {
		uint64_t number = writer->number * 1000u + i;

		writer->refs[i] = blobs_append(writer->f, number, 1 + (i * 131) % 5000);
		if (i % 50 == 49)
			g_assert_cmpint(mne_blob_barrier(writer->f->store), ==, 0);
		if (i % 100 == 99)
			mne_blob_seal(writer->f->store);
		blobs_assert_reads(writer->f, &writer->refs[i / 2],
				   writer->number * 1000u + i / 2);
	}
	return NULL;
}

static void test_parallel_writers_share_segments_without_harm(Blobs *f,
							      const void *data)
{
	g_autofree Writer *writers = g_new0(Writer, N_WRITERS);
	pthread_t threads[N_WRITERS];
	g_autoptr(GArray) infos = NULL;
	unsigned walked = 0;

	(void)data;
	for (unsigned i = 0; i < N_WRITERS; i++) {
		writers[i].f = f;
		writers[i].number = i;
		g_assert_cmpint(
			pthread_create(&threads[i], NULL, write_many, &writers[i]), ==,
			0);
	}
	for (unsigned i = 0; i < N_WRITERS; i++)
		pthread_join(threads[i], NULL);

	blobs_reopen(f);
	for (unsigned i = 0; i < N_WRITERS * N_EACH; i++)
		blobs_assert_reads(f, &writers[i / N_EACH].refs[i % N_EACH],
				   i / N_EACH * 1000u + i % N_EACH);
	infos = mne_blob_segments(f->store);
	for (unsigned i = 0; i < infos->len; i++)
		walked += blobs_count_walked(
			f, g_array_index(infos, MneBlobSegmentInfo, i).id);
	g_assert_cmpuint(walked, ==, N_WRITERS * N_EACH);
}

static void *write_on_a_full_disk(void *user)
{
	Writer *writer = user;

	for (unsigned i = 0; i < N_EACH; i++) {
		int err = blobs_try_append(writer->f, i, 1 + (i * 131) % 5000,
					   &writer->refs[i]);

		g_assert_true(err == 0 || err == -EFBIG);
	}
	return NULL;
}

static void test_parallel_writers_on_a_full_disk_lose_only_what_failed(Blobs *f,
								       const void *data)
{
	g_autofree Writer *writers = g_new0(Writer, N_WRITERS);
	pthread_t threads[N_WRITERS];
	unsigned n_written = 1;
	MneBlobRef last;

	(void)data;
	signal(SIGXFSZ, SIG_IGN);
	limit_files(300000);
	for (unsigned i = 0; i < N_WRITERS; i++) {
		writers[i].f = f;
		g_assert_cmpint(pthread_create(&threads[i], NULL, write_on_a_full_disk,
					       &writers[i]),
				==, 0);
	}
	for (unsigned i = 0; i < N_WRITERS; i++)
		pthread_join(threads[i], NULL);
	limit_files(RLIM_INFINITY);

	last = blobs_append(f, 5, 5000);
	blobs_assert_reads(f, &last, 5);
	for (unsigned i = 0; i < N_WRITERS * N_EACH; i++) {
		const MneBlobRef *ref = &writers[i / N_EACH].refs[i % N_EACH];

		if (ref->segment == 0)
			continue;
		blobs_assert_reads(f, ref, i % N_EACH);
		n_written++;
	}
	/* Of a failed frame the header may have been written before the disk was full. */
	g_assert_cmpuint(blobs_count_walked(f, 1), >=, n_written);
	g_assert_cmpuint(mne_blob_total(f->store), ==, last.at + 48 + 5000);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	BLOBS_TEST(what_is_appended_reads_back);
	BLOBS_TEST(more_than_the_frame_holds_is_refused);
	BLOBS_TEST(a_flipped_bit_is_corrupt_whatever_part_is_read);
	BLOBS_TEST(a_reference_to_nowhere_is_an_error);
	BLOBS_TEST(a_lost_file_is_no_segment);
	BLOBS_TEST(a_full_segment_is_followed_by_a_new_one);
	BLOBS_TEST(a_segment_of_before_is_never_appended_to);
	BLOBS_TEST(a_new_id_is_above_every_id_ever_told);
	BLOBS_TEST(files_of_other_names_are_left_alone);
	g_test_add_func("/blob/a_missing_directory_is_enoent_and_nothing_is_made",
			test_a_missing_directory_is_enoent_and_nothing_is_made);
	BLOBS_TEST(a_segment_is_made_by_the_first_append_for_its_owner_only);
	BLOBS_TEST(a_failed_append_gives_its_place_back);
	BLOBS_TEST(the_nth_append_or_barrier_fails_once);
	BLOBS_TEST(an_injected_kill_kills);
	BLOBS_TEST(a_segment_ends_where_it_was_told_to);
	BLOBS_TEST(removing_takes_the_file_and_its_bytes_away);
	BLOBS_TEST(sizes_and_live_bytes_are_listed_by_id);
	BLOBS_TEST(many_segments_need_few_descriptors);
	BLOBS_TEST(parallel_writers_share_segments_without_harm);
	BLOBS_TEST(parallel_writers_on_a_full_disk_lose_only_what_failed);
	return g_test_run();
}
