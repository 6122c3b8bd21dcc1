/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-super.c - any bytes as what a store says of itself
 *
 * The input is the payload of a value with a right checksum.  Properties: what decodes has
 * only features that are known, and encodes to itself, or, if it is old, to itself and
 * what an old one lacks; what does not decode leaves nothing behind; and a store of a newer
 * mnefs is called newer, not corrupt, whatever it may have in it.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "record/super.h"
#include "record/volume.h"

#include "values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool is_newer(MneSlice payload)
{
	MneReader reader = mne_reader(payload);
	uint64_t format = mne_read_varint(&reader);
	uint64_t features = mne_read_varint(&reader);

	return !reader.failed && format > 0 &&
	       (format > MNE_FORMAT_VERSION || (features & ~MNE_FEATURES_KNOWN) != 0);
}

static void check(const MneSuper *super, MneSlice value)
{
	g_autoptr(GBytes) again = mne_super_encode(super);
	bool is_old = super->behind == UINT64_MAX &&
		      g_bytes_get_size(again) > value.len;
	MneSuper twice;

	g_assert_cmpuint(super->features & ~MNE_FEATURES_KNOWN, ==, 0);
	g_assert_true(is_old || mne_slice_equal(mne_slice_of(again), value));
	g_assert_cmpint(mne_super_decode(mne_slice_of(again), &twice), ==, 0);
	g_assert_cmpuint(twice.seq, ==, 42);
	g_assert_cmpuint(twice.cookie, ==, super->cookie);
	g_assert_cmpuint(twice.next_id, ==, super->next_id);
	g_assert_cmpuint(twice.next_table, ==, super->next_table);
	g_assert_cmpuint(twice.behind, ==, super->behind);
	g_assert_cmpuint(twice.mended, ==, super->mended);
	g_assert_true(twice.clean == super->clean);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MneSlice payload = mne_slice(data, size);
	g_autoptr(GBytes) value = value_around(MNE_KIND_SUPER, payload);
	MneSuper super = { .cookie = 17 };
	int err = mne_super_decode(mne_slice_of(value), &super);

	g_assert_true(mne_err_is(err, MNE_E_STORE_NEWER) == is_newer(payload));
	if (err == 0)
		check(&super, mne_slice_of(value));
	else
		g_assert_cmpuint(super.cookie, ==, 17);
	return 0;
}
