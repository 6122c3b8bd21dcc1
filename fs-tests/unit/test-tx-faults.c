/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-tx-faults.c - the nth call of a transaction to the engine, or to the
 * segments, fails
 *
 * Whatever it is that fails, from the beginning to the commit: the tables are as they were
 * before, or hold all of the transaction (T1); who aborts it leaves nothing behind; who
 * does once more what failed comes to the end.
 */
#define G_LOG_DOMAIN "mne-test"

#include "config.h"

#include "check/check.h"
#include "txn/filestate.h"
#include "txn/frags.h"
#include "txn/tx.h"
#include "txn/txlock.h"

#include <stdlib.h>

#include "recount.h"
#include "shaky.h"

#define BIG  (300u * 1024)
#define PART (64u * 1024)

/* Does what fails once more, if it may, and gives up at the second failure. */
#define DO(call)                            \
	do {                                \
		int err_ = (call);          \
		if (err_ < 0 && w->retries) \
			err_ = (call);      \
		MNE_TRY(err_);              \
	} while (0)

/* Where a scenario works: in a transaction. */
typedef struct {
	Fixture f;
	bool retries;
} Where;

typedef struct {
	const char *name;
	bool checkpoint; /* one holds the tables as they were before */
	uint32_t fragments;
	int (*run)(const Where *w);
	bool late; /* others changed something since it began */
} Scenario;

/* ---- what is done, each once or not at all ---- */

/* "name" in the table, or "dir/name". */
static int find_spot(const Where *w, const char *path, MneSpot *out)
{
	const char *slash = strchr(path, '/');
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	*out = spot_of(&w->f, slash ? slash + 1 : path);
	if (!slash)
		return 0;
	MNE_TRY(mne_live_lookup(w->f.store, w->f.table, w->f.dir,
				mne_slice(path, (size_t)(slash - path)), &table,
				&node));
	out->dir = node.rec;
	return 0;
}

static int find_place(const Where *w, const char *path, MnePlace *out)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	MneSpot spot;

	MNE_TRY(find_spot(w, path, &spot));
	MNE_TRY(mne_live_lookup(w->f.store, spot.table, spot.dir, spot.name, &table,
				&node));
	*out = (MnePlace){ spot.table, node.rec, spot.dir, spot.name,
			   mne_node_is_dir(&node) };
	return 0;
}

static int create(const Where *w, const char *path, MneFile **out_file)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneNode node = { 0 };
	MneSpot spot;

	MNE_TRY(find_spot(w, path, &spot));
	return mne_file_create(w->f.store, &spot, &what, out_file, &node);
}

static int open_at(const Where *w, const char *path, bool truncate, MneFile **out_file)
{
	MnePlace place;

	MNE_TRY(find_place(w, path, &place));
	return mne_file_open(w->f.store, &place, true, truncate, out_file);
}

static int write_parts(MneFile *file, uint64_t at, unsigned seed, size_t size)
{
	g_autoptr(GBytes) bytes = made_bytes(seed, size);
	const uint8_t *data = g_bytes_get_data(bytes, NULL);

	for (size_t done = 0; done < size; done += PART) {
		size_t len = MIN(PART, size - done);
		ssize_t got = mne_file_write(file, at + done, data + done, len, false,
					     false);

		MNE_TRY((int)got);
		g_assert_cmpint(got, ==, len);
	}
	return 0;
}

static int write_and_close(MneFile *file, uint64_t at, unsigned seed, size_t size)
{
	int err = write_parts(file, at, seed, size);
	int closed = mne_file_close(file, true);

	return err < 0 ? err : closed;
}

static int put(const Where *w, const char *path, unsigned seed, size_t size)
{
	MneFile *file = NULL;
	int err = create(w, path, &file);

	if (err == -EEXIST || mne_err_is(err, EEXIST))
		err = open_at(w, path, true, &file);
	MNE_TRY(err);
	return write_and_close(file, 0, seed, size);
}

static int patch(const Where *w, const char *path, uint64_t at, unsigned seed,
		 size_t size)
{
	MneFile *file = NULL;

	MNE_TRY(open_at(w, path, false, &file));
	return write_and_close(file, at, seed, size);
}

static int move(const Where *w, const char *from, const char *to)
{
	uint64_t moved, other;
	MneSpot a, b;

	MNE_TRY(find_spot(w, from, &a));
	MNE_TRY(find_spot(w, to, &b));
	return mne_rename(w->f.store, &a, &b, 0, &moved, &other);
}

