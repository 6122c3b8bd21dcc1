/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn-threads.c - many threads change names and bytes of one store
 * while checkpoints come and go and space is reclaimed
 */
#include "config.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "recount.h"
#include "txns.h"

enum { N_WRITERS = 4, N_NAMES = 6, N_DIRS = 3, KEPT_CKPTS = 3 };

typedef struct {
	Fixture *f;
	uint64_t dirs[N_DIRS];
	unsigned n_dirs, steps;
	uint32_t seed;
	atomic_bool done;
	atomic_uint changes, checkpoints, rounds;
} World;

typedef struct {
	World *world;
	uint32_t state;
} Writer;

static unsigned pick(uint32_t *state, unsigned n)
{
	*state = *state * 1664525u + 1013904223u;
	return (*state >> 8) % n;
}

static MneSpot some_spot(Writer *w)
{
	static const char *const names[N_NAMES] = { "a", "b", "c", "d", "e", "f" };

	return (MneSpot){ w->world->f->table,
			  w->world->dirs[pick(&w->state, w->world->n_dirs)],
			  mne_slice_str(names[pick(&w->state, N_NAMES)]) };
}

/* What another thread did a moment ago is no failure. */
static bool is_fine(int err)
{
	return err >= 0 || mne_err_is(err, ENOENT) || mne_err_is(err, EEXIST) ||
	       mne_err_is(err, ESTALE);
}

static void expect(Writer *w, int err)
{
	if (!is_fine(err))
		g_error("a change failed: %s", mne_err_sentence(err));
	w->world->changes += err >= 0;
}

static bool find(Writer *w, const MneSpot *spot, MnePlace *out_place)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	int err = mne_live_lookup(w->world->f->store, spot->table, spot->dir,
				  spot->name, &table, &node);

	if (!is_fine(err))
		g_error("a lookup failed: %s", mne_err_sentence(err));
	*out_place = (MnePlace){ spot->table, node.rec, spot->dir, spot->name, false };
	return err == 0;
}

static MneFile *open_or_create(Writer *w, const MneSpot *spot)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneStore *store = w->world->f->store;
	MneFile *file = NULL;
	MnePlace place;
	MneNode node;
	int err = mne_file_create(store, spot, &what, &file, &node);

	if (err == -EEXIST && find(w, spot, &place))
		err = mne_file_open(store, &place, true, pick(&w->state, 2), &file);
	expect(w, err);
	return err == 0 ? file : NULL;
}

static void overwrite(Writer *w)
{
	static const size_t sizes[] = { 10, 3000, 5000, 300000 };
	size_t size = sizes[pick(&w->state, pick(&w->state, 4) + 1)];
	g_autoptr(GBytes) bytes = made_bytes(w->state, size);
	MneSpot spot = some_spot(w);
	MneFile *file = open_or_create(w, &spot);
	uint64_t offset = pick(&w->state, 3) * 1000;

	if (!file)
		return;
	expect(w, (int)mne_file_write(file, offset, g_bytes_get_data(bytes, NULL), size,
				      pick(&w->state, 5) == 0, false));
	if (pick(&w->state, 8) == 0)
		expect(w, mne_file_sync(file));
	if (pick(&w->state, 8) == 0)
		expect(w, mne_file_truncate(file, pick(&w->state, 6000)));
	expect(w, mne_file_close(file, true));
}

static void read_it(Writer *w)
{
	g_autofree uint8_t *buffer = g_malloc(10000);
	MneSpot spot = some_spot(w);
	MneFile *file = NULL;
	MnePlace place;
	int err;

	if (!find(w, &spot, &place))
		return;
	err = mne_file_open(w->world->f->store, &place, false, false, &file);
	expect(w, err);
	if (err < 0)
		return;
	for (uint64_t at = 0; at < 400000; at += 100000)
		expect(w, (int)mne_file_read(file, at, buffer, 10000));
	expect(w, mne_file_close(file, false));
}

static void rename_some(Writer *w)
{
	MneSpot from = some_spot(w), to = some_spot(w);
	unsigned flags = pick(&w->state, 3);
	uint64_t moved, other;

	expect(w, mne_rename(w->world->f->store, &from, &to, flags, &moved, &other));
}

static void link_some(Writer *w)
{
	MneSpot from = some_spot(w), to = some_spot(w);
	g_auto(MneNode) node = { 0 };
	MnePlace place;

	if (find(w, &from, &place))
		expect(w, mne_link(w->world->f->store, &place, &to, &node));
}

