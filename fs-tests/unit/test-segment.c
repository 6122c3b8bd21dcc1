/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-segment.c - one segment file: names, and walks over sound and damaged ones
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "blob/segment.h"

#include <unistd.h>

#include <glib.h>

#include "blobs.h"

static void test_a_name_parses_only_if_it_is_one(void)
{
	static const char *const bad[] = {
		"",
		"0000000000000000.seg",
		"000000000000001.seg",
		"00000000000000001.seg",
		"000000000000000A.seg",
		"000000000000000g.seg",
		"0000000000000001.sea",
		"ffffffffffffffff.seg",
		" 000000000000001.seg",
	};
	uint64_t id = 0;

	for (size_t i = 0; i < G_N_ELEMENTS(bad); i++)
		g_assert_false(mne_segment_parse_name(bad[i], &id));
	g_assert_true(mne_segment_parse_name("00000000000000af.seg", &id));
	g_assert_cmpuint(id, ==, 0xaf);
}

/* --- walk --- */

static void test_a_walk_meets_every_frame_with_its_owner(Blobs *f, const void *data)
{
	MneBlobRef refs[50];
	MneBlobFrame frame;
	uint64_t at = 0;

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++)
		refs[i] = blobs_append(f, i, 1 + i * 37);
	for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++) {
		g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 1);
		g_assert_cmpuint(frame.ref.segment, ==, 1);
		g_assert_cmpuint(frame.ref.at, ==, refs[i].at);
		g_assert_cmpuint(frame.ref.len, ==, refs[i].len);
		g_assert_cmpuint(frame.ref.crc, ==, refs[i].crc);
		g_assert_cmpuint(frame.owner.table, ==, 7);
		g_assert_cmpuint(frame.owner.data, ==, i);
		g_assert_cmpuint(frame.owner.offset, ==, i * 100);
	}
	g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 0);
	at = UINT64_MAX;
	g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 0);
	g_assert_cmpint(mne_blob_walk(f->store, 2, &at, &frame), ==, -MNE_E_NO_SEGMENT);
}

static void test_a_walk_goes_on_behind_a_hole(Blobs *f, const void *data)
{
	g_autofree uint8_t *zeros = g_malloc0(200000);
	MneBlobFrame frame;
	MneBlobRef last;
	uint64_t at = 0;

	(void)data;
	blobs_append(f, 0, 1000);
	blobs_append(f, 1, 100000);
	blobs_append(f, 2, 70000);
	last = blobs_append(f, 3, 1000);
	blobs_damage(f, 1, MNE_BLOB_HEADER_SIZE + 1000, zeros,
		     last.at - MNE_BLOB_HEADER_SIZE - 1000);

	g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 1);
	g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 1);
	g_assert_cmpuint(frame.ref.at, ==, last.at);
	g_assert_cmpint(mne_blob_walk(f->store, 1, &at, &frame), ==, 0);
	blobs_assert_reads(f, &last, 3);
}

static void test_a_walk_skips_a_damaged_header_and_a_torn_tail(Blobs *f,
							       const void *data)
{
	g_autofree char *path = blobs_path_of(f, 1);
	MneBlobRef refs[4];

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++)
		refs[i] = blobs_append(f, i, 1000);
	blobs_damage(f, 1, refs[1].at + 9, "x", 1);
	g_assert_cmpuint(blobs_count_walked(f, 1), ==, 3);

	g_assert_cmpint(truncate(path, (off_t)refs[3].at + 500), ==, 0);
	g_assert_cmpuint(blobs_count_walked(f, 1), ==, 2);
	g_assert_cmpint(truncate(path, (off_t)refs[3].at + 20), ==, 0);
	g_assert_cmpuint(blobs_count_walked(f, 1), ==, 2);
	g_assert_cmpint(blobs_read_part(f, &refs[3], 0, 1000), ==, -MNE_E_BLOB_CORRUPT);
	/* The header is for the walk alone. */
	blobs_assert_reads(f, &refs[1], 1);
}

static void test_a_frame_inside_a_payload_is_none(Blobs *f, const void *data)
{
	g_autofree char *path = blobs_path_of(f, 1);
	g_autofree char *copy = NULL;
	MneBlobOwner owner = { 7, 1, 0 };
	MneBlobRef ref;
	gsize len = 0;

	(void)data;
	blobs_append(f, 0, 1000);
	blobs_append(f, 1, 1000);
	g_assert_true(g_file_get_contents(path, &copy, &len, NULL));
	g_assert_cmpint(mne_blob_append(f->store, &owner, mne_slice(copy, len), &ref),
			==, 0);
	blobs_append(f, 2, 8);
	blobs_damage(f, 1, ref.at, "xxxx", 4);
	g_assert_cmpuint(blobs_count_walked(f, 1), ==, 3);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/blob/a_name_parses_only_if_it_is_one",
			test_a_name_parses_only_if_it_is_one);
	BLOBS_TEST(a_walk_meets_every_frame_with_its_owner);
	BLOBS_TEST(a_walk_goes_on_behind_a_hole);
	BLOBS_TEST(a_walk_skips_a_damaged_header_and_a_torn_tail);
	BLOBS_TEST(a_frame_inside_a_payload_is_none);
	return g_test_run();
}
