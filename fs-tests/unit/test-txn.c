/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn.c - names and tables of a store: making, linking, renaming,
 * removing
 */
#include "config.h"

#include <stdio.h>

#include "recount.h"
#include "txns.h"

/* --- short words ------------------------------------------------------------------- */

static const MneMake a_file = { .mode = S_IFREG | 0644 };
static const MneMake a_dir = { .mode = S_IFDIR | 0755 };

static uint64_t make_dir(Fixture *f, uint64_t in, const char *name)
{
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	MneNode node;

	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, 0);
	return node.rec;
}

static MneFile *make_open(Fixture *f, uint64_t in, const char *name)
{
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	MneFile *file = NULL;
	MneNode node;

	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==, 0);
	g_assert_cmpint(mne_file_write(file, 0, "bytes", 5, false, false), ==, 5);
	return file;
}

static uint64_t make_file(Fixture *f, uint64_t in, const char *name)
{
	MneFile *file = make_open(f, in, name);
	uint64_t rec = mne_file_rec(file);

	g_assert_cmpint(mne_file_close(file, true), ==, 0);
	return rec;
}

static int find(Fixture *f, uint64_t in, const char *name, MneNode *out_node)
{
	uint32_t table;

	return mne_live_lookup(f->store, f->table, in, mne_slice_str(name), &table,
			       out_node);
}

static uint64_t rec_at(Fixture *f, uint64_t in, const char *name)
{
	g_auto(MneNode) node = { 0 };
	int err = find(f, in, name, &node);

	g_assert_true(err == 0 || err == -ENOENT);
	return node.rec;
}

static int link_to(Fixture *f, uint64_t in, const char *name, uint64_t to_dir,
		   const char *to_name)
{
	MnePlace place = { f->table, rec_at(f, in, name), in, mne_slice_str(name),
			   false };
	MneSpot spot = { f->table, to_dir, mne_slice_str(to_name) };
	g_auto(MneNode) node = { 0 };

	return mne_link(f->store, &place, &spot, &node);
}

static int unlink_at(Fixture *f, uint64_t in, const char *name)
{
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	uint64_t rec;

	return mne_unlink(f->store, &spot, &rec);
}

static int rmdir_at(Fixture *f, uint64_t in, const char *name)
{
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	uint64_t rec;

	return mne_rmdir(f->store, &spot, &rec);
}

static int rename_at(Fixture *f, uint64_t in, const char *name, uint64_t to_dir,
		     const char *to_name, unsigned flags)
{
	MneSpot from = { f->table, in, mne_slice_str(name) };
	MneSpot to = { f->table, to_dir, mne_slice_str(to_name) };
	uint64_t moved, other;

	return mne_rename(f->store, &from, &to, flags, &moved, &other);
}

/* --- every rename ------------------------------------------------------------------ */

typedef enum {
	NOTHING,
	FILE_,
	OPEN_FILE, /* created, written, never committed */
	DIRTY_FILE, /* committed, and written since */
	HARD_LINK,
	SYMLINK,
	EMPTY_DIR,
	FULL_DIR,
	WAITING_DIR, /* its only entry waits for its commit */
	N_THINGS
} Thing;

static MneFile *reopen_dirty(Fixture *f, uint64_t dir, const char *name)
{
	MnePlace place = { f->table, rec_at(f, dir, name), dir, mne_slice_str(name),
			   false };
	MneFile *file = NULL;

	g_assert_cmpint(mne_file_open(f->store, &place, true, false, &file), ==, 0);
	g_assert_cmpint(mne_file_write(file, 5, "more", 4, false, false), ==, 4);
	return file;
}

