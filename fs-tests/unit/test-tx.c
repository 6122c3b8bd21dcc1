/* SPDX-License-Identifier: Apache-2.0
 *
 * unit/test-tx.c - what a transaction sees, what it changes, and what it conflicts with
 *
 * T1: one consistent state and its own changes, seen by nobody before commit, one batch.
 * T2: what it read or wrote was changed by somebody else: nothing is changed.
 * T3: an open transaction blocks nobody.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "txn/filestate.h"
#include "txn/tx.h"

#include <sys/xattr.h>

#include "recount.h"

#define BIG (300u * 1024)

static const MneMake a_dir = { .mode = S_IFDIR | 0755 };

static void commit(MneTx *tx)
{
	g_assert_cmpint(mne_tx_commit(tx, false, NULL), ==, 0);
	g_assert_cmpint(mne_tx_state(tx), ==, MNE_TX_COMMITTED);
}

/* Conflicts, naming all of the space-separated words. */
static void assert_conflict(MneTx *tx, const char *names)
{
	g_autoptr(GPtrArray) conflicts = NULL;
	g_autofree char *got = NULL;

	g_assert_cmpint(mne_err_errno(mne_tx_commit(tx, false, NULL)), ==, ECANCELED);
	g_assert_cmpint(mne_tx_state(tx), ==, MNE_TX_CONFLICT);
	conflicts = mne_tx_conflicts(tx);
	g_ptr_array_add(conflicts, NULL);
	got = g_strjoinv(" ", (char **)conflicts->pdata);
	g_assert_cmpstr(got, ==, names);
	mne_tx_abort(tx);
}

static void assert_live(Fixture *f, const char *name, const char *text)
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
	MneSpot spot = spot_of(f, name);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, 0);
}

static int remove_dir(Fixture *f, const char *name)
{
	MneSpot spot = spot_of(f, name);
	uint64_t rec;

	return mne_rmdir(f->store, &spot, &rec);
}

static void rename_file(Fixture *f, const char *from, const char *to)
{
	MneSpot a = spot_of(f, from), b = spot_of(f, to);
	uint64_t moved, other;

	g_assert_cmpint(mne_rename(f->store, &a, &b, 0, &moved, &other), ==, 0);
}

static void link_file(Fixture *f, const char *from, const char *to)
{
	MnePlace place = place_of(f, from);
	MneSpot spot = spot_of(f, to);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_link(f->store, &place, &spot, &node), ==, 0);
}

static void set_mode(Fixture *f, const char *name, uint32_t mode)
{
	const MneAttrChange change = { .set = MNE_SET_MODE, .mode = mode };
	MnePlace place = place_of(f, name);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_setattr(f->store, &place, &change, &node), ==, 0);
}

static MneFile *open_file(Fixture *f, const char *name, bool writable)
{
	MnePlace place = place_of(f, name);
	MneFile *file = NULL;

	g_assert_cmpint(mne_file_open(f->store, &place, writable, false, &file), ==, 0);
	return file;
}

static void overwrite(Fixture *f, const char *name, uint64_t offset, const char *text)
{
	MneFile *file = open_file(f, name, true);

	g_assert_cmpint(mne_file_write(file, offset, text, strlen(text), false, false),
			==, strlen(text));
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

/* ---- T1: what is seen, and by whom ---- */

static void test_changes_are_seen_inside_and_not_outside(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "b", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_text(&inside, "a", "2");
	write_text(&inside, "c", "2");
	remove_file(&inside, "b");

	assert_live(&inside, "a", "2");
	assert_names(&inside, "a c");
	assert_live(f, "a", "1");
	assert_names(f, "a b");
	commit(tx);
	assert_live(f, "a", "2");
	assert_live(f, "c", "2");
	assert_names(f, "a c");
	assert_counters_right(f);
}

static void test_it_sees_the_moment_it_began(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	write_file(f, "big", 1, BIG);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_text(f, "a", "2");
	write_text(f, "new", "2");
	write_file(f, "big", 2, BIG);
	work_off(f); /* what the old bytes lay in stays */

	assert_live(&inside, "a", "1");
	assert_names(&inside, "a big");
	assert_made(mne_store_live(inside.store), &inside, "big", 1, BIG);
	mne_tx_abort(tx);
	work_off(f);
	assert_made(mne_store_live(f->store), f, "big", 2, BIG);
	assert_live_bytes_right(f);
}

static void test_commit_is_one_seq(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = begin_tx(f->store);
	Fixture inside = in_tx(f, tx);
	uint64_t seq = f->store->volume->seq;
	MneTxInfo info;

	(void)data;
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *name = g_strdup_printf("%02u", i);

		write_text(&inside, name, "x");
	}
	g_assert_cmpuint(f->store->volume->seq, ==, seq);
	commit(tx);
	mne_tx_info(tx, &info);
	g_assert_cmpuint(f->store->volume->seq, ==, seq + 1);
	g_assert_cmpuint(info.seq, ==, seq + 1);
	assert_counters_right(f);
}

