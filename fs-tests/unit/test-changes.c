/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-changes.c - what differs between two moments, by path (C7)
 *
 * The proof of a list is what it is for: a copy of the one tree, with every listed path
 * treated as the other tree has it, is a copy of the other tree.
 */
#include "config.h"

#include "ckpt/changes.h"
#include "txn/bookmark.h"

#include <errno.h>
#include <stdio.h>

#include "txns.h"

/* --- trees as maps from path to a text that says everything about it ------- */

static char *say_node(MneView *view, uint32_t table, const MneNode *node)
{
	g_autofree char *bytes = g_malloc0(node->size + 1);

	if (S_ISREG(node->mode))
		g_assert_cmpint(mne_view_read(view, table, node, 0, bytes, node->size),
				==, node->size);
	else if (S_ISLNK(node->mode))
		memcpy(bytes, node->content.data, node->size);
	return g_strdup_printf("%o %u %lld.%09ld %s", node->mode, node->uid,
			       (long long)node->mtime.tv_sec, node->mtime.tv_nsec,
			       bytes);
}

static void add_tree(MneView *view, uint32_t table, uint64_t dir, const char *path,
		     GHashTable *tree)
{
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;
	int got;

	g_assert_cmpint(mne_view_list(view, table, dir, MNE_SLICE_EMPTY, &listing), ==,
			0);
	for (;;) {
		g_auto(MneNode) node = { 0 };
		char *full;

		got = mne_listing_next(listing, &entry, &node);
		if (got <= 0)
			break;
		full = g_strdup_printf("%s%s%.*s", path, *path ? "/" : "",
				       (int)entry.name.len, entry.name.data);
		g_hash_table_insert(tree, full, say_node(view, entry.table, &node));
		if (S_ISDIR(node.mode))
			add_tree(view, entry.table, node.rec, full, tree);
	}
	g_assert_cmpint(got, ==, 0);
}

static GHashTable *tree_of(MneView *view)
{
	MnePlace root = { MNE_ROOT_TABLE, MNE_ROOT_DIR, 0, MNE_SLICE_EMPTY, true };
	GHashTable *tree = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						 g_free);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_view_node(view, &root, &node), ==, 0);
	g_hash_table_insert(tree, g_strdup("."), say_node(view, 0, &node));
	add_tree(view, MNE_ROOT_TABLE, MNE_ROOT_DIR, "", tree);
	return tree;
}

static bool is_dir_text(const char *text)
{
	return text && strtoul(text, NULL, 8) / 010000 == S_IFDIR / 010000;
}

static gboolean is_below(gpointer path, gpointer text, gpointer above)
{
	size_t len = strlen(above);

	(void)text;
	return strncmp(path, above, len) == 0 && ((char *)path)[len] == '/';
}

/* As rsync --force --delete-missing-args does with one path of a list. */
static void apply_path(GHashTable *copy, GHashTable *to, const char *path)
{
	const char *wanted = g_hash_table_lookup(to, path);
	g_autofree char *above = g_path_get_dirname(path);

	if (!wanted || !is_dir_text(wanted))
		g_hash_table_foreach_remove(copy, is_below, (gpointer)path);
	if (!wanted)
		g_assert_true(is_dir_text(g_hash_table_lookup(to, above)));
	if (wanted)
		g_hash_table_insert(copy, g_strdup(path), g_strdup(wanted));
	else
		g_hash_table_remove(copy, path);
}