/* Make it; a file that must stay open is returned. */
static MneFile *make_thing(Fixture *f, Thing thing, uint64_t dir, const char *name)
{
	const MneMake a_link = { .mode = S_IFLNK | 0777,
				 .target = mne_slice_str("target") };
	MneSpot spot = { f->table, dir, mne_slice_str(name) };
	MneNode node;
	uint64_t made;

	switch (thing) {
	case OPEN_FILE: return make_open(f, dir, name);
	case FILE_: make_file(f, dir, name); break;
	case DIRTY_FILE: make_file(f, dir, name); return reopen_dirty(f, dir, name);
	case HARD_LINK:
		make_file(f, dir, name);
		g_assert_cmpint(link_to(f, dir, name, f->dir,
					g_str_equal(name, "from") ? "l1" : "l2"),
				==, 0);
		break;
	case SYMLINK:
		g_assert_cmpint(mne_make(f->store, &spot, &a_link, &node), ==, 0);
		break;
	case EMPTY_DIR: make_dir(f, dir, name); break;
	case FULL_DIR:
		made = make_dir(f, dir, name);
		make_file(f, made, "inside");
		break;
	case WAITING_DIR:
		made = make_dir(f, dir, name);
		return make_open(f, made, "inside");
	case NOTHING:
	case N_THINGS: break;
	}
	return NULL;
}

static bool is_dir(Thing thing)
{
	return thing == EMPTY_DIR || thing == FULL_DIR || thing == WAITING_DIR;
}

static int rename_gives(Thing from, Thing to, unsigned flags)
{
	if (from == NOTHING)
		return -ENOENT;
	if (flags & RENAME_EXCHANGE)
		return to == NOTHING ? -ENOENT : 0;
	if (to == NOTHING)
		return 0;
	if (flags & RENAME_NOREPLACE)
		return -EEXIST;
	if (is_dir(from) != is_dir(to))
		return is_dir(to) ? -EISDIR : -ENOTDIR;
	return to == FULL_DIR || to == WAITING_DIR ? -ENOTEMPTY : 0;
}

static void remove_all(Fixture *f, uint64_t dir)
{
	g_autofree char *text = NULL;
	Fixture here = *f;

	here.dir = dir;
	text = names_in(mne_store_live(f->store), &here);
	g_auto(GStrv) names = g_strsplit(text, " ", -1);

	for (unsigned i = 0; names[i] && *names[i]; i++) {
		uint64_t rec = rec_at(f, dir, names[i]);
		int err = unlink_at(f, dir, names[i]);

		if (err == -EISDIR) {
			remove_all(f, rec);
			err = rmdir_at(f, dir, names[i]);
		}
		g_assert_cmpint(err, ==, 0);
	}
}