static void test_abort_leaves_nothing(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	uint64_t seq;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	seq = f->store->volume->seq;
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_file(&inside, "big", 1, BIG);
	write_text(&inside, "a", "2");
	make_dir(&inside, "d");
	mne_tx_abort(tx);
	work_off(f);

	g_assert_cmpuint(f->store->volume->seq, ==, seq);
	assert_live(f, "a", "1");
	assert_names(f, "a");
	assert_live_bytes_right(f);
	g_assert_cmpuint(mne_store_open_txs(f->store), ==, 0);
}

static void test_an_ended_one_answers_gone(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	g_autoptr(MneTx) other = NULL;
	g_auto(MneNode) node = { 0 };
	MneSpot spot = spot_of(f, "b");
	uint32_t table;
	MneFile *file;
	Fixture inside;
	char byte;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	file = open_file(&inside, "a", false);
	commit(tx);
	g_assert_cmpint(
		mne_err_errno(mne_live_lookup(inside.store, f->table, f->dir,
					      mne_slice_str("a"), &table, &node)),
		==, ESTALE);
	g_assert_cmpint(mne_err_errno(mne_make(inside.store, &spot, &a_dir, &node)), ==,
			ESTALE);
	g_assert_cmpint(mne_err_errno(mne_tx_commit(tx, false, NULL)), ==, ESTALE);
	g_assert_cmpint(mne_file_read(file, 0, &byte, 1), <=, 1); /* no crash */
	g_assert_cmpint(mne_file_close(file, false), ==, 0);
	g_assert_cmpint(mne_err_errno(mne_tx_begin(inside.store, &other)), ==, ESTALE);
}

/* All that POSIX has, staged. */
static void change_everything(Fixture *f)
{
	MnePlace place;
	MneSpot spot = { f->table, 0, mne_slice_str("in") };
	g_auto(MneNode) node = { 0 };
	g_autofree void *zeros = g_malloc0(3000);

	write_file(f, "big", 3, BIG);
	overwrite(f, "kept", 1000, "middle");
	overwrite(f, "small", 1, "X");
	rename_file(f, "moved", "there");
	rename_file(f, "over", "target");
	link_file(f, "linked", "second");
	remove_file(f, "gone");
	make_dir(f, "dir");
	place = place_of(f, "dir");
	spot.dir = place.rec;
	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, 0);
	set_mode(f, "small", 0600);
	place = place_of(f, "small");
	g_assert_cmpint(mne_setxattr(f->store, &place, mne_slice_str("user.big"),
				     mne_slice(zeros, 3000), 0),
			==, 0);
}

static void assert_everything(Fixture *f)
{
	MneView *view = mne_store_live(f->store);
	g_autoptr(GBytes) value = NULL;
	g_autoptr(GBytes) kept = bytes_in(view, f, "kept");
	MnePlace place = place_of(f, "small");
	g_auto(MneNode) node = { 0 };

	assert_made(view, f, "big", 3, BIG);
	g_assert_cmpmem((const char *)g_bytes_get_data(kept, NULL) + 1000, 6, "middle",
			6);
	assert_text(view, f, "small", "sXall");
	assert_text(view, f, "there", "moved");
	assert_text(view, f, "target", "over");
	assert_text(view, f, "second", "linked");
	assert_names(f, "big dir kept linked second small target there");
	g_assert_cmpint(mne_live_node(f->store, &place, &node), ==, 0);
	g_assert_cmpint(node.mode, ==, S_IFREG | 0600);
	g_assert_cmpint(
		mne_live_xattr(f->store, &place, mne_slice_str("user.big"), &value), ==,
		0);
	g_assert_cmpuint(g_bytes_get_size(value), ==, 3000);
}