static int add_link(const Where *w, const char *from, const char *to)
{
	g_auto(MneNode) node = { 0 };
	MnePlace place;
	MneSpot spot;

	MNE_TRY(find_place(w, from, &place));
	MNE_TRY(find_spot(w, to, &spot));
	return mne_link(w->f.store, &place, &spot, &node);
}

static int take_away(const Where *w, const char *path)
{
	uint64_t rec;
	MneSpot spot;

	MNE_TRY(find_spot(w, path, &spot));
	return mne_unlink(w->f.store, &spot, &rec);
}

static int make_dir(const Where *w, const char *path)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	g_auto(MneNode) node = { 0 };
	MneSpot spot;

	MNE_TRY(find_spot(w, path, &spot));
	return mne_make(w->f.store, &spot, &what, &node);
}

static int remove_dir(const Where *w, const char *path)
{
	uint64_t rec;
	MneSpot spot;

	MNE_TRY(find_spot(w, path, &spot));
	return mne_rmdir(w->f.store, &spot, &rec);
}

static int set_xattr(const Where *w, const char *path, size_t size)
{
	g_autoptr(GBytes) value = made_bytes(9, size);
	MnePlace place;

	MNE_TRY(find_place(w, path, &place));
	return mne_setxattr(w->f.store, &place, mne_slice_str("user.a"),
			    mne_slice_of(value), 0);
}

static int set_mode(const Where *w, const char *path, uint32_t mode)
{
	const MneAttrChange change = { .set = MNE_SET_MODE, .mode = mode };
	g_auto(MneNode) node = { 0 };
	MnePlace place;

	MNE_TRY(find_place(w, path, &place));
	return mne_setattr(w->f.store, &place, &change, &node);
}

static int make_table(const Where *w, const char *name)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	return mne_table_create(w->f.store, mne_slice_str(name), &what, &table, &node);
}

static int drop_table(const Where *w, const char *name)
{
	uint64_t rec;

	return mne_table_drop(w->f.store, mne_slice_str(name), &rec);
}

/* ---- scenarios ---- */

static int inline_records(const Where *w)
{
	DO(put(w, "new", 1, 10));
	DO(put(w, "a", 2, 2000));
	DO(take_away(w, "b"));
	DO(put(w, "d/in", 3, 100));
	DO(set_mode(w, "a", 0600));
	DO(set_xattr(w, "a", 20));
	return 0;
}

static int big_files(const Where *w)
{
	DO(put(w, "new", 1, BIG));
	DO(patch(w, "big", 100000, 2, 70000));
	DO(put(w, "a", 3, BIG));
	DO(take_away(w, "old"));
	DO(put(w, "new", 4, 100));
	DO(set_xattr(w, "big", 9000));
	return 0;
}

static int names(const Where *w)
{
	DO(move(w, "a", "moved"));
	DO(move(w, "moved", "b"));
	DO(add_link(w, "big", "d/link"));
	DO(take_away(w, "big"));
	DO(make_dir(w, "e"));
	DO(move(w, "d/c", "e/c"));
	DO(remove_dir(w, "empty"));
	DO(move(w, "e", "d/e"));
	return 0;
}

static int tables(const Where *w)
{
	DO(make_table(w, "orders"));
	DO(make_table(w, "gone"));
	DO(drop_table(w, "gone"));
	DO(drop_table(w, "u"));
	DO(mne_table_rename(w->f.store, mne_slice_str("v"), mne_slice_str("w"), 0));
	return 0;
}

static int change_inside(const Where *w)
{
	DO(put(w, "new", 2, 500));
	DO(put(w, "a", 2, BIG));
	DO(move(w, "b", "d/b"));
	return 0;
}

static int in_inner(const Where *w, int (*run)(const Where *), bool commits)
{
	g_autoptr(MneTx) tx = NULL;
	Where inner = *w;
	int err;

	DO(mne_tx_begin(w->f.store, &tx));
	inner.f.store = mne_tx_store(tx);
	err = run(&inner);
	if (err == 0 && commits) {
		err = mne_tx_commit(tx, false, NULL);
		if (err < 0 && w->retries)
			err = mne_tx_commit(tx, false, NULL);
	}
	mne_tx_abort(tx);
	return err;
}

static int nested(const Where *w)
{
	DO(put(w, "new", 1, 10));
	MNE_TRY(in_inner(w, change_inside, true));
	MNE_TRY(in_inner(w, names, false));
	DO(take_away(w, "d/b"));
	return 0;
}

