/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn-files.c - open files, attributes and extended attributes of a
 * store
 */
#include "config.h"

#include "record/xattr.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#include "recount.h"
#include "txns.h"

/* --- short words ------------------------------------------------------------------- */

static const MneMake a_file = { .mode = S_IFREG | 0644 };

static MneFile *create(Fixture *f, const char *name)
{
	MneSpot spot = spot_of(f, name);
	MneFile *file = NULL;
	MneNode node;

	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==, 0);
	return file;
}

static MneFile *open_it(Fixture *f, const char *name, bool writable)
{
	MnePlace place = place_of(f, name);
	MneFile *file = NULL;

	g_assert_cmpint(mne_file_open(f->store, &place, writable, false, &file), ==, 0);
	return file;
}

static void put(MneFile *file, uint64_t offset, const char *text)
{
	g_assert_cmpint(mne_file_write(file, offset, text, strlen(text), false, false),
			==, strlen(text));
}

static void assert_reads(MneFile *file, const char *text)
{
	char got[64];

	g_assert_cmpint(mne_file_read(file, 0, got, sizeof(got)), ==, strlen(text));
	g_assert_cmpmem(got, strlen(text), text, strlen(text));
}

static void close_it(MneFile *file, bool writable)
{
	g_assert_cmpint(mne_file_close(file, writable), ==, 0);
}

/* The node that live readers see; the caller clears it. */
static MneNode live_node(Fixture *f, const char *name)
{
	MneNode node = { 0 };
	MnePlace place = place_of(f, name);

	g_assert_cmpint(mne_live_node(f->store, &place, &node), ==, 0);
	return node;
}

static MneNode node_in(MneView *view, const Fixture *f, const char *name)
{
	MneNode node = { 0 };
	uint32_t table;

	g_assert_cmpint(mne_view_lookup(view, f->table, f->dir, mne_slice_str(name),
					&table, &node),
			==, 0);
	return node;
}

static int link_it(Fixture *f, const MnePlace *place, const char *to)
{
	MneSpot spot = spot_of(f, to);
	g_auto(MneNode) node = { 0 };

	return mne_link(f->store, place, &spot, &node);
}

static void set_mode(Fixture *f, const MnePlace *place, uint32_t mode)
{
	const MneAttrChange change = { .set = MNE_SET_MODE, .mode = mode };
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_setattr(f->store, place, &change, &node), ==, 0);
	g_assert_cmpuint(node.mode & 07777, ==, mode);
}

static uint64_t live_bytes(Fixture *f)
{
	MneStoreStats stats;

	mne_store_stats(f->store, &stats);
	return stats.live_bytes;
}

/* --- files without a name ---------------------------------------------------------- */

static void test_an_unlinked_file_is_read_and_written_until_its_last_close(
	Fixture *f, gconstpointer data)
{
	const size_t size = 700000;
	g_autoptr(GBytes) bytes = made_bytes(3, size);
	g_autofree uint8_t *got = g_malloc(size + 4);
	g_auto(MneNode) node = { 0 };
	MneFile *file, *reader;

	(void)data;
	write_file(f, "big", 3, size);
	file = open_it(f, "big", true);
	reader = open_it(f, "big", false);
	put(file, size - 2, "tail");
	remove_file(f, "big");
	work_off(f);
	g_assert_cmpint(mne_file_read(file, 0, got, size + 4), ==, size + 2);
	g_assert_cmpmem(got, size - 2, g_bytes_get_data(bytes, NULL), size - 2);
	g_assert_cmpmem(got + size - 2, 4, "tail", 4);
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.nlink, ==, 0);

	g_assert_cmpint(mne_file_sync(file), ==, 0);
	work_off(f);
	g_assert_cmpint(mne_file_truncate(file, 10), ==, 0);
	put(file, 10, "!");
	g_assert_cmpint(mne_file_read(reader, 0, got, size), ==, 11);
	g_assert_cmpmem(got, 10, g_bytes_get_data(bytes, NULL), 10);
	close_it(file, true);
	work_off(f);
	g_assert_cmpint(mne_file_read(reader, 0, got, size), ==, 11);
	g_assert_cmpuint(live_bytes(f), ==, size);
	close_it(reader, false);
	work_off(f);
	g_assert_cmpuint(live_bytes(f), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_EXTENT), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
}

