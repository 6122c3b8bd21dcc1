/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-schema.c - any bytes as the schema of a table
 *
 * The input is decoded as it is, and as the payload of a value with a right checksum.
 * Properties: what decodes is a table that can be, and encodes to itself.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "table/schema.h"

#include "values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode(MneSlice value)
{
	g_autoptr(GBytes) again = NULL;
	MneTable table;
	int err = mne_table_decode(value, &table);

	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		return;
	}

	g_assert_cmpuint(table.id, >, 0);
	g_assert_cmpuint(table.fragments, >, 0);
	g_assert_cmpint(table.storage, ==, MNE_STORAGE_DISC_COPIES);
	again = mne_table_encode(&table);
	g_assert_true(mne_slice_equal(mne_slice_of(again), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	MneSlice bytes = mne_slice(data, size);
	g_autoptr(GBytes) value = value_around(MNE_KIND_TABLE, bytes);

	decode(bytes);
	decode(mne_slice_of(value));
	return 0;
}