/* With the lock it gets the present. */
static int locked(const Where *w)
{
	const MneLockWant wants[] = { { true, "t", "a" }, { false, NULL, "all" } };
	g_autoptr(GArray) changes = g_array_new(FALSE, TRUE, sizeof(MneTxChange));
	MneTx *tx = mne_store_tx(w->f.store);

	DO(put(w, "new", 1, BIG));
	DO(make_dir(w, "e"));
	DO(move(w, "d/c", "e/c"));
	DO(mne_tx_lock(tx, wants, G_N_ELEMENTS(wants), NULL, changes));
	DO(put(w, "a", 2, BIG));
	DO(move(w, "z", "d/z2"));
	DO(take_away(w, "b"));
	return 0;
}

static const Scenario scenarios[] = {
	{ "inline", false, 1, inline_records },
	{ "inline-checkpoint", true, 1, inline_records },
	{ "big", false, 1, big_files },
	{ "big-checkpoint", true, 1, big_files },
	{ "names", false, 1, names },
	{ "names-fragments-checkpoint", true, 3, names },
	{ "inline-fragments", false, 3, inline_records },
	{ "tables", false, 1, tables },
	{ "nested", false, 1, nested },
	{ "nested-fragments-checkpoint", true, 2, nested },
	{ "locked", false, 1, locked, true },
	{ "locked-fragments-checkpoint", true, 2, locked, true },
};

/* ---- what a view shows, as text ---- */

static void tell_dir(MneView *view, uint32_t table, uint64_t dir, GString *to);

static void tell_bytes(MneView *view, uint32_t table, const MneNode *node, GString *to)
{
	g_autofree uint8_t *buffer = g_malloc(node->size + 1);
	g_autofree char *sum = NULL;

	g_assert_cmpint(mne_view_read(view, table, node, 0, buffer, node->size + 1), ==,
			node->size);
	sum = g_compute_checksum_for_data(G_CHECKSUM_MD5, buffer, node->size);
	g_string_append_printf(to, " %" G_GUINT64_FORMAT " %s", node->size, sum);
}

static void tell_xattr(MneView *view, uint32_t table, const MneNode *node, GString *to)
{
	g_autoptr(GBytes) value = NULL;
	int err = mne_view_xattr(view, table, node, mne_slice_str("user.a"), &value);

	g_assert_true(err == 0 || mne_err_is(err, ENODATA));
	if (value)
		g_string_append_printf(to, " %u", g_bytes_hash(value));
}

static void tell_entry(MneView *view, const MneEntry *entry, const MneNode *node,
		       GString *to)
{
	g_string_append_len(to, (const char *)entry->name.data,
			    (gssize)entry->name.len);
	g_string_append_printf(to, " %o %u", node->mode, node->nlink);
	if (mne_node_is_file(node))
		tell_bytes(view, entry->table, node, to);
	tell_xattr(view, entry->table, node, to);
	g_string_append(to, "\n");
	if (mne_node_is_dir(node)) {
		g_string_append(to, "(\n");
		tell_dir(view, entry->table, node->rec, to);
		g_string_append(to, ")\n");
	}
}

static void tell_dir(MneView *view, uint32_t table, uint64_t dir, GString *to)
{
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;
	int got = 1;

	g_assert_cmpint(mne_view_list(view, table, dir, MNE_SLICE_EMPTY, &listing), ==,
			0);
	while (got > 0) {
		g_auto(MneNode) node = { 0 };

		got = mne_listing_next(listing, &entry, &node);
		if (got > 0)
			tell_entry(view, &entry, &node, to);
	}
	g_assert_cmpint(got, ==, 0);
}

static char *told(MneView *view)
{
	GString *to = g_string_new(NULL);

	tell_dir(view, MNE_ROOT_TABLE, MNE_ROOT_DIR, to);
	return g_string_free(to, FALSE);
}

/* ---- one run ---- */

typedef struct {
	Fixture f;
	Shake shake;
	MneCkpt *ckpt;
	MneTx *tx; /* begun already; or NULL */
	bool on_disk;
} World;

static void fill_world(const World *world)
{
	Where w = { .f = world->f };

	g_assert_cmpint(put(&w, "a", 11, 100), ==, 0);
	g_assert_cmpint(put(&w, "b", 12, 3000), ==, 0);
	g_assert_cmpint(put(&w, "big", 13, BIG), ==, 0);
	g_assert_cmpint(put(&w, "old", 14, BIG), ==, 0);
	g_assert_cmpint(make_dir(&w, "d"), ==, 0);
	g_assert_cmpint(make_dir(&w, "empty"), ==, 0);
	g_assert_cmpint(put(&w, "d/c", 15, 10), ==, 0);
	g_assert_cmpint(make_table(&w, "u"), ==, 0);
	g_assert_cmpint(make_table(&w, "v"), ==, 0);
}

