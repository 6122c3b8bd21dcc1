/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rollback_tables.c - of a rollback: which tables, and their names
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "table/schema.h"
#include "txn/policy.h"
#include "txn/rolling.h"
#include "view/iter.h"

/* A table at its name in a view. */
typedef struct {
	GBytes *name;
	MneTable table;
} Named;

static void named_clear(void *data)
{
	g_bytes_unref(((Named *)data)->name);
}

static int load_tables(MneView *view, GArray **out_tables)
{
	g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(Named));
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey prefix;
	int got;

	g_array_set_clear_func(tables, named_clear);
	mne_key_table(&prefix, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(view, mne_key_slice(&prefix), mne_key_slice(&prefix),
			      &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		Named named = { 0 };

		MNE_TRY(mne_table_decode(value, &named.table));
		named.name = g_bytes_new(key.data + prefix.len, key.len - prefix.len);
		g_array_append_val(tables, named);
	}
	MNE_TRY(got);
	*out_tables = g_steal_pointer(&tables);
	return 0;
}

static const Named *at_name(const GArray *tables, MneSlice name)
{
	for (guint i = 0; i < tables->len; i++) {
		const Named *named = &g_array_index(tables, Named, i);

		if (mne_slice_equal(mne_slice_of(named->name), name))
			return named;
	}
	return NULL;
}

static const Named *of_id(const GArray *tables, uint32_t id)
{
	for (guint i = 0; i < tables->len; i++)
		if (g_array_index(tables, Named, i).table.id == id)
			return &g_array_index(tables, Named, i);
	return NULL;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static int add_named(MneRollback *rb, const GArray *past, const char *name)
{
	const Named *named = at_name(past, mne_slice_str(name));
	g_autofree char *of = mne_ckpt_name(rb->ckpt);

	if (!named)
		return mne_throw(NO_TABLE, "there is no table %s in checkpoint %s",
				 name, of);
	g_array_append_val(rb->plan.tables, named->table.id);
	return 0;
}

/* In order, each once. */
static void settle_ids(GArray *ids)
{
	g_array_sort(ids, compare_u32);
	for (guint i = ids->len; i-- > 1;)
		if (g_array_index(ids, uint32_t, i) ==
		    g_array_index(ids, uint32_t, i - 1))
			g_array_remove_index(ids, i);
}

int mne_rollback_choose(MneRollback *rb, const GPtrArray *names)
{
	g_autoptr(GArray) past = NULL;

	rb->plan.tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	if (!names || names->len == 0) {
		rb->plan.whole = rb->ckpt->all_tables;
		g_array_append_vals(rb->plan.tables, rb->ckpt->tables->data,
				    rb->ckpt->tables->len);
		return 0;
	}
	MNE_TRY(load_tables(&rb->ckpt->view, &past));
	for (guint i = 0; i < names->len; i++)
		MNE_TRY(add_named(rb, past, names->pdata[i]));
	settle_ids(rb->plan.tables);
	return 0;
}

static int put_table(MneRollback *rb, MneSlice name, const MneTable *table)
{
	g_autoptr(GBytes) value = NULL;
	MneTable copy = *table;
	MneKey key;

	copy.seq = rb->plan.seq;
	value = mne_table_encode(&copy);
	mne_key_table(&key, name);
	return mne_commit_put(&rb->commit, &key, mne_slice_of(value));
}

/* A table that lives keeps what it is, and gets its name back. */
static int bring_back(MneRollback *rb, const Named *was, const GArray *live)
{
	MneSlice name = mne_slice_of(was->name);
	const Named *there = at_name(live, name);
	const Named *now = of_id(live, was->table.id);
	MneTable table = now ? now->table : was->table;

	if (there && there == now)
		return 0;
	if (there && !mne_plan_has(&rb->plan, there->table.id))
		return mne_throw(RECORD_EXISTS,
				 "another table is called %.*s now, and is not rolled "
				 "back: rename it first",
				 (int)name.len, (const char *)name.data);
	table.version++;
	MNE_TRY(put_table(rb, name, &table));
	mne_policies_set(rb->store->policies, table.id, table.commit);
	return 1;
}

/* What lives under a name it did not have. */
static int take_away(MneRollback *rb, const Named *now, const GArray *past)
{
	const Named *was = at_name(past, mne_slice_of(now->name));
	MneKey key;

	if (!mne_plan_has(&rb->plan, now->table.id) ||
	    (was && mne_plan_has(&rb->plan, was->table.id)))
		return 0;
	mne_key_table(&key, mne_slice_of(now->name));
	MNE_TRY(mne_commit_del(&rb->commit, &key));
	return 1;
}

/* Of a part of the tables the root has no past to go back to. */
static int touch_root(MneRollback *rb, int more)
{
	g_auto(MneNode) root = { 0 };

	if (rb->plan.whole)
		return 0;
	MNE_TRY(mne_dir_load(rb->store, MNE_ROOT_TABLE, MNE_ROOT_DIR, &root));
	return mne_dir_touch(&rb->commit, MNE_ROOT_TABLE, &root, more, more);
}

int mne_rollback_tables(MneRollback *rb)
{
	g_autoptr(GArray) past = NULL, live = NULL;
	int changes = 0, more = 0;

	MNE_TRY(load_tables(&rb->ckpt->view, &past));
	MNE_TRY(load_tables(&rb->store->stored.base, &live));
	for (guint i = 0; i < live->len; i++) {
		int gone = take_away(rb, &g_array_index(live, Named, i), past);

		MNE_TRY(gone);
		changes += gone;
		more -= gone;
	}
	for (guint i = 0; i < past->len; i++) {
		const Named *was = &g_array_index(past, Named, i);
		int back = 0;

		if (mne_plan_has(&rb->plan, was->table.id))
			back = bring_back(rb, was, live);
		MNE_TRY(back);
		changes += back;
		more += back && !at_name(live, mne_slice_of(was->name));
	}
	return changes > 0 ? touch_root(rb, more) : 0;
}

int mne_rollback_spread(MneRollback *rb)
{
	g_autoptr(GPtrArray) maps = mne_frags_list(rb->store->frags);
	g_autoptr(GArray) past = NULL;

	if (maps->len == 0)
		return 0;
	MNE_TRY(load_tables(&rb->ckpt->view, &past));
	for (guint i = 0; i < maps->len; i++) {
		uint32_t table = ((const MneFragMap *)maps->pdata[i])->table;

		if (mne_plan_has(&rb->plan, table) && !of_id(past, table))
			MNE_TRY(mne_frags_drop(&rb->commit, table));
	}
	return 0;
}