static void close_if(MneFile *file)
{
	if (file)
		g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

static void check_rename(Fixture *f, Thing from, Thing to, unsigned flags, bool across)
{
	uint64_t old_dir = make_dir(f, f->dir, "old");
	uint64_t new_dir = across ? make_dir(f, f->dir, "new") : old_dir;
	MneFile *one = make_thing(f, from, old_dir, "from");
	MneFile *two = make_thing(f, to, new_dir, "to");
	uint64_t source = rec_at(f, old_dir, "from");
	uint64_t target = rec_at(f, new_dir, "to");
	int wants = rename_gives(from, to, flags);

	assert_counters_right(f);
	g_assert_cmpint(rename_at(f, old_dir, "from", new_dir, "to", flags), ==, wants);
	if (wants == 0) {
		g_assert_cmpuint(rec_at(f, new_dir, "to"), ==, source);
		g_assert_cmpuint(rec_at(f, old_dir, "from"), ==,
				 flags & RENAME_EXCHANGE ? target : 0);
	} else {
		g_assert_cmpuint(rec_at(f, old_dir, "from"), ==, source);
		g_assert_cmpuint(rec_at(f, new_dir, "to"), ==, target);
	}
	assert_counters_right(f);
	close_if(one);
	close_if(two);
	assert_counters_right(f);
	if (g_test_rand_int_range(0, 16) == 0) {
		fixture_reopen(f);
		assert_counters_right(f);
	}
	remove_all(f, f->dir);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
	g_assert_cmpuint(keys_of(f, MNE_TAG_INODE), ==, 0);
}

static void test_every_rename_does_what_it_says_and_the_counters_stay_right(
	Fixture *f, gconstpointer data)
{
	static const unsigned all_flags[] = { 0, RENAME_NOREPLACE, RENAME_EXCHANGE };

	(void)data;
	for (unsigned from = 0; from < N_THINGS; from++) {
		for (unsigned to = 0; to < N_THINGS; to++) {
			for (unsigned i = 0; i < 6; i++)
				check_rename(f, from, to, all_flags[i / 2], i % 2);
		}
	}
}

static void test_renames_that_cannot_be_are_refused(Fixture *f, gconstpointer data)
{
	MneSpot from = spot_of(f, "a"), to = spot_of(f, "b");
	uint64_t moved, other;

	(void)data;
	make_file(f, f->dir, "a");
	g_assert_cmpint(rename_at(f, f->dir, "a", f->dir, "b",
				  RENAME_NOREPLACE | RENAME_EXCHANGE),
			==, -EINVAL);
	g_assert_cmpint(rename_at(f, f->dir, "a", f->dir, "b", 0x80), ==, -EINVAL);
	to.table++;
	g_assert_true(
		mne_err_is(mne_rename(f->store, &from, &to, 0, &moved, &other), EXDEV));
	g_assert_cmpint(rename_at(f, 12345, "a", f->dir, "b", 0), ==, -ENOENT);
	g_assert_cmpint(rename_at(f, f->dir, "a", 12345, "b", 0), ==, -ENOENT);
	g_assert_cmpint(rename_at(f, f->dir, "a", f->dir, "a", 0), ==, 0);
	g_assert_cmpint(link_to(f, f->dir, "a", f->dir, "b"), ==, 0);
	g_assert_cmpint(rename_at(f, f->dir, "a", f->dir, "b", 0), ==, 0);
	assert_counters_right(f);
	/* Two names of one file: both stay. */
	g_assert_cmpuint(rec_at(f, f->dir, "a"), ==, rec_at(f, f->dir, "b"));
}

/* --- making and removing ----------------------------------------------------------- */

static void test_names_are_as_long_as_they_may_be_and_no_longer(Fixture *f,
								gconstpointer data)
{
	g_autofree char *longest = g_strnfill(MNE_NAME_MAX, 'n');
	g_autofree char *longer = g_strnfill(MNE_NAME_MAX + 1, 'n');
	MneSpot spot = spot_of(f, longer);
	g_auto(MneNode) node = { 0 };
	MneFile *file = NULL;
	uint32_t table;

	(void)data;
	make_file(f, f->dir, longest);
	make_dir(f, f->dir, "d");
	g_assert_cmpint(rename_at(f, f->dir, "d", f->dir, longer, 0), ==,
			-ENAMETOOLONG);
	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, -ENAMETOOLONG);
	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==,
			-ENAMETOOLONG);
	g_assert_cmpint(link_to(f, f->dir, longest, f->dir, longer), ==, -ENAMETOOLONG);
	g_assert_cmpint(unlink_at(f, f->dir, longer), ==, -ENAMETOOLONG);
	g_assert_cmpint(rmdir_at(f, f->dir, longer), ==, -ENAMETOOLONG);
	g_assert_cmpint(find(f, f->dir, longer, &node), ==, -ENAMETOOLONG);
	g_assert_cmpint(mne_table_create(f->store, mne_slice_str(longer), &a_dir,
					 &table, &node),
			==, -ENAMETOOLONG);
	g_assert_cmpint(mne_table_rename(f->store, mne_slice_str("t"),
					 mne_slice_str(longer), 0),
			==, -ENAMETOOLONG);
	assert_counters_right(f);
	g_assert_cmpint(unlink_at(f, f->dir, longest), ==, 0);
}

