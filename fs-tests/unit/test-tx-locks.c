/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-tx-locks.c - what a lock brings, and threads that lock as they go
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "txn/txlock.h"
#include "txn/txstate.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

#include "recount.h"

static const _Atomic bool never = false;

static MneTx *begin(MneStore *of, const char *label)
{
	MneTx *tx = begin_tx(of);

	mne_tx_set_label(tx, label);
	return tx;
}

static int lock_record(MneTx *tx, const char *name, bool write)
{
	const MneLockWant want = { .write = write, .table = "t", .name = name };
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));

	return mne_tx_lock(tx, &want, 1, &never, changes);
}

static void assert_locked(MneTx *tx, const char *name)
{
	g_assert_cmpint(lock_record(tx, name, true), ==, 0);
}

static void commit(MneTx *tx)
{
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
}

static void assert_seen(Fixture *f, const char *name, const char *text)
{
	assert_text(mne_store_live(f->store), f, name, text);
}

static void assert_names(Fixture *f, const char *names)
{
	g_autofree char *got = names_in(mne_store_live(f->store), f);

	g_assert_cmpstr(got, ==, names);
}

static void make_dir(Fixture *f, const char *name)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	MneSpot spot = spot_of(f, name);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_make(f->store, &spot, &what, &node), ==, 0);
}

static MneNode dir_of(Fixture *f)
{
	MnePlace place = { f->table, f->dir, MNE_ROOT_DIR, mne_slice_str("t"), true };
	MneNode node = { 0 };

	g_assert_cmpint(mne_live_node(f->store, &place, &node), ==, 0);
	return node;
}

static void assert_recounted(Fixture *f)
{
	work_off(f);
	assert_counters_right(f);
	assert_live_bytes_right(f);
}

/* ---- the present ---- */

static void test_with_a_lock_comes_the_present(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = begin(f->store, "one");
	Fixture inside = in_tx(f, tx);

	(void)data;
	write_text(f, "a", "after");
	assert_seen(&inside, "b", NULL);
	assert_locked(tx, "a");
	assert_seen(&inside, "a", "after");
	write_text(&inside, "a", "mine");
	commit(tx);
	assert_seen(f, "a", "mine");
}

static void test_what_was_staged_stays_and_directories_add_up(Fixture *f,
							      gconstpointer data)
{
	g_autoptr(MneTx) tx = begin(f->store, "one");
	Fixture inside = in_tx(f, tx);
	MneNode node;

	(void)data;
	write_text(&inside, "mine", "m");
	make_dir(&inside, "my-dir");
	for (unsigned i = 0; i < 3; i++) { /* again and again */
		g_autofree char *name = g_strdup_printf("theirs-%u", i);

		make_dir(f, name);
		assert_locked(tx, name);
	}
	node = dir_of(&inside);
	g_assert_cmpuint(node.entries, ==, 5);
	g_assert_cmpuint(node.nlink, ==, 6);
	mne_node_clear(&node);
	assert_names(&inside, "mine my-dir theirs-0 theirs-1 theirs-2");
	commit(tx);
	assert_names(f, "mine my-dir theirs-0 theirs-1 theirs-2");
	node = dir_of(f);
	g_assert_cmpuint(node.entries, ==, 5);
	g_assert_cmpuint(node.nlink, ==, 6);
	mne_node_clear(&node);
	assert_recounted(f);
}

static void test_what_was_read_and_changed_is_a_conflict(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin(f->store, "one");
	inside = in_tx(f, tx);
	assert_seen(&inside, "a", "1");
	write_text(f, "a", "2");
	g_assert_cmpint(mne_err_errno(lock_record(tx, "b", false)), ==, ECANCELED);
	g_assert_cmpint(mne_tx_state(tx), ==, MNE_TX_CONFLICT);
	mne_tx_abort(tx);
}

static void test_what_was_written_and_changed_is_a_conflict(Fixture *f,
							    gconstpointer data)
{
	g_autoptr(MneTx) tx = begin(f->store, "one");
	Fixture inside = in_tx(f, tx);

	(void)data;
	write_text(&inside, "a", "1");
	write_text(f, "a", "2");
	g_assert_cmpint(mne_err_errno(lock_record(tx, "a", true)), ==, ECANCELED);
	mne_tx_abort(tx);
	assert_seen(f, "a", "2");
}