static void test_an_unlinked_file_that_is_emptied_gives_its_bytes_back_at_once(
	Fixture *f, gconstpointer data)
{
	MneFile *file;

	(void)data;
	write_file(f, "big", 3, 300000);
	file = open_it(f, "big", true);
	remove_file(f, "big");
	work_off(f);
	g_assert_cmpuint(live_bytes(f), ==, 300000);
	g_assert_cmpint(mne_file_truncate(file, 0), ==, 0);
	work_off(f);
	g_assert_cmpuint(live_bytes(f), ==, 0);
	put(file, 200000, "after");
	work_off(f);
	g_assert_cmpint(mne_file_truncate(file, 0), ==, 0);
	put(file, 0, "end");
	assert_reads(file, "end");
	close_it(file, true);
}

static void test_a_file_created_and_unlinked_before_its_commit_leaves_nothing(
	Fixture *f, gconstpointer data)
{
	static const char value[3000] = "big";
	MneFile *file = create(f, "a");
	MnePlace place = place_of(f, "a");

	(void)data;
	put(file, 300000, "far");
	g_assert_cmpint(mne_setxattr(f->store, &place, mne_slice_str("user.x"),
				     mne_slice(value, sizeof(value)), 0),
			==, 0);
	remove_file(f, "a");
	close_it(file, true);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
	g_assert_cmpuint(keys_of(f, MNE_TAG_EXTENT), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

static MneFile *create_nameless(Fixture *f, MnePlace *out_place)
{
	MneSpot spot = spot_of(f, "");
	MneFile *file = NULL;
	MneNode node;

	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==, 0);
	*out_place = (MnePlace){ f->table, node.rec, f->dir, MNE_SLICE_EMPTY, false };
	return file;
}

static void test_a_nameless_file_gets_its_name_by_a_link(Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autofree char *names = NULL;
	MnePlace place;
	MneFile *file = create_nameless(f, &place);

	(void)data;
	put(file, 0, "temporary");
	g_assert_cmpint(mne_file_sync(file), ==, 0);
	names = names_in(mne_store_live(f->store), f);
	g_assert_cmpstr(names, ==, "");
	write_text(f, "taken", "");
	write_text(f, "later", "");
	g_assert_cmpint(link_it(f, &place, "taken"), ==, -EEXIST);

	MnePlace dir = { f->table, f->dir, 0, MNE_SLICE_EMPTY, true };
	g_auto(MneNode) before = { 0 };
	g_auto(MneNode) after = { 0 };

	g_assert_cmpint(mne_live_node(f->store, &dir, &before), ==, 0);
	g_usleep(2000);
	g_assert_cmpint(link_it(f, &place, "named"), ==, 0);
	g_assert_cmpint(mne_live_node(f->store, &dir, &after), ==, 0);
	g_assert_cmpuint(after.entries, ==, before.entries + 1);
	g_assert_true(after.mtime.tv_sec > before.mtime.tv_sec ||
		      after.mtime.tv_nsec > before.mtime.tv_nsec);
	ckpt = checkpoint(f, "c");
	assert_text(&ckpt->view, f, "named", "temporary");
	put(file, 9, "!");
	place.name = mne_slice_str("named");
	g_assert_cmpint(link_it(f, &place, "again"), ==, 0);
	close_it(file, true);
	assert_text(mne_store_live(f->store), f, "again", "temporary!");
}

static void test_a_nameless_file_that_is_closed_is_gone(Fixture *f, gconstpointer data)
{
	MnePlace place;
	MneFile *file = create_nameless(f, &place);

	(void)data;
	put(file, 200000, "far");
	close_it(file, true);
	g_assert_cmpint(link_it(f, &place, "a"), ==, -ENOENT);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
	fixture_reopen(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
}

/* --- names of open files ----------------------------------------------------------- */

static void test_hard_links_of_an_open_file_show_what_is_not_committed(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneFile *file = create(f, "a"), *other;
	MnePlace place = place_of(f, "a");

	(void)data;
	put(file, 0, "one");
	g_assert_cmpint(link_it(f, &place, "b"), ==, 0);
	put(file, 3, " two");
	set_mode(f, &place, 0400);
	other = open_it(f, "b", false);
	assert_reads(other, "one two");
	ckpt = checkpoint(f, "c");
	assert_text(&ckpt->view, f, "a", "one");
	assert_text(&ckpt->view, f, "b", "one");
	remove_file(f, "a");
	assert_reads(other, "one two");

	g_auto(MneNode) node = live_node(f, "b");

	g_assert_cmpuint(node.mode & 07777, ==, 0400);
	g_assert_cmpuint(node.nlink, ==, 1);
	close_it(file, true);
	close_it(other, false);
	assert_text(mne_store_live(f->store), f, "b", "one two");
	mne_node_clear(&node);
	node = live_node(f, "b");
	g_assert_cmpuint(node.mode & 07777, ==, 0400);
	assert_text(&ckpt->view, f, "a", "one");
}

static void test_a_replaced_open_file_lives_on_under_its_handle(Fixture *f,
								gconstpointer data)
{
	MneSpot from = spot_of(f, "new"), to = spot_of(f, "old");
	g_auto(MneNode) node = { 0 };
	uint64_t moved, other;
	MneFile *file;

	(void)data;
	write_text(f, "old", "old bytes");
	write_text(f, "new", "new bytes");
	file = open_it(f, "old", true);
	put(file, 0, "OLD");
	g_assert_cmpint(mne_rename(f->store, &from, &to, 0, &moved, &other), ==, 0);
	g_assert_cmpuint(other, ==, mne_file_rec(file));
	assert_reads(file, "OLD bytes");
	assert_text(mne_store_live(f->store), f, "old", "new bytes");
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.nlink, ==, 0);
	close_it(file, true);
	assert_text(mne_store_live(f->store), f, "old", "new bytes");
	assert_text(mne_store_live(f->store), f, "new", NULL);
}

static void test_exchanging_open_files_commits_both_and_they_stay_who_they_are(
	Fixture *f, gconstpointer data)
{
	MneSpot a = spot_of(f, "a"), b = spot_of(f, "b");
	MneFile *one = create(f, "a"), *two;
	uint64_t moved, other;

	(void)data;
	write_text(f, "b", "two");
	two = open_it(f, "b", true);
	put(one, 0, "one");
	put(two, 3, "!");
	g_assert_cmpint(mne_rename(f->store, &a, &b, RENAME_EXCHANGE, &moved, &other),
			==, 0);
	g_assert_cmpuint(moved, ==, mne_file_rec(one));
	g_assert_cmpuint(other, ==, mne_file_rec(two));
	assert_text(mne_store_live(f->store), f, "b", "one");
	assert_text(mne_store_live(f->store), f, "a", "two!");
	put(one, 3, "?");
	put(two, 4, "?");
	close_it(one, true);
	close_it(two, true);
	assert_text(mne_store_live(f->store), f, "b", "one?");
	assert_text(mne_store_live(f->store), f, "a", "two!?");
}

/* --- bytes ------------------------------------------------------------------------- */

static void test_a_sparse_file_is_as_big_as_it_may_be(Fixture *f, gconstpointer data)
{
	const uint64_t far = UINT64_C(1) << 61, most = UINT64_C(1) << 62;
	MneFile *file = create(f, "sparse");
	uint64_t at;
	char got[4];

	(void)data;
	put(file, far, "data");
	g_assert_cmpint(mne_file_truncate(file, most), ==, 0);
	g_assert_cmpint(mne_file_truncate(file, most + 1), ==, -EFBIG);
	g_assert_cmpint(mne_file_write(file, most, "x", 1, false, false), ==, -EFBIG);
	g_assert_cmpint(mne_file_write(file, 0, "x", 1, true, false), ==, -EFBIG);
	g_assert_cmpint(mne_file_write(file, UINT64_MAX, "x", 1, false, false), ==,
			-EFBIG);
	g_assert_cmpint(mne_file_allocate(file, 0, most, 1), ==, -EFBIG);
	g_assert_cmpint(mne_file_allocate(file, 0, UINT64_MAX, UINT64_MAX), ==, -EFBIG);
	for (unsigned round = 0; round < 2; round++) {
		g_assert_cmpint(mne_file_seek(file, 5, SEEK_DATA, &at), ==, 0);
		g_assert_cmpuint(at, ==, far);
		g_assert_cmpint(mne_file_seek(file, far, SEEK_HOLE, &at), ==, 0);
		g_assert_cmpuint(at, ==, far + 4);
		g_assert_cmpint(mne_file_seek(file, far + 4, SEEK_DATA, &at), ==,
				-ENXIO);
		g_assert_cmpint(mne_file_seek(file, most, SEEK_HOLE, &at), ==, -ENXIO);
		g_assert_cmpint(mne_file_read(file, far, got, 4), ==, 4);
		g_assert_cmpmem(got, 4, "data", 4);
		g_assert_cmpint(mne_file_sync(file), ==, 0);
	}
	close_it(file, true);
	g_assert_cmpuint(live_bytes(f), ==, 4);
	file = open_it(f, "sparse", true);
	g_assert_cmpint(mne_file_allocate(file,
					  FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE, 0,
					  most),
			==, 0);
	close_it(file, true);
	g_assert_cmpuint(live_bytes(f), ==, 0);
}

static void test_what_cannot_be_allocated_is_refused(Fixture *f, gconstpointer data)
{
	MneFile *file = create(f, "a");
	g_auto(MneNode) node = { 0 };

	(void)data;
	g_assert_cmpint(mne_file_allocate(file, FALLOC_FL_COLLAPSE_RANGE, 0, 1), ==,
			-EOPNOTSUPP);
	g_assert_cmpint(mne_file_allocate(file, FALLOC_FL_PUNCH_HOLE, 0, 1), ==,
			-EOPNOTSUPP);
	g_assert_cmpint(mne_file_allocate(file, 0, 0, 0), ==, -EINVAL);
	g_assert_cmpint(mne_file_allocate(file, FALLOC_FL_KEEP_SIZE, 0, 10), ==, 0);
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.size, ==, 0);
	g_assert_cmpint(mne_file_allocate(file, 0, 0, 10), ==, 0);
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.size, ==, 10);
	close_it(file, true);
}

