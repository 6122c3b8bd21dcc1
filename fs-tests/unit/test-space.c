/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-space.c - what the history of each checkpoint takes, against what
 * dropping it really gives back
 */
#include "config.h"

#include "ckpt/space.h"

#include "recount.h"
#include "txns.h"

/* Retained keys and values, and the live bytes of all segments. */
typedef struct {
	int64_t retained;
	int64_t images;
	int64_t live;
} Weight;

static Weight weigh(Fixture *f)
{
	const uint8_t tag = MNE_TAG_RETAINED;
	g_autoptr(MneKvIter) iter = NULL;
	MneStoreStats stats;
	Weight weight = { 0 };

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	for (mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	     mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == tag;
	     mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);

		weight.retained += (int64_t)key.len;
		weight.retained += key.data[1] == MNE_TAG_EXTENT
					   ? MNE_EXTENT_VALUE_MAX
					   : (int64_t)mne_kv_iter_value(iter).len;
		weight.images++;
	}
	mne_store_stats(f->store, &stats);
	weight.live = (int64_t)stats.live_bytes;
	return weight;
}

static MneCkptSpace space_of(Fixture *f, const char *name)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneCkptSpace space;

	g_assert_cmpint(
		mne_ckpts_find(mne_store_ckpts(f->store), mne_slice_str(name), &ckpt),
		==, 0);
	mne_ckpt_space(ckpt, NULL, &space);
	return space;
}

/* Drop it: what comes back is what was said, to the byte. */
static void drop_and_compare(Fixture *f, const char *name)
{
	MneCkptSpace said = space_of(f, name);
	Weight before = weigh(f), after;
	MneHistorySpace history, left;

	mne_ckpts_history(mne_store_ckpts(f->store), &history);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str(name)), ==, 0);
	mne_ckpts_history(mne_store_ckpts(f->store), &left);
	g_assert_cmpuint(left.pending, ==, history.pending + said.frees);
	g_assert_cmpuint(left.bytes, ==, history.bytes - said.frees);
	work_off(f);
	after = weigh(f);
	g_assert_cmpint(before.images - after.images, ==, said.frees_images);
	g_assert_cmpint(before.retained + before.live - after.retained - after.live, ==,
			said.frees);
	assert_tally_right(f);
	mne_ckpts_history(mne_store_ckpts(f->store), &left);
	g_assert_cmpuint(left.pending, ==, 0);
}

static void test_a_checkpoint_of_what_never_changed_takes_nothing(Fixture *f,
								  gconstpointer data)
{
	MneCkptSpace space;

	(void)data;
	write_text(f, "a", "1");
	mne_ckpt_unref(checkpoint(f, "c"));
	space = space_of(f, "c");
	g_assert_cmpuint(space.used, ==, 0);
	g_assert_cmpuint(space.frees, ==, 0);
	write_text(f, "new", "1"); /* only the directory changed */
	space = space_of(f, "c");
	g_assert_cmpuint(space.used_images, ==, 1);
	drop_and_compare(f, "c");
}

static void test_what_two_checkpoints_see_neither_frees_alone(Fixture *f,
							      gconstpointer data)
{
	MneCkptSpace one, two;

	(void)data;
	write_file(f, "big", 1, 500000);
	mne_ckpt_unref(checkpoint(f, "1"));
	mne_ckpt_unref(checkpoint(f, "2"));
	write_file(f, "big", 2, 500000);
	work_off(f);
	one = space_of(f, "1");
	two = space_of(f, "2");
	g_assert_cmpuint(one.used, >, 500000);
	g_assert_cmpuint(one.used, ==, two.used);
	g_assert_cmpuint(one.frees, ==, 0);
	g_assert_cmpuint(two.frees, ==, 0);
	drop_and_compare(f, "2");
	one = space_of(f, "1");
	g_assert_cmpuint(one.frees, ==, one.used);
	g_assert_cmpuint(one.frees, >, 500000);
	drop_and_compare(f, "1");
}