static void prepare_everything(Fixture *f)
{
	write_file(f, "kept", 7, BIG);
	write_text(f, "small", "small");
	write_text(f, "moved", "moved");
	write_text(f, "over", "over");
	write_file(f, "target", 8, BIG);
	write_text(f, "linked", "linked");
	write_file(f, "gone", 9, BIG);
}

static void test_everything_works_inside_and_is_there_after(Fixture *f,
							    gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	prepare_everything(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	change_everything(&inside);
	assert_everything(&inside);
	assert_counters_right(&inside);
	commit(tx);
	assert_everything(f);
	assert_counters_right(f);
	work_off(f);
	assert_live_bytes_right(f);
	fixture_reopen(f);
	assert_everything(f);
	assert_live_bytes_right(f);
}

static void test_tables_come_and_go_inside(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = begin_tx(f->store);
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) looked_up = { 0 };
	uint64_t rec;
	uint32_t table, again;
	Fixture inside = in_tx(f, tx), u;

	(void)data;
	g_assert_cmpint(mne_table_create(inside.store, mne_slice_str("u"), &a_dir,
					 &table, &node),
			==, 0);
	u = inside;
	u.table = table;
	u.dir = node.rec;
	write_text(&u, "k", "v");
	g_assert_cmpint(mne_table_drop(inside.store, mne_slice_str("t"), &rec), ==, 0);
	commit(tx);

	g_assert_cmpint(mne_live_lookup(f->store, MNE_ROOT_TABLE, MNE_ROOT_DIR,
					mne_slice_str("t"), &again, &looked_up),
			==, -ENOENT);
	u.store = f->store;
	assert_live(&u, "k", "v");
	/* The id is not given to another table. */
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str("w"), &a_dir, &again,
					 &looked_up),
			==, 0);
	g_assert_cmpuint(again, !=, table);
	mne_store_close(f->store);
	g_assert_cmpint(mne_store_open(f->path,
				       &(MneStoreOptions){ .no_background = true },
				       &f->store),
			==, 0);
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str("x"), &a_dir, &again,
					 &looked_up),
			==, 0);
	g_assert_cmpuint(again, >, table);
}

/* ---- T2: conflicts ---- */

static void test_a_lost_update_is_refused(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_live(&inside, "a", "1");
	write_text(&inside, "a", "2");
	write_text(f, "a", "other");
	assert_conflict(tx, "t/a");
	assert_live(f, "a", "other");
}

static void test_of_two_writers_the_first_commits(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) one = NULL;
	g_autoptr(MneTx) two = NULL;
	Fixture in_one, in_two;

	(void)data;
	write_text(f, "a", "0");
	one = begin_tx(f->store);
	two = begin_tx(f->store);
	in_one = in_tx(f, one);
	in_two = in_tx(f, two);
	write_text(&in_one, "a", "1");
	write_text(&in_two, "a", "2");
	commit(two);
	assert_conflict(one, "t/a");
	assert_live(f, "a", "2");
}

/* Each reads both and writes one: not both may succeed. */
static void test_write_skew_is_refused(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) one = NULL;
	g_autoptr(MneTx) two = NULL;
	Fixture in_one, in_two;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "b", "1");
	one = begin_tx(f->store);
	two = begin_tx(f->store);
	in_one = in_tx(f, one);
	in_two = in_tx(f, two);
	assert_live(&in_one, "b", "1");
	write_text(&in_one, "a", "0");
	assert_live(&in_two, "a", "1");
	write_text(&in_two, "b", "0");
	commit(one);
	assert_conflict(two, "t/a");
	assert_live(f, "b", "1");
}

static void test_what_was_absent_is_read(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = begin_tx(f->store);
	Fixture inside = in_tx(f, tx);

	(void)data;
	assert_live(&inside, "a", NULL);
	write_text(&inside, "b", "no a");
	write_text(f, "a", "1");
	assert_conflict(tx, "t/a");
	assert_live(f, "b", NULL);
}

static void test_a_listing_is_read(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "c", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_names(&inside, "a c");
	write_text(&inside, "sum", "2");
	write_text(f, "b", "1");
	assert_conflict(tx, "t/b");
}

static void test_a_name_that_left_a_listing_conflicts(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "c", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_names(&inside, "a c");
	write_text(&inside, "sum", "2");
	remove_file(f, "c");
	assert_conflict(tx, "t/c");
}

