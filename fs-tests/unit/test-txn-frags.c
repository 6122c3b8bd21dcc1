/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn-frags.c - tables whose records are spread over fragments: growing
 * and shrinking while they are read and written
 */
#include "config.h"

#include "check/check.h"
#include "ckpt/changes.h"
#include "txn/frags.h"
#include "txn/rollback.h"
#include "txn/tx.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "oracle.h"
#include "recount.h"
#include "txns.h"

static MneSlice t(void)
{
	return mne_slice_str("t");
}

static void want(Fixture *f, uint32_t n)
{
	g_assert_cmpint(mne_frags_want(f->store, t(), n), ==, 0);
}

static uint32_t n_of(Fixture *f)
{
	g_autoptr(MneFragMap) map = mne_frags_now(f->store, f->table, f->dir);

	return map->n;
}

static bool is_moving(Fixture *f)
{
	g_autoptr(MneFragMap) map = mne_frags_now(f->store, f->table, f->dir);

	return map->move != MNE_FRAG_STAYS;
}

/* Names in one fragment of a view, 0: all, each with a newline behind it: a new string. */
static char *listed(Fixture *f, MneView *view, uint32_t fragment)
{
	MneFragmentOf what = { f->table, f->dir, fragment };
	g_autoptr(MneListing) listing = NULL;
	GString *names = g_string_new(NULL);
	MneEntry entry;
	int got;

	g_assert_cmpint(mne_view_list_fragment(view, &what, MNE_SLICE_EMPTY, &listing),
			==, 0);
	while ((got = mne_listing_next(listing, &entry, NULL)) > 0) {
		g_string_append_len(names, (const char *)entry.name.data,
				    (gssize)entry.name.len);
		g_string_append_c(names, '\n');
	}
	g_assert_cmpint(got, ==, 0);
	return g_string_free(names, FALSE);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* All names of the fragments one by one are those of the whole listing, none twice. */
static void assert_fragments_add_up(Fixture *f, MneView *view, uint32_t n)
{
	g_autofree char *all = listed(f, view, 0);
	g_autoptr(GString) parts = g_string_new(NULL);
	g_autofree char *sorted = NULL;
	g_auto(GStrv) names = NULL;

	for (uint32_t i = 1; i <= n; i++) {
		g_autofree char *part = listed(f, view, i);

		g_string_append(parts, part);
	}
	names = g_strsplit(parts->str, "\n", -1);
	qsort(names, g_strv_length(names), sizeof(*names), compare_names);
	sorted = g_strjoinv("\n", names);
	/* The empty string behind the last newline sorts first. */
	g_assert_cmpstr(*sorted ? sorted + 1 : sorted, ==,
			*all ? (all[strlen(all) - 1] = '\0', all) : all);
}

static void assert_clean(Fixture *f)
{
	g_auto(MneCheckReport) report = { 0 };

	mne_check_report_init(&report);
	g_assert_cmpint(mne_check_run(f->store, false, &report), ==, 0);
	if (report.findings->len > 0)
		g_error("%s", g_array_index(report.findings, MneCheckFinding, 0).text);
}

static void fill(Fixture *f, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		write_text(f, name, name);
	}
}

static void assert_filled(Fixture *f, MneView *view, unsigned count)
{
	for (unsigned i = 0; i < count; i++) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		assert_text(view, f, name, name);
	}
}

/* --- where records go -------------------------------------------------------------- */

static bool can_be_name(const GByteArray *key)
{
	return key->len > 0 && key->len <= MNE_NAME_MAX &&
	       !memchr(key->data, 0, key->len) && !memchr(key->data, '/', key->len);
}