static void test_removing_the_wrong_kind_of_thing_is_refused(Fixture *f,
							     gconstpointer data)
{
	uint64_t dir = make_dir(f, f->dir, "d");
	MneFile *open;

	(void)data;
	make_file(f, f->dir, "f");
	g_assert_cmpint(unlink_at(f, f->dir, "d"), ==, -EISDIR);
	g_assert_cmpint(rmdir_at(f, f->dir, "f"), ==, -ENOTDIR);
	g_assert_cmpint(rmdir_at(f, f->dir, "none"), ==, -ENOENT);
	g_assert_cmpint(unlink_at(f, dir, "none"), ==, -ENOENT);
	open = make_open(f, dir, "waits");
	g_assert_cmpint(rmdir_at(f, dir, "waits"), ==, -ENOTDIR);
	g_assert_cmpint(rmdir_at(f, f->dir, "d"), ==, -ENOTEMPTY);
	g_assert_cmpint(mne_file_close(open, true), ==, 0);
	g_assert_cmpint(rmdir_at(f, f->dir, "d"), ==, -ENOTEMPTY);
	g_assert_cmpint(unlink_at(f, dir, "waits"), ==, 0);
	g_assert_cmpint(rmdir_at(f, f->dir, "d"), ==, 0);
	assert_counters_right(f);
}

static void test_nothing_can_be_made_in_a_directory_that_is_gone(Fixture *f,
								 gconstpointer data)
{
	uint64_t dir = make_dir(f, f->dir, "d");
	MneSpot spot = { f->table, dir, mne_slice_str("x") };
	MneFile *file = NULL;
	MneNode node;

	(void)data;
	make_file(f, f->dir, "f");
	g_assert_cmpint(rmdir_at(f, f->dir, "d"), ==, 0);
	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, -ENOENT);
	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==,
			-ENOENT);
	g_assert_cmpint(link_to(f, f->dir, "f", dir, "x"), ==, -ENOENT);
	g_assert_cmpint(rename_at(f, f->dir, "f", dir, "x", 0), ==, -ENOENT);
	assert_counters_right(f);
}

static void test_what_is_made_is_what_was_asked_for(Fixture *f, gconstpointer data)
{
	const MneMake device = { .mode = S_IFCHR | 0600, .rdev = 0x1234567 };
	const MneMake setgid = { .mode = S_IFDIR | S_ISGID | 0755, .gid = 77 };
	const MneMake symlink = { .mode = S_IFLNK | 0777,
				  .target = mne_slice_str("to/here") };
	g_auto(MneNode) node = { 0 };
	MneSpot spot = spot_of(f, "device");
	MneNode made;
	uint64_t dir;

	(void)data;
	g_assert_cmpint(mne_make(f->store, &spot, &device, &made), ==, 0);
	spot.name = mne_slice_str("symlink");
	g_assert_cmpint(mne_make(f->store, &spot, &symlink, &made), ==, 0);
	spot.name = mne_slice_str("setgid");
	g_assert_cmpint(mne_make(f->store, &spot, &setgid, &made), ==, 0);
	dir = made.rec;
	make_dir(f, dir, "sub");
	make_file(f, dir, "file");
	fixture_reopen(f);
	g_assert_cmpint(find(f, f->dir, "device", &node), ==, 0);
	g_assert_cmpuint(node.rdev, ==, 0x1234567);
	mne_node_clear(&node);
	g_assert_cmpint(find(f, f->dir, "symlink", &node), ==, 0);
	g_assert_cmpmem(node.content.data, node.content.len, "to/here", 7);
	g_assert_cmpuint(node.size, ==, 7);
	mne_node_clear(&node);
	g_assert_cmpint(find(f, dir, "sub", &node), ==, 0);
	g_assert_cmpuint(node.gid, ==, 77);
	g_assert_true(node.mode & S_ISGID);
	mne_node_clear(&node);
	g_assert_cmpint(find(f, dir, "file", &node), ==, 0);
	g_assert_cmpuint(node.gid, ==, 77);
	g_assert_false(node.mode & S_ISGID);
	assert_counters_right(f);
}

