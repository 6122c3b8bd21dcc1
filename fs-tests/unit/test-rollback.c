/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-rollback.c - rolling back, without a mount
 *
 * After each rollback the live tables are what the checkpoint shows, the checkpoint made of
 * what was left behind is what they were, and every count is right.
 */
#include "config.h"

#include "txn/rollback.h"
#include "txn/tx.h"

#include "recount.h"

enum { N_NAMES = 8, ROUNDS = 60, OPS = 12 };

static MneRollbackResult roll_back(Fixture *f, const char *name)
{
	MneRollbackSpec spec = { .name = mne_slice_str(name) };
	g_autoptr(MneWritten) written = NULL;
	MneRollbackResult result;

	g_assert_cmpint(mne_store_rollback(f->store, &spec, &result, &written), ==, 0);
	return result;
}

static MneCkpt *find(Fixture *f, const char *name)
{
	MneCkpt *ckpt = NULL;

	g_assert_cmpint(
		mne_ckpts_find(mne_store_ckpts(f->store), mne_slice_str(name), &ckpt),
		==, 0);
	return ckpt;
}

static void assert_same(const Fixture *f, MneView *a, MneView *b)
{
	g_autofree char *names = names_in(a, f);
	g_autofree char *others = names_in(b, f);
	g_auto(GStrv) each = g_strsplit(names, " ", -1);

	g_assert_cmpstr(names, ==, others);
	for (char **name = each; *name && **name; name++) {
		g_autoptr(GBytes) x = bytes_in(a, f, *name);
		g_autoptr(GBytes) y = bytes_in(b, f, *name);

		g_assert_nonnull(x);
		g_assert_nonnull(y);
		g_assert_true(g_bytes_equal(x, y));
	}
}

static void assert_counts_right(Fixture *f)
{
	assert_counters_right(f);
	assert_live_bytes_right(f);
	assert_tally_right(f);
}

static void test_names_come_back_change_and_go(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) before = NULL;
	g_autoptr(MneCkpt) then = NULL;
	MneRollbackResult result;

	(void)data;
	write_text(f, "kept", "same");
	write_text(f, "changed", "before");
	write_text(f, "removed", "gone");
	write_file(f, "big", 1, 300000);
	then = checkpoint(f, "c");
	write_text(f, "changed", "after");
	remove_file(f, "removed");
	remove_file(f, "big");
	write_text(f, "made", "new");
	work_off(f);

	result = roll_back(f, "c");
	g_assert_cmpuint(result.returned, ==, 2);
	g_assert_cmpuint(result.changed, ==, 1);
	g_assert_cmpuint(result.removed, ==, 1);
	g_assert_cmpuint(result.cut, ==, 0);
	assert_same(f, mne_store_live(f->store), &then->view);
	assert_made(mne_store_live(f->store), f, "big", 1, 300000);
	before = find(f, result.before);
	assert_text(&before->view, f, "changed", "after");
	assert_text(&before->view, f, "made", "new");
	assert_text(&before->view, f, "big", NULL);
	assert_counts_right(f);
}

static void change_something(Fixture *f)
{
	unsigned n = (unsigned)g_test_rand_int_range(0, N_NAMES);
	g_autofree char *name = g_strdup_printf("f%u", n);
	g_autoptr(GBytes) there = bytes_in(mne_store_live(f->store), f, name);
	static const size_t sizes[] = { 0, 10, 4000, 5000, 200000, 700000 };

	if (there && g_test_rand_int_range(0, 3) == 0)
		remove_file(f, name);
	else
		write_file(f, name, (unsigned)g_test_rand_int(),
			   sizes[g_test_rand_int_range(0, G_N_ELEMENTS(sizes))]);
}

/* The name of one that there is. */
static char *some_checkpoint(Fixture *f)
{
	g_autoptr(GPtrArray) all = mne_ckpts_list(mne_store_ckpts(f->store));

	return mne_ckpt_name(all->pdata[g_test_rand_int_range(0, (gint32)all->len)]);
}