/* Record i of the oracle stands in the fragment that its line says in column c. */
static void assert_as_in(Fixture *f, GPtrArray *lines, unsigned c, uint32_t n)
{
	MneFragmentOf what = { f->table, f->dir, 0 };
	MneView *live = mne_store_live(f->store);
	unsigned found = 0, names = 0;

	g_assert_cmpuint(n_of(f), ==, n);
	for (guint i = 0; i < lines->len; i++) {
		char **line = lines->pdata[i];
		g_autoptr(GByteArray) key = oracle_unhex(line[0]);
		g_autoptr(MneListing) listing = NULL;
		MneEntry entry;

		if (!can_be_name(key))
			continue;
		names++;
		what.fragment = (uint32_t)g_ascii_strtoull(line[c], NULL, 10);
		g_assert_cmpint(
			mne_view_list_fragment(live, &what, MNE_SLICE_EMPTY, &listing),
			==, 0);
		while (mne_listing_next(listing, &entry, NULL) > 0)
			found += mne_slice_equal(entry.name,
						 mne_slice(key->data, key->len));
	}
	g_assert_cmpuint(names, >, 150);
	g_assert_cmpuint(found, ==, names);
}

static void test_records_stand_where_mnesia_puts_them(Fixture *f, gconstpointer data)
{
	g_autoptr(GPtrArray) add = oracle_lines("frags_add.tsv");
	g_autoptr(GPtrArray) del = oracle_lines("frags_del.tsv");
	const MneMake link = { .mode = S_IFLNK | 0777, .target = t() };

	(void)data;
	for (guint i = 0; i < add->len; i++) {
		g_autoptr(GByteArray) key = oracle_unhex(((char **)add->pdata[i])[0]);
		MneSpot spot = { f->table, f->dir, mne_slice(key->data, key->len) };
		MneNode node;

		if (can_be_name(key))
			g_assert_cmpint(mne_make(f->store, &spot, &link, &node), ==, 0);
	}
	for (uint32_t n = 1; n <= 20; n++) {
		want(f, n);
		work_off(f);
		assert_as_in(f, add, n, n);
	}
	assert_clean(f);
	for (uint32_t n = 19; n >= 1; n--) {
		want(f, n);
		work_off(f);
		assert_as_in(f, del, 20 - n, n);
	}
	assert_clean(f);
}

/* --- while they move --------------------------------------------------------------- */

/* After every single batch: everything is found, listed once, and counted right. */
static void step_to(Fixture *f, uint32_t n, unsigned count)
{
	MneView *live = mne_store_live(f->store);

	want(f, n);
	do {
		assert_filled(f, live, count);
		assert_fragments_add_up(f, live, n_of(f));
	} while (mne_store_work(f->store));
	g_assert_cmpuint(n_of(f), ==, n);
	g_assert_false(is_moving(f));
}

static void test_every_record_is_there_after_every_batch(Fixture *f, gconstpointer data)
{
	(void)data;
	fill(f, 400);
	step_to(f, 9, 400);
	assert_clean(f);
	step_to(f, 1, 400);
	assert_clean(f);
	assert_counters_right(f);
}

static void test_a_split_looks_at_the_split_fragment_only(Fixture *f,
							  gconstpointer data)
{
	g_autofree char *source = NULL;
	g_autofree char *made = NULL;
	uint64_t moved = f->store->split.all_moved;
	unsigned records = 0, gone = 0;

	(void)data;
	fill(f, 500);
	want(f, 4);
	work_off(f);
	source = listed(f, mne_store_live(f->store), 1);
	moved = f->store->split.all_moved;
	want(f, 5);
	work_off(f);
	made = listed(f, mne_store_live(f->store), 5);
	for (const char *at = source; *at; at++)
		records += *at == '\n';
	for (const char *at = made; *at; at++)
		gone += *at == '\n';
	g_assert_cmpuint(f->store->split.seen, ==, records);
	g_assert_cmpuint(f->store->split.all_moved - moved, ==, gone);
	g_assert_cmpuint(gone, <, records);
}

