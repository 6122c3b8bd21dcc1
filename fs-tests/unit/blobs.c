/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/blobs.c - what the tests of the blob layer share: a store of their own
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "blobs.h"

#include "blob/segment.h"

#include <fcntl.h>
#include <unistd.h>

#include <glib.h>
#include <glib/gstdio.h>

static void fixture_open(Blobs *f)
{
	g_assert_cmpint(mne_blob_open(f->path, true, &f->store), ==, 0);
}

void blobs_set_up(Blobs *f, const void *data)
{
	g_autofree char *top = g_dir_make_tmp("mne-blob-XXXXXX", NULL);

	(void)data;
	g_assert_nonnull(top);
	f->path = g_build_filename(top, "blobs", NULL);
	fixture_open(f);
}

void blobs_tear_down(Blobs *f, const void *data)
{
	g_autofree char *top = g_path_get_dirname(f->path);
	GDir *dir = g_dir_open(f->path, 0, NULL);
	const char *name;

	(void)data;
	mne_blob_close(f->store);
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(f->path, name, NULL);

		g_assert_cmpint(g_remove(path), ==, 0);
	}
	g_dir_close(dir);
	g_assert_cmpint(g_rmdir(f->path), ==, 0);
	g_assert_cmpint(g_rmdir(top), ==, 0);
	g_free(f->path);
}

void blobs_reopen(Blobs *f)
{
	mne_blob_close(f->store);
	fixture_open(f);
}

char *blobs_path_of(const Blobs *f, uint64_t id)
{
	char name[MNE_SEGMENT_NAME_SIZE];

	mne_segment_name(id, name);
	return g_build_filename(f->path, name, NULL);
}

uint8_t *blobs_payload(uint64_t number, uint32_t len)
{
	uint8_t *bytes = g_malloc(len);
	uint32_t state = (uint32_t)number * 2654435761u + len;

	for (uint32_t i = 0; i < len; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(state >> 24);
	}
	return bytes;
}

int blobs_try_append(Blobs *f, uint64_t number, uint32_t len, MneBlobRef *out_ref)
{
	g_autofree uint8_t *bytes = blobs_payload(number, len);
	MneBlobOwner owner = { 7, number, number * 100 };

	return mne_blob_append(f->store, &owner, mne_slice(bytes, len), out_ref);
}

MneBlobRef blobs_append(Blobs *f, uint64_t number, uint32_t len)
{
	MneBlobRef ref = { 0 };

	g_assert_cmpint(blobs_try_append(f, number, len, &ref), ==, 0);
	g_assert_cmpuint(ref.len, ==, len);
	g_assert_cmpuint(ref.at % 8, ==, 0);
	return ref;
}

int blobs_read_part(Blobs *f, const MneBlobRef *ref, uint32_t from, uint32_t len)
{
	g_autofree uint8_t *got = g_malloc(MNE_BLOB_FRAME_MAX);

	return mne_blob_read(f->store, ref, from, got, len);
}

void blobs_assert_reads(Blobs *f, const MneBlobRef *ref, uint64_t number)
{
	g_autofree uint8_t *want = blobs_payload(number, ref->len);
	g_autofree uint8_t *got = g_malloc(ref->len);
	uint32_t half = ref->len / 2;

	g_assert_cmpint(mne_blob_read(f->store, ref, 0, got, ref->len), ==, 0);
	g_assert_cmpmem(got, ref->len, want, ref->len);
	g_assert_cmpint(mne_blob_read(f->store, ref, half, got, ref->len - half), ==,
			0);
	g_assert_cmpmem(got, ref->len - half, want + half, ref->len - half);
}

void blobs_damage(const Blobs *f, uint64_t segment, uint64_t at, const void *bytes,
		  size_t len)
{
	g_autofree char *path = blobs_path_of(f, segment);
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	g_assert_cmpint(fd, >=, 0);
	g_assert_cmpint(pwrite(fd, bytes, len, (off_t)at), ==, (ssize_t)len);
	close(fd);
}

unsigned blobs_count_walked(Blobs *f, uint64_t segment)
{
	MneBlobFrame frame;
	uint64_t at = 0;
	unsigned n = 0;

	while (mne_blob_walk(f->store, segment, &at, &frame) == 1)
		n++;
	return n;
}