static void drop_some(Fixture *f)
{
	while (mne_ckpts_count(mne_store_ckpts(f->store)) > 5) {
		g_autofree char *name = some_checkpoint(f);

		g_assert_cmpint(mne_store_drop(f->store, mne_slice_str(name)), ==, 0);
	}
}

static void rollback_round(Fixture *f, unsigned round)
{
	g_autofree char *made = g_strdup_printf("c%u", round);
	g_autoptr(MneCkpt) then = NULL;
	g_autoptr(MneCkpt) before = NULL;
	g_autofree char *name = NULL;
	MneRollbackResult result;

	mne_ckpt_unref(checkpoint(f, made));
	for (unsigned i = 0; i < OPS; i++)
		change_something(f);
	if (g_test_rand_bit())
		work_off(f);
	name = some_checkpoint(f);
	then = find(f, name);
	result = roll_back(f, name);
	before = find(f, result.before);
	assert_same(f, mne_store_live(f->store), &then->view);
	assert_counts_right(f);
	if (g_test_rand_bit()) {
		roll_back(f, result.before);
		assert_same(f, mne_store_live(f->store), &before->view);
	}
	drop_some(f);
	if (g_test_rand_bit())
		work_off(f);
	assert_counts_right(f);
}

static void test_any_history_can_be_gone_back_in(Fixture *f, gconstpointer data)
{
	(void)data;
	for (unsigned round = 0; round < ROUNDS; round++)
		rollback_round(f, round);
	fixture_reopen(f);
	assert_counts_right(f);
}

static void test_many_batches_are_as_good_as_one(Fixture *f, gconstpointer data)
{
	(void)data;
	g_setenv("MNE_DEBUG", "rollback-batch=1000", TRUE);
	for (unsigned round = 0; round < ROUNDS / 2; round++)
		rollback_round(f, round);
	g_unsetenv("MNE_DEBUG");
	g_assert_cmpuint(keys_of(f, MNE_TAG_ROLLBACK), ==, 0);
}

/* T2: somebody else changed what it read. */
static void test_an_open_transaction_conflicts_with_a_rollback(Fixture *f,
							       gconstpointer data)
{
	g_autoptr(MneTx) reader = NULL;
	g_autoptr(MneTx) other = NULL;
	g_autoptr(MneCkpt) ckpt = NULL;
	Fixture inside = *f;

	(void)data;
	write_text(f, "changed", "before");
	write_text(f, "same", "same");
	ckpt = checkpoint(f, "c");
	write_text(f, "changed", "after");
	g_assert_cmpint(mne_tx_begin(f->store, &reader), ==, 0);
	g_assert_cmpint(mne_tx_begin(f->store, &other), ==, 0);
	inside.store = mne_tx_store(reader);
	assert_text(mne_store_live(inside.store), &inside, "changed", "after");
	write_text(&inside, "result", "of what was read");
	inside.store = mne_tx_store(other);
	assert_text(mne_store_live(inside.store), &inside, "same", "same");
	write_text(&inside, "independent", "of it");

	roll_back(f, "c");
	g_assert_cmpint(mne_err_errno(mne_tx_commit(reader, false, NULL)), ==,
			ECANCELED);
	mne_tx_abort(reader);
	assert_text(mne_store_live(f->store), f, "result", NULL);
	g_assert_cmpint(mne_tx_commit(other, false, NULL), ==, 0);
	assert_text(mne_store_live(f->store), f, "independent", "of it");
	assert_text(mne_store_live(f->store), f, "changed", "before");
	assert_counts_right(f);
}

static void add(const char *path, void (*func)(Fixture *, gconstpointer))
{
	g_test_add(path, Fixture, NULL, fixture_set_up, func, fixture_tear_down);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	add("/rollback/names_come_back_change_and_go",
	    test_names_come_back_change_and_go);
	add("/rollback/any_history_can_be_gone_back_in",
	    test_any_history_can_be_gone_back_in);
	add("/rollback/many_batches_are_as_good_as_one",
	    test_many_batches_are_as_good_as_one);
	add("/rollback/an_open_transaction_conflicts_with_a_rollback",
	    test_an_open_transaction_conflicts_with_a_rollback);
	return g_test_run();
}
