/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-review.c - what must hold when a commit fails half way, and when
 * things happen in an unlucky order
 */
#include "config.h"

#include "kv/engines.h"
#include "record/xattr.h"

#include <string.h>

#include "recount.h"
#include "txns.h"

#define BIG ((size_t)3 * 1024 * 1024)

static MneKv **kv_of(Fixture *f)
{
	return &f->store->volume->kv;
}

/* Readers go on reading from the engine below. */
static void fail_apply(Fixture *f, uint64_t nth)
{
	*kv_of(f) = mne_kv_fault_new(*kv_of(f), MNE_FAULT_FAIL, nth, false);
}

static MneFile *open_file(Fixture *f, const char *name)
{
	MnePlace place = place_of(f, name);
	MneFile *file = NULL;

	g_assert_cmpint(mne_file_open(f->store, &place, true, false, &file), ==, 0);
	return file;
}

static MneFile *create_file(Fixture *f, const char *name)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneSpot spot = spot_of(f, name);
	MneFile *file = NULL;
	MneNode node;

	g_assert_cmpint(mne_file_create(f->store, &spot, &what, &file, &node), ==, 0);
	return file;
}

static void write_made(MneFile *file, unsigned seed, uint64_t offset, size_t size)
{
	g_autoptr(GBytes) bytes = made_bytes(seed, size);

	g_assert_cmpint(mne_file_write(file, offset, g_bytes_get_data(bytes, NULL),
				       size, false, false),
			==, size);
}

static ssize_t try_write(MneFile *file, uint64_t offset, size_t size)
{
	g_autoptr(GBytes) bytes = made_bytes(9, size);

	return mne_file_write(file, offset, g_bytes_get_data(bytes, NULL), size, false,
			      false);
}

static uint64_t live_bytes(Fixture *f)
{
	MneStoreStats stats;

	mne_store_stats(f->store, &stats);
	return stats.live_bytes;
}

/* As the background thread does once a second. */
static void tick(Fixture *f)
{
	mne_files_commit_old(f->store, 0);
	work_off(f);
}

