/* SPDX-License-Identifier: Apache-2.0
 *
 * record/xattr.c - the small extended attributes inside a node
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/xattr.h"

#include "util/coding.h"

int mne_xattrs_next(MneSlice list, size_t *io_at, MneSlice *out_name,
		    MneSlice *out_value)
{
	MneReader reader;
	MneSlice name, value;

	if (*io_at >= list.len)
		return 0;

	reader = mne_reader(mne_slice(list.data + *io_at, list.len - *io_at));
	name = mne_read_sized(&reader);
	value = mne_read_sized(&reader);
	if (reader.failed)
		return mne_throw(VALUE_CORRUPT, "a list of attributes does not decode");

	*io_at = (size_t)(reader.at - list.data);
	*out_name = name;
	*out_value = value;
	return 1;
}

int mne_xattrs_get(MneSlice list, MneSlice name, MneSlice *out_value)
{
	MneSlice found = MNE_SLICE_EMPTY, value = MNE_SLICE_EMPTY;
	size_t at = 0;

	for (;;) {
		int got = mne_xattrs_next(list, &at, &found, &value);

		MNE_TRY(got);
		if (got == 0)
			return -ENODATA;
		if (mne_slice_equal(found, name)) {
			*out_value = value;
			return 0;
		}
	}
}

static void add_pair(GByteArray *to, MneSlice name, MneSlice value)
{
	mne_add_sized(to, name);
	mne_add_sized(to, value);
}

GByteArray *mne_xattrs_with(MneSlice list, MneSlice name, MneSlice value)
{
	GByteArray *to = g_byte_array_new();
	MneSlice found = MNE_SLICE_EMPTY, old = MNE_SLICE_EMPTY;
	bool placed = value.data == NULL;
	size_t at = 0;

	while (mne_xattrs_next(list, &at, &found, &old) > 0) {
		int order = mne_slice_compare(found, name);

		if (order >= 0 && !placed) {
			add_pair(to, name, value);
			placed = true;
		}
		if (order != 0)
			add_pair(to, found, old);
	}
	if (!placed)
		add_pair(to, name, value);
	return to;
}