static void test_a_listing_does_not_read_what_it_lists(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_names(&inside, "a");
	write_text(&inside, "b", "1");
	write_text(f, "a", "2");
	commit(tx);
	assert_live(f, "a", "2");
}

static void test_different_records_never_conflict(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) one = NULL;
	g_autoptr(MneTx) two = NULL;
	Fixture in_one, in_two;

	(void)data;
	write_text(f, "old", "1");
	one = begin_tx(f->store);
	two = begin_tx(f->store);
	in_one = in_tx(f, one);
	in_two = in_tx(f, two);
	write_text(&in_one, "a", "1");
	make_dir(&in_one, "d");
	write_text(&in_two, "b", "2");
	make_dir(&in_two, "e");
	remove_file(&in_two, "old");
	write_text(f, "plain", "3");
	make_dir(f, "g");
	commit(one);
	commit(two);
	assert_names(f, "a b d e g plain");
	assert_counters_right(f);
}

static void test_a_removed_directory_must_have_stayed_empty(Fixture *f,
							    gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside, in_dir;

	(void)data;
	make_dir(f, "d");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	g_assert_cmpint(remove_dir(&inside, "d"), ==, 0);
	in_dir = *f;
	in_dir.dir = place_of(f, "d").rec;
	write_text(&in_dir, "x", "1");
	assert_conflict(tx, "t/d");
	assert_live(&in_dir, "x", "1");
}

static void test_an_entry_needs_its_directory(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture in_dir;

	(void)data;
	make_dir(f, "d");
	tx = begin_tx(f->store);
	in_dir = in_tx(f, tx);
	in_dir.dir = place_of(f, "d").rec;
	write_text(&in_dir, "x", "1");
	g_assert_cmpint(remove_dir(f, "d"), ==, 0);
	assert_conflict(tx, "t/d");
	assert_names(f, "");
}

static void test_attributes_are_read_and_written(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	set_mode(&inside, "a", 0600);
	set_mode(f, "a", 0640);
	assert_conflict(tx, "t/a");
}

/* It read one moment, whatever came after that. */
static void test_one_that_changed_nothing_never_conflicts(Fixture *f,
							  gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	g_autoptr(MneTx) inner = NULL;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_live(&inside, "a", "1");
	assert_names(&inside, "a");
	inner = begin_tx(inside.store);
	assert_live(&inside, "b", NULL);
	write_text(f, "a", "2");
	write_text(f, "b", "2");
	commit(inner);
	commit(tx);
	assert_live(f, "a", "2");
}

static void test_readers_alone_never_conflict_with_themselves(Fixture *f,
							      gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	uint64_t seq;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	seq = f->store->volume->seq;
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	assert_live(&inside, "a", "1");
	assert_names(&inside, "a");
	commit(tx);
	g_assert_cmpuint(f->store->volume->seq, ==, seq); /* no empty commit */
}

/* ---- with files that are open ---- */

static void test_open_files_follow_a_commit(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	MneFile *kept, *gone, *moved;
	char buffer[16] = "";
	Fixture inside;

	(void)data;
	write_text(f, "kept", "1");
	write_file(f, "gone", 1, BIG);
	write_text(f, "moved", "1");
	kept = open_file(f, "kept", true);
	gone = open_file(f, "gone", false);
	moved = open_file(f, "moved", true);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_text(&inside, "kept", "22");
	remove_file(&inside, "gone");
	rename_file(&inside, "moved", "there");
	commit(tx);

	g_assert_cmpint(mne_file_read(kept, 0, buffer, 16), ==, 2);
	g_assert_cmpstr(buffer, ==, "22");
	g_assert_cmpint(mne_file_write(kept, 2, "3", 1, false, false), ==, 1);
	work_off(f);
	g_assert_cmpint(mne_file_read(gone, 0, buffer, 1), ==, 1);
	g_assert_cmpint(mne_file_write(moved, 1, "2", 1, false, false), ==, 1);
	g_assert_cmpint(mne_file_close(kept, true), ==, 0);
	g_assert_cmpint(mne_file_close(gone, false), ==, 0);
	g_assert_cmpint(mne_file_close(moved, true), ==, 0);
	work_off(f);
	assert_live(f, "kept", "223");
	assert_live(f, "there", "12");
	assert_names(f, "kept there");
	assert_live_bytes_right(f);
}