static void unlink_some(Writer *w)
{
	MneSpot spot = some_spot(w);
	uint64_t rec;

	expect(w, mne_unlink(w->world->f->store, &spot, &rec));
}

static void change_attributes(Writer *w)
{
	const MneAttrChange change = { .set = MNE_SET_MODE,
				       .mode = 0600 + pick(&w->state, 64) };
	g_autoptr(GBytes) value = made_bytes(1, pick(&w->state, 2) ? 10 : 1000);
	MneSpot spot = some_spot(w);
	g_auto(MneNode) node = { 0 };
	MnePlace place;

	if (!find(w, &spot, &place))
		return;
	expect(w, mne_setattr(w->world->f->store, &place, &change, &node));
	expect(w, mne_setxattr(w->world->f->store, &place, mne_slice_str("user.x"),
			       mne_slice_of(value), 0));
}

static void list_some(Writer *w)
{
	g_autoptr(MneListing) listing = NULL;
	MneSpot spot = some_spot(w);
	MneEntry entry;
	int got = mne_live_list(w->world->f->store, spot.table, spot.dir,
				MNE_SLICE_EMPTY, &listing);

	expect(w, got);
	while (got >= 0) {
		g_auto(MneNode) node = { 0 };

		got = mne_listing_next(listing, &entry, &node);
		expect(w, got);
		if (got == 0)
			break;
		g_assert_cmpuint(entry.name.len, ==, 1);
	}
}

static void *write_loop(void *data)
{
	static void (*const changes[])(Writer *) = {
		overwrite, overwrite,         overwrite,   overwrite,
		read_it,   rename_some,       rename_some, unlink_some,
		link_some, change_attributes, list_some,
	};
	Writer *w = data;

	for (unsigned i = 0; i < w->world->steps; i++)
		changes[pick(&w->state, G_N_ELEMENTS(changes))](w);
	return NULL;
}

/* --- checkpoints beside them ------------------------------------------------------- */

static void add_bytes(MneView *view, uint32_t table, const MneNode *node,
		      GChecksum *sum)
{
	g_autofree uint8_t *buffer = g_malloc(node->size + 1);
	ssize_t got = mne_view_read(view, table, node, 0, buffer, node->size + 1);

	if (got < 0)
		g_error("reading a checkpoint: %s", mne_err_sentence((int)got));
	g_assert_cmpint(got, ==, node->size);
	g_checksum_update(sum, buffer, got);
}

static void add_dir(World *world, MneView *view, uint64_t dir, GChecksum *sum)
{
	MnePlace place = { world->f->table, dir, 0, MNE_SLICE_EMPTY, true };
	g_autoptr(MneListing) listing = NULL;
	g_auto(MneNode) dir_node = { 0 };
	uint64_t entries = 0;
	MneEntry entry;
	int got;

	g_assert_cmpint(mne_view_node(view, &place, &dir_node), ==, 0);
	g_assert_cmpint(
		mne_view_list(view, world->f->table, dir, MNE_SLICE_EMPTY, &listing),
		==, 0);
	for (;;) {
		g_auto(MneNode) node = { 0 };

		got = mne_listing_next(listing, &entry, &node);
		if (got <= 0)
			break;
		entries++;
		g_checksum_update(sum, entry.name.data, (gssize)entry.name.len);
		g_checksum_update(sum, (uint8_t *)&node.version, sizeof(node.version));
		g_checksum_update(sum, (uint8_t *)&node.mode, sizeof(node.mode));
		if (mne_node_is_file(&node))
			add_bytes(view, world->f->table, &node, sum);
	}
	if (got < 0)
		g_error("listing a checkpoint: %s", mne_err_sentence(got));
	g_assert_cmpuint(entries, ==, dir_node.entries);
}

/* All that a view shows, as one text. */
static char *digest(World *world, MneView *view)
{
	g_autoptr(GChecksum) sum = g_checksum_new(G_CHECKSUM_SHA1);

	for (unsigned i = 0; i < world->n_dirs; i++)
		add_dir(world, view, world->dirs[i], sum);
	return g_strdup(g_checksum_get_string(sum));
}

typedef struct {
	MneCkpt *ckpt;
	char *digest;
	char name[16];
} Kept;

static void keep(World *world, Kept *kept, unsigned n)
{
	g_snprintf(kept->name, sizeof(kept->name), "c%u", n);
	kept->ckpt = checkpoint(world->f, kept->name);
	kept->digest = digest(world, &kept->ckpt->view);
	world->checkpoints++;
}