static void test_an_unlinked_open_file_gives_its_bytes_back_at_its_close(
	Fixture *f, gconstpointer data)
{
	g_autofree uint8_t *buffer = g_malloc(BIG);
	g_autoptr(GBytes) want = made_bytes(1, BIG);
	MneFile *file;

	(void)data;
	write_file(f, "a", 1, BIG);
	file = open_file(f, "a");
	remove_file(f, "a");
	work_off(f);
	g_assert_cmpint(mne_file_read(file, 0, buffer, BIG), ==, BIG);
	g_assert_cmpmem(buffer, BIG, g_bytes_get_data(want, NULL), BIG);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	work_off(f);
	g_assert_cmpuint(live_bytes(f), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
}

static void assert_zeros(MneFile *file, uint64_t offset, size_t len)
{
	g_autofree uint8_t *buffer = g_malloc(len);

	g_assert_cmpint(mne_file_read(file, offset, buffer, len), ==, len);
	for (size_t i = 0; i < len; i++)
		g_assert_cmpuint(buffer[i], ==, 0);
}

static void test_a_failed_big_write_leaves_nothing_behind_the_end(Fixture *f,
								  gconstpointer data)
{
	MneFile *file = create_file(f, "a");

	(void)data;
	write_made(file, 1, 0, 5000);
	mne_blob_set_fault(mne_store_blob(f->store), 3, false);
	g_assert_cmpint(try_write(file, 8192, 512 * 1024), <, 0);
	g_assert_cmpint(mne_file_truncate(file, 600 * 1024), ==, 0);
	assert_zeros(file, 8192, 512 * 1024);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static void test_a_write_that_fails_to_flush_leaves_nothing_behind_the_end(
	Fixture *f, gconstpointer data)
{
	const size_t step = 128 * 1024;
	MneFile *file = create_file(f, "a");
	uint64_t at = 0;

	(void)data;
	mne_blob_set_fault(mne_store_blob(f->store), 1, false);
	while (at < 4 * BIG && try_write(file, at, step) > 0)
		at += step;
	g_assert_cmpuint(at, <, 4 * BIG);
	g_assert_cmpint(mne_file_truncate(file, at + step), ==, 0);
	assert_zeros(file, at, step);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static void test_a_failed_write_and_a_chmod_lose_no_small_file(Fixture *f,
							       gconstpointer data)
{
	const MneAttrChange change = { .set = MNE_SET_MODE, .mode = 0600 };
	g_auto(MneNode) node = { 0 };
	MnePlace place;
	MneFile *file;

	(void)data;
	write_text(f, "a", "precious");
	place = place_of(f, "a");
	file = open_file(f, "a");
	mne_blob_set_fault(mne_store_blob(f->store), 1, false);
	g_assert_cmpint(try_write(file, 8192, 512 * 1024), <, 0);
	g_assert_cmpint(mne_setattr(f->store, &place, &change, &node), ==, 0);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	assert_text(mne_store_live(f->store), f, "a", "precious");
}

static void test_a_commit_that_failed_at_close_is_made_up_for(Fixture *f,
							      gconstpointer data)
{
	MneFile *file = create_file(f, "a");

	(void)data;
	write_made(file, 1, 0, BIG);
	fail_apply(f, 1);
	g_assert_cmpint(mne_file_close(file, true), <, 0);
	g_assert_cmpuint(live_bytes(f), ==, 0);
	tick(f);
	assert_made(mne_store_live(f->store), f, "a", 1, BIG);
	g_assert_cmpuint(live_bytes(f), ==, BIG);
	g_assert_cmpuint(f->store->files->open, ==, 0);
}

static void test_removing_a_file_whose_commit_failed_gives_back_all(Fixture *f,
								    gconstpointer data)
{
	MneFile *file;

	(void)data;
	write_file(f, "a", 1, BIG);
	file = open_file(f, "a");
	write_made(file, 2, 0, BIG);
	fail_apply(f, 1);
	g_assert_cmpint(mne_file_close(file, true), <, 0);
	remove_file(f, "a");

	file = create_file(f, "b");
	write_made(file, 2, 0, BIG);
	fail_apply(f, 1);
	g_assert_cmpint(mne_file_close(file, true), <, 0);
	remove_file(f, "b");

	tick(f);
	g_assert_cmpuint(f->store->files->open, ==, 0);
	g_assert_cmpuint(live_bytes(f), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
}

static void test_what_a_failed_commit_was_to_reserve_is_not_relied_on(
	Fixture *f, gconstpointer data)
{
	MneVolume *volume = f->store->volume;
	uint64_t limit = volume->id_limit;
	const MneMake what = { .mode = S_IFDIR | 0755 };
	MneSpot spot = spot_of(f, "d");
	MneNode node;

	(void)data;
	volume->next_id = limit - 100;
	fail_apply(f, 1);
	g_assert_cmpint(mne_make(f->store, &spot, &what, &node), <, 0);
	g_assert_cmpuint(volume->id_limit, ==, limit);
	g_assert_cmpint(mne_make(f->store, &spot, &what, &node), ==, 0);
	g_assert_cmpuint(volume->id_limit, >, volume->next_id);
}

static void test_the_second_change_after_a_checkpoint_keeps_the_later_second(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) then = { 0 };
	g_auto(MneNode) now = { 0 };
	MnePlace place;

	(void)data;
	write_text(f, "a", "old");
	place = place_of(f, "a");
	ckpt = checkpoint(f, "c");
	write_text(f, "a", "new");
	write_text(f, "a", "neu");
	g_assert_cmpint(mne_view_node(&ckpt->view, &place, &then), ==, 0);
	g_assert_cmpint(mne_live_node(f->store, &place, &now), ==, 0);
	g_assert_cmpint(now.mtime.tv_sec, >, then.mtime.tv_sec);
}

static void test_a_file_moved_to_where_one_was_has_a_later_second(Fixture *f,
								  gconstpointer data)
{
	MneSpot from = spot_of(f, "new"), to = spot_of(f, "a");
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) then = { 0 };
	g_auto(MneNode) now = { 0 };
	MnePlace place;
	uint64_t moved, other;

	(void)data;
	write_text(f, "a", "old");
	place = place_of(f, "a");
	ckpt = checkpoint(f, "c");
	g_assert_cmpint(mne_view_node(&ckpt->view, &place, &then), ==, 0);
	for (unsigned round = 0; round < 3; round++) {
		if (round == 2)
			remove_file(f, "a");
		write_text(f, "new", "new");
		g_assert_cmpint(mne_rename(f->store, &from, &to, 0, &moved, &other), ==,
				0);
		place = place_of(f, "a");
		mne_node_clear(&now);
		g_assert_cmpint(mne_live_node(f->store, &place, &now), ==, 0);
		g_assert_cmpint(now.mtime.tv_sec, >, then.mtime.tv_sec);
	}
}

static void test_a_listing_gives_nodes_as_they_are_now(Fixture *f, gconstpointer data)
{
	g_autoptr(MneListing) listing = NULL;
	g_auto(MneNode) node = { 0 };
	MneFile *waiting;
	MneEntry entry;

	(void)data;
	write_text(f, "a", "1");
	write_text(f, "b", "1");
	write_text(f, "c", "1");
	waiting = create_file(f, "d");
	g_assert_cmpint(
		mne_live_list(f->store, f->table, f->dir, MNE_SLICE_EMPTY, &listing),
		==, 0);
	write_text(f, "a", "longer");
	remove_file(f, "b");
	remove_file(f, "d");
	g_assert_cmpint(mne_listing_next(listing, &entry, &node), ==, 1);
	g_assert_cmpmem(entry.name.data, entry.name.len, "a", 1);
	g_assert_cmpuint(node.size, ==, 6);
	mne_node_clear(&node);
	g_assert_cmpint(mne_listing_next(listing, &entry, &node), ==, 1);
	g_assert_cmpmem(entry.name.data, entry.name.len, "c", 1);
	mne_node_clear(&node);
	g_assert_cmpint(mne_listing_next(listing, &entry, &node), ==, 0);
	g_assert_cmpint(mne_file_close(waiting, true), ==, 0);
}

static void test_sync_reports_a_commit_that_failed(Fixture *f, gconstpointer data)
{
	MneFile *file = create_file(f, "a");

	(void)data;
	write_made(file, 1, 0, 100);
	fail_apply(f, 1);
	g_assert_cmpint(mne_store_sync(f->store), <, 0);
	g_assert_cmpint(mne_store_sync(f->store), ==, 0);
	assert_made(mne_store_live(f->store), f, "a", 1, 100);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static int set_big(Fixture *f, const MnePlace *place, size_t size)
{
	g_autoptr(GBytes) value = made_bytes(5, size);

	return mne_setxattr(f->store, place, mne_slice_str("user.big"),
			    mne_slice_of(value), 0);
}

static void test_attributes_of_a_file_never_committed_go_with_it(Fixture *f,
								 gconstpointer data)
{
	MneFile *file = create_file(f, "a");
	MnePlace place = place_of(f, "a");

	(void)data;
	g_assert_cmpint(set_big(f, &place, 10000), ==, 0);
	remove_file(f, "a");
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	tick(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

static void test_attributes_of_an_unlinked_open_file_go_with_it(Fixture *f,
								gconstpointer data)
{
	MnePlace place;
	MneFile *file;

	(void)data;
	write_text(f, "a", "1");
	place = place_of(f, "a");
	file = open_file(f, "a");
	remove_file(f, "a");
	g_assert_cmpint(set_big(f, &place, 10000), ==, 0);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	tick(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

static void test_attributes_of_a_dropped_table_go_with_it(Fixture *f,
							  gconstpointer data)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	g_auto(MneNode) node = { 0 };
	MnePlace place = { .is_dir = true };
	uint64_t rec;

	(void)data;
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str("u"), &what,
					 &place.table, &node),
			==, 0);
	place.rec = node.rec;
	g_assert_cmpint(set_big(f, &place, 10000), ==, 0);
	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("u"), &rec), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

/* What a crash would leave: the committed inode has the one value or the other. */
static void test_a_big_attribute_is_changed_with_its_inode(Fixture *f,
							   gconstpointer data)
{
	const MneSlice name = mne_slice_str("user.big");
	MneView *live = mne_store_live(f->store);
	g_auto(MneNode) node = { 0 };
	g_autoptr(GBytes) value = NULL;
	MnePlace place;
	MneFile *file;

	(void)data;
	write_text(f, "a", "1");
	place = place_of(f, "a");
	g_assert_cmpint(set_big(f, &place, 10000), ==, 0);
	file = open_file(f, "a");
	write_made(file, 1, 0, 100);
	g_assert_cmpint(set_big(f, &place, 10), ==, 0);
	g_assert_cmpint(mne_view_node(live, &place, &node), ==, 0);
	g_assert_cmpuint(node.size, ==, 1);
	g_assert_cmpint(mne_view_xattr(live, f->table, &node, name, &value), ==, 0);
	g_clear_pointer(&value, g_bytes_unref);
	g_assert_cmpint(mne_live_xattr(f->store, &place, name, &value), ==, 0);
	g_assert_cmpuint(g_bytes_get_size(value), ==, 10);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	assert_made(live, f, "a", 1, 100);
}

static void test_a_tmpfile_whose_naming_failed_can_be_named_again(Fixture *f,
								  gconstpointer data)
{
	MneFile *file = create_file(f, "");
	MneSpot spot = spot_of(f, "a");
	g_auto(MneNode) node = { 0 };
	MnePlace place = { .table = f->table, .rec = mne_file_rec(file) };

	(void)data;
	write_made(file, 1, 0, BIG);
	fail_apply(f, 1);
	g_assert_cmpint(mne_link(f->store, &place, &spot, &node), <, 0);
	assert_text(mne_store_live(f->store), f, "a", NULL);
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.seq, ==, 0);
	mne_node_clear(&node);
	g_assert_cmpint(mne_link(f->store, &place, &spot, &node), ==, 0);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	assert_made(mne_store_live(f->store), f, "a", 1, BIG);
	g_assert_cmpuint(live_bytes(f), ==, BIG);
}

static uint64_t sought(MneFile *file, uint64_t offset, int whence)
{
	uint64_t at = 0;
	int err = mne_file_seek(file, offset, whence, &at);

	g_assert_true(err == 0 || err == -ENXIO);
	return err < 0 ? UINT64_MAX : at;
}

static uint64_t sought_in(MneView *view, Fixture *f, uint64_t offset, int whence)
{
	g_auto(MneNode) node = { 0 };
	MnePlace place = place_of(f, "a");
	uint64_t at = 0;
	int err;

	g_assert_cmpint(mne_view_node(view, &place, &node), ==, 0);
	err = mne_view_seek(view, f->table, &node, offset, whence, &at);
	g_assert_true(err == 0 || err == -ENXIO);
	return err < 0 ? UINT64_MAX : at;
}

static void test_data_and_holes_are_found_however_far_apart(Fixture *f,
							    gconstpointer data)
{
	const uint64_t mib = 1024 * 1024, far = UINT64_C(1) << 61;
	const struct {
		uint64_t from;
		int whence;
		uint64_t at;
	} cases[] = {
		{ 0, SEEK_DATA, 0 },
		{ 0, SEEK_HOLE, 20 * mib },
		{ 20 * mib, SEEK_DATA, far },
		{ 20 * mib, SEEK_HOLE, 20 * mib },
		{ far + 1, SEEK_DATA, far + 1 },
		{ far, SEEK_HOLE, far + 100 },
		{ far + 100, SEEK_DATA, UINT64_MAX },
	};
	MneFile *file = create_file(f, "a");

	(void)data;
	for (unsigned i = 0; i < 20; i++)
		write_made(file, i, i * mib, mib);
	write_made(file, 99, far, 100);
	g_assert_cmpint(mne_file_truncate(file, 2 * far), ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(sought(file, cases[i].from, cases[i].whence), ==,
				 cases[i].at);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	for (unsigned i = 0; i < G_N_ELEMENTS(cases); i++)
		g_assert_cmpuint(sought_in(mne_store_live(f->store), f, cases[i].from,
					   cases[i].whence),
				 ==, cases[i].at);
}

static void test_much_is_given_back_in_steps_whatever_is_open(Fixture *f,
							      gconstpointer data)
{
	enum { N = 300 };
	MneFile *held[2];

	(void)data;
	for (unsigned i = 0; i < N; i++) {
		g_autofree char *name = g_strdup_printf("f%03u", i);

		write_file(f, name, i, 5000);
	}
	mne_ckpt_unref(checkpoint(f, "c"));
	held[0] = open_file(f, "f000");
	held[1] = open_file(f, "f150");
	for (unsigned i = 0; i < N; i++) {
		g_autofree char *name = g_strdup_printf("f%03u", i);

		if (i % 2)
			write_file(f, name, i, 6000);
		remove_file(f, name);
	}
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 2);
	assert_live_bytes_right(f);
	assert_tally_right(f);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	g_assert_cmpint(mne_file_close(held[0], true), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 1);
	g_assert_cmpint(mne_file_close(held[1], true), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CKPT), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_EXTENT), ==, 0);
	g_assert_cmpuint(live_bytes(f), ==, 0);
}

/* What failed once by injection must have changed nothing, and succeed the second time. */
#define MUST(call)                                                                 \
	do {                                                                       \
		ssize_t must_got_ = (call);                                        \
		if (must_got_ < 0) {                                               \
			g_assert_true(mne_err_is((int)must_got_, MNE_E_INJECTED)); \
			must_got_ = (call);                                        \
		}                                                                  \
		g_assert_cmpint(must_got_, >=, 0);                                 \
	} while (0)

static void must_write(MneFile *file, unsigned seed, uint64_t offset, size_t size)
{
	g_autoptr(GBytes) bytes = made_bytes(seed, size);

	MUST(mne_file_write(file, offset, g_bytes_get_data(bytes, NULL), size, false,
			    false));
}

/* A close closes, even if it fails to commit. */
static void must_close(Fixture *f, MneFile *file)
{
	if (mne_file_close(file, true) < 0)
		g_assert_cmpint(mne_files_commit_old(f->store, 0), ==, 0);
}

static void must_make_file(Fixture *f, const char *name, unsigned seed, size_t size)
{
	MneFile *file = create_file(f, name);

	must_write(file, seed, 0, size);
	must_close(f, file);
}

static void must_rename(Fixture *f, const char *from, const char *to)
{
	MneSpot a = spot_of(f, from), b = spot_of(f, to);
	uint64_t moved, other;

	MUST(mne_rename(f->store, &a, &b, 0, &moved, &other));
}

static void must_remove(Fixture *f, const char *name)
{
	MneSpot spot = spot_of(f, name);
	uint64_t rec;

	MUST(mne_unlink(f->store, &spot, &rec));
}

static MneCkpt *must_checkpoint(Fixture *f, const char *name)
{
	MneCkpt *ckpt = NULL;

	/* As if it were durable already: after a failed sync there is nothing to see. */
	f->store->barrier.seq = f->store->volume->seq + 1;
	MUST(mne_store_checkpoint(
		f->store, &(MneCkptSpec){ .name = mne_slice_str(name) }, &ckpt));
	return ckpt;
}

static void change_after_checkpoint(Fixture *f)
{
	const MneAttrChange change = { .set = MNE_SET_MODE, .mode = 0600 };
	g_auto(MneNode) node = { 0 };
	MnePlace place = place_of(f, "b");
	MneSpot link = spot_of(f, "b2");
	MneFile *file = open_file(f, "b");

	must_write(file, 3, 100000, 300000);
	MUST(set_big(f, &place, 10000));
	MUST(mne_link(f->store, &place, &link, &node));
	must_write(file, 4, 650000, 300000);
	mne_node_clear(&node);
	MUST(mne_setattr(f->store, &place, &change, &node));
	must_remove(f, "b2");
	must_close(f, file);
	must_rename(f, "s", "t");
	must_rename(f, "a", "t");
}

static void empty_and_remove(Fixture *f)
{
	MneFile *file = open_file(f, "b");
	g_auto(MneNode) node = { 0 };
	MneSpot spot = spot_of(f, "n");
	MnePlace place = { .table = f->table };

	MUST(mne_file_truncate(file, 0));
	must_write(file, 5, 0, 300000);
	MUST(mne_files_commit_old(f->store, 0));
	must_remove(f, "b");
	must_write(file, 6, 0, 300000);
	must_close(f, file);

	file = create_file(f, "");
	must_write(file, 7, 0, 500000);
	place.rec = mne_file_rec(file);
	MUST(mne_link(f->store, &place, &spot, &node));
	must_close(f, file);
}

static void drop_all(Fixture *f)
{
	MUST(mne_store_drop(f->store, mne_slice_str("c1")));
	work_off(f);
	MUST(mne_store_drop(f->store, mne_slice_str("c2")));
	for (unsigned i = 0; i < 3; i++)
		tick(f);
}

static void live_through(Fixture *f)
{
	g_autoptr(MneCkpt) one = NULL;
	g_autoptr(MneCkpt) two = NULL;

	must_make_file(f, "a", 1, 5000);
	must_make_file(f, "b", 2, 700000);
	must_make_file(f, "s", 8, 100);
	one = must_checkpoint(f, "c1");
	change_after_checkpoint(f);
	two = must_checkpoint(f, "c2");
	empty_and_remove(f);
	assert_made(&one->view, f, "a", 1, 5000);
	assert_made(&one->view, f, "b", 2, 700000);
	assert_made(&one->view, f, "s", 8, 100);
	assert_text(&one->view, f, "t", NULL);
	assert_made(&two->view, f, "t", 1, 5000);
	drop_all(f);
}

static void check_what_is_left(Fixture *f)
{
	g_autofree char *names = names_in(mne_store_live(f->store), f);

	g_assert_cmpstr(names, ==, "n t");
	assert_made(mne_store_live(f->store), f, "n", 7, 500000);
	assert_made(mne_store_live(f->store), f, "t", 1, 5000);
	assert_counters_right(f);
	assert_live_bytes_right(f);
	assert_tally_right(f);
	g_assert_cmpuint(f->store->files->open, ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CKPT), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

static void fail_nth(Fixture *f, unsigned nth, bool in_blob)
{
	if (in_blob)
		mne_blob_set_fault(mne_store_blob(f->store), nth, false);
	else
		fail_apply(f, nth);
}

static void test_whichever_commit_or_append_fails_nothing_is_lost(Fixture *unused,
								  gconstpointer data)
{
	const unsigned rounds = g_test_slow() ? 60 : 24;

	(void)unused;
	(void)data;
	for (unsigned nth = 1; nth <= 2 * rounds; nth++) {
		Fixture f = { 0 };

		fixture_set_up(&f, NULL);
		fail_nth(&f, (nth + 1) / 2, nth % 2);
		live_through(&f);
		check_what_is_left(&f);
		fixture_reopen(&f);
		check_what_is_left(&f);
		fixture_tear_down(&f, NULL);
	}
}

#define ADD(func)                                                         \
	g_test_add("/review/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* The store warns of the failures it is made to have. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	ADD(test_an_unlinked_open_file_gives_its_bytes_back_at_its_close);
	ADD(test_a_failed_big_write_leaves_nothing_behind_the_end);
	ADD(test_a_write_that_fails_to_flush_leaves_nothing_behind_the_end);
	ADD(test_a_failed_write_and_a_chmod_lose_no_small_file);
	ADD(test_a_commit_that_failed_at_close_is_made_up_for);
	ADD(test_removing_a_file_whose_commit_failed_gives_back_all);
	ADD(test_what_a_failed_commit_was_to_reserve_is_not_relied_on);
	ADD(test_the_second_change_after_a_checkpoint_keeps_the_later_second);
	ADD(test_a_file_moved_to_where_one_was_has_a_later_second);
	ADD(test_a_listing_gives_nodes_as_they_are_now);
	ADD(test_sync_reports_a_commit_that_failed);
	ADD(test_attributes_of_a_file_never_committed_go_with_it);
	ADD(test_attributes_of_an_unlinked_open_file_go_with_it);
	ADD(test_attributes_of_a_dropped_table_go_with_it);
	ADD(test_a_big_attribute_is_changed_with_its_inode);
	ADD(test_a_tmpfile_whose_naming_failed_can_be_named_again);
	ADD(test_data_and_holes_are_found_however_far_apart);
	ADD(test_much_is_given_back_in_steps_whatever_is_open);
	ADD(test_whichever_commit_or_append_fails_nothing_is_lost);
	return g_test_run();
}