static void test_a_file_being_written_conflicts(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	MneFile *file;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_text(&inside, "a", "2");
	file = open_file(f, "a", true);
	g_assert_cmpint(mne_file_write(file, 0, "plain", 5, false, false), ==, 5);
	assert_conflict(tx, "t/a");
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	assert_live(f, "a", "plain");
}

static void test_a_name_being_created_conflicts(Fixture *f, gconstpointer data)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	g_autoptr(MneTx) tx = begin_tx(f->store);
	Fixture inside = in_tx(f, tx);
	MneSpot spot = spot_of(f, "a");
	MneFile *file = NULL;
	MneNode node;

	(void)data;
	write_text(&inside, "a", "2");
	g_assert_cmpint(mne_file_create(f->store, &spot, &what, &file, &node), ==, 0);
	assert_conflict(tx, "t/a");
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	assert_live(f, "a", "");
	assert_counters_right(f);
}

static void test_what_is_open_inside_is_committed(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	MneFile *file;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	file = open_file(&inside, "a", true);
	g_assert_cmpint(mne_file_write(file, 0, "open", 4, false, false), ==, 4);
	assert_live(f, "a", "1");
	commit(tx);
	assert_live(f, "a", "open");
	g_assert_cmpint(mne_file_close(file, true), <=, 0);
	assert_live(f, "a", "open");
}

/* ---- checkpoints ---- */

static void test_an_open_one_is_newer_than_a_checkpoint(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	g_autoptr(MneCkpt) ckpt = NULL;
	Fixture inside;

	(void)data;
	prepare_everything(f);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	overwrite(&inside, "kept", 1000, "middle");
	ckpt = checkpoint(f, "c");
	overwrite(&inside, "small", 1, "X");
	rename_file(&inside, "over", "target");
	remove_file(&inside, "gone");
	commit(tx);

	assert_made(&ckpt->view, f, "kept", 7, BIG);
	assert_text(&ckpt->view, f, "small", "small");
	assert_text(&ckpt->view, f, "over", "over");
	assert_made(&ckpt->view, f, "target", 8, BIG);
	assert_made(&ckpt->view, f, "gone", 9, BIG);
	assert_live(f, "small", "sXall");
	work_off(f);
	assert_made(&ckpt->view, f, "target", 8, BIG);
	assert_live_bytes_right(f);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	assert_live_bytes_right(f);
	assert_counters_right(f);
}

/* I1, I4: the version that a checkpoint holds gets a sibling with a later second. */
static void test_versions_and_times_move_on_as_in_any_commit(Fixture *f,
							     gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) before = { 0 };
	g_auto(MneNode) after = { 0 };
	MnePlace place;
	Fixture inside;

	(void)data;
	write_text(f, "a", "1");
	ckpt = checkpoint(f, "c");
	place = place_of(f, "a");
	g_assert_cmpint(mne_live_node(f->store, &place, &before), ==, 0);
	tx = begin_tx(f->store);
	inside = in_tx(f, tx);
	write_text(&inside, "a", "2");
	commit(tx);
	g_assert_cmpint(mne_live_node(f->store, &place, &after), ==, 0);
	g_assert_cmpuint(after.rec, ==, before.rec);
	g_assert_cmpuint(after.version, !=, before.version);
	g_assert_cmpint(after.mtime.tv_sec, >, before.mtime.tv_sec);
}

/* ---- nesting ---- */

static void test_an_inner_commit_is_seen_in_the_outer_only(Fixture *f,
							   gconstpointer data)
{
	g_autoptr(MneTx) outer = begin_tx(f->store);
	Fixture in_outer = in_tx(f, outer), in_inner;
	g_autoptr(MneTx) inner = NULL;

	(void)data;
	write_text(&in_outer, "a", "outer");
	write_file(&in_outer, "big", 1, BIG);
	inner = begin_tx(in_outer.store);
	in_inner = in_tx(f, inner);
	assert_live(&in_inner, "a", "outer");
	write_text(&in_inner, "a", "inner");
	overwrite(&in_inner, "big", 5, "inner");
	assert_live(&in_outer, "a", "outer");
	g_assert_cmpint(mne_err_errno(mne_tx_commit(outer, false, NULL)), ==, EBUSY);
	commit(inner);
	assert_live(&in_outer, "a", "inner");
	assert_live(f, "a", NULL);
	commit(outer);
	assert_live(f, "a", "inner");
	assert_counters_right(f);
	work_off(f);
	assert_live_bytes_right(f);
}