/* Changes of every kind while a step is under way. */
static void test_what_changes_while_records_move_is_where_it_should_be(
	Fixture *f, gconstpointer data)
{
	uint64_t moved, other;

	(void)data;
	fill(f, 300);
	want(f, 2);
	while (!is_moving(f))
		g_assert_true(mne_store_work(f->store));
	for (unsigned i = 0; i < 300; i += 3) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *next = g_strdup_printf("name-%04u", i + 1);
		g_autofree char *new = g_strdup_printf("new-%04u", i);
		MneSpot from = spot_of(f, next), to = spot_of(f, new);

		if (i == 150) {
			g_assert_true(mne_store_work(f->store));
			g_assert_true(is_moving(f));
		}
		remove_file(f, name);
		g_assert_cmpint(mne_rename(f->store, &from, &to, 0, &moved, &other), ==,
				0);
		write_text(f, next, "made again");
	}
	g_assert_true(is_moving(f));
	assert_clean(f);
	work_off(f);
	assert_clean(f);
	assert_counters_right(f);
	for (unsigned i = 0; i < 300; i += 3) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *next = g_strdup_printf("name-%04u", i + 1);
		g_autofree char *new = g_strdup_printf("new-%04u", i);

		assert_text(mne_store_live(f->store), f, name, NULL);
		assert_text(mne_store_live(f->store), f, next, "made again");
		assert_text(mne_store_live(f->store), f, new, next);
	}
}

static void test_linked_files_and_directories_move_as_well(Fixture *f,
							   gconstpointer data)
{
	const MneMake dir = { .mode = S_IFDIR | 0755 };

	(void)data;
	fill(f, 100);
	for (unsigned i = 0; i < 100; i += 2) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *link = g_strdup_printf("link-%04u", i);
		g_autofree char *sub = g_strdup_printf("dir-%04u", i);
		MnePlace place = place_of(f, name);
		MneSpot spot = spot_of(f, link), made = spot_of(f, sub);
		g_auto(MneNode) node = { 0 };
		MneNode made_node;

		place.name = mne_slice_str(name);
		g_assert_cmpint(mne_link(f->store, &place, &spot, &node), ==, 0);
		g_assert_cmpint(mne_make(f->store, &made, &dir, &made_node), ==, 0);
	}
	step_to(f, 7, 100);
	assert_clean(f);
	assert_counters_right(f);
	for (unsigned i = 0; i < 100; i += 4) {
		g_autofree char *link = g_strdup_printf("link-%04u", i);

		remove_file(f, link);
	}
	step_to(f, 2, 100);
	assert_clean(f);
	assert_counters_right(f);
}

static void test_a_step_goes_on_after_a_restart(Fixture *f, gconstpointer data)
{
	(void)data;
	fill(f, 400);
	want(f, 3);
	for (unsigned round = 0; n_of(f) != 3 || is_moving(f); round++) {
		(void)mne_store_work(f->store);
		fixture_reopen(f);
		assert_filled(f, mne_store_live(f->store), 400);
		g_assert_cmpuint(round, <, 100);
	}
	assert_fragments_add_up(f, mne_store_live(f->store), 3);
	assert_clean(f);
}

/* --- checkpoints ------------------------------------------------------------------- */

static unsigned changes_since(MneCkpt *ckpt)
{
	MneChangesSpec spec = { .from = ckpt, .origins = true };
	g_autoptr(MneChanges) changes = NULL;
	unsigned count = 0;
	MneChange change;
	int got;

	g_assert_cmpint(mne_changes_open(&spec, &changes), ==, 0);
	while ((got = mne_changes_next(changes, &change)) > 0)
		count++;
	g_assert_cmpint(got, ==, 0);
	return count;
}