/* on_disk: it can be opened again, and takes longer to make. */
static void make_world(World *world, const Scenario *scenario, bool on_disk)
{
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;
	Where w = { .retries = false };

	*world = (World){ .on_disk = on_disk };
	options.create = options.no_background = true;
	options.in_memory = !on_disk;
	fixture_set_up(&world->f, &options);
	shaky_make(world->f.store->volume->kv, &world->shake);
	if (scenario->fragments > 1)
		g_assert_cmpint(mne_frags_want(world->f.store, mne_slice_str("t"),
					       scenario->fragments),
				==, 0);
	fill_world(world);
	work_off(&world->f);
	if (scenario->late)
		g_assert_cmpint(mne_tx_begin(world->f.store, &world->tx), ==, 0);
	w.f = world->f;
	g_assert_cmpint(put(&w, "z", 16, 10), ==, 0);
	g_assert_cmpint(put(&w, "d/z", 17, 10), ==, 0);
	if (scenario->checkpoint)
		world->ckpt = checkpoint(&world->f, "c");
}

static void arm(World *world, uint64_t call, uint64_t append)
{
	world->shake = (Shake){ .nth = call };
	mne_blob_set_fault(mne_store_blob(world->f.store), append, false);
}

static void end_world(World *world)
{
	g_clear_pointer(&world->ckpt, mne_ckpt_unref);
	fixture_tear_down(&world->f, NULL);
}

static void assert_clean(World *world)
{
	g_auto(MneCheckReport) report = { 0 };

	mne_check_report_init(&report);
	g_assert_cmpint(mne_check_run(world->f.store, false, &report), ==, 0);
	for (guint i = 0; i < report.findings->len; i++)
		g_test_message("%s",
			       g_array_index(report.findings, MneCheckFinding, i).text);
	g_assert_cmpuint(report.found, ==, 0);
}

static int run_and_commit(World *world, const Scenario *scenario, bool retries,
			  MneTx **out_tx)
{
	Where outside = { world->f, retries };
	const Where *w = &outside;
	Where inside = outside;

	*out_tx = g_steal_pointer(&world->tx);
	if (!*out_tx)
		DO(mne_tx_begin(world->f.store, out_tx));
	inside.f.store = mne_tx_store(*out_tx);
	MNE_TRY(scenario->run(&inside));
	DO(mne_tx_commit(*out_tx, false, NULL));
	return 0;
}