static void test_files_uncommitted_for_long_are_committed_while_open(Fixture *f,
								     gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneFile *file = create(f, "a");

	(void)data;
	put(file, 0, "so far");
	mne_files_commit_old(f->store, 100000);
	assert_text(mne_store_live(f->store), f, "a", NULL);
	mne_files_commit_old(f->store, 0);
	ckpt = checkpoint(f, "c");
	put(file, 6, "!");
	assert_text(&ckpt->view, f, "a", "so far");
	close_it(file, true);
	assert_text(mne_store_live(f->store), f, "a", "so far!");
}

static void test_a_segment_with_only_retained_bytes_is_swept_and_they_stay(
	Fixture *f, gconstpointer data)
{
	const size_t size = 300000;
	g_autoptr(MneCkpt) ckpt = NULL;
	MneStoreStats stats;

	(void)data;
	write_file(f, "kept", 1, size);
	for (unsigned i = 0; i < 8; i++)
		write_file(f, "dead", 2 + i, size);
	ckpt = checkpoint(f, "c");
	remove_file(f, "kept");
	remove_file(f, "dead");
	write_text(f, "dead", "small");
	mne_blob_seal(mne_store_blob(f->store));
	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, 2 * size);
	g_assert_cmpuint(stats.blob_bytes, <, 3 * size);
	assert_made(&ckpt->view, f, "kept", 1, size);
	assert_made(&ckpt->view, f, "dead", 9, size);
	assert_live_bytes_right(f);
	assert_tally_right(f);
}