static void test_what_cannot_be_linked_is_refused(Fixture *f, gconstpointer data)
{
	MnePlace dir = { f->table, make_dir(f, f->dir, "d"), f->dir, mne_slice_str("d"),
			 true };
	MneSpot spot = spot_of(f, "l"), elsewhere = { f->table + 1, f->dir, spot.name };
	g_auto(MneNode) node = { 0 };
	MnePlace place;

	(void)data;
	make_file(f, f->dir, "f");
	place = place_of(f, "f");
	g_assert_cmpint(mne_link(f->store, &dir, &spot, &node), ==, -EPERM);
	g_assert_true(mne_err_is(mne_link(f->store, &place, &elsewhere, &node), EXDEV));
	g_assert_cmpint(link_to(f, f->dir, "f", f->dir, "d"), ==, -EEXIST);
	g_assert_cmpint(unlink_at(f, f->dir, "f"), ==, 0);
	g_assert_cmpint(mne_link(f->store, &place, &spot, &node), ==, -ENOENT);
	assert_counters_right(f);
}

static void test_a_listing_shows_waiting_names_among_the_others_in_order(
	Fixture *f, gconstpointer data)
{
	static const char *const waiting[] = { "b", "d", "f" };
	static const char *const stored[] = { "a", "c", "e", "\xfe" };
	MneFile *open[G_N_ELEMENTS(waiting)], *inside;
	g_autoptr(GString) got = g_string_new(NULL);
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;

	(void)data;
	for (unsigned i = 0; i < G_N_ELEMENTS(waiting); i++)
		open[i] = make_open(f, f->dir, waiting[i]);
	for (unsigned i = 0; i < G_N_ELEMENTS(stored); i++)
		make_file(f, f->dir, stored[i]);
	inside = make_open(f, make_dir(f, f->dir, "z"), "inside");
	for (const char *after = ""; after; after = after[0] ? NULL : "b") {
		g_clear_pointer(&listing, mne_listing_free);
		g_assert_cmpint(mne_live_list(f->store, f->table, f->dir,
					      mne_slice_str(after), &listing),
				==, 0);
		for (;;) {
			g_auto(MneNode) node = { 0 };

			if (mne_listing_next(listing, &entry, &node) <= 0)
				break;
			g_assert_cmpuint(node.rec, ==, entry.rec);
			g_string_append_len(got, (const char *)entry.name.data,
					    (gssize)entry.name.len);
		}
		g_string_append_c(got, ';');
	}
	g_assert_cmpstr(got->str, ==, "abcdefz\xfe;cdefz\xfe;");
	assert_counters_right(f);
	for (unsigned i = 0; i < G_N_ELEMENTS(waiting); i++)
		g_assert_cmpint(mne_file_close(open[i], true), ==, 0);
	g_assert_cmpint(mne_file_close(inside, true), ==, 0);
	assert_counters_right(f);
}

/* --- tables ------------------------------------------------------------------------ */

static int new_table(Fixture *f, const char *name, uint32_t *out_table,
		     uint64_t *out_dir)
{
	MneNode node;
	int err = mne_table_create(f->store, mne_slice_str(name), &a_dir, out_table,
				   &node);

	if (err == 0)
		*out_dir = node.rec;
	return err;
}

/* "name:id ..." of all tables, and the root's counters agree. */
static char *tables_of(Fixture *f)
{
	MnePlace root = { MNE_ROOT_TABLE, MNE_ROOT_DIR, MNE_ROOT_DIR, MNE_SLICE_EMPTY,
			  true };
	GString *text = g_string_new(NULL);
	g_autoptr(GArray) tables = NULL;
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_store_tables(f->store, &tables), ==, 0);
	for (guint i = 0; i < tables->len; i++) {
		const MneTableInfo *info = &g_array_index(tables, MneTableInfo, i);

		g_string_append_printf(text, "%s%s:%u", i > 0 ? " " : "", info->name,
				       info->id);
	}
	g_assert_cmpint(mne_live_node(f->store, &root, &node), ==, 0);
	g_assert_cmpuint(node.entries, ==, tables->len);
	g_assert_cmpuint(node.nlink, ==, 2 + tables->len);
	return g_string_free(text, FALSE);
}