/* C8: and a split keeps nothing but how the table was spread. */
static void test_no_checkpoint_notices(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) first = NULL;
	g_autoptr(MneCkpt) second = NULL;

	(void)data;
	fill(f, 300);
	first = checkpoint(f, "first");
	want(f, 5);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 1);
	g_assert_cmpuint(changes_since(first), ==, 0);
	write_text(f, "name-0001", "name-0001");
	g_assert_cmpuint(changes_since(first), ==, 1);
	second = checkpoint(f, "second");
	want(f, 2);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 2);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 3);
	for (unsigned i = 0; i < 300; i += 2) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		if (i % 4 == 0)
			remove_file(f, name);
		else
			write_text(f, name, "changed");
	}
	want(f, 7);
	do {
		assert_filled(f, &first->view, 300);
		assert_fragments_add_up(f, &first->view, 1);
		assert_fragments_add_up(f, &second->view, 5);
	} while (mne_store_work(f->store));
	assert_filled(f, &second->view, 300);
	assert_clean(f);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("first")), ==, 0);
	work_off(f);
	assert_filled(f, &second->view, 300);
	assert_fragments_add_up(f, &second->view, 5);
	assert_clean(f);
	assert_tally_right(f);
}

static void test_a_checkpoint_made_in_the_middle_of_a_step_stands_still(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	char *before[3];

	(void)data;
	fill(f, 300);
	want(f, 2);
	work_off(f);
	want(f, 3);
	while (!is_moving(f))
		g_assert_true(mne_store_work(f->store));
	g_assert_true(mne_store_work(f->store));
	g_assert_true(is_moving(f));
	ckpt = checkpoint(f, "middle");
	for (uint32_t i = 0; i < 3; i++)
		before[i] = listed(f, &ckpt->view, i);
	while (mne_store_work(f->store)) {
		assert_filled(f, &ckpt->view, 300);
		assert_fragments_add_up(f, &ckpt->view, 2);
	}
	for (uint32_t i = 0; i < 3; i++) {
		g_autofree char *after = listed(f, &ckpt->view, i);

		g_assert_cmpstr(before[i], ==, after);
		g_free(before[i]);
	}
}

/* A rollback puts back what records were, not where they stood. */
static void test_a_rollback_leaves_the_fragments_as_they_are(Fixture *f,
							     gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	const MneMake dir = { .mode = S_IFDIR | 0755 };
	MneRollbackSpec spec = { .name = mne_slice_str("before") };
	g_autoptr(MneWritten) written = NULL;
	MneRollbackResult result;
	Fixture born = *f;
	MneNode node;

	(void)data;
	fill(f, 200);
	want(f, 2);
	work_off(f);
	ckpt = checkpoint(f, "before");
	want(f, 7);
	work_off(f);
	for (unsigned i = 0; i < 200; i += 2) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *new = g_strdup_printf("new-%04u", i);

		if (i % 4 == 0)
			remove_file(f, name);
		else
			write_text(f, name, "changed");
		write_text(f, new, new);
	}
	/* A table that was not there then. */
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str("born"), &dir,
					 &born.table, &node),
			==, 0);
	born.dir = node.rec;
	g_assert_cmpint(mne_frags_want(f->store, mne_slice_str("born"), 5), ==, 0);
	work_off(f);
	fill(&born, 50);
	want(f, 8);
	g_assert_true(mne_store_work(f->store));
	g_assert_cmpint(mne_store_rollback(f->store, &spec, &result, &written), ==, 0);
	assert_filled(f, mne_store_live(f->store), 200);
	assert_clean(f);
	work_off(f);
	assert_fragments_add_up(f, mne_store_live(f->store), 8);
	assert_filled(f, mne_store_live(f->store), 200);
	assert_clean(f);
	assert_counters_right(f);
	g_clear_pointer(&written, mne_written_free);
	g_clear_pointer(&ckpt, mne_ckpt_unref);
	fixture_reopen(f);
	g_assert_cmpuint(n_of(f), ==, 8);
	assert_filled(f, mne_store_live(f->store), 200);
}

/* --- transactions ------------------------------------------------------------------ */