static void test_an_inner_abort_undoes_the_inner_part(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) outer = begin_tx(f->store);
	Fixture in_outer = in_tx(f, outer), in_inner;
	g_autoptr(MneTx) inner = NULL;

	(void)data;
	write_text(&in_outer, "a", "outer");
	inner = begin_tx(in_outer.store);
	in_inner = in_tx(f, inner);
	write_text(&in_inner, "a", "inner");
	write_text(&in_inner, "b", "inner");
	mne_tx_abort(inner);
	assert_live(&in_outer, "a", "outer");
	commit(outer);
	assert_live(f, "a", "outer");
	assert_names(f, "a");
}

static void test_an_outer_abort_undoes_all(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) outer = begin_tx(f->store);
	Fixture in_outer = in_tx(f, outer), in_inner;
	g_autoptr(MneTx) done = begin_tx(in_outer.store);
	g_autoptr(MneTx) open = NULL;

	(void)data;
	in_inner = in_tx(f, done);
	write_text(&in_inner, "a", "inner");
	commit(done);
	open = begin_tx(in_outer.store);
	in_inner = in_tx(f, open);
	write_text(&in_inner, "b", "inner");
	mne_tx_abort(outer);
	g_assert_cmpint(mne_tx_state(open), ==, MNE_TX_ABORTED);
	assert_names(f, "");
	g_assert_cmpuint(mne_store_open_txs(f->store), ==, 0);
}

static void test_what_an_inner_one_read_the_outer_has_read(Fixture *f,
							   gconstpointer data)
{
	g_autoptr(MneTx) outer = NULL;
	g_autoptr(MneTx) inner = NULL;
	Fixture in_outer, in_inner;

	(void)data;
	write_text(f, "a", "1");
	outer = begin_tx(f->store);
	in_outer = in_tx(f, outer);
	inner = begin_tx(in_outer.store);
	in_inner = in_tx(f, inner);
	assert_live(&in_inner, "a", "1");
	commit(inner);
	write_text(&in_outer, "b", "1");
	write_text(f, "a", "2");
	assert_conflict(outer, "t/a");
}

static void test_an_inner_one_conflicts_with_the_outer(Fixture *f, gconstpointer data)
{
	g_autoptr(MneTx) outer = begin_tx(f->store);
	Fixture in_outer = in_tx(f, outer), in_inner;
	g_autoptr(MneTx) inner = NULL;

	(void)data;
	write_text(&in_outer, "a", "1");
	inner = begin_tx(in_outer.store);
	in_inner = in_tx(f, inner);
	write_text(&in_inner, "a", "inner");
	write_text(&in_outer, "a", "outer");
	assert_conflict(inner, "t/a");
	commit(outer);
	assert_live(f, "a", "outer");
}

/* ---- limits, failures ---- */

static void test_a_full_one_says_so_and_goes_on(Fixture *f, gconstpointer data)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	g_autoptr(MneTx) tx = begin_tx(f->store);
	MneSpot spot;
	uint64_t rec;
	int err = 0;
	Fixture inside = in_tx(f, tx);

	(void)data;
	mne_store_set_tx_mem(f->store, 64 * 1024);
	for (unsigned i = 0; i < 1000 && err == 0; i++) {
		g_autofree char *name = g_strdup_printf("%u", i);
		g_auto(MneNode) node = { 0 };

		spot = spot_of(&inside, name);
		err = mne_make(inside.store, &spot, &a_dir, &node);
	}
	(void)what;
	g_assert_cmpint(mne_err_errno(err), ==, EDQUOT);
	mne_store_set_tx_mem(f->store, 1024 * 1024);
	spot = spot_of(&inside, "0");
	g_assert_cmpint(mne_rmdir(inside.store, &spot, &rec), ==, 0);
	commit(tx);
	assert_counters_right(f);
}

/* What the sweeper empties while a transaction is open stays until it ends; pieces of it
 * that the transaction kept make it conflict. */
