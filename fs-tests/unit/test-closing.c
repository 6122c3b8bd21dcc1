/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-closing.c - moments that are kept lie between closes
 *
 * A process closes `earlier`, whose commit is still to come, and makes `later`.  Whoever
 * keeps that moment waits for the close: he sees both.  He does not wait for ever, and so
 * a machine that is busy enough may have him see `later` alone, in a round or two.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "txn/rollback.h"
#include "txn/txlock.h"
#include "txn/txstate.h"

#include <pthread.h>
#include <stdatomic.h>

#include "txns.h"

enum { ROUNDS = 20, MOST_UNLUCKY = ROUNDS / 2, CLOSE_TAKES_US = 1000 };

typedef struct {
	Fixture *f;
	MneTx *tx; /* what the moment belongs to, or NULL */
	MneCkpt *ckpt; /* the moment; or NULL */
	atomic_bool started;
} Keeper;

typedef void (*Keep)(Keeper *keeper);

/* ---- who keeps a moment ---- */

static void keep_checkpoint(Keeper *keeper)
{
	keeper->ckpt = checkpoint(keeper->f, "kept");
}

static void keep_before_rollback(Keeper *keeper)
{
	MneRollbackSpec spec = { .name = mne_slice_str("then") };
	MneStore *store = keeper->f->store;
	g_autoptr(MneWritten) written = NULL;
	MneRollbackResult result;

	g_assert_cmpint(mne_store_rollback(store, &spec, &result, &written), ==, 0);
	g_assert_cmpint(mne_ckpts_find(mne_store_ckpts(store),
				       mne_slice_str(result.before), &keeper->ckpt),
			==, 0);
}

static void keep_beginning(Keeper *keeper)
{
	keeper->tx = begin_tx(keeper->f->store);
}

/* A lock brings the present. */
static void keep_renewal(Keeper *keeper)
{
	const MneLockWant want = { .write = true, .table = "t", .name = "locked" };
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));
	static const _Atomic bool never = false;

	g_assert_cmpint(mne_tx_lock(keeper->tx, &want, 1, &never, changes), ==, 0);
}

/* ---- a round ---- */

typedef struct {
	Keeper keeper;
	Keep keep;
} Job;

static void *run_job(void *data)
{
	Job *job = data;

	job->keeper.started = true;
	job->keep(&job->keeper);
	return NULL;
}

static MneFile *write_without_closing(Fixture *f, const char *name)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneSpot spot = spot_of(f, name);
	MneFile *file = NULL;
	MneNode node;

	g_assert_cmpint(mne_file_create(f->store, &spot, &what, &file, &node), ==, 0);
	g_assert_cmpint(mne_file_write(file, 0, "earlier", 7, false, false), ==, 7);
	return file;
}

static void close_and_go_on(Fixture *f, Job *job)
{
	MneStore *live = mne_store_root(f->store);
	MneFile *file = write_without_closing(f, "earlier");
	pthread_t thread;

	mne_store_closing(live, true);
	write_text(f, "later", "later");
	g_assert_cmpint(pthread_create(&thread, NULL, run_job, job), ==, 0);
	while (!job->keeper.started)
		g_usleep(10);
	g_usleep(CLOSE_TAKES_US);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	mne_store_closing(live, false);
	pthread_join(thread, NULL);
}

static bool sees(Keeper *keeper, const char *name)
{
	MneView *view = keeper->ckpt ? &keeper->ckpt->view
				     : mne_store_live(mne_tx_store(keeper->tx));
	g_autoptr(GBytes) bytes = bytes_in(view, keeper->f, name);

	return bytes != NULL;
}

static void let_go(Fixture *f, Keeper *keeper)
{
	if (keeper->tx)
		mne_tx_abort(keeper->tx);
	g_clear_pointer(&keeper->tx, mne_tx_unref);
	if (keeper->ckpt) {
		g_autofree char *name = mne_ckpt_name(keeper->ckpt);

		g_assert_cmpint(mne_store_drop(f->store, mne_slice_str(name)), ==, 0);
	}
	g_clear_pointer(&keeper->ckpt, mne_ckpt_unref);
}

static void remove_if_there(Fixture *f, const char *name)
{
	g_autoptr(GBytes) bytes = bytes_in(mne_store_live(f->store), f, name);

	if (bytes)
		remove_file(f, name);
}

static void assert_sees_both(Fixture *f, Keep keep, bool in_open_tx)
{
	unsigned unlucky = 0;

	for (unsigned i = 0; i < ROUNDS; i++) {
		Job job = { { .f = f }, keep };

		if (in_open_tx)
			job.keeper.tx = begin_tx(f->store);
		close_and_go_on(f, &job);
		g_assert_true(sees(&job.keeper, "later"));
		unlucky += !sees(&job.keeper, "earlier");
		let_go(f, &job.keeper);
		remove_if_there(f, "earlier");
		remove_if_there(f, "later");
	}
	g_assert_cmpuint(unlucky, <=, MOST_UNLUCKY);
}

/* ---- the tests ---- */

static void test_a_checkpoint_has_what_was_closed_before_what_it_has(Fixture *f,
								     gconstpointer data)
{
	(void)data;
	assert_sees_both(f, keep_checkpoint, false);
}

static void test_what_a_rollback_leaves_behind_has_what_was_closed(Fixture *f,
								   gconstpointer data)
{
	(void)data;
	mne_ckpt_unref(checkpoint(f, "then"));
	assert_sees_both(f, keep_before_rollback, false);
}

static void test_a_transaction_begins_between_closes(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_sees_both(f, keep_beginning, false);
}

static void test_a_lock_brings_a_present_between_closes(Fixture *f, gconstpointer data)
{
	(void)data;
	assert_sees_both(f, keep_renewal, true);
}

static void test_an_inner_transaction_begins_between_closes(Fixture *f,
							    gconstpointer data)
{
	MneTx *tx = begin_tx(f->store);
	Fixture inside = in_tx(f, tx);

	(void)data;
	assert_sees_both(&inside, keep_beginning, false);
	mne_tx_abort(tx);
	mne_tx_unref(tx);
}

static void test_nobody_waits_for_a_close_for_ever(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneTx *tx;

	(void)data;
	mne_store_closing(f->store, true);
	ckpt = checkpoint(f, "kept");
	tx = begin_tx(f->store);
	mne_tx_abort(tx);
	mne_tx_unref(tx);
	mne_store_closing(f->store, false);
}

#define ADD(name)                                                                 \
	g_test_add("/closing/" #name, Fixture, NULL, fixture_set_up, test_##name, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(a_checkpoint_has_what_was_closed_before_what_it_has);
	ADD(what_a_rollback_leaves_behind_has_what_was_closed);
	ADD(a_transaction_begins_between_closes);
	ADD(a_lock_brings_a_present_between_closes);
	ADD(an_inner_transaction_begins_between_closes);
	ADD(nobody_waits_for_a_close_for_ever);
	return g_test_run();
}