static void test_a_transaction_sees_its_moment_while_records_move(Fixture *f,
								  gconstpointer data)
{
	MneTx *tx = NULL;
	Fixture inside;

	(void)data;
	fill(f, 300);
	want(f, 3);
	work_off(f);
	want(f, 4);
	while (!is_moving(f))
		g_assert_true(mne_store_work(f->store));
	g_assert_cmpint(mne_tx_begin(f->store, &tx), ==, 0);
	inside = *f;
	inside.store = mne_tx_store(tx);
	while (mne_store_work(f->store))
		assert_filled(&inside, mne_store_live(inside.store), 300);
	want(f, 2);
	work_off(f);
	assert_filled(&inside, mne_store_live(inside.store), 300);
	for (unsigned i = 0; i < 300; i += 3) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *new = g_strdup_printf("new-%04u", i);

		remove_file(&inside, name);
		write_text(&inside, new, new);
	}
	assert_filled(f, mne_store_live(f->store), 300);
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
	mne_tx_unref(tx);
	for (unsigned i = 0; i < 300; i += 3) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);
		g_autofree char *new = g_strdup_printf("new-%04u", i);

		assert_text(mne_store_live(f->store), f, name, NULL);
		assert_text(mne_store_live(f->store), f, new, new);
	}
	assert_fragments_add_up(f, mne_store_live(f->store), 2);
	assert_clean(f);
}

static void test_a_transaction_that_drops_a_table_drops_its_fragments(
	Fixture *f, gconstpointer data)
{
	MneTx *tx = NULL;
	uint64_t rec;

	(void)data;
	want(f, 3);
	work_off(f);
	g_assert_cmpint(mne_tx_begin(f->store, &tx), ==, 0);
	g_assert_cmpint(mne_table_rename(mne_tx_store(tx), t(), mne_slice_str("u"), 0),
			==, 0);
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
	mne_tx_unref(tx);
	g_assert_cmpuint(n_of(f), ==, 3);
	assert_clean(f);
	g_assert_cmpint(mne_tx_begin(f->store, &tx), ==, 0);
	g_assert_cmpint(mne_table_drop(mne_tx_store(tx), mne_slice_str("u"), &rec), ==,
			0);
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
	mne_tx_unref(tx);
	g_assert_cmpuint(keys_of(f, MNE_TAG_FRAGS), ==, 0);
	assert_clean(f);
}

/* --- wishes ------------------------------------------------------------------------ */

static void test_what_cannot_be_is_refused(Fixture *f, gconstpointer data)
{
	static const uint32_t wrong[] = { 0, MNE_FRAG_MAX + 1, UINT32_MAX };

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(wrong); i++)
		g_assert_cmpint(mne_frags_want(f->store, t(), wrong[i]), ==,
				-MNE_E_FRAG_ARG);
	g_assert_cmpint(mne_frags_want_more(f->store, t(), -1), ==, -MNE_E_FRAG_ARG);
	g_assert_cmpint(mne_frags_want(f->store, mne_slice_str("none"), 2), ==,
			-MNE_E_NO_TABLE);
	g_assert_cmpint(mne_frags_use_hash(f->store, t(), "none", ""), ==,
			-MNE_E_FRAG_ARG);
	g_assert_cmpint(mne_frags_use_hash(f->store, t(), "keyed", "words"), ==,
			-MNE_E_FRAG_ARG);
	write_text(f, "a", "a");
	g_assert_cmpint(mne_frags_use_hash(f->store, t(), "keyed", ""), ==,
			-MNE_E_FRAG_ARG);
	g_assert_cmpuint(n_of(f), ==, 1);
	assert_clean(f);
}

static void test_keyed_tables_grow_and_shrink_as_well(Fixture *f, gconstpointer data)
{
	(void)data;
	want(f, 3);
	work_off(f);
	g_assert_cmpint(mne_frags_use_hash(f->store, t(), "keyed", ""), ==, 0);
	work_off(f);
	g_assert_cmpuint(n_of(f), ==, 3);
	fill(f, 200);
	step_to(f, 6, 200);
	fixture_reopen(f);
	step_to(f, 2, 200);
	assert_clean(f);
}