static void test_segments_outlive_the_transactions_that_see_them(Fixture *f,
								 gconstpointer data)
{
	g_autoptr(MneTx) tx = NULL;
	g_autoptr(MneTx) second = NULL;
	Fixture inside;

	(void)data;
	write_file(f, "kept", 1, BIG);
	for (unsigned i = 0; i < 12; i++)
		write_file(f, "garbage", i, BIG);
	tx = begin_tx(f->store);
	second = begin_tx(f->store);
	inside = in_tx(f, tx);
	overwrite(&inside, "kept", 70000, "middle");
	remove_file(f, "garbage");
	work_off(f); /* moves "kept" elsewhere */
	inside = in_tx(f, second);
	assert_made(mne_store_live(inside.store), &inside, "kept", 1, BIG);
	assert_made(mne_store_live(inside.store), &inside, "garbage", 11, BIG);
	if (mne_tx_commit(tx, false, NULL) < 0)
		mne_tx_abort(tx);
	work_off(f);
	assert_made(mne_store_live(inside.store), &inside, "garbage", 11, BIG);
	mne_tx_abort(second);
	work_off(f);
	g_autoptr(GBytes) kept = bytes_in(mne_store_live(f->store), f, "kept");

	g_assert_nonnull(kept);
	g_assert_cmpuint(g_bytes_get_size(kept), ==, BIG);
	assert_live_bytes_right(f);
}

/* ---- serializable ---- */

#define KEYS 5u
#define TXS  4u

/* What one of the concurrent transactions did, to be done again in the order of commits. */
typedef struct {
	unsigned key; /* KEYS: the listing */
	bool is_write;
	char *value; /* written, or read: NULL: absent */
} Step;

typedef struct {
	MneTx *tx;
	GArray *steps;
	char *began[KEYS]; /* what there was when it began */
	bool writes;
} Actor;

static char *text_of(Fixture *f, const char *name)
{
	g_autoptr(GBytes) bytes = bytes_in(mne_store_live(f->store), f, name);

	return bytes ? g_strndup(g_bytes_get_data(bytes, NULL), g_bytes_get_size(bytes))
		     : NULL;
}

static void name_of(unsigned key, char name[4])
{
	g_snprintf(name, 4, "k%u", key % 10);
}

static void act(Fixture *f, Actor *actor, GRand *rand, unsigned n)
{
	Fixture inside = in_tx(f, actor->tx);
	Step step = { .key = (unsigned)g_rand_int_range(rand, 0, KEYS + 1) };
	char name[4];

	name_of(step.key, name);
	step.is_write = step.key < KEYS && g_rand_boolean(rand);
	if (step.key == KEYS) {
		step.value = names_in(mne_store_live(inside.store), &inside);
	} else if (!step.is_write) {
		step.value = text_of(&inside, name);
	} else if (g_rand_int_range(rand, 0, 3) == 0) {
		g_autofree char *there = text_of(&inside, name);

		step.is_write = there != NULL;
		if (there)
			remove_file(&inside, name);
	} else {
		step.value = g_strdup_printf("%u", n);
		write_text(&inside, name, step.value);
	}
	actor->writes = actor->writes || step.is_write;
	g_array_append_val(actor->steps, step);
}

/* The names of the model, as names_in() says them. */
static char *model_names(char *const model[KEYS])
{
	GString *names = g_string_new(NULL);

	for (unsigned i = 0; i < KEYS; i++)
		if (model[i])
			g_string_append_printf(names, "%sk%u", names->len ? " " : "",
					       i);
	return g_string_free(names, FALSE);
}

static void replay(const Actor *actor, char *model[KEYS])
{
	for (guint i = 0; i < actor->steps->len; i++) {
		const Step *step = &g_array_index(actor->steps, Step, i);

		if (step->is_write) {
			g_free(model[step->key]);
			model[step->key] = g_strdup(step->value);
		} else if (step->key == KEYS) {
			g_autofree char *names = model_names(model);

			g_assert_cmpstr(step->value, ==, names);
		} else {
			g_assert_cmpstr(step->value, ==, model[step->key]);
		}
	}
}

static void step_clear(void *step)
{
	g_free(((Step *)step)->value);
}

static void actor_end(Actor *actor)
{
	g_clear_pointer(&actor->tx, mne_tx_unref);
	g_clear_pointer(&actor->steps, g_array_unref);
	for (unsigned i = 0; i < KEYS; i++)
		g_clear_pointer(&actor->began[i], g_free);
	actor->writes = false;
}