/* The bytes of big files are in segments, which are not swept from under it. */
static void test_big_files_of_before_the_lock_are_whole_after_it(Fixture *f,
								 gconstpointer data)
{
	const size_t size = 300 * 1024;
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_file(f, "old", 1, size);
	write_file(f, "gone", 2, size);
	tx = begin(f->store, "one");
	inside = in_tx(f, tx);
	write_file(&inside, "new", 3, size);
	write_file(&inside, "old", 4, size);
	write_file(f, "other", 5, size);
	remove_file(f, "gone");
	work_off(f);
	assert_locked(tx, "other");
	work_off(f);
	assert_made(mne_store_live(inside.store), &inside, "new", 3, size);
	assert_made(mne_store_live(inside.store), &inside, "other", 5, size);
	write_file(&inside, "other", 6, size);
	write_file(&inside, "new", 7, size);
	commit(tx);
	work_off(f);
	assert_made(mne_store_live(f->store), f, "new", 7, size);
	assert_made(mne_store_live(f->store), f, "old", 4, size);
	assert_made(mne_store_live(f->store), f, "other", 6, size);
	assert_recounted(f);
}

static uint64_t base_of(MneTx *tx)
{
	MneTxInfo info;

	mne_tx_info(tx, &info);
	return info.base_seq;
}

static void test_while_an_inner_one_is_open_nothing_moves(Fixture *f,
							  gconstpointer data)
{
	g_autoptr(MneTx) outer = begin(f->store, "outer");
	g_autoptr(MneTx) inner = begin(mne_tx_store(outer), "inner");
	Fixture in_outer = in_tx(f, outer);
	uint64_t base = base_of(outer);

	(void)data;
	write_text(f, "a", "later");
	assert_locked(inner, "a");
	g_assert_cmpuint(base_of(outer), ==, base);
	mne_tx_abort(inner);
	assert_locked(outer, "a");
	g_assert_cmpuint(base_of(outer), >, base);
	assert_seen(&in_outer, "a", "later");
	mne_tx_abort(outer);
}

/* A listing that began before the lock is of the moment before: so what it says is read
 * counts as changed. */
static void test_a_listing_that_goes_on_over_a_lock_conflicts(Fixture *f,
							      gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	MneListing *listing = NULL;
	MneEntry entry;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "b", "1");
	tx = begin(f->store, "one");
	inside = in_tx(f, tx);
	g_assert_cmpint(mne_view_list(mne_store_live(inside.store), f->table, f->dir,
				      MNE_SLICE_EMPTY, &listing),
			==, 0);
	g_assert_cmpint(mne_listing_next(listing, &entry, NULL), ==, 1);
	write_text(f, "c", "1");
	assert_locked(tx, "x");
	g_assert_cmpint(mne_listing_next(listing, &entry, NULL), ==, 1);
	g_assert_cmpint(mne_listing_next(listing, &entry, NULL), ==, 0);
	mne_listing_free(listing);
	write_text(&inside, "d", "1");
	g_assert_cmpint(mne_err_errno(mne_tx_commit(tx, false, NULL)), ==, ECANCELED);
	mne_tx_abort(tx);
}

static void test_who_begins_again_is_as_old_as_before(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) first = begin(f->store, "first");
	g_autoptr(MneTx) second = begin(f->store, "second");
	g_autoptr(MneTx) again = NULL;
	uint64_t born = mne_tx_born(first);

	(void)data;
	g_assert_cmpuint(born, <, mne_tx_born(second));
	mne_tx_abort(first);
	again = begin(f->store, "again");
	g_assert_cmpuint(mne_tx_born(again), >, mne_tx_born(second));
	g_assert_cmpint(mne_tx_set_born(again, mne_tx_born(again) + 1), <, 0);
	g_assert_cmpint(mne_tx_set_born(again, 0), <, 0);
	g_assert_cmpint(mne_tx_set_born(again, born), ==, 0);
	assert_locked(again, "a");
	assert_locked(second, "b");
	g_assert_cmpint(mne_err_errno(lock_record(second, "a", false)), ==, ECANCELED);
	g_assert_cmpint(mne_err_errno(mne_tx_set_born(again, born)), ==, EBUSY);
	mne_tx_abort(second);
	mne_tx_abort(again);
}

/* ---- threads ---- */

enum { N_CLIENTS = 6, N_RECORDS = 4, ROUNDS = 25, START = 100 };

typedef struct {
	Fixture *f;
	unsigned number;
	atomic_uint *deaths;
	bool reads_along; /* lists and reads in the transaction while it locks */
} Client;

static unsigned pick(uint32_t *state, unsigned n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

static int number_in(Fixture *f, const char *name)
{
	g_autoptr(GBytes) bytes = bytes_in(mne_store_live(f->store), f, name);
	g_autofree char *text = NULL;

	g_assert_nonnull(bytes);
	text = g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes));
	return atoi(text);
}

