/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-tx-precheck.c - what is validated before the gate, and what in it
 *
 * T2: whenever somebody changed what a transaction read, it conflicts: before it was
 * validated, or after.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "txn/frags.h"
#include "txn/txstate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "txns.h"

enum { MANY = 100 };

/* ---- the ring ---- */

static int count_one(void *user, MneSlice key)
{
	GString *all = user;

	g_string_append_len(all, (const char *)key.data, (gssize)key.len);
	return 0;
}

static void assert_since(const MneRecent *recent, uint64_t seq, const char *keys)
{
	g_autoptr(GString) all = g_string_new(NULL);

	g_assert_true(mne_recent_covers(recent, seq));
	g_assert_cmpint(mne_recent_foreach(recent, seq, count_one, all), ==, 0);
	g_assert_cmpstr(all->str, ==, keys);
}

static void test_what_was_changed_after_a_seq_is_known(void)
{
	MneRecent recent = { 0 };

	mne_recent_note(&recent, 5, mne_slice_str("x")); /* it is not kept yet */
	g_assert_false(mne_recent_covers(&recent, 5));
	mne_recent_start(&recent, 5);
	assert_since(&recent, 5, "");
	g_assert_false(mne_recent_covers(&recent, 4));
	mne_recent_note(&recent, 6, mne_slice_str("a"));
	mne_recent_note(&recent, 7, mne_slice_str("b"));
	mne_recent_note(&recent, 7, mne_slice_str("c"));
	assert_since(&recent, 5, "cba");
	assert_since(&recent, 6, "cb");
	assert_since(&recent, 7, "");
	mne_recent_start(&recent, 9); /* it goes on */
	assert_since(&recent, 5, "cba");
	mne_recent_clear(&recent);
	g_assert_false(mne_recent_covers(&recent, 7));
}

static void test_what_was_forgotten_is_not_covered(void)
{
	MneRecent recent = { 0 };

	mne_recent_start(&recent, 0);
	for (unsigned i = 1; i <= 65536 + 1; i++)
		mne_recent_note(&recent, i / 2, mne_slice_str("a")); /* two each */
	g_assert_false(mne_recent_covers(&recent, 0));
	g_assert_false(mne_recent_covers(&recent, 16383));
	g_assert_true(mne_recent_covers(&recent, 16384));
	mne_recent_clear(&recent);
}

/* ---- transactions ---- */

static void fill(Fixture *f)
{
	for (unsigned i = 0; i < MANY; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		write_text(f, name, "0");
	}
	write_text(f, "unread", "0");
}

static void read_all(Fixture *f)
{
	for (unsigned i = 0; i < MANY; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		g_bytes_unref(bytes_in(mne_store_live(f->store), f, name));
	}
}

static int validate(Fixture *f, MneTx *tx)
{
	MNE_WITH_LOCK(&f->store->gate);
	return mne_tx_validate(tx, tx->reads);
}

static void prevalidate(MneTx *tx)
{
	g_assert_cmpint(mne_tx_prevalidate(tx, tx->reads), ==, 0);
	g_assert_true(mne_tx_is_prevalidated(tx));
}

static void assert_conflict(Fixture *f, MneTx *tx, const char *path)
{
	g_autoptr(GPtrArray) conflicts = NULL;

	g_assert_cmpint(mne_err_errno(validate(f, tx)), ==, ECANCELED);
	conflicts = mne_tx_conflicts(tx);
	g_assert_cmpuint(conflicts->len, ==, 1);
	g_assert_cmpstr(conflicts->pdata[0], ==, path);
	mne_tx_abort(tx);
}

static void test_what_was_not_read_may_change_in_between(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	write_text(&inside, "0", "mine");
	prevalidate(tx);
	g_assert_cmpint(validate(f, tx), ==, 0);
	write_text(f, "unread", "1");
	write_text(f, "new", "1"); /* and with it the directory */
	g_assert_true(mne_tx_is_prevalidated(tx));
	g_assert_cmpint(validate(f, tx), ==, 0);
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
}

static void test_what_was_read_and_changed_in_between_conflicts(Fixture *f,
								gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	prevalidate(tx);
	write_text(f, "unread", "1");
	write_text(f, "17", "1");
	assert_conflict(f, tx, "t/17");
}

static void test_what_was_absent_and_came_in_between_conflicts(Fixture *f,
							       gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	g_assert_null(bytes_in(mne_store_live(inside.store), &inside, "absent"));
	prevalidate(tx);
	write_text(f, "absent", "1");
	assert_conflict(f, tx, "t/absent");
}

static void spread(Fixture *f, uint32_t fragments)
{
	g_assert_cmpint(mne_frags_want(f->store, mne_slice_str("t"), fragments), ==, 0);
	work_off(f);
}