/* --- attributes -------------------------------------------------------------------- */

static void test_attributes_of_a_clean_file_are_committed_at_once(Fixture *f,
								  gconstpointer data)
{
	const MneAttrChange change = { .set = MNE_SET_MODE | MNE_SET_UID | MNE_SET_GID |
					      MNE_SET_ATIME | MNE_SET_MTIME,
				       .mode = 0612,
				       .uid = 1,
				       .gid = 2,
				       .atime = { 3, 4 },
				       .mtime = { 5, 6 } };
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) node = { 0 };
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	ckpt = checkpoint(f, "c");
	place = place_of(f, "a");
	g_assert_cmpint(mne_setattr(f->store, &place, &change, &node), ==, 0);
	mne_node_clear(&node);
	fixture_reopen(f);
	node = live_node(f, "a");
	g_assert_cmpuint(node.mode, ==, S_IFREG | 0612);
	g_assert_cmpuint(node.uid, ==, 1);
	g_assert_cmpuint(node.gid, ==, 2);
	g_assert_cmpint(node.atime.tv_sec, ==, 3);
	g_assert_cmpint(node.mtime.tv_sec, ==, 5);
	g_assert_cmpint(node.mtime.tv_nsec, ==, 6);
	assert_text(mne_store_live(f->store), f, "a", "bytes");

	g_autoptr(MneCkpt) again = NULL;

	g_assert_cmpint(
		mne_ckpts_find(mne_store_ckpts(f->store), mne_slice_str("c"), &again),
		==, 0);
	g_auto(MneNode) then = node_in(&again->view, f, "a");

	g_assert_cmpuint(then.mode, ==, S_IFREG | 0644);
	g_assert_cmpuint(then.version, !=, node.version);
}

