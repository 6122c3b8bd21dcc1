/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-ckpt.c - any bytes as the record of a checkpoint
 *
 * The input is loaded as the payload of a value with a right checksum.  Properties: what
 * loads is a checkpoint that can be, covers exactly the tables it lists, and encodes to
 * itself; what does not is refused as a whole.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "ckpt/set.h"
#include "ckpt/value.h"
#include "frag/live.h"
#include "kv/engines.h"
#include "record/keys.h"

#include "values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void store_value(MneKv *kv, MneSlice value)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	MneKey key;

	mne_key_ckpt(&key, 7);
	mne_kv_batch_put(batch, mne_key_slice(&key), value);
	g_assert_cmpint(mne_kv_apply(kv, batch), ==, 0);
}

static void check(MneCkpt *ckpt, MneSlice value)
{
	g_autofree char *name = mne_ckpt_name(ckpt);
	g_auto(MneCkptTraits) traits = { 0 };
	g_autoptr(GBytes) again = NULL;

	g_assert_cmpuint(ckpt->id, ==, 7);
	for (guint i = 0; i < ckpt->tables->len; i++)
		g_assert_true(mne_ckpt_covers(
			ckpt, g_array_index(ckpt->tables, uint32_t, i)));
	for (guint i = 0; i + 1 < ckpt->tables->len; i++)
		g_assert_cmpuint(g_array_index(ckpt->tables, uint32_t, i), <=,
				 g_array_index(ckpt->tables, uint32_t, i + 1));
	if (!ckpt->all_tables)
		g_assert_cmpuint(ckpt->tables->len, >, 0);
	g_assert_cmpuint(strlen(name), >, 0);
	g_assert_null(strchr(name, '/'));
	mne_ckpt_traits(ckpt, &traits);
	again = mne_ckpt_encode(ckpt, MNE_CKPT_ACTIVE, mne_slice_str(name), &traits);
	g_assert_true(mne_slice_equal(mne_slice_of(again), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GBytes) value = value_around(MNE_KIND_CKPT, mne_slice(data, size));
	g_autoptr(MneFrags) frags = mne_frags_new(NULL);
	g_autoptr(MneKv) kv = mne_kv_mem_new();
	g_autoptr(GPtrArray) active = NULL;
	g_autoptr(MneCkpts) set = NULL;
	MneLiveView live;
	int err;

	store_value(kv, mne_slice_of(value));
	mne_live_view_init(&live, kv, frags, NULL);
	set = mne_ckpts_new(kv, &live.base, &mne_ckpt_tags);
	err = mne_ckpts_load(set);
	active = mne_ckpts_list(set);
	if (err < 0) {
		g_assert_cmpint(err, ==, -MNE_E_VALUE_CORRUPT);
		g_assert_cmpuint(active->len, ==, 0);
		return 0;
	}
	g_assert_cmpuint(active->len + mne_ckpts_dropping(set), ==, 1);
	if (active->len > 0)
		check(active->pdata[0], mne_slice_of(value));
	return 0;
}