static void assert_same_tree(GHashTable *a, GHashTable *b)
{
	GHashTableIter iter;
	gpointer path, text;

	g_hash_table_iter_init(&iter, a);
	while (g_hash_table_iter_next(&iter, &path, &text)) {
		if (g_strcmp0(text, g_hash_table_lookup(b, path)) != 0)
			g_error("%s: %s, should be %s", (char *)path, (char *)text,
				(char *)g_hash_table_lookup(b, path));
	}
	g_hash_table_iter_init(&iter, b);
	while (g_hash_table_iter_next(&iter, &path, NULL))
		if (!g_hash_table_contains(a, path))
			g_error("%s is missing", (char *)path);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* Random changes may fail. */
static void may_fail(int err)
{
	g_assert_cmpint(err, !=, -EIO);
}

static char op_letter(MneChangeOp op)
{
	return "+~>-c."[op];
}

/* All changes as text, sorted: "+t/a ~t/b >t/c<t/d". */
static char *changes_text(MneCkpt *from, MneCkpt *to, bool origins)
{
	const MneChangesSpec spec = { .from = from, .to = to, .origins = origins };
	g_autoptr(GPtrArray) all = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(MneChanges) changes = NULL;
	GString *text = g_string_new(NULL);
	MneChange change;
	int got;

	g_assert_cmpint(mne_changes_open(&spec, &changes), ==, 0);
	while ((got = mne_changes_next(changes, &change)) > 0) {
		if (change.op == MNE_CHANGE_MODIFIED && S_ISDIR(change.now->mode) &&
		    !change.origin)
			continue; /* its times only, mostly */
		g_ptr_array_add(all,
				g_strdup_printf("%c%s%s%s%s", op_letter(change.op),
						change.path, change.origin ? "<" : "",
						change.origin ? change.origin : "",
						change.listed ? "" : "!"));
	}
	g_assert_cmpint(got, ==, 0);
	g_ptr_array_sort(all, by_text);
	for (guint i = 0; i < all->len; i++)
		g_string_append_printf(text, "%s%s", i > 0 ? " " : "",
				       (char *)all->pdata[i]);
	return g_string_free(text, FALSE);
}

/* copy is the tree at `from`, and becomes that at `to`, which is want. */
static void assert_list_leads(const MneChangesSpec *spec, GHashTable *copy,
			      GHashTable *want)
{
	g_autoptr(GHashTable) seen = g_hash_table_new_full(g_str_hash, g_str_equal,
							   g_free, NULL);
	g_autoptr(MneChanges) changes = NULL;
	MneChange change;
	int got;

	g_assert_cmpint(mne_changes_open(spec, &changes), ==, 0);
	while ((got = mne_changes_next(changes, &change)) > 0) {
		if (!change.listed)
			continue;
		g_assert_true(g_hash_table_add(seen, g_strdup(change.path)));
		if (change.op == MNE_CHANGE_RENAMED || change.op == MNE_CHANGE_CARRIED)
			g_assert_cmpuint(change.was->rec, ==, change.now->rec);
		apply_path(copy, want, change.path);
	}
	g_assert_cmpint(got, ==, 0);
	assert_same_tree(copy, want);
}

static void assert_list_makes_a_copy(MneCkpt *from, MneCkpt *to, MneView *live,
				     bool origins)
{
	const MneChangesSpec spec = { .from = from, .to = to, .origins = origins };
	g_autoptr(GHashTable) copy = tree_of(from ? &from->view : live);
	g_autoptr(GHashTable) want = tree_of(to ? &to->view : live);

	assert_list_leads(&spec, copy, want);
}

/* --- short words ------------------------------------------------------------ */

static uint64_t make_dir(Fixture *f, uint64_t in, const char *name)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_make(f->store, &spot, &what, &node), ==, 0);
	return node.rec;
}

static int make_link(Fixture *f, uint64_t in, const char *name, const char *target)
{
	const MneMake what = { .mode = S_IFLNK | 0777,
			       .target = mne_slice_str(target) };
	MneSpot spot = { f->table, in, mne_slice_str(name) };
	g_auto(MneNode) node = { 0 };

	return mne_make(f->store, &spot, &what, &node);
}

static void move(Fixture *f, uint64_t from, const char *name, uint64_t to,
		 const char *new_name, unsigned flags)
{
	MneSpot a = { f->table, from, mne_slice_str(name) };
	MneSpot b = { f->table, to, mne_slice_str(new_name) };
	uint64_t moved, other;

	g_assert_cmpint(mne_rename(f->store, &a, &b, flags, &moved, &other), ==, 0);
}