static void test_attributes_of_a_dirty_file_are_committed_with_its_bytes(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneFile *file;
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	file = open_it(f, "a", true);
	put(file, 5, "!");
	place = place_of(f, "a");
	set_mode(f, &place, 0400);
	ckpt = checkpoint(f, "c");

	g_auto(MneNode) then = node_in(&ckpt->view, f, "a");
	g_auto(MneNode) now = live_node(f, "a");

	g_assert_cmpuint(then.mode & 07777, ==, 0644);
	g_assert_cmpuint(now.mode & 07777, ==, 0400);
	close_it(file, true);
	mne_node_clear(&now);
	now = node_in(mne_store_live(f->store), f, "a");
	g_assert_cmpuint(now.mode & 07777, ==, 0400);
	assert_text(&ckpt->view, f, "a", "bytes");
}

static void test_attributes_of_an_unlinked_file_can_be_set(Fixture *f,
							   gconstpointer data)
{
	g_auto(MneNode) node = { 0 };
	MneFile *file;
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	file = open_it(f, "a", true);
	place = place_of(f, "a");
	remove_file(f, "a");
	set_mode(f, &place, 0400);
	g_assert_cmpint(mne_file_node(file, &node), ==, 0);
	g_assert_cmpuint(node.mode & 07777, ==, 0400);
	assert_reads(file, "bytes");
	close_it(file, true);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
	g_assert_cmpint(mne_live_node(f->store, &place, &node), ==, -ESTALE);
}

static void test_writing_drops_setuid_and_it_stays_dropped(Fixture *f,
							   gconstpointer data)
{
	MneFile *file;
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	place = place_of(f, "a");
	set_mode(f, &place, 06755);
	file = open_it(f, "a", true);
	g_assert_cmpint(mne_file_write(file, 0, "x", 1, false, true), ==, 1);
	g_assert_cmpint(link_it(f, &place, "b"), ==, 0);
	close_it(file, true);

	g_auto(MneNode) node = live_node(f, "b");

	g_assert_cmpuint(node.mode & 07777, ==, 0755);
}

/* What a backup compares: a change after a checkpoint is in a later second, whatever else
 * was changed in between. */
