/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-node.c - any bytes as the value of an inode, or of a reference to one
 *
 * The input is decoded as it is, and as the payload of a value with a right checksum.
 * Properties: what decodes encodes to itself; what it borrows outlives the caller's
 * reference; it never has more bytes than its size.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void decode_node(GBytes *take_value)
{
	g_autoptr(GBytes) kept = g_bytes_new(g_bytes_get_data(take_value, NULL),
					     g_bytes_get_size(take_value));
	g_autoptr(GBytes) again = NULL;
	g_auto(MneNode) node = { 0 };
	int err = mne_node_decode(take_value, &node);

	g_bytes_unref(take_value);
	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		g_assert_null(node.value);
		return;
	}

	if (mne_node_is_file(&node))
		g_assert_cmpuint(node.content.len, <=, node.size);
	if (node.size > 0)
		g_assert_cmpuint(mne_node_blocks(&node), >, 0);
	again = mne_node_encode(&node);
	g_assert_true(g_bytes_equal(again, kept));
}

static void decode_ref(MneSlice value)
{
	g_autoptr(GBytes) again = NULL;
	uint32_t mode, mode_again;
	uint64_t rec, rec_again;
	MneKind kind, kind_again;
	int err = mne_ref_decode(value, &kind, &rec, &mode);

	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		return;
	}

	again = mne_ref_encode(kind, mne_value_seq(value), rec, mode);
	g_assert_cmpint(mne_ref_decode(mne_slice_of(again), &kind_again, &rec_again,
				       &mode_again),
			==, 0);
	g_assert_cmpint(kind_again, ==, kind);
	g_assert_cmpuint(rec_again, ==, rec);
	g_assert_cmpuint(mode_again, ==, mode & S_IFMT);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static const MneKind refs[] = { MNE_KIND_DIRREF, MNE_KIND_LINK };
	MneSlice bytes = mne_slice(data, size);

	decode_node(mne_slice_to_bytes(bytes));
	decode_node(value_around(MNE_KIND_INODE, bytes));
	decode_ref(bytes);
	for (unsigned i = 0; i < G_N_ELEMENTS(refs); i++) {
		g_autoptr(GBytes) value = value_around(refs[i], bytes);

		decode_ref(mne_slice_of(value));
	}
	return 0;
}