/* A file in any directory. */
static void write_in(Fixture *f, uint64_t dir, const char *name, const char *text)
{
	uint64_t kept = f->dir;

	f->dir = dir;
	write_text(f, name, text);
	f->dir = kept;
}

static void link_in(Fixture *f, const char *name, uint64_t dir, const char *new_name)
{
	MneSpot to = { f->table, dir, mne_slice_str(new_name) };
	MnePlace place = place_of(f, name);
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_link(f->store, &place, &to, &node), ==, 0);
}

/* --- examples --------------------------------------------------------------- */

static void test_what_was_made_changed_moved_and_removed_is_told_apart(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autofree char *text = NULL;
	g_autofree char *plain = NULL;

	(void)data;
	write_text(f, "kept", "k");
	write_text(f, "changed", "a");
	write_text(f, "removed", "r");
	write_text(f, "moved", "m");
	write_text(f, "replaced", "1");
	write_text(f, "new", "2");
	ckpt = checkpoint(f, "c");
	write_text(f, "changed", "b");
	write_text(f, "made", "n");
	remove_file(f, "removed");
	move(f, f->dir, "moved", f->dir, "here", 0);
	move(f, f->dir, "new", f->dir, "replaced", 0);
	write_text(f, "brief", "x");
	remove_file(f, "brief");

	text = changes_text(ckpt, NULL, true);
	g_assert_cmpstr(text, ==,
			"+t/made -t/removed .t/moved .t/new >t/here<t/moved "
			">t/replaced<t/new ~t/changed");
	plain = changes_text(ckpt, NULL, false);
	g_assert_cmpstr(plain, ==,
			"+t/here +t/made -t/moved -t/new -t/removed ~t/changed "
			"~t/replaced");
}

static void test_a_moved_tree_is_carried_and_a_removed_one_is_one_path(
	Fixture *f, gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autoptr(MneCkpt) later = NULL;
	g_autofree char *text = NULL;
	g_autofree char *back = NULL;
	uint64_t tree = make_dir(f, f->dir, "tree"), sub = make_dir(f, tree, "sub");
	MneSpot at_sub = { f->table, tree, mne_slice_str("sub") };
	MneSpot at_tree = { f->table, f->dir, mne_slice_str("there") };
	uint64_t rec;

	(void)data;
	write_in(f, tree, "a", "a");
	write_in(f, tree, "gone", "g");
	write_in(f, sub, "b", "b");
	ckpt = checkpoint(f, "c");
	move(f, f->dir, "tree", f->dir, "there", 0);
	write_in(f, tree, "a", "aa");
	write_in(f, sub, "new", "n");
	g_assert_cmpint(mne_unlink(f->store,
				   &(MneSpot){ f->table, tree, mne_slice_str("gone") },
				   &rec),
			==, 0);
	text = changes_text(ckpt, NULL, true);
	g_assert_cmpstr(text, ==,
			"+t/there/sub/new -t/tree/gone! .t/tree >t/there<t/tree "
			"ct/there/sub/b<t/tree/sub/b ~t/there/a<t/tree/a "
			"~t/there/sub<t/tree/sub");

	later = checkpoint(f, "d");
	g_assert_cmpint(mne_unlink(f->store,
				   &(MneSpot){ f->table, sub, mne_slice_str("b") },
				   &rec),
			==, 0);
	g_assert_cmpint(mne_unlink(f->store,
				   &(MneSpot){ f->table, sub, mne_slice_str("new") },
				   &rec),
			==, 0);
	g_assert_cmpint(mne_rmdir(f->store, &at_sub, &rec), ==, 0);
	g_assert_cmpint(mne_unlink(f->store,
				   &(MneSpot){ f->table, tree, mne_slice_str("a") },
				   &rec),
			==, 0);
	g_assert_cmpint(mne_rmdir(f->store, &at_tree, &rec), ==, 0);
	back = changes_text(later, NULL, true);
	g_assert_cmpstr(back, ==, "-t/there");
	assert_list_makes_a_copy(NULL, later, mne_store_live(f->store), true);
}