static void add(Fixture *f, const char *name, int number)
{
	g_autofree char *text = g_strdup_printf("%d", number_in(f, name) + number);

	write_text(f, name, text);
}

/* false: it died. */
static bool take(MneTx *tx, Fixture *inside, unsigned record, int number)
{
	g_autofree char *name = g_strdup_printf("%u", record);
	int err = lock_record(tx, name, true);

	if (err < 0) {
		if (strcmp(mne_err_name(err), "TX_LOCKED") != 0)
			g_error("lock %s: %s", name, mne_err_sentence(err));
		return false;
	}
	add(inside, name, number);
	return true;
}

static bool transfer(const Client *client, unsigned from, unsigned to,
		     uint64_t *io_born)
{
	g_autofree char *label = g_strdup_printf("client %u", client->number);
	g_autoptr(MneTx) tx = begin(client->f->store, label);
	Fixture inside = in_tx(client->f, tx);
	bool done;

	if (*io_born != 0)
		g_assert_cmpint(mne_tx_set_born(tx, *io_born), ==, 0);
	*io_born = mne_tx_born(tx);
	done = take(tx, &inside, from, -1);
	g_usleep(500); /* so that others come between */
	done = done && take(tx, &inside, to, 1);
	if (done)
		commit(tx);
	else
		mne_tx_abort(tx);
	return done;
}

static void *run_client(void *data)
{
	const Client *client = data;
	uint32_t state = 77 * client->number + 1;

	for (unsigned i = 0; i < ROUNDS; i++) {
		unsigned from = pick(&state, N_RECORDS);
		unsigned to = (from + 1 + pick(&state, N_RECORDS - 1)) % N_RECORDS;
		uint64_t born = 0;

		while (!transfer(client, from, to, &born))
			atomic_fetch_add(client->deaths, 1);
	}
	return NULL;
}

static int total(Fixture *f)
{
	int sum = 0;

	for (unsigned i = 0; i < N_RECORDS; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);

		sum += number_in(f, name);
	}
	return sum;
}

static void fill(Fixture *f)
{
	for (unsigned i = 0; i < N_RECORDS; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);
		g_autofree char *text = g_strdup_printf("%u", START);

		write_text(f, name, text);
	}
}

/* Locks in any order: there is no deadlock, no conflict, and nothing is lost. */
static void test_threads_that_lock_as_they_go_all_get_through(Fixture *f,
							      gconstpointer data)
{
	pthread_t threads[N_CLIENTS];
	Client clients[N_CLIENTS];
	atomic_uint deaths = 0;

	(void)data;
	fill(f);
	for (unsigned i = 0; i < N_CLIENTS; i++) {
		clients[i] = (Client){ f, i, &deaths, false };
		g_assert_cmpint(
			pthread_create(&threads[i], NULL, run_client, &clients[i]), ==,
			0);
	}
	for (unsigned i = 0; i < N_CLIENTS; i++)
		pthread_join(threads[i], NULL);
	g_assert_cmpint(total(f), ==, N_RECORDS * START);
	g_assert_cmpuint(mne_store_open_txs(f->store), ==, 0);
	g_assert_true(mne_lock_table_is_empty(f->store->txs->locks.table));
	g_test_message("%u died", deaths);
}

/* Reads in the transaction, all the while it moves on. */
typedef struct {
	Fixture inside;
	atomic_bool over;
	atomic_uint rounds;
} Looker;

static void *look(void *data)
{
	Looker *looker = data;

	do {
		g_assert_cmpint(number_in(&looker->inside, "0"), ==, START);
		atomic_fetch_add(&looker->rounds, 1);
	} while (!atomic_load(&looker->over));
	return NULL;
}

static void *make_things(void *data)
{
	Looker *looker = data;

	for (unsigned i = 0; !atomic_load(&looker->over); i++) {
		g_autofree char *name = g_strdup_printf("in-%u", i % 50);

		write_text(&looker->inside, name, "x");
	}
	return NULL;
}

static void test_who_reads_and_writes_inside_goes_on_over_locks(Fixture *f,
								gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	pthread_t looking, making;
	Looker looker = { 0 };

	(void)data;
	fill(f);
	tx = begin(f->store, "one");
	looker.inside = in_tx(f, tx);
	g_assert_cmpint(pthread_create(&making, NULL, make_things, &looker), ==, 0);
	g_assert_cmpint(pthread_create(&looking, NULL, look, &looker), ==, 0);
	for (unsigned i = 0; i < 300; i++) {
		g_autofree char *name = g_strdup_printf("out-%u", i % 30);

		if (i % 3 == 0)
			write_text(f, "1", i % 2 ? "100" : "200");
		else
			write_text(f, name, "x");
		g_assert_cmpint(lock_record(tx, name, false), ==, 0);
	}
	atomic_store(&looker.over, true);
	pthread_join(looking, NULL);
	pthread_join(making, NULL);
	mne_tx_abort(tx);
	g_assert_cmpuint(looker.rounds, >, 0);
	assert_recounted(f);
}