static void test_bytes_changed_after_a_checkpoint_have_a_later_second(
	Fixture *f, gconstpointer data)
{
	static const char *const between[] = { "nothing", "chmod",  "xattr",
					       "link",    "unlink", "replace" };

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(between); i++) {
		const char *what = between[i];
		g_autoptr(MneCkpt) ckpt = NULL;
		MnePlace place;

		write_text(f, what, "old");
		place = place_of(f, what);
		ckpt = checkpoint(f, what);
		if (g_str_equal(what, "chmod"))
			set_mode(f, &place, 0600);
		if (g_str_equal(what, "xattr"))
			g_assert_cmpint(mne_setxattr(f->store, &place,
						     mne_slice_str("user.x"),
						     mne_slice_str("1"), 0),
					==, 0);
		if (g_str_equal(what, "link"))
			g_assert_cmpint(link_it(f, &place, "other"), ==, 0);
		if (g_str_equal(what, "unlink"))
			remove_file(f, what);
		if (g_str_equal(what, "replace")) {
			MneSpot from = spot_of(f, "tmp"), to = spot_of(f, what);
			uint64_t moved, other;

			write_text(f, "tmp", "new");
			g_assert_cmpint(
				mne_rename(f->store, &from, &to, 0, &moved, &other), ==,
				0);
		}
		write_text(f, what, "new");

		g_auto(MneNode) then = node_in(&ckpt->view, f, what);
		g_auto(MneNode) now = live_node(f, what);

		g_test_message("%s", what);
		g_assert_cmpint(now.mtime.tv_sec, >, then.mtime.tv_sec);
	}
}

/* --- extended attributes ----------------------------------------------------------- */

static int set(Fixture *f, const MnePlace *place, const char *name, size_t size,
	       int flags)
{
	g_autoptr(GBytes) value = made_bytes((unsigned)size, size);
	MneSlice bytes = mne_slice(g_bytes_get_data(value, NULL), size);

	if (size == 0)
		bytes = mne_slice("", 0);
	return mne_setxattr(f->store, place, mne_slice_str(name), bytes, flags);
}

static int unset(Fixture *f, const MnePlace *place, const char *name)
{
	return mne_setxattr(f->store, place, mne_slice_str(name), MNE_SLICE_EMPTY, 0);
}

/* size < 0: it is not there. */
static void assert_xattr(Fixture *f, const MnePlace *place, const char *name, int size)
{
	g_autoptr(GBytes) want = made_bytes((unsigned)MAX(size, 0),
					    (size_t)MAX(size, 0));
	g_autoptr(GByteArray) names = g_byte_array_new();
	g_autoptr(GBytes) got = NULL;
	int err = mne_live_xattr(f->store, place, mne_slice_str(name), &got);
	unsigned listed = 0;

	g_assert_cmpint(mne_live_xattr_names(f->store, place, names), ==, 0);
	for (guint at = 0; at < names->len;
	     at += (guint)strlen((char *)names->data + at) + 1)
		listed += g_str_equal((char *)names->data + at, name);
	if (size < 0) {
		g_assert_cmpint(err, ==, -ENODATA);
		g_assert_cmpuint(listed, ==, 0);
		return;
	}
	g_assert_cmpint(err, ==, 0);
	g_assert_cmpuint(listed, ==, 1);
	g_assert_true(g_bytes_equal(got, want));
}

static void test_xattrs_are_created_replaced_and_removed_whatever_their_size(
	Fixture *f, gconstpointer data)
{
	static const int sizes[] = { 0, 1, 512, 513, 5000, 65536 };
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	place = place_of(f, "a");
	for (unsigned i = 0; i < G_N_ELEMENTS(sizes); i++) {
		for (unsigned j = 0; j < G_N_ELEMENTS(sizes); j++) {
			g_assert_cmpint(set(f, &place, "user.x", 9, XATTR_REPLACE), ==,
					-ENODATA);
			g_assert_cmpint(unset(f, &place, "user.x"), ==, -ENODATA);
			g_assert_cmpint(set(f, &place, "user.x", (size_t)sizes[i],
					    XATTR_CREATE),
					==, 0);
			assert_xattr(f, &place, "user.x", sizes[i]);
			g_assert_cmpint(set(f, &place, "user.x", 9, XATTR_CREATE), ==,
					-EEXIST);
			g_assert_cmpint(set(f, &place, "user.x", (size_t)sizes[j],
					    XATTR_REPLACE),
					==, 0);
			assert_xattr(f, &place, "user.x", sizes[j]);
			g_assert_cmpint(unset(f, &place, "user.x"), ==, 0);
			assert_xattr(f, &place, "user.x", -1);
		}
	}
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
	g_assert_cmpint(set(f, &place, "user.x", MNE_XATTR_VALUE_MAX + 1, 0), ==,
			-E2BIG);
	g_assert_cmpint(set(f, &place, "", 1, 0), ==, -ERANGE);
	assert_text(mne_store_live(f->store), f, "a", "bytes");
}