static void test_a_hard_linked_file_is_listed_by_all_its_names(Fixture *f,
							       gconstpointer data)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autofree char *text = NULL;
	uint64_t dir = make_dir(f, f->dir, "d");

	(void)data;
	write_text(f, "a", "1");
	link_in(f, "a", f->dir, "b");
	link_in(f, "a", dir, "c");
	ckpt = checkpoint(f, "c");
	write_text(f, "b", "2");
	text = changes_text(ckpt, NULL, true);
	g_assert_cmpstr(text, ==, "~t/a ~t/b ~t/d/c");
}

static unsigned keys_of(Fixture *f, MneTag tag)
{
	const uint8_t byte = (uint8_t)tag;
	g_autoptr(MneKvIter) iter = NULL;
	unsigned count = 0;

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	mne_kv_iter_seek(iter, mne_slice(&byte, 1));
	for (; mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == tag;
	     mne_kv_iter_next(iter))
		count++;
	return count;
}

static void test_a_bookmark_outlives_its_checkpoint_and_keeps_no_bytes(
	Fixture *f, gconstpointer data)
{
	g_autofree char *text = NULL, *later = NULL;
	g_autoptr(MneCkpt) mark = NULL;
	MneStoreStats stats;

	(void)data;
	write_file(f, "big", 1, 200000);
	write_text(f, "gone", "g");
	write_text(f, "kept", "k");
	mne_ckpt_unref(checkpoint(f, "c"));
	write_file(f, "big", 2, 100000);
	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str("c"),
					   mne_slice_str("m"), false),
			==, 0);
	g_assert_cmpint(mne_store_drop(f->store, mne_slice_str("c")), ==, 0);
	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, 100000);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);

	remove_file(f, "gone");
	write_text(f, "new", "n");
	fixture_reopen(f);
	g_assert_cmpint(mne_ckpts_find(f->store->bookmarks, mne_slice_str("m"), &mark),
			==, 0);
	text = changes_text(mark, NULL, true);
	g_assert_cmpstr(text, ==, "+t/new -t/gone ~t/big");
	write_text(f, "kept", "kk");
	later = changes_text(mark, NULL, true);
	g_assert_cmpstr(later, ==, "+t/new -t/gone ~t/big ~t/kept");

	g_assert_cmpint(mne_store_drop_bookmark(f->store, mne_slice_str("m")), ==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_STUB), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_SINCE), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_BOOKMARK), ==, 0);
}

static void test_names_of_bookmarks_are_taken_replaced_and_changed(Fixture *f,
								   gconstpointer data)
{
	g_autoptr(MneCkpt) mark = NULL;

	(void)data;
	mne_ckpt_unref(checkpoint(f, "c"));
	write_text(f, "a", "a");
	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str("c"),
					   mne_slice_str("m"), false),
			==, 0);
	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str("c"),
					   mne_slice_str("m"), false),
			==, -MNE_E_CKPT_EXISTS);
	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str("x"),
					   mne_slice_str("m2"), false),
			==, -MNE_E_NO_CKPT);
	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str("c"),
					   mne_slice_str("m"), true),
			==, 0);
	work_off(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_BOOKMARK), ==, 1);
	g_assert_cmpuint(keys_of(f, MNE_TAG_SINCE), >, 0);
	g_assert_cmpint(mne_store_rename_bookmark(f->store, mne_slice_str("m"),
						  mne_slice_str("n")),
			==, 0);
	fixture_reopen(f);
	g_assert_cmpint(mne_ckpts_find(f->store->bookmarks, mne_slice_str("n"), &mark),
			==, 0);
}

static void strip(MneKvBatch *batch, MneSlice key)
{
	MneKeyParts parts;
	int tag;

	g_assert_cmpint(mne_key_parse(key, &parts), ==, 0);
	tag = parts.inner.len > 0 ? parts.inner.data[0] : parts.tag;
	if (tag == MNE_TAG_NAME)
		mne_kv_batch_del(batch, key);
}

