/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-plan.c - any bytes as the plan of a rollback
 *
 * The input is the payload of a value with a right checksum.  Properties: what decodes
 * concerns either all tables, or those it lists, in order; has its seqs in order; and
 * encodes to itself.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "ckpt/plan.h"

#include "values.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const MnePlan *plan, MneSlice value)
{
	g_autoptr(GBytes) again = mne_plan_encode(plan);

	g_assert_true(plan->whole == (plan->tables->len == 0));
	g_assert_true(mne_plan_has(plan, 0) == plan->whole);
	for (guint i = 0; i < plan->tables->len; i++) {
		g_assert_true(
			mne_plan_has(plan, g_array_index(plan->tables, uint32_t, i)));
		if (i > 0)
			g_assert_cmpuint(g_array_index(plan->tables, uint32_t, i - 1),
					 <, g_array_index(plan->tables, uint32_t, i));
	}
	g_assert_cmpuint(plan->to, <, plan->before);
	g_assert_cmpuint(plan->before, <, plan->seq);
	g_assert_true(mne_slice_equal(mne_slice_of(again), value));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GBytes) value = value_around(MNE_KIND_ROLLBACK,
					       mne_slice(data, size));
	g_auto(MnePlan) plan = { 0 };

	if (mne_plan_decode(mne_slice_of(value), &plan) == 0)
		check(&plan, mne_slice_of(value));
	else
		g_assert_null(plan.tables);
	return 0;
}
