/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-segment.c - any bytes as segment 1 of a store
 *
 * Properties: a walk ends, goes forward only, and its frames lie inside the file; a
 * payload that is read has the checksum asked for and is the file's bytes at that place.
 * The input's last bytes are also tried as a reference into it.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "blob/store.h"
#include "util/coding.h"

#include <string.h>

#include <glib.h>
#include <glib/gstdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check_read(MneBlobStore *store, MneSlice file, const MneBlobRef *ref)
{
	g_autofree uint8_t *got = g_malloc(MNE_BLOB_FRAME_MAX);
	uint32_t len = MIN(ref->len, MNE_BLOB_FRAME_MAX);
	int err = mne_blob_read(store, ref, 0, got, len);
	int part_err = mne_blob_read(store, ref, len / 3, got + len / 3, len / 3);

	g_assert_cmpint(err, ==, part_err);
	if (err < 0) {
		g_assert_true(mne_err_is(err, EIO));
		return;
	}

	g_assert_cmpuint(mne_crc32c(0, got, len), ==, ref->crc);
	g_assert_cmpuint(ref->at + MNE_BLOB_HEADER_SIZE + len, <=, file.len);
	g_assert_cmpmem(got, len, file.data + ref->at + MNE_BLOB_HEADER_SIZE, len);
}

static void check_walk(MneBlobStore *store, MneSlice file)
{
	MneBlobFrame frame;
	uint64_t at = 0;
	uint64_t end = 0;
	int found;

	while ((found = mne_blob_walk(store, 1, &at, &frame)) > 0) {
		g_assert_cmpuint(frame.ref.at, >=, end);
		end = frame.ref.at + MNE_BLOB_HEADER_SIZE + frame.ref.len;
		g_assert_cmpuint(end, <=, file.len);
		g_assert_cmpuint(at, >=, end);
		g_assert_cmpuint(frame.ref.len, >, 0);
		g_assert_cmpuint(frame.ref.len, <=, MNE_BLOB_FRAME_MAX);
		check_read(store, file, &frame.ref);
	}
	g_assert_cmpint(found, ==, 0);
}

/* A reference made of the file's last bytes: at, length and checksum as they come, and
 * once more with the right checksum. */
static void check_any_reference(MneBlobStore *store, MneSlice file)
{
	size_t start = file.len > 16 ? file.len - 16 : 0;
	MneReader reader = mne_reader(mne_slice(file.data + start, file.len - start));
	MneBlobRef ref = { .segment = 1 };
	uint64_t from;

	ref.at = mne_read_be64(&reader);
	ref.len = mne_read_be32(&reader);
	ref.crc = mne_read_be32(&reader);
	check_read(store, file, &ref);

	ref.at %= file.len + 64;
	ref.len %= MNE_BLOB_FRAME_MAX;
	from = ref.at + MNE_BLOB_HEADER_SIZE;
	if (from + ref.len <= file.len)
		ref.crc = mne_crc32c(0, file.data + from, ref.len);
	check_read(store, file, &ref);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *path = g_dir_make_tmp("mne-fuzz-XXXXXX", NULL);
	g_autofree char *file = g_build_filename(path, "0000000000000001.seg", NULL);
	MneSlice bytes = size > 0 ? mne_slice(data, size) : mne_slice("", 0);
	MneBlobStore *store = NULL;

	g_assert_true(g_file_set_contents(file, (const char *)bytes.data, (gssize)size,
					  NULL));
	g_assert_cmpint(mne_blob_open(path, false, &store), ==, 0);
	g_assert_cmpuint(mne_blob_total(store), ==, size);
	check_walk(store, bytes);
	check_any_reference(store, bytes);
	mne_blob_close(store);
	g_assert_cmpint(g_remove(file), ==, 0);
	g_assert_cmpint(g_rmdir(path), ==, 0);
	return 0;
}