/* Nothing is open, nothing is reserved, all is counted right. */
static void assert_nothing_left(World *world)
{
	Fixture *f = &world->f;

	work_off(f);
	g_assert_cmpuint(mne_store_open_txs(f->store), ==, 0);
	g_assert_cmpuint(f->store->files->open, ==, 0);
	g_assert_cmpuint(f->store->files->pending, ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
	assert_counters_right(f);
	assert_live_bytes_right(f);
	assert_tally_right(f);
}

static void assert_told(MneView *view, const char *wanted)
{
	g_autofree char *found = told(view);

	g_assert_cmpstr(found, ==, wanted);
}

typedef struct {
	const Scenario *scenario;
	char *before, *after;
	uint64_t calls, appends;
} Known;

/* Faults armed; what came of it. */
static int go(World *world, const Known *known, bool retries)
{
	g_autoptr(MneTx) tx = NULL;
	int err = run_and_commit(world, known->scenario, retries, &tx);

	world->shake.nth = 0;
	mne_blob_set_fault(mne_store_blob(world->f.store), 0, false);
	if (tx)
		mne_tx_abort(tx);
	return err;
}

static void examine(World *world, const Known *known, int err)
{
	const char *wanted = err == 0 ? known->after : known->before;

	assert_told(mne_store_live(world->f.store), wanted);
	if (world->ckpt)
		assert_told(&world->ckpt->view, known->before);
	assert_nothing_left(world);
	assert_clean(world);
	g_clear_pointer(&world->ckpt, mne_ckpt_unref);
	if (!world->on_disk)
		return;
	fixture_reopen(&world->f);
	assert_told(mne_store_live(world->f.store), wanted);
}

static void fail_one(const Known *known, uint64_t call, uint64_t append, bool retries)
{
	World world;
	int err;

	make_world(&world, known->scenario, (call + append) % 5 == 0);
	arm(&world, call, append);
	err = go(&world, known, retries);
	if (retries)
		g_assert_cmpint(err, ==, 0);
	else
		g_assert_true(err == 0 || mne_err_is(err, MNE_E_INJECTED));
	examine(&world, known, err);
	end_world(&world);
}

#define ENOUGH 1000000u

static void learn(Known *known, const Scenario *scenario)
{
	World world;

	known->scenario = scenario;
	make_world(&world, scenario, true);
	known->before = told(mne_store_live(world.f.store));
	arm(&world, ENOUGH, 0);
	g_assert_cmpint(go(&world, known, false), ==, 0);
	known->calls = world.shake.calls;
	known->after = told(mne_store_live(world.f.store));
	g_assert_cmpstr(known->before, !=, known->after);
	examine(&world, known, 0);
	end_world(&world);
	g_test_message("%s: %" G_GUINT64_FORMAT " calls", scenario->name, known->calls);
}

static void known_clear(Known *known)
{
	g_free(known->before);
	g_free(known->after);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Known, known_clear)

static void test_whatever_fails_it_is_all_or_nothing(gconstpointer data)
{
	g_auto(Known) known = { 0 };

	learn(&known, data);
	for (uint64_t n = 1; n <= known.calls; n++) {
		fail_one(&known, n, 0, n % 2);
		if (g_test_slow())
			fail_one(&known, n, 0, n % 2 == 0);
	}
	for (uint64_t n = 1; n <= 12; n++)
		fail_one(&known, 0, n, n % 2);
}

/* ---- no memory left to it ---- */

static int refuse_one(const Known *known, uint64_t mem)
{
	World world;
	int err;

	make_world(&world, known->scenario, false);
	mne_store_set_tx_mem(world.f.store, mem);
	err = go(&world, known, false);
	g_assert_true(err == 0 || mne_err_is(err, MNE_E_TX_FULL));
	examine(&world, known, err);
	end_world(&world);
	return err;
}

static void test_wherever_it_is_full_it_is_all_or_nothing(gconstpointer data)
{
	g_auto(Known) known = { 0 };
	uint64_t mem = 0;

	learn(&known, data);
	while (refuse_one(&known, mem) < 0)
		mem += 200;
	g_assert_cmpuint(mem, >, 2000);
}

/* ---- a durable one ---- */

/* When the barrier fails it is committed, and nobody knows for how long: the store says so
 * and takes no more. */
static void sync_one(const Known *known, uint64_t call)
{
	g_autoptr(MneTx) tx = NULL;
	Where inside = { 0 };
	World world;
	bool done;
	int err;

	make_world(&world, known->scenario, true);
	g_assert_cmpint(mne_tx_begin(world.f.store, &tx), ==, 0);
	inside.f = world.f;
	inside.f.store = mne_tx_store(tx);
	g_assert_cmpint(known->scenario->run(&inside), ==, 0);
	arm(&world, call, 0);
	err = mne_tx_commit(tx, true, NULL);
	done = mne_tx_state(tx) == MNE_TX_COMMITTED;
	g_assert_true(done || err < 0);
	g_assert_true(world.f.store->failed == (done && err < 0));
	arm(&world, 0, 0);
	mne_tx_abort(tx);
	assert_told(mne_store_live(world.f.store), done ? known->after : known->before);
	fixture_reopen(&world.f);
	assert_told(mne_store_live(world.f.store), done ? known->after : known->before);
	assert_clean(&world);
	end_world(&world);
}

static void test_a_durable_one_is_all_or_nothing_too(gconstpointer data)
{
	g_auto(Known) known = { 0 };

	learn(&known, data);
	for (uint64_t n = 1; n <= known.calls; n++)
		sync_one(&known, n);
}

static void add(const char *group, const Scenario *scenario,
		void (*func)(gconstpointer))
{
	g_autofree char *path = g_strconcat("/tx-faults/", group, "/", scenario->name,
					    NULL);

	g_test_add_data_func(path, scenario, func);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	/* The store warns of the failures it is made to have. */
	g_log_set_always_fatal(G_LOG_FATAL_MASK | G_LOG_LEVEL_CRITICAL);
	for (unsigned i = 0; i < G_N_ELEMENTS(scenarios); i++)
		add("call", &scenarios[i], test_whatever_fails_it_is_all_or_nothing);
	add("full", &scenarios[0], test_wherever_it_is_full_it_is_all_or_nothing);
	add("full", &scenarios[8], test_wherever_it_is_full_it_is_all_or_nothing);
	add("durable", &scenarios[2], test_a_durable_one_is_all_or_nothing_too);
	return g_test_run();
}