/* As an mnefs wrote it that knew no NAME keys. */
static void make_old(Fixture *f)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	g_autoptr(MneKvIter) iter = NULL;

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	mne_kv_iter_seek(iter, MNE_SLICE_EMPTY);
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter))
		strip(batch, mne_kv_iter_key(iter));
	g_assert_cmpuint(mne_kv_batch_count(batch), >=, 4);
	g_assert_cmpint(mne_kv_apply(mne_store_kv(f->store), batch), ==, 0);
	f->store->volume->features = 0;
}

static void test_an_older_store_learns_the_names_of_its_linked_files(Fixture *f,
								     gconstpointer data)
{
	g_autofree char *text = NULL, *back = NULL;
	g_autoptr(MneCkpt) old = NULL;
	uint64_t dir = make_dir(f, f->dir, "d");

	(void)data;
	write_text(f, "a", "1");
	link_in(f, "a", f->dir, "b");
	link_in(f, "a", dir, "c");
	mne_ckpt_unref(checkpoint(f, "c"));
	remove_file(f, "b");
	write_text(f, "a", "2");
	make_old(f);

	fixture_reopen(f);
	g_assert_cmpuint(f->store->volume->features, ==, MNE_FEATURES_NEW);
	g_assert_cmpint(mne_ckpts_find(f->store->ckpts, mne_slice_str("c"), &old), ==,
			0);
	text = changes_text(old, NULL, true);
	g_assert_cmpstr(text, ==, "-t/b ~t/a ~t/d/c");
	back = changes_text(NULL, old, true);
	g_assert_cmpstr(back, ==, "+t/b ~t/a ~t/d/c");
}

static void test_a_checkpoint_of_one_table_differs_by_the_others(Fixture *f,
								 gconstpointer data)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	g_autoptr(GArray) tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_autoptr(MneCkpt) one = NULL;
	g_autoptr(MneCkpt) all = NULL;
	g_autofree char *text = NULL, *back = NULL;
	MneCkptSpec spec = { .name = mne_slice_str("one") };
	uint32_t table;
	g_auto(MneNode) node = { 0 };

	(void)data;
	write_text(f, "a", "1");
	g_assert_cmpint(
		mne_table_create(f->store, mne_slice_str("u"), &what, &table, &node),
		==, 0);
	g_array_append_val(tables, f->table);
	spec.tables = tables;
	g_assert_cmpint(mne_store_checkpoint(f->store, &spec, &one), ==, 0);
	write_text(f, "a", "2");
	all = checkpoint(f, "all");
	text = changes_text(one, all, true);
	g_assert_cmpstr(text, ==, "+u ~t/a");
	back = changes_text(all, one, true);
	g_assert_cmpstr(back, ==, "-u ~t/a");
}

/* --- random histories ------------------------------------------------------- */

typedef struct {
	Fixture *f;
	GArray *dirs; /* uint64_t: some that exist, or did */
	unsigned tables;
} History;

static const char *some_name(void)
{
	static const char *const names[] = { "a", "b", "c", "d", "e" };

	return names[g_test_rand_int_range(0, G_N_ELEMENTS(names))];
}

static uint64_t some_dir(History *h)
{
	return g_array_index(h->dirs, uint64_t,
			     g_test_rand_int_range(0, (gint32)h->dirs->len));
}

static MneSpot some_spot(History *h)
{
	return (MneSpot){ h->f->table, some_dir(h), mne_slice_str(some_name()) };
}

/* The node at spot; false: nothing. */
static bool at(History *h, const MneSpot *spot, MneNode *node)
{
	uint32_t table;

	return mne_live_lookup(h->f->store, spot->table, spot->dir, spot->name, &table,
			       node) == 0;
}

static bool is_inside(History *h, uint64_t dir, uint64_t above)
{
	while (dir != MNE_ROOT_DIR) {
		MnePlace place = { .table = h->f->table, .rec = dir, .is_dir = true };
		g_auto(MneNode) node = { 0 };

		if (dir == above)
			return true;
		if (mne_live_node(h->f->store, &place, &node) < 0)
			return true;
		dir = node.parent;
	}
	return false;
}

