/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/txns.c - a store in a temporary directory
 */
#include "config.h"

#include "txns.h"

#include <glib/gstdio.h>

static MneStoreOptions quiet(void)
{
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;

	options.create = true;
	options.no_background = true;
	return options;
}

static void find_table(Fixture *fixture)
{
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_live_lookup(fixture->store, MNE_ROOT_TABLE, MNE_ROOT_DIR,
					mne_slice_str("t"), &fixture->table, &node),
			==, 0);
	fixture->dir = node.rec;
}

void fixture_set_up(Fixture *fixture, gconstpointer options)
{
	const MneMake table = { .mode = S_IFDIR | 0755 };
	MneStoreOptions how = quiet();
	MneNode node;

	if (options)
		how = *(const MneStoreOptions *)options;
	fixture->path = g_dir_make_tmp("mnefs-test-XXXXXX", NULL);
	g_assert_cmpint(mne_store_open(fixture->path, &how, &fixture->store), ==, 0);
	g_assert_cmpint(mne_table_create(fixture->store, mne_slice_str("t"), &table,
					 &fixture->table, &node),
			==, 0);
	fixture->dir = node.rec;
}

static void remove_tree(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *full = g_build_filename(path, name, NULL);

		remove_tree(full);
	}
	g_remove(path);
}

void fixture_tear_down(Fixture *fixture, gconstpointer data)
{
	(void)data;
	mne_store_close(fixture->store);
	remove_tree(fixture->path);
	g_free(fixture->path);
}

void fixture_reopen(Fixture *fixture)
{
	MneStoreOptions how = quiet();

	mne_store_close(fixture->store);
	g_assert_cmpint(mne_store_open(fixture->path, &how, &fixture->store), ==, 0);
	find_table(fixture);
}

MneSpot spot_of(const Fixture *fixture, const char *name)
{
	return (MneSpot){ fixture->table, fixture->dir, mne_slice_str(name) };
}

MnePlace place_of(const Fixture *fixture, const char *name)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	g_assert_cmpint(mne_live_lookup(fixture->store, fixture->table, fixture->dir,
					mne_slice_str(name), &table, &node),
			==, 0);
	return (MnePlace){ fixture->table, node.rec, fixture->dir, mne_slice_str(name),
			   mne_node_is_dir(&node) };
}

GBytes *made_bytes(unsigned seed, size_t size)
{
	uint8_t *bytes = g_malloc(size + 1);
	uint32_t state = seed * 2654435761u + 1;

	for (size_t i = 0; i < size; i++) {
		state = state * 1664525u + 1013904223u;
		bytes[i] = (uint8_t)(state >> 24);
	}
	return g_bytes_new_take(bytes, size);
}

static void write_bytes(Fixture *fixture, const char *name, MneSlice bytes)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneSpot spot = spot_of(fixture, name);
	MneFile *file = NULL;
	MneNode node;
	int err = mne_file_create(fixture->store, &spot, &what, &file, &node);

	if (err == -EEXIST) {
		MnePlace place = place_of(fixture, name);

		err = mne_file_open(fixture->store, &place, true, true, &file);
	}
	g_assert_cmpint(err, ==, 0);
	g_assert_cmpint(mne_file_write(file, 0, bytes.data, bytes.len, false, false),
			==, bytes.len);
	g_assert_cmpint(mne_file_close(file, true), ==, 0);
}

void write_file(Fixture *fixture, const char *name, unsigned seed, size_t size)
{
	g_autoptr(GBytes) bytes = made_bytes(seed, size);

	write_bytes(fixture, name, mne_slice_of(bytes));
}

void write_text(Fixture *fixture, const char *name, const char *text)
{
	write_bytes(fixture, name, mne_slice_str(text));
}

void remove_file(Fixture *fixture, const char *name)
{
	MneSpot spot = spot_of(fixture, name);
	uint64_t rec;

	g_assert_cmpint(mne_unlink(fixture->store, &spot, &rec), ==, 0);
}

void work_off(Fixture *fixture)
{
	while (mne_store_work(fixture->store))
		;
}

GBytes *bytes_in(MneView *view, const Fixture *fixture, const char *name)
{
	g_auto(MneNode) node = { 0 };
	g_autofree uint8_t *buffer = NULL;
	uint32_t table;
	ssize_t got;
	int err = mne_view_lookup(view, fixture->table, fixture->dir,
				  mne_slice_str(name), &table, &node);

	if (err == -ENOENT)
		return NULL;
	g_assert_cmpint(err, ==, 0);
	buffer = g_malloc(node.size + 1);
	got = mne_view_read(view, table, &node, 0, buffer, node.size + 1);
	g_assert_cmpint(got, ==, node.size);
	return g_bytes_new(buffer, (gsize)got);
}

void assert_text(MneView *view, const Fixture *fixture, const char *name,
		 const char *text)
{
	g_autoptr(GBytes) got = bytes_in(view, fixture, name);

	if (!text) {
		g_assert_null(got);
		return;
	}
	g_assert_nonnull(got);
	g_assert_cmpmem(g_bytes_get_data(got, NULL), g_bytes_get_size(got), text,
			strlen(text));
}

void assert_made(MneView *view, const Fixture *fixture, const char *name, unsigned seed,
		 size_t size)
{
	g_autoptr(GBytes) got = bytes_in(view, fixture, name);
	g_autoptr(GBytes) want = made_bytes(seed, size);

	g_assert_nonnull(got);
	g_assert_true(g_bytes_equal(got, want));
}

char *names_in(MneView *view, const Fixture *fixture)
{
	g_autoptr(MneListing) listing = NULL;
	GString *names = g_string_new(NULL);
	MneEntry entry;
	int got;

	g_assert_cmpint(mne_view_list(view, fixture->table, fixture->dir,
				      MNE_SLICE_EMPTY, &listing),
			==, 0);
	while ((got = mne_listing_next(listing, &entry, NULL)) > 0) {
		if (names->len > 0)
			g_string_append_c(names, ' ');
		g_string_append_len(names, (const char *)entry.name.data,
				    (gssize)entry.name.len);
	}
	g_assert_cmpint(got, ==, 0);
	return g_string_free(names, FALSE);
}

MneCkpt *checkpoint(Fixture *fixture, const char *name)
{
	MneCkpt *ckpt = NULL;

	g_assert_cmpint(mne_store_checkpoint(
				fixture->store,
				&(MneCkptSpec){ .name = mne_slice_str(name) }, &ckpt),
			==, 0);
	return ckpt;
}

MneTx *begin_tx(MneStore *of)
{
	MneTx *tx = NULL;

	g_assert_cmpint(mne_tx_begin(of, &tx), ==, 0);
	return tx;
}

Fixture in_tx(const Fixture *fixture, MneTx *tx)
{
	Fixture inside = *fixture;

	inside.store = mne_tx_store(tx);
	return inside;
}