static void check_listing(Fixture *f)
{
	g_autoptr(MneTx) tx = NULL;
	g_autofree char *names = NULL;
	Fixture inside;

	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	names = names_in(mne_store_live(inside.store), &inside);
	prevalidate(tx);
	write_text(f, "unread", "2"); /* the same names */
	g_assert_cmpint(validate(f, tx), ==, 0);
	write_text(f, "zz", "1");
	assert_conflict(f, tx, "t/zz");
}

static void test_a_name_that_came_into_a_listing_in_between_conflicts(
	Fixture *f, gconstpointer data)
{
	(void)data;
	check_listing(f);
}

static void test_and_so_it_does_in_a_table_with_fragments(Fixture *f,
							  gconstpointer data)
{
	(void)data;
	spread(f, 4);
	check_listing(f);
}

static void test_what_was_changed_before_conflicts_before_the_gate(Fixture *f,
								   gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	write_text(f, "3", "1");
	g_assert_cmpint(mne_err_errno(mne_tx_prevalidate(tx, tx->reads)), ==,
			ECANCELED);
	g_assert_false(mne_tx_is_prevalidated(tx));
	assert_conflict(f, tx, "t/3");
}

static void test_when_too_much_was_changed_all_is_validated_again(Fixture *f,
								  gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	fill(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	read_all(&inside);
	prevalidate(tx);
	write_text(f, "5", "1");
	for (unsigned i = 0; i < 65536; i++) {
		MNE_WITH_LOCK(&f->store->gate);
		mne_txs_note(f->store, f->store->volume->seq, mne_slice_str("k"));
	}
	g_assert_false(mne_tx_is_prevalidated(tx));
	assert_conflict(f, tx, "t/5");
}

/* ---- write skew, by threads ---- */

enum { N_CLIENTS = 4, LIMIT = 60 };

typedef struct {
	Fixture *f;
	unsigned number;
	atomic_uint *conflicts;
} Client;

static int number_in(Fixture *f, const char *name)
{
	g_autoptr(GBytes) bytes = bytes_in(mne_store_live(f->store), f, name);
	g_autofree char *text = g_strndup(g_bytes_get_data(bytes, NULL),
					  g_bytes_get_size(bytes));

	return atoi(text);
}

static int sum(Fixture *f)
{
	int all = 0;

	for (unsigned i = 0; i < MANY; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		all += number_in(f, name);
	}
	return all;
}

/* All together are never more than the limit; each adds to records of his own. */
static bool add_one(const Client *client, unsigned round)
{
	unsigned mine = (client->number + N_CLIENTS * round) % MANY;
	g_autofree char *name = g_strdup_printf("%u", mine);
	g_autoptr(MneTx) tx = begin_tx(client->f->store);
	Fixture inside = in_tx(client->f, tx);
	g_autofree char *text = NULL;
	int err;

	if (sum(&inside) >= LIMIT) {
		mne_tx_abort(tx);
		return false;
	}
	text = g_strdup_printf("%d", number_in(&inside, name) + 1);
	write_text(&inside, name, text);
	g_usleep(100); /* so that others come between */
	err = mne_tx_commit(tx, false, NULL);
	if (err < 0) {
		g_assert_cmpint(mne_err_errno(err), ==, ECANCELED);
		atomic_fetch_add(client->conflicts, 1);
		mne_tx_abort(tx);
	}
	return true;
}

static void *run_client(void *data)
{
	const Client *client = data;

	for (unsigned round = 0; add_one(client, round); round++)
		;
	return NULL;
}

static void test_threads_that_read_all_never_go_beyond_a_limit(Fixture *f,
							       gconstpointer data)
{
	pthread_t threads[N_CLIENTS];
	Client clients[N_CLIENTS];
	atomic_uint conflicts = 0;

	(void)data;
	fill(f);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		clients[i] = (Client){ f, i, &conflicts };
		g_assert_cmpint(
			pthread_create(&threads[i], NULL, run_client, &clients[i]), ==,
			0);
	}
	for (unsigned i = 0; i < N_CLIENTS; i++)
		pthread_join(threads[i], NULL);
	g_assert_cmpint(sum(f), ==, LIMIT);
	g_test_message("%u conflicts", conflicts);
}

#define ADD(name, func)                                                       \
	g_test_add("/tx-precheck/" name, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add_func("/tx-precheck/ring",
			test_what_was_changed_after_a_seq_is_known);
	g_test_add_func("/tx-precheck/forgotten",
			test_what_was_forgotten_is_not_covered);
	ADD("unread", test_what_was_not_read_may_change_in_between);
	ADD("read", test_what_was_read_and_changed_in_between_conflicts);
	ADD("absent", test_what_was_absent_and_came_in_between_conflicts);
	ADD("listing", test_a_name_that_came_into_a_listing_in_between_conflicts);
	ADD("fragments", test_and_so_it_does_in_a_table_with_fragments);
	ADD("before", test_what_was_changed_before_conflicts_before_the_gate);
	ADD("much", test_when_too_much_was_changed_all_is_validated_again);
	ADD("skew", test_threads_that_read_all_never_go_beyond_a_limit);
	return g_test_run();
}