static void some_write(History *h)
{
	MneSpot spot = some_spot(h);
	g_autofree char *text = g_strdup_printf("%d", g_test_rand_int());
	MnePlace in = { .table = h->f->table, .rec = spot.dir, .is_dir = true };
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) dir = { 0 };

	if (mne_live_node(h->f->store, &in, &dir) < 0 ||
	    (at(h, &spot, &node) && !S_ISREG(node.mode)))
		return;
	write_in(h->f, spot.dir, (const char *)spot.name.data, text);
}

static void some_make(History *h)
{
	MneMake what = { .mode = S_IFDIR | 0755 };
	MneSpot spot = some_spot(h);
	g_auto(MneNode) node = { 0 };

	if (g_test_rand_int_range(0, 4) == 0)
		may_fail(make_link(h->f, spot.dir, (const char *)spot.name.data, "x"));
	else if (mne_make(h->f->store, &spot, &what, &node) == 0)
		g_array_append_val(h->dirs, node.rec);
}

static void remove_all(History *h, const MneSpot *spot)
{
	g_auto(MneNode) node = { 0 };
	uint64_t rec;

	if (!at(h, spot, &node))
		return;
	if (!S_ISDIR(node.mode)) {
		g_assert_cmpint(mne_unlink(h->f->store, spot, &rec), ==, 0);
		return;
	}
	for (const char *name = "abcde"; *name; name++) {
		MneSpot below = { spot->table, node.rec, mne_slice(name, 1) };

		remove_all(h, &below);
	}
	g_assert_cmpint(mne_rmdir(h->f->store, spot, &rec), ==, 0);
}

static void some_remove(History *h)
{
	MneSpot spot = some_spot(h);

	remove_all(h, &spot);
}

static void some_rename(History *h)
{
	MneSpot from = some_spot(h), to = some_spot(h);
	unsigned flags = g_test_rand_int_range(0, 4) == 0 ? RENAME_EXCHANGE : 0;
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) other = { 0 };
	uint64_t moved;

	/* The kernel refuses to move a directory into itself. */
	if (!at(h, &from, &node) || is_inside(h, to.dir, node.rec))
		return;
	if (at(h, &to, &other) && is_inside(h, from.dir, other.rec))
		return;
	may_fail(mne_rename(h->f->store, &from, &to, flags, &moved, &moved));
}

static void some_hard_link(History *h)
{
	MneSpot from = some_spot(h), to = some_spot(h);
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) made = { 0 };
	MnePlace place = { from.table, 0, from.dir, from.name, false };

	if (!at(h, &from, &node) || S_ISDIR(node.mode))
		return;
	place.rec = node.rec;
	may_fail(mne_link(h->f->store, &place, &to, &made));
}

static void some_chmod(History *h)
{
	MneSpot spot = some_spot(h);
	MneAttrChange change = { .set = MNE_SET_MODE,
				 .mode = 0600 |
					 (unsigned)g_test_rand_int_range(0, 64) };
	g_auto(MneNode) node = { 0 };
	g_auto(MneNode) after = { 0 };
	MnePlace place = { spot.table, 0, spot.dir, spot.name, false };

	if (!at(h, &spot, &node))
		return;
	place.rec = node.rec;
	place.is_dir = S_ISDIR(node.mode);
	g_assert_cmpint(mne_setattr(h->f->store, &place, &change, &after), ==, 0);
}

