/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-xattr.c - any bytes as a list of extended attributes
 *
 * Properties: stepping stays inside the list, ends, and passes over all of it or says that
 * it is damaged; of a whole list, what is set is what is got, what is removed is gone, and
 * no other attribute changes.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "record/xattr.h"
#include "util/coding.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Steps through: false when it is damaged. */
static bool is_whole(MneSlice list)
{
	g_autoptr(GByteArray) again = g_byte_array_new();
	MneSlice name, value;
	size_t at = 0, last = 0;
	int got;

	while ((got = mne_xattrs_next(list, &at, &name, &value)) > 0) {
		g_assert_cmpuint(at, >, last);
		g_assert_cmpuint(at, <=, list.len);
		last = at;
		mne_add_sized(again, name);
		mne_add_sized(again, value);
	}
	if (got < 0) {
		g_assert_cmpint(got, ==, -MNE_E_VALUE_CORRUPT);
		return false;
	}
	g_assert_cmpmem(again->data, again->len, list.data, list.len);
	return true;
}

static void assert_others_same(MneSlice list, const GByteArray *changed, MneSlice but)
{
	MneSlice all = mne_slice(changed->data, changed->len), name, value;
	size_t at = 0;

	g_assert_true(is_whole(all));
	while (mne_xattrs_next(list, &at, &name, &value) > 0) {
		MneSlice was, is;

		if (mne_slice_equal(name, but))
			continue;
		g_assert_cmpint(mne_xattrs_get(list, name, &was), ==, 0);
		g_assert_cmpint(mne_xattrs_get(all, name, &is), ==, 0);
		g_assert_true(mne_slice_equal(was, is));
	}
}

static void change(MneSlice list, MneSlice name)
{
	g_autoptr(GByteArray) with = mne_xattrs_with(list, name,
						     mne_slice_str("value"));
	g_autoptr(GByteArray) without = mne_xattrs_with(list, name, MNE_SLICE_EMPTY);
	MneSlice got;

	assert_others_same(list, with, name);
	assert_others_same(list, without, name);
	g_assert_cmpint(mne_xattrs_get(mne_slice(with->data, with->len), name, &got),
			==, 0);
	g_assert_true(mne_slice_equal(got, mne_slice_str("value")));
	g_assert_cmpint(
		mne_xattrs_get(mne_slice(without->data, without->len), name, &got), ==,
		-ENODATA);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MneSlice list = mne_slice(data, size), name, value;
	unsigned steps = 0;
	size_t at = 0;

	if (!is_whole(list))
		return 0;
	change(list, mne_slice_str("user.m"));
	while (steps++ < 8 && mne_xattrs_next(list, &at, &name, &value) > 0)
		change(list, name);
	return 0;
}