static void test_counts_survive_a_reopen_also_in_the_middle_of_reclaiming(
	Fixture *f, gconstpointer data)
{
	MneHistorySpace history;

	(void)data;
	for (unsigned i = 0; i < 400; i++) {
		g_autofree char *name = g_strdup_printf("f%u", i);

		write_text(f, name, "old");
	}
	mne_ckpt_unref(checkpoint(f, "1"));
	mne_ckpt_unref(checkpoint(f, "2"));
	for (unsigned i = 0; i < 400; i++) {
		g_autofree char *name = g_strdup_printf("f%u", i);

		write_text(f, name, "new");
	}
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("2")), ==, 0);
	g_assert_cmpint(mne_reclaim_step(f->store), ==, 1);
	assert_tally_right(f);
	fixture_reopen(f);
	assert_tally_right(f);
	mne_ckpts_history(mne_store_ckpts(f->store), &history);
	g_assert_cmpuint(history.images, ==, 400);
	work_off(f);
	assert_tally_right(f);
	drop_and_compare(f, "1");
}

/* --- random histories ---------------------------------------------------------- */

static unsigned pick(unsigned n)
{
	return (unsigned)g_test_rand_int_range(0, (gint32)n);
}

static bool exists(const Fixture *f, const char *name)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	return mne_live_lookup(f->store, f->table, f->dir, mne_slice_str(name), &table,
			       &node) == 0;
}

static void write_somewhere(Fixture *f, const char *name)
{
	static const size_t sizes[] = { 0, 3, 900, 4096, 5000, 200000 };
	g_autoptr(GBytes) bytes = made_bytes(pick(1000), 70000);
	MneFile *file = NULL;
	MnePlace place;

	if (!exists(f, name) || pick(3) == 0) {
		write_file(f, name, pick(1000), sizes[pick(G_N_ELEMENTS(sizes))]);
		return;
	}
	place = place_of(f, name);
	g_assert_cmpint(mne_file_open(f->store, &place, true, false, &file), ==, 0);
	g_assert_cmpint(mne_file_write(file, pick(300000),
				       g_bytes_get_data(bytes, NULL), pick(70000),
				       false, false),
			>=, 0);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static void change_attributes(Fixture *f, const char *name)
{
	static const char value[2000] = "x";
	MneAttrChange change = { .set = MNE_SET_MODE, .mode = 0600 + pick(8) };
	MnePlace place = place_of(f, name);
	g_auto(MneNode) node = { 0 };

	if (pick(2))
		g_assert_cmpint(mne_setattr(f->store, &place, &change, &node), ==, 0);
	else
		g_assert_cmpint(mne_setxattr(f->store, &place, mne_slice_str("user.a"),
					     mne_slice(value, pick(sizeof(value))), 0),
				==, 0);
}

static void change_names(Fixture *f, const char *name, const char *other)
{
	MneSpot from = spot_of(f, name), to = spot_of(f, other);
	uint64_t moved, replaced;

	if (pick(2))
		g_assert_cmpint(mne_rename(f->store, &from, &to, 0, &moved, &replaced),
				==, 0);
	else if (!exists(f, other)) {
		MnePlace place = place_of(f, name);
		g_auto(MneNode) node = { 0 };

		g_assert_cmpint(mne_link(f->store, &place, &to, &node), ==, 0);
	}
}

static void change_something(Fixture *f)
{
	g_autofree char *name = g_strdup_printf("f%u", pick(12));
	g_autofree char *other = g_strdup_printf("f%u", pick(12));

	if (!exists(f, name) || pick(3) == 0)
		write_somewhere(f, name);
	else if (pick(3) == 0)
		change_attributes(f, name);
	else if (pick(2))
		change_names(f, name, other);
	else
		remove_file(f, name);
}

static MneCkpt *make_checkpoint(Fixture *f, uint32_t other_table, const char *name)
{
	g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t table = pick(2) ? f->table : other_table;
	MneCkptSpec spec = { .name = mne_slice_str(name) };
	MneCkpt *ckpt = NULL;

	g_array_append_val(tables, table);
	if (pick(3) == 0)
		spec.tables = tables;
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &ckpt), ==, 0);
	return ckpt;
}