/* Other tables come, go and change their names; the one worked in changes its name. */
static void some_table(History *h)
{
	static const char *const names[] = { "t", "u", "v" };
	const char *name = names[g_test_rand_int_range(0, 3)];
	const char *other = names[g_test_rand_int_range(0, 3)];
	const MneMake what = { .mode = S_IFDIR | 0755 };
	MneStore *store = h->f->store;
	uint64_t rec;
	uint32_t table;
	g_auto(MneNode) node = { 0 };

	switch (g_test_rand_int_range(0, 4)) {
	case 0:
		may_fail(mne_table_create(store, mne_slice_str(name), &what, &table,
					  &node));
		break;
	case 1:
		if (mne_live_lookup(store, 0, MNE_ROOT_DIR, mne_slice_str(name), &table,
				    &node) == 0 &&
		    node.rec != h->f->dir)
			may_fail(mne_table_drop(store, mne_slice_str(name), &rec));
		break;
	case 2:
		may_fail(mne_table_rename(store, mne_slice_str(name),
					  mne_slice_str(other), RENAME_EXCHANGE));
		break;
	default:
		may_fail(mne_table_rename(store, mne_slice_str(name),
					  mne_slice_str(other), RENAME_NOREPLACE));
	}
}

static void some_change(History *h)
{
	static void (*const changes[])(History *) = {
		some_write,  some_write,     some_make,   some_make,
		some_remove, some_rename,    some_rename, some_rename,
		some_chmod,  some_hard_link, some_table,
	};

	changes[g_test_rand_int_range(0, G_N_ELEMENTS(changes))](h);
}

static void assert_all_pairs(History *h, GPtrArray *ckpts)
{
	MneView *live = mne_store_live(h->f->store);

	for (guint i = 0; i <= ckpts->len; i++) {
		MneCkpt *from = i < ckpts->len ? ckpts->pdata[i] : NULL;

		for (guint j = 0; j <= ckpts->len; j++) {
			MneCkpt *to = j < ckpts->len ? ckpts->pdata[j] : NULL;

			if (i == j)
				continue;
			assert_list_makes_a_copy(from, to, live, false);
			assert_list_makes_a_copy(from, to, live, true);
		}
	}
}

/* --- bookmarks -------------------------------------------------------------- */

typedef struct {
	MneCkpt *mark;
	GHashTable *tree; /* as it was then */
	char *name;
} Mark;

static void mark_free(gpointer data)
{
	Mark *mark = data;

	mne_ckpt_unref(mark->mark);
	g_hash_table_unref(mark->tree);
	g_free(mark->name);
	g_free(mark);
}

static Mark *mark_of(Fixture *f, MneCkpt *ckpt, const char *name)
{
	g_autofree char *of = mne_ckpt_name(ckpt);
	Mark *mark = g_new0(Mark, 1);

	g_assert_cmpint(mne_store_bookmark(f->store, mne_slice_str(of),
					   mne_slice_str(name), false),
			==, 0);
	mark->name = g_strdup(name);
	mark->tree = tree_of(&ckpt->view);
	g_assert_cmpint(
		mne_ckpts_find(f->store->bookmarks, mne_slice_str(name), &mark->mark),
		==, 0);
	return mark;
}

static GHashTable *copy_tree(GHashTable *tree)
{
	GHashTable *copy = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						 g_free);
	GHashTableIter iter;
	gpointer path, text;

	g_hash_table_iter_init(&iter, tree);
	while (g_hash_table_iter_next(&iter, &path, &text))
		g_hash_table_insert(copy, g_strdup(path), g_strdup(text));
	return copy;
}

static void assert_mark_leads_to(const Mark *mark, MneCkpt *to, MneView *live)
{
	const MneChangesSpec spec = { .from = mark->mark, .to = to, .origins = true };
	g_autoptr(GHashTable) copy = copy_tree(mark->tree);
	g_autoptr(GHashTable) want = tree_of(to ? &to->view : live);

	assert_list_leads(&spec, copy, want);
}

static void assert_marks(History *h, GPtrArray *marks, GPtrArray *ckpts)
{
	MneView *live = mne_store_live(h->f->store);

	for (guint i = 0; i < marks->len; i++) {
		const Mark *mark = marks->pdata[i];

		assert_mark_leads_to(mark, NULL, live);
		for (guint j = 0; j < ckpts->len; j++)
			assert_mark_leads_to(mark, ckpts->pdata[j], live);
		for (guint j = 0; j < marks->len; j++) {
			const Mark *to = marks->pdata[j];
			const MneChangesSpec spec = { .from = mark->mark,
						      .to = to->mark };
			g_autoptr(GHashTable) copy = copy_tree(mark->tree);

			if (to->mark->seq != mark->mark->seq)
				assert_list_leads(&spec, copy, to->tree);
		}
	}
}