typedef struct {
	MneTx *tx;
	_Atomic bool over;
	int result;
} Waiting;

static void *wait_for_lock(void *data)
{
	Waiting *waiting = data;
	const MneLockWant want = { .write = true, .table = "t", .name = "a" };
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));

	waiting->result = mne_tx_lock(waiting->tx, &want, 1, &waiting->over, changes);
	return NULL;
}

static void start_waiting(Waiting *waiting, MneTx *tx, pthread_t *out_thread)
{
	*waiting = (Waiting){ .tx = tx };
	g_assert_cmpint(pthread_create(out_thread, NULL, wait_for_lock, waiting), ==,
			0);
	while (!mne_tx_waits(tx))
		g_usleep(100);
}

static void test_a_wait_ends_when_it_is_over_or_its_transaction_is(Fixture *f,
								   gconstpointer data)
{
	g_autoptr(MneTx) holder = begin(f->store, "holder");
	g_autoptr(MneTx) tx = begin(f->store, "waits");
	Waiting waiting;
	pthread_t thread;

	(void)data;
	assert_locked(holder, "a");
	start_waiting(&waiting, tx, &thread);
	g_assert_cmpint(mne_err_errno(lock_record(tx, "b", true)), ==, EBUSY);
	atomic_store(&waiting.over, true);
	mne_tx_lock_wake(tx);
	pthread_join(thread, NULL);
	g_assert_cmpint(waiting.result, ==, -EINTR);
	start_waiting(&waiting, tx, &thread);
	mne_tx_abort(tx);
	pthread_join(thread, NULL);
	g_assert_cmpint(mne_err_errno(waiting.result), ==, ESTALE);
	mne_tx_abort(holder);
}

static void test_a_wait_ends_after_its_time(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) holder = begin(f->store, "holder");
	g_autoptr(MneTx) tx = NULL;

	(void)data;
	mne_store_set_tx_lock_timeout(f->store, 20);
	tx = begin(f->store, "waits");
	assert_locked(holder, "a");
	g_assert_cmpint(mne_err_errno(lock_record(tx, "a", true)), ==, ETIMEDOUT);
	g_assert_nonnull(
		strstr(mne_err_sentence(lock_record(tx, "a", true)), "holder"));
	g_assert_cmpint(mne_tx_state(tx), ==, MNE_TX_OPEN);
	mne_tx_abort(holder);
	assert_locked(tx, "a");
	mne_tx_abort(tx);
}

static void set_waiting(Fixture *f, unsigned waiting)
{
	MneTxLocks *locks = &f->store->txs->locks;

	MNE_WITH_LOCK(&locks->lock);
	locks->waiting = waiting;
}

/* Each takes a thread. */
static void test_only_so_many_wait(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = begin(f->store, "one");

	(void)data;
	set_waiting(f, MNE_TX_MAX_WAITING);
	g_assert_cmpint(mne_err_errno(lock_record(tx, "a", true)), ==, EDQUOT);
	g_assert_cmpint(mne_tx_state(tx), ==, MNE_TX_OPEN);
	set_waiting(f, MNE_TX_MAX_WAITING - 1);
	assert_locked(tx, "a");
	set_waiting(f, 0);
	mne_tx_abort(tx);
}

#define ADD(name, func)                                                    \
	g_test_add("/tx-locks/" name, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD("present", test_with_a_lock_comes_the_present);
	ADD("staged", test_what_was_staged_stays_and_directories_add_up);
	ADD("read", test_what_was_read_and_changed_is_a_conflict);
	ADD("written", test_what_was_written_and_changed_is_a_conflict);
	ADD("big", test_big_files_of_before_the_lock_are_whole_after_it);
	ADD("inner", test_while_an_inner_one_is_open_nothing_moves);
	ADD("listing", test_a_listing_that_goes_on_over_a_lock_conflicts);
	ADD("age", test_who_begins_again_is_as_old_as_before);
	ADD("threads", test_threads_that_lock_as_they_go_all_get_through);
	ADD("inside", test_who_reads_and_writes_inside_goes_on_over_locks);
	ADD("wait", test_a_wait_ends_when_it_is_over_or_its_transaction_is);
	ADD("timeout", test_a_wait_ends_after_its_time);
	ADD("many", test_only_so_many_wait);
	return g_test_run();
}