static void test_many_xattrs_spill_into_keys_and_go_with_their_file(Fixture *f,
								    gconstpointer data)
{
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	place = place_of(f, "a");
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 30; i++) {
			g_autofree char *name = g_strdup_printf("user.%02d", i);

			g_assert_cmpint(
				set(f, &place, name, 100 + (size_t)(i + round), 0), ==,
				0);
		}
	}
	fixture_reopen(f);
	for (int i = 0; i < 30; i++) {
		g_autofree char *name = g_strdup_printf("user.%02d", i);

		assert_xattr(f, &place, name, 101 + i);
	}
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), >, 0);
	remove_file(f, "a");
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

static void assert_xattr_in(MneView *view, Fixture *f, const char *name, int size)
{
	g_autoptr(GBytes) want = made_bytes((unsigned)MAX(size, 0),
					    (size_t)MAX(size, 0));
	g_auto(MneNode) node = node_in(view, f, "a");
	g_autoptr(GBytes) got = NULL;
	int err = mne_view_xattr(view, f->table, &node, mne_slice_str(name), &got);

	g_assert_cmpint(err, ==, size < 0 ? -ENODATA : 0);
	if (size >= 0)
		g_assert_true(g_bytes_equal(got, want));
}

static void test_a_checkpoint_keeps_the_xattrs_there_were(Fixture *f,
							  gconstpointer data)
{
	g_autoptr(MneCkpt) one = NULL;
	g_autoptr(MneCkpt) two = NULL;
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	place = place_of(f, "a");
	g_assert_cmpint(set(f, &place, "user.big", 5000, 0), ==, 0);
	g_assert_cmpint(set(f, &place, "user.small", 10, 0), ==, 0);
	one = checkpoint(f, "1");
	g_assert_cmpint(set(f, &place, "user.big", 20, 0), ==, 0);
	g_assert_cmpint(set(f, &place, "user.small", 6000, 0), ==, 0);
	two = checkpoint(f, "2");
	g_assert_cmpint(unset(f, &place, "user.big"), ==, 0);
	g_assert_cmpint(unset(f, &place, "user.small"), ==, 0);
	assert_xattr_in(&one->view, f, "user.big", 5000);
	assert_xattr_in(&one->view, f, "user.small", 10);
	assert_xattr_in(&two->view, f, "user.big", 20);
	assert_xattr_in(&two->view, f, "user.small", 6000);
	remove_file(f, "a");
	assert_xattr_in(&one->view, f, "user.big", 5000);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("2")), ==, 0);
	work_off(f);
	assert_xattr_in(&one->view, f, "user.big", 5000);
	assert_xattr_in(&one->view, f, "user.small", 10);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("1")), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 0);
}

/* Whether before or after: an attribute is never lost on the way. */
static void test_xattrs_of_a_dirty_file_are_in_every_checkpoint(Fixture *f,
								gconstpointer data)
{
	static const int sizes[] = { 10, 5000 };

	(void)data;
	for (unsigned i = 0; i < 4; i++) {
		int before = sizes[i % 2], after = sizes[i / 2];
		g_autofree char *name = g_strdup_printf("c%u", i);
		g_autoptr(MneCkpt) ckpt = NULL;
		g_autoptr(GBytes) got = NULL;
		MneFile *file;
		MnePlace place;

		write_text(f, "a", "bytes");
		place = place_of(f, "a");
		g_assert_cmpint(set(f, &place, "user.x", (size_t)before, 0), ==, 0);
		file = open_it(f, "a", true);
		put(file, 0, "B");
		g_assert_cmpint(set(f, &place, "user.x", (size_t)after, 0), ==, 0);
		assert_xattr(f, &place, "user.x", after);
		ckpt = checkpoint(f, name);
		assert_text(&ckpt->view, f, "a", "bytes");

		g_auto(MneNode) node = node_in(&ckpt->view, f, "a");

		g_assert_cmpint(mne_view_xattr(&ckpt->view, f->table, &node,
					       mne_slice_str("user.x"), &got),
				==, 0);
		g_assert_true((int)g_bytes_get_size(got) == before ||
			      (int)g_bytes_get_size(got) == after);
		remove_file(f, "a");
		close_it(file, true);
		g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
	}
}