static void change_marks(History *h, GPtrArray *marks, MneCkpt *ckpt, unsigned number)
{
	g_autofree char *name = g_strdup_printf("m%u", number);

	if (marks->len < 3) {
		g_ptr_array_add(marks, mark_of(h->f, ckpt, name));
	} else {
		guint i = (guint)g_test_rand_int_range(0, (gint32)marks->len);
		const Mark *mark = marks->pdata[i];

		g_assert_cmpint(
			mne_store_drop_bookmark(h->f->store, mne_slice_str(mark->name)),
			==, 0);
		g_ptr_array_remove_index(marks, i);
	}
}

static void drop_some(History *h, GPtrArray *ckpts)
{
	guint i = (guint)g_test_rand_int_range(0, (gint32)ckpts->len);
	g_autofree char *name = mne_ckpt_name(ckpts->pdata[i]);

	g_assert_cmpint(mne_store_drop(h->f->store, mne_slice_str(name)), ==, 0);
	g_ptr_array_remove_index(ckpts, i);
	if (g_test_rand_int_range(0, 2))
		(void)mne_store_work(h->f->store); /* some of it */
	else
		work_off(h->f);
}

static void test_after_any_history_every_list_makes_a_copy(Fixture *f,
							   gconstpointer data)
{
	g_autoptr(GPtrArray) ckpts =
		g_ptr_array_new_with_free_func((GDestroyNotify)mne_ckpt_unref);
	g_autoptr(GPtrArray) marks = g_ptr_array_new_with_free_func(mark_free);
	History h = { .f = f };

	(void)data;
	h.dirs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	g_array_append_val(h.dirs, f->dir);
	for (unsigned step = 0; step < 40; step++) {
		unsigned changes = (unsigned)g_test_rand_int_range(0, 12);
		g_autofree char *name = g_strdup_printf("c%u", step);

		for (unsigned i = 0; i < changes; i++)
			some_change(&h);
		if (ckpts->len < 4)
			g_ptr_array_add(ckpts, checkpoint(f, name));
		else
			drop_some(&h, ckpts);
		change_marks(&h, marks,
			     ckpts->pdata[g_test_rand_int_range(0, (gint32)ckpts->len)],
			     step);
		if (ckpts->len >= 3)
			assert_all_pairs(&h, ckpts);
		assert_marks(&h, marks, ckpts);
	}
	g_array_unref(h.dirs);
}

#define TEST(function)                                                             \
	g_test_add("/changes/" #function, Fixture, NULL, fixture_set_up, function, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	static const MneStoreOptions in_memory = { .create = true,
						   .in_memory = true,
						   .no_background = true };

	g_test_init(&argc, &argv, NULL);
	TEST(test_what_was_made_changed_moved_and_removed_is_told_apart);
	TEST(test_a_moved_tree_is_carried_and_a_removed_one_is_one_path);
	TEST(test_a_hard_linked_file_is_listed_by_all_its_names);
	TEST(test_a_bookmark_outlives_its_checkpoint_and_keeps_no_bytes);
	TEST(test_names_of_bookmarks_are_taken_replaced_and_changed);
	TEST(test_an_older_store_learns_the_names_of_its_linked_files);
	TEST(test_a_checkpoint_of_one_table_differs_by_the_others);
	for (unsigned i = 0; i < 20; i++) {
		g_autofree char *path = g_strdup_printf("/changes/history/%u", i);

		g_test_add(path, Fixture, &in_memory, fixture_set_up,
			   test_after_any_history_every_list_makes_a_copy,
			   fixture_tear_down);
	}
	return g_test_run();
}