static void test_fragments_follow_the_number_of_records(Fixture *f, gconstpointer data)
{
	(void)data;
	g_assert_cmpint(mne_frags_want_auto(f->store, t(), 50), ==, 0);
	fill(f, 400);
	work_off(f);
	g_assert_cmpuint(n_of(f), ==, 8);
	assert_clean(f);
	for (unsigned i = 0; i < 340; i++) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		remove_file(f, name);
	}
	work_off(f);
	g_assert_cmpuint(n_of(f), ==,
			 4); /* 60 records: 5 * 50 / 4 > 60 >= 4 * 50 / 4 */
	g_assert_cmpint(mne_frags_want_auto(f->store, t(), 0), ==, 0);
	for (unsigned i = 340; i < 400; i++) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		remove_file(f, name);
	}
	work_off(f);
	g_assert_cmpuint(n_of(f), ==, 4);
}

static void test_a_dropped_table_leaves_nothing(Fixture *f, gconstpointer data)
{
	const MneMake dir = { .mode = S_IFDIR | 0755 };
	uint32_t table;
	MneNode node;
	uint64_t rec;

	(void)data;
	fill(f, 100);
	want(f, 4);
	work_off(f);
	for (unsigned i = 0; i < 100; i++) {
		g_autofree char *name = g_strdup_printf("name-%04u", i);

		remove_file(f, name);
	}
	want(f, 9);
	g_assert_cmpint(mne_table_drop(f->store, t(), &rec), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_FRAGS), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 1);
	assert_clean(f);
	g_assert_cmpint(mne_table_create(f->store, t(), &dir, &table, &node), ==, 0);
	f->table = table;
	f->dir = node.rec;
	g_assert_cmpuint(n_of(f), ==, 1);
}

/* --- damage ------------------------------------------------------------------------ */

static unsigned mended(Fixture *f)
{
	g_auto(MneCheckReport) report = { 0 };

	mne_check_report_init(&report);
	g_assert_cmpint(mne_check_run(f->store, true, &report), ==, 0);
	g_assert_cmpuint(report.found, ==, report.mended);
	return (unsigned)report.mended;
}

static void test_a_record_in_the_wrong_fragment_is_moved_by_check(Fixture *f,
								  gconstpointer data)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(GBytes) value = NULL;
	MneKey key;
	uint32_t old, new;

	(void)data;
	fill(f, 50);
	want(f, 4);
	work_off(f);

	g_autoptr(MneFragMap) map = mne_frags_now(f->store, f->table, f->dir);

	mne_key_node(&key, f->table, f->dir, mne_slice_str("name-0007"));
	g_assert_cmpint(mne_frag_map_place(map, mne_slice_str("name-0007"), &old, &new),
			==, 0);
	mne_key_set_fragment(&key, old - 1);
	g_assert_cmpint(mne_kv_get(mne_store_kv(f->store), mne_key_slice(&key), &value),
			==, 0);
	mne_kv_batch_del(batch, mne_key_slice(&key));
	mne_key_set_fragment(&key, old % 4);
	mne_kv_batch_put(batch, mne_key_slice(&key), mne_slice_of(value));
	g_assert_cmpint(mne_store_apply_raw(f->store, batch), ==, 0);

	assert_text(mne_store_live(f->store), f, "name-0007", NULL);
	g_assert_cmpuint(mended(f), ==, 1);
	assert_filled(f, mne_store_live(f->store), 50);
	assert_clean(f);
}

static void test_a_table_that_lost_its_map_is_found_again_by_check(Fixture *f,
								   gconstpointer data)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	MneKey key;

	(void)data;
	fill(f, 50);
	want(f, 4);
	work_off(f);
	mne_key_frags(&key, f->table);
	mne_kv_batch_put(batch, mne_key_slice(&key), mne_slice_str("rubbish"));
	g_assert_cmpint(mne_store_apply_raw(f->store, batch), ==, 0);
	g_test_expect_message("mne-frag", G_LOG_LEVEL_WARNING, "*table*");
	fixture_reopen(f);
	g_test_assert_expected_messages();

	/* An error, and not an empty table: a copy would be emptied, too. */
	g_assert_cmpint(mne_live_lookup(f->store, f->table, f->dir,
					mne_slice_str("name-0001"), &table, &node),
			==, -MNE_E_VALUE_CORRUPT);
	g_assert_cmpuint(mended(f), >, 1);
	g_assert_cmpuint(n_of(f), ==, 1);
	assert_filled(f, mne_store_live(f->store), 50);
	assert_clean(f);
}