static void test_xattrs_of_directories_symlinks_and_hard_links_work(Fixture *f,
								    gconstpointer data)
{
	const MneMake dir = { .mode = S_IFDIR | 0755 };
	const MneMake symlink = { .mode = S_IFLNK | 0777,
				  .target = mne_slice_str("there") };
	MneSpot spot = spot_of(f, "d");
	MnePlace place;
	MneNode node;
	uint64_t rec;

	(void)data;
	g_assert_cmpint(mne_make(f->store, &spot, &dir, &node), ==, 0);
	place = place_of(f, "d");
	g_assert_cmpint(set(f, &place, "user.big", 5000, 0), ==, 0);
	g_assert_cmpint(set(f, &place, "user.small", 5, 0), ==, 0);
	assert_xattr(f, &place, "user.big", 5000);
	g_assert_cmpint(mne_rmdir(f->store, &spot, &rec), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);

	spot = spot_of(f, "s");
	g_assert_cmpint(mne_make(f->store, &spot, &symlink, &node), ==, 0);
	place = place_of(f, "s");
	g_assert_cmpint(set(f, &place, "user.small", 5, 0), ==, 0);
	assert_xattr(f, &place, "user.small", 5);
	g_auto(MneNode) link = live_node(f, "s");

	g_assert_cmpmem(link.content.data, link.content.len, "there", 5);

	write_text(f, "a", "bytes");
	place = place_of(f, "a");
	g_assert_cmpint(set(f, &place, "user.big", 5000, 0), ==, 0);
	g_assert_cmpint(link_it(f, &place, "b"), ==, 0);
	remove_file(f, "a");
	place = place_of(f, "b");
	assert_xattr(f, &place, "user.big", 5000);
	remove_file(f, "b");
	g_assert_cmpuint(keys_of(f, MNE_TAG_XATTR), ==, 0);
}

#define ADD(func)                                                            \
	g_test_add("/txn-files/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_an_unlinked_file_is_read_and_written_until_its_last_close);
	ADD(test_an_unlinked_file_that_is_emptied_gives_its_bytes_back_at_once);
	ADD(test_a_file_created_and_unlinked_before_its_commit_leaves_nothing);
	ADD(test_a_nameless_file_gets_its_name_by_a_link);
	ADD(test_a_nameless_file_that_is_closed_is_gone);
	ADD(test_hard_links_of_an_open_file_show_what_is_not_committed);
	ADD(test_a_replaced_open_file_lives_on_under_its_handle);
	ADD(test_exchanging_open_files_commits_both_and_they_stay_who_they_are);
	ADD(test_a_sparse_file_is_as_big_as_it_may_be);
	ADD(test_what_cannot_be_allocated_is_refused);
	ADD(test_files_uncommitted_for_long_are_committed_while_open);
	ADD(test_a_segment_with_only_retained_bytes_is_swept_and_they_stay);
	ADD(test_attributes_of_a_clean_file_are_committed_at_once);
	ADD(test_attributes_of_a_dirty_file_are_committed_with_its_bytes);
	ADD(test_attributes_of_an_unlinked_file_can_be_set);
	ADD(test_writing_drops_setuid_and_it_stays_dropped);
	ADD(test_bytes_changed_after_a_checkpoint_have_a_later_second);
	ADD(test_xattrs_are_created_replaced_and_removed_whatever_their_size);
	ADD(test_many_xattrs_spill_into_keys_and_go_with_their_file);
	ADD(test_a_checkpoint_keeps_the_xattrs_there_were);
	ADD(test_xattrs_of_a_dirty_file_are_in_every_checkpoint);
	ADD(test_xattrs_of_directories_symlinks_and_hard_links_work);
	return g_test_run();
}