static void assert_tables(Fixture *f, const char *format, ...) G_GNUC_PRINTF(2, 3);

static void assert_tables(Fixture *f, const char *format, ...)
{
	g_autofree char *got = tables_of(f);
	g_autofree char *want = NULL;
	va_list args;

	va_start(args, format);
	want = g_strdup_vprintf(format, args);
	va_end(args);
	g_assert_cmpstr(got, ==, want);
}

static int rename_table(Fixture *f, const char *from, const char *to, unsigned flags)
{
	return mne_table_rename(f->store, mne_slice_str(from), mne_slice_str(to),
				flags);
}

static void test_tables_are_made_renamed_exchanged_and_dropped(Fixture *f,
							       gconstpointer data)
{
	uint32_t a, b, t = f->table;
	uint64_t dir = 0, rec;

	(void)data;
	g_assert_cmpint(new_table(f, "a", &a, &dir), ==, 0);
	g_assert_cmpint(new_table(f, "b", &b, &dir), ==, 0);
	g_assert_cmpint(new_table(f, "a", &a, &dir), ==, -EEXIST);
	write_text(f, "in-t", "bytes");
	assert_tables(f, "a:%u b:%u t:%u", a, b, t);

	g_assert_cmpint(rename_table(f, "t", "a", RENAME_EXCHANGE), ==, 0);
	assert_tables(f, "a:%u b:%u t:%u", t, b, a);
	g_assert_cmpint(rename_table(f, "a", "t", RENAME_NOREPLACE), ==, -EEXIST);
	g_assert_cmpint(rename_table(f, "b", "a", 0), ==, -ENOTEMPTY);
	g_assert_cmpint(rename_table(f, "a", "none", RENAME_EXCHANGE), ==, -ENOENT);
	g_assert_cmpint(rename_table(f, "none", "x", 0), ==, -ENOENT);
	g_assert_cmpint(rename_table(f, "a", "a", 0), ==, 0);
	g_assert_cmpint(rename_table(f, "a", "t", 0), ==, 0);
	assert_tables(f, "b:%u t:%u", b, t);
	assert_text(mne_store_live(f->store), f, "in-t", "bytes");

	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("t"), &rec), ==,
			-ENOTEMPTY);
	remove_file(f, "in-t");
	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("b"), &rec), ==, 0);
	g_assert_cmpuint(rec, ==, dir);
	g_assert_true(
		mne_err_is(mne_table_drop(f->store, mne_slice_str("b"), &rec), ENOENT));
	fixture_reopen(f);
	assert_tables(f, "t:%u", t);
	assert_counters_right(f);
}

static void test_a_table_with_a_waiting_file_is_not_empty(Fixture *f,
							  gconstpointer data)
{
	MneFile *open = make_open(f, f->dir, "waits");
	uint64_t rec;

	(void)data;
	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("t"), &rec), ==,
			-ENOTEMPTY);
	g_assert_cmpint(unlink_at(f, f->dir, "waits"), ==, 0);
	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("t"), &rec), ==, 0);
	g_assert_cmpint(mne_file_write(open, 0, "lives on", 8, false, false), ==, 8);
	g_assert_cmpint(mne_file_close(open, true), ==, 0);
	assert_tables(f, "%s", "");
}