/* --- threads ----------------------------------------------------------------------- */

enum { N_FIXED = 400, N_OWN = 40 };

typedef struct {
	Fixture *f;
	atomic_bool done;
	atomic_uint rounds;
} World;

/* Records that nobody changes are found, by name and in listings, at every moment. */
static void *reader(void *data)
{
	World *world = data;
	MneView *live = mne_store_live(world->f->store);

	while (!world->done) {
		g_autofree char *names = listed(world->f, live, 0);
		unsigned seen = 0;

		assert_filled(world->f, live, N_FIXED);
		for (const char *at = names; (at = strstr(at, "name-")); at++)
			seen++;
		g_assert_cmpuint(seen, ==, N_FIXED);
		world->rounds++;
	}
	return NULL;
}

/* Its own records are as it left them; what it removed stays away. */
static void *writer(void *data)
{
	World *world = data;

	for (unsigned round = 0; !world->done; round++) {
		for (unsigned i = 0; i < N_OWN; i++) {
			g_autofree char *name = g_strdup_printf("own-%u", i);
			g_autofree char *text = g_strdup_printf("%u", round);

			write_text(world->f, name, text);
			assert_text(mne_store_live(world->f->store), world->f, name,
				    text);
			if ((i + round) % 3 != 0)
				continue;
			remove_file(world->f, name);
			assert_text(mne_store_live(world->f->store), world->f, name,
				    NULL);
		}
	}
	return NULL;
}

static void test_readers_and_writers_miss_nothing_from_1_to_64_and_back(
	Fixture *f, gconstpointer data)
{
	World world = { .f = f };
	pthread_t threads[3];

	(void)data;
	fill(f, N_FIXED);
	pthread_create(&threads[0], NULL, reader, &world);
	pthread_create(&threads[1], NULL, reader, &world);
	pthread_create(&threads[2], NULL, writer, &world);
	want(f, 64);
	work_off(f);
	g_assert_cmpuint(n_of(f), ==, 64);
	want(f, 1);
	work_off(f);
	while (world.rounds < 2)
		g_usleep(1000);
	world.done = true;
	for (unsigned i = 0; i < G_N_ELEMENTS(threads); i++)
		pthread_join(threads[i], NULL);
	g_assert_cmpuint(n_of(f), ==, 1);
	assert_clean(f);
	assert_counters_right(f);
}

#define ADD(func)                                                            \
	g_test_add("/txn/frags/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_records_stand_where_mnesia_puts_them);
	ADD(test_every_record_is_there_after_every_batch);
	ADD(test_a_split_looks_at_the_split_fragment_only);
	ADD(test_what_changes_while_records_move_is_where_it_should_be);
	ADD(test_linked_files_and_directories_move_as_well);
	ADD(test_a_step_goes_on_after_a_restart);
	ADD(test_no_checkpoint_notices);
	ADD(test_a_checkpoint_made_in_the_middle_of_a_step_stands_still);
	ADD(test_a_rollback_leaves_the_fragments_as_they_are);
	ADD(test_a_transaction_sees_its_moment_while_records_move);
	ADD(test_a_transaction_that_drops_a_table_drops_its_fragments);
	ADD(test_what_cannot_be_is_refused);
	ADD(test_keyed_tables_grow_and_shrink_as_well);
	ADD(test_fragments_follow_the_number_of_records);
	ADD(test_a_dropped_table_leaves_nothing);
	ADD(test_a_record_in_the_wrong_fragment_is_moved_by_check);
	ADD(test_a_table_that_lost_its_map_is_found_again_by_check);
	ADD(test_readers_and_writers_miss_nothing_from_1_to_64_and_back);
	return g_test_run();
}