static void actor_begin(Fixture *f, Actor *actor, char *const model[KEYS])
{
	actor->tx = begin_tx(f->store);
	actor->steps = g_array_new(FALSE, TRUE, sizeof(Step));
	g_array_set_clear_func(actor->steps, step_clear);
	for (unsigned i = 0; i < KEYS; i++)
		actor->began[i] = g_strdup(model[i]);
}

/* true: it was committed. */
static bool finish(Actor *actor, char *model[KEYS], bool abort)
{
	int err = abort ? -ECANCELED : mne_tx_commit(actor->tx, false, NULL);

	if (err == 0)
		replay(actor, actor->writes ? model : actor->began);
	else
		g_assert_true(mne_err_is(err, ECANCELED));
	mne_tx_abort(actor->tx);
	actor_end(actor);
	return err == 0;
}

/* Whatever is interleaved: each transaction that was committed read what it would have
 * read, had all been done one after the other in the order of their commits, or, if it
 * changed nothing, of its beginning. */
static void test_committed_ones_are_serializable(Fixture *f, gconstpointer data)
{
	g_autoptr(GRand) rand = g_rand_new_with_seed(g_test_rand_int());
	Actor actors[TXS] = { 0 };
	char *model[KEYS] = { 0 };
	unsigned committed = 0, refused = 0;

	(void)data;
	for (unsigned n = 0; n < 4000; n++) {
		Actor *actor = &actors[g_rand_int_range(rand, 0, TXS)];

		if (!actor->tx) {
			actor_begin(f, actor, model);
		} else if (g_rand_int_range(rand, 0, 5) > 0) {
			act(f, actor, rand, n);
		} else if (finish(actor, model, g_rand_int_range(rand, 0, 8) == 0)) {
			committed++;
		} else {
			refused++;
		}
	}
	for (unsigned i = 0; i < TXS; i++)
		if (actors[i].tx)
			(void)finish(&actors[i], model, false);
	for (unsigned i = 0; i < KEYS; i++) {
		char name[4];

		name_of(i, name);
		assert_live(f, name, model[i]);
		g_free(model[i]);
	}
	g_test_message("%u committed, %u not", committed, refused);
	g_assert_cmpuint(committed, >, 50);
	g_assert_cmpuint(refused, >, 50);
	assert_counters_right(f);
}

#define TEST(name)                                                           \
	g_test_add("/tx/" #name, Fixture, NULL, fixture_set_up, test_##name, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	TEST(changes_are_seen_inside_and_not_outside);
	TEST(it_sees_the_moment_it_began);
	TEST(commit_is_one_seq);
	TEST(abort_leaves_nothing);
	TEST(an_ended_one_answers_gone);
	TEST(everything_works_inside_and_is_there_after);
	TEST(tables_come_and_go_inside);
	TEST(a_lost_update_is_refused);
	TEST(of_two_writers_the_first_commits);
	TEST(write_skew_is_refused);
	TEST(what_was_absent_is_read);
	TEST(a_listing_is_read);
	TEST(a_name_that_left_a_listing_conflicts);
	TEST(a_listing_does_not_read_what_it_lists);
	TEST(different_records_never_conflict);
	TEST(a_removed_directory_must_have_stayed_empty);
	TEST(an_entry_needs_its_directory);
	TEST(attributes_are_read_and_written);
	TEST(readers_alone_never_conflict_with_themselves);
	TEST(one_that_changed_nothing_never_conflicts);
	TEST(open_files_follow_a_commit);
	TEST(a_file_being_written_conflicts);
	TEST(a_name_being_created_conflicts);
	TEST(what_is_open_inside_is_committed);
	TEST(an_open_one_is_newer_than_a_checkpoint);
	TEST(versions_and_times_move_on_as_in_any_commit);
	TEST(an_inner_commit_is_seen_in_the_outer_only);
	TEST(an_inner_abort_undoes_the_inner_part);
	TEST(an_outer_abort_undoes_all);
	TEST(what_an_inner_one_read_the_outer_has_read);
	TEST(an_inner_one_conflicts_with_the_outer);
	TEST(a_full_one_says_so_and_goes_on);
	TEST(segments_outlive_the_transactions_that_see_them);
	TEST(committed_ones_are_serializable);
	return g_test_run();
}
