/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/plan.c - what a rollback is about
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/plan.h"

#include "record/node.h"
#include "util/coding.h"

void mne_plan_clear(MnePlan *plan)
{
	g_clear_pointer(&plan->tables, g_array_unref);
}

void mne_plan_copy(const MnePlan *plan, MnePlan *out)
{
	*out = *plan;
	if (plan->tables)
		out->tables = g_array_copy(plan->tables);
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

bool mne_plan_has(const MnePlan *plan, uint32_t table)
{
	if (plan->whole)
		return true;
	return bsearch(&table, plan->tables->data, plan->tables->len, sizeof(table),
		       compare_u32) != NULL;
}

GBytes *mne_plan_encode(const MnePlan *plan)
{
	GByteArray *to = g_byte_array_new();
	guint n = plan->tables ? plan->tables->len : 0;

	mne_value_begin(to, MNE_KIND_ROLLBACK, plan->seq);
	mne_add_be64(to, plan->ckpt);
	mne_add_be64(to, plan->to);
	mne_add_be64(to, plan->before);
	mne_add_u8(to, plan->whole);
	mne_add_varint(to, n);
	for (guint i = 0; i < n; i++)
		mne_add_be32(to, g_array_index(plan->tables, uint32_t, i));
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static void read_tables(MneReader *reader, GArray *tables)
{
	uint64_t n = mne_read_varint(reader);

	for (; n > 0 && !reader->failed; n--) {
		uint32_t table = mne_read_be32(reader);

		if (table == 0 ||
		    (tables->len > 0 &&
		     table <= g_array_index(tables, uint32_t, tables->len - 1)))
			reader->failed = true; /* they ascend */
		g_array_append_val(tables, table);
	}
}

int mne_plan_decode(MneSlice value, MnePlan *out)
{
	g_auto(MnePlan) plan = { 0 };
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint8_t whole;

	MNE_TRY(mne_value_open(value, &kind, &plan.seq, &payload));
	reader = mne_reader(payload);
	plan.ckpt = mne_read_be64(&reader);
	plan.to = mne_read_be64(&reader);
	plan.before = mne_read_be64(&reader);
	whole = mne_read_u8(&reader);
	plan.whole = whole != 0;
	plan.tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	read_tables(&reader, plan.tables);
	if (kind != MNE_KIND_ROLLBACK || !mne_reader_done(&reader) || whole > 1 ||
	    plan.whole != (plan.tables->len == 0) || plan.to >= plan.before ||
	    plan.before >= plan.seq)
		return mne_throw(VALUE_CORRUPT,
				 "the plan of a rollback does not decode");
	*out = plan;
	plan.tables = NULL;
	return 0;
}