static void check_and_drop(World *world, Kept *kept)
{
	g_autofree char *again = NULL;

	if (!kept->ckpt)
		return;
	again = digest(world, &kept->ckpt->view);
	g_assert_cmpstr(again, ==, kept->digest);
	g_assert_cmpint(mne_store_drop(world->f->store, mne_slice_str(kept->name)), ==,
			0);
	g_clear_pointer(&kept->ckpt, mne_ckpt_unref);
	g_clear_pointer(&kept->digest, g_free);
}

static void *checkpoint_loop(void *data)
{
	World *world = data;
	Kept kept[KEPT_CKPTS] = { 0 };

	for (unsigned n = 0; !world->done || n < KEPT_CKPTS; n++) {
		check_and_drop(world, &kept[n % KEPT_CKPTS]);
		keep(world, &kept[n % KEPT_CKPTS], n);
	}
	for (unsigned i = 0; i < KEPT_CKPTS; i++)
		check_and_drop(world, &kept[i]);
	return NULL;
}

static void *work_loop(void *data)
{
	World *world = data;

	while (!world->done) {
		if (!mne_store_work(world->f->store))
			g_usleep(500);
		else if (world->rounds++ % 64 == 0)
			mne_blob_seal(mne_store_blob(world->f->store));
	}
	return NULL;
}

static void run(World *world)
{
	pthread_t writers[N_WRITERS], checkpointer, worker;
	Writer all[N_WRITERS];

	g_assert_cmpint(pthread_create(&checkpointer, NULL, checkpoint_loop, world), ==,
			0);
	g_assert_cmpint(pthread_create(&worker, NULL, work_loop, world), ==, 0);
	for (unsigned i = 0; i < N_WRITERS; i++) {
		all[i] = (Writer){ world, world->seed + i };
		g_assert_cmpint(pthread_create(&writers[i], NULL, write_loop, &all[i]),
				==, 0);
	}
	for (unsigned i = 0; i < N_WRITERS; i++)
		pthread_join(writers[i], NULL);
	world->done = true;
	pthread_join(checkpointer, NULL);
	pthread_join(worker, NULL);
}

/* --- afterwards -------------------------------------------------------------------- */

static void check_after(World *world)
{
	Fixture *f = world->f;
	g_autofree char *before = digest(world, mne_store_live(f->store));
	g_autofree char *after = NULL;
	MneStoreStats stats;

	work_off(f);
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.open_files, ==, 0);
	g_assert_cmpuint(stats.uncommitted, ==, 0);
	g_assert_cmpuint(stats.reclaim_backlog, ==, 0);
	assert_counters_right(f);
	assert_live_bytes_right(f);
	assert_tally_right(f);
	g_assert_cmpuint(keys_of(f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_CHANGED), ==, 0);
	g_assert_cmpuint(keys_of(f, MNE_TAG_ORPHAN), ==, 0);
	fixture_reopen(f);
	after = digest(world, mne_store_live(f->store));
	g_assert_cmpstr(before, ==, after);
	assert_live_bytes_right(f);
	assert_tally_right(f);
}

static void test_threads_in(Fixture *f, unsigned n_dirs)
{
	const MneMake a_dir = { .mode = S_IFDIR | 0755 };
	World world = { .f = f,
			.n_dirs = n_dirs,
			.steps = g_test_slow() ? 4000 : 250,
			.seed = (uint32_t)g_test_rand_int() };

	for (unsigned i = 0; i < n_dirs; i++) {
		g_autofree char *name = g_strdup_printf("d%u", i);
		MneSpot spot = spot_of(f, name);
		MneNode node;

		g_assert_cmpint(mne_make(f->store, &spot, &a_dir, &node), ==, 0);
		world.dirs[i] = node.rec;
	}
	run(&world);
	g_test_message("%u changes, %u checkpoints, %u rounds of work", world.changes,
		       world.checkpoints, world.rounds);
	check_after(&world);
}

static void test_many_threads_in_one_directory_and_checkpoints_stay_as_they_were(
	Fixture *f, gconstpointer data)
{
	(void)data;
	test_threads_in(f, 1);
}

static void test_many_threads_in_several_directories_and_checkpoints_stay_as_they_were(
	Fixture *f, gconstpointer data)
{
	(void)data;
	test_threads_in(f, N_DIRS);
}

#define ADD(func)                                                              \
	g_test_add("/txn-threads/" #func, Fixture, NULL, fixture_set_up, func, \
		   fixture_tear_down)

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	ADD(test_many_threads_in_one_directory_and_checkpoints_stay_as_they_were);
	ADD(test_many_threads_in_several_directories_and_checkpoints_stay_as_they_were);
	return g_test_run();
}