/* By hand: every retained value against every active checkpoint. */
static void assert_used_right(Fixture *f)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(f->store));
	g_autofree MneCkptSpace *said = mne_ckpts_spaces(ckpts);
	g_autofree uint64_t *used = g_new0(uint64_t, ckpts->len + 1);
	const uint8_t tag = MNE_TAG_RETAINED;
	g_autoptr(MneKvIter) iter = NULL;

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	for (mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	     mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == tag;
	     mne_kv_iter_next(iter)) {
		uint64_t seq = mne_value_seq(mne_kv_iter_value(iter));
		MneKeyParts parts;

		g_assert_cmpint(mne_key_parse(mne_kv_iter_key(iter), &parts), ==, 0);
		for (unsigned i = 0; i < ckpts->len; i++) {
			MneCkpt *ckpt = g_ptr_array_index(ckpts, i);

			if (mne_ckpt_covers(ckpt, parts.table) && ckpt->seq >= seq &&
			    ckpt->seq <= parts.seq)
				used[i] += (uint64_t)mne_tally_size(
					parts.inner, mne_kv_iter_value(iter));
		}
	}
	for (unsigned i = 0; i < ckpts->len; i++) {
		g_assert_cmpuint(said[i].used, ==, used[i]);
		g_assert_cmpuint(said[i].frees, <=, said[i].used);
	}
}

static void drop_some(Fixture *f, GPtrArray *names, bool compare)
{
	g_autofree char *name = NULL;

	if (names->len == 0)
		return;
	name = g_ptr_array_steal_index(names, pick(names->len));
	if (compare)
		drop_and_compare(f, name);
	else
		g_assert_cmpint(mne_store_drop(f->store, mne_slice_str(name)), ==, 0);
}

static void test_dropping_gives_back_what_was_said_over_random_histories(
	Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const MneMake make = { .mode = S_IFDIR | 0755 };
	uint32_t other;
	MneNode node;

	(void)data;
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str("other"), &make,
					 &other, &node),
			==, 0);
	for (unsigned step = 0; step < 1500; step++) {
		unsigned what = pick(40);

		if (what == 0 && names->len < 9) {
			char *name = g_strdup_printf("c%u", step);

			mne_ckpt_unref(make_checkpoint(f, other, name));
			g_ptr_array_add(names, name);
		} else if (what == 1 && step % 2 == 0) {
			work_off(f);
			assert_used_right(f);
			drop_some(f, names, true);
		} else if (what == 2 && step % 3 == 0) {
			drop_some(f, names,
				  false); /* and go on while it is reclaimed */
			(void)mne_store_work(f->store);
			assert_tally_right(f);
		} else if (what == 3 && step % 5 == 0) {
			fixture_reopen(f);
		} else {
			change_something(f);
		}
	}
	work_off(f);
	assert_used_right(f);
	while (names->len > 0)
		drop_some(f, names, true);
	g_assert_cmpint(weigh(f).images, ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_TALLY), ==, 1); /* the mark */
}

static void test_a_store_that_never_counted_is_counted_when_it_is_opened(
	Fixture *f, gconstpointer data)
{
	const uint8_t tag = MNE_TAG_TALLY;
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(MneKvIter) iter = NULL;
	MneCkptSpace before;

	(void)data;
	write_file(f, "big", 1, 300000);
	mne_ckpt_unref(checkpoint(f, "c"));
	write_file(f, "big", 2, 300000);
	work_off(f);
	before = space_of(f, "c");
	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	for (mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	     mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == tag;
	     mne_kv_iter_next(iter))
		mne_kv_batch_del(batch, mne_kv_iter_key(iter));
	g_clear_pointer(&iter, mne_kv_iter_free);
	g_assert_cmpint(mne_store_apply_raw(f->store, batch), ==, 0);
	fixture_reopen(f);
	g_assert_cmpuint(space_of(f, "c").frees, ==, before.frees);
	g_assert_cmpuint(keys_of(f, MNE_TAG_TALLY), >, 1);
	drop_and_compare(f, "c");
}