static void test_a_checkpoint_keeps_tables_that_are_dropped_renamed_or_made_again(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_auto(MneNode) then = { 0 };
	g_auto(MneNode) now = { 0 };
	uint32_t table, again;
	uint64_t dir = 0, rec;
	Fixture old = *f;

	(void)data;
	write_text(f, "a", "kept");
	ckpt = checkpoint(f, "c");
	remove_file(f, "a");
	g_assert_cmpint(mne_table_drop(f->store, mne_slice_str("t"), &rec), ==, 0);
	g_assert_cmpint(new_table(f, "t", &again, &dir), ==, 0);
	g_assert_cmpuint(again, !=, old.table);
	g_assert_cmpuint(dir, !=, old.dir);

	g_assert_cmpint(mne_view_lookup(&ckpt->view, MNE_ROOT_TABLE, MNE_ROOT_DIR,
					mne_slice_str("t"), &table, &then),
			==, 0);
	g_assert_cmpuint(table, ==, old.table);
	assert_text(&ckpt->view, &old, "a", "kept");
	g_assert_cmpint(mne_live_lookup(f->store, MNE_ROOT_TABLE, MNE_ROOT_DIR,
					mne_slice_str("t"), &table, &now),
			==, 0);
	g_assert_cmpuint(table, ==, again);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_TABLE), ==, 1);
	g_assert_cmpuint(keys_of(f, MNE_TAG_NODE), ==, 2);
}

static void test_a_read_only_store_refuses_every_change(Fixture *f, gconstpointer data)
{
	MneStoreOptions how = MNE_STORE_OPTIONS_DEFAULT;
	MneSpot spot = spot_of(f, "x");
	MneFile *file = NULL;
	MneCkpt *ckpt = NULL;
	MneNode node;
	MnePlace place;

	(void)data;
	write_text(f, "a", "bytes");
	make_dir(f, f->dir, "d");
	mne_store_close(f->store);
	how.read_only = how.no_background = true;
	g_assert_cmpint(mne_store_open(f->path, &how, &f->store), ==, 0);
	place = place_of(f, "a");
	g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, -EROFS);
	g_assert_cmpint(mne_file_create(f->store, &spot, &a_file, &file, &node), ==,
			-EROFS);
	g_assert_cmpint(mne_file_open(f->store, &place, true, false, &file), ==,
			-EROFS);
	g_assert_cmpint(unlink_at(f, f->dir, "a"), ==, -EROFS);
	g_assert_cmpint(rmdir_at(f, f->dir, "d"), ==, -EROFS);
	g_assert_cmpint(rename_at(f, f->dir, "a", f->dir, "b", 0), ==, -EROFS);
	g_assert_cmpint(link_to(f, f->dir, "a", f->dir, "b"), ==, -EROFS);
	g_assert_cmpint(
		mne_store_checkpoint(
			f->store, &(MneCkptSpec){ .name = mne_slice_str("c") }, &ckpt),
		==, -EROFS);
	g_assert_cmpint(mne_file_open(f->store, &place, false, false, &file), ==, 0);
	g_assert_cmpint(mne_file_read(file, 0, &node, 5), ==, 5);
	g_assert_cmpint(mne_file_close(file, false), ==, 0);
	fixture_reopen(f);
	assert_text(mne_store_live(f->store), f, "a", "bytes");
}

#define ADD(func)                                                      \
	g_test_add("/txn/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_every_rename_does_what_it_says_and_the_counters_stay_right);
	ADD(test_renames_that_cannot_be_are_refused);
	ADD(test_names_are_as_long_as_they_may_be_and_no_longer);
	ADD(test_removing_the_wrong_kind_of_thing_is_refused);
	ADD(test_nothing_can_be_made_in_a_directory_that_is_gone);
	ADD(test_what_is_made_is_what_was_asked_for);
	ADD(test_what_cannot_be_linked_is_refused);
	ADD(test_a_listing_shows_waiting_names_among_the_others_in_order);
	ADD(test_tables_are_made_renamed_exchanged_and_dropped);
	ADD(test_a_table_with_a_waiting_file_is_not_empty);
	ADD(test_a_checkpoint_keeps_tables_that_are_dropped_renamed_or_made_again);
	ADD(test_a_read_only_store_refuses_every_change);
	return g_test_run();
}