static uint64_t retained_after(Fixture *f, const char *name, unsigned seed)
{
	write_file(f, name, seed, 100);
	return keys_of(f, MNE_TAG_RETAINED);
}

/* C4: a change costs one image of each key, however many checkpoints there are, and once. */
static void test_c4_a_change_costs_one_image_however_many_checkpoints_there_are(
	Fixture *f, gconstpointer data)
{
	const unsigned counts[] = { 1, 2, 40 };
	uint64_t first = 0, made = 0;

	(void)data;
	write_file(f, "k", 1, 100);
	for (unsigned round = 0; round < G_N_ELEMENTS(counts); round++) {
		uint64_t before = keys_of(f, MNE_TAG_RETAINED), cost;

		for (unsigned i = 0; i < counts[round]; i++) {
			g_autofree char *name = g_strdup_printf("c%" G_GUINT64_FORMAT,
								made++);

			mne_ckpt_unref(checkpoint(f, name));
		}
		g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, before);
		cost = retained_after(f, "k", round + 2) - before;
		first = round == 0 ? cost : first;
		g_assert_cmpuint(cost, ==, first);
		g_assert_cmpuint(retained_after(f, "k", round + 9), ==, before + cost);
	}
	g_assert_cmpuint(first, >, 0);
}

/* --- the pure part ------------------------------------------------------------- */

static void test_a_cell_counts_for_those_in_its_run(void)
{
	MneCkpt fake[4] = { { .seq = 10, .all_tables = true },
			    { .seq = 20, .tables = g_array_new(0, 0, 4) },
			    { .seq = 30, .all_tables = true },
			    { .seq = 40, .all_tables = true } };
	const MneTallyCell cells[] = {
		{ 7, 10, 30, 100, 1 }, /* 10 and 30: 20 does not cover table 7 */
		{ 7, 20, 30, 1000, 1 }, /* 30 alone */
		{ 7, 20, 20, 10000, 1 }, /* nobody */
		{ 8, 40, 40, 5, 1 },
	};
	g_autoptr(GArray) array = g_array_new(FALSE, FALSE, sizeof(MneTallyCell));
	g_autoptr(GPtrArray) ckpts = g_ptr_array_new();
	MneCkptSpace out[4];
	MneHistorySpace total;

	for (unsigned i = 0; i < 4; i++)
		g_ptr_array_add(ckpts, &fake[i]);
	g_array_append_vals(array, cells, G_N_ELEMENTS(cells));
	mne_space_weigh(array, ckpts, NULL, out, &total);
	g_assert_cmpuint(out[0].used, ==, 100);
	g_assert_cmpuint(out[0].frees, ==, 0);
	g_assert_cmpuint(out[1].used, ==, 0);
	g_assert_cmpuint(out[2].used, ==, 1100);
	g_assert_cmpuint(out[2].frees, ==, 1000);
	g_assert_cmpuint(out[3].used, ==, 5);
	g_assert_cmpuint(out[3].frees, ==, 5);
	g_assert_cmpuint(total.bytes, ==, 1105);
	g_assert_cmpuint(total.images, ==, 3);
	g_assert_cmpuint(total.pending, ==, 10000);
	g_array_unref(fake[1].tables);
}

#define ADD(func)                                                        \
	g_test_add("/space/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/space/cells", test_a_cell_counts_for_those_in_its_run);
	ADD(test_a_checkpoint_of_what_never_changed_takes_nothing);
	ADD(test_what_two_checkpoints_see_neither_frees_alone);
	ADD(test_counts_survive_a_reopen_also_in_the_middle_of_reclaiming);
	ADD(test_a_store_that_never_counted_is_counted_when_it_is_opened);
	ADD(test_c4_a_change_costs_one_image_however_many_checkpoints_there_are);
	ADD(test_dropping_gives_back_what_was_said_over_random_histories);
	return g_test_run();
}
