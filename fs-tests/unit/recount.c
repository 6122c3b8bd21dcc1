/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/recount.c - the counters of a store against a count
 */
#include "config.h"

#include "recount.h"

/* links: record -> names seen.  Counters of every directory must be what is counted. */
static void recount_dir(Fixture *f, uint64_t dir, uint64_t parent, GHashTable *links)
{
	MnePlace place = { f->table, dir, 0, MNE_SLICE_EMPTY, true };
	g_autoptr(MneListing) listing = NULL;
	g_auto(MneNode) node = { 0 };
	uint64_t entries = 0, subdirs = 0;
	MneEntry entry;
	int got;

	g_assert_cmpint(
		mne_live_list(f->store, f->table, dir, MNE_SLICE_EMPTY, &listing), ==,
		0);
	while ((got = mne_listing_next(listing, &entry, NULL)) > 0) {
		gpointer seen = g_hash_table_lookup(links, GSIZE_TO_POINTER(entry.rec));

		entries++;
		if (S_ISDIR(entry.mode)) {
			subdirs++;
			recount_dir(f, entry.rec, dir, links);
		} else {
			g_hash_table_insert(
				links, GSIZE_TO_POINTER(entry.rec),
				GSIZE_TO_POINTER(GPOINTER_TO_SIZE(seen) + 1));
		}
	}
	g_assert_cmpint(got, ==, 0);
	g_assert_cmpint(mne_live_node(f->store, &place, &node), ==, 0);
	g_assert_cmpuint(node.entries, ==, entries);
	g_assert_cmpuint(node.nlink, ==, 2 + subdirs);
	g_assert_cmpuint(node.parent, ==, parent);
}

static void recount_links(Fixture *f, uint64_t dir, GHashTable *links)
{
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;
	int got;

	g_assert_cmpint(
		mne_live_list(f->store, f->table, dir, MNE_SLICE_EMPTY, &listing), ==,
		0);
	for (;;) {
		g_auto(MneNode) node = { 0 };
		g_auto(MneNode) looked_up = { 0 };
		uint32_t table;

		got = mne_listing_next(listing, &entry, &node);
		if (got <= 0)
			break;
		g_assert_cmpint(mne_live_lookup(f->store, f->table, dir, entry.name,
						&table, &looked_up),
				==, 0);
		g_assert_cmpuint(looked_up.rec, ==, entry.rec);
		g_assert_cmpuint(node.rec, ==, entry.rec);
		g_assert_cmpuint(node.nlink, ==, looked_up.nlink);
		g_assert_cmpuint(node.mode & S_IFMT, ==, entry.mode & S_IFMT);
		if (S_ISDIR(entry.mode)) {
			g_assert_true(mne_slice_equal(node.name, entry.name));
			recount_links(f, entry.rec, links);
		} else {
			g_assert_cmpuint(node.nlink, ==,
					 GPOINTER_TO_SIZE(g_hash_table_lookup(
						 links, GSIZE_TO_POINTER(entry.rec))));
		}
	}
	g_assert_cmpint(got, ==, 0);
}

void assert_counters_right(Fixture *f)
{
	g_autoptr(GHashTable) links = g_hash_table_new(g_direct_hash, g_direct_equal);

	recount_dir(f, f->dir, MNE_ROOT_DIR, links);
	recount_links(f, f->dir, links);
}

unsigned keys_of(Fixture *f, MneTag tag)
{
	const uint8_t first = (uint8_t)tag;
	g_autoptr(MneKvIter) iter = NULL;
	unsigned n = 0;

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	for (mne_kv_iter_seek(iter, mne_slice(&first, 1));
	     mne_kv_iter_valid(iter) && mne_kv_iter_key(iter).data[0] == first;
	     mne_kv_iter_next(iter))
		n++;
	return n;
}

static void assert_same_cells(const GArray *a, const GArray *b)
{
	g_assert_cmpuint(a->len, ==, b->len);
	for (unsigned i = 0; i < a->len; i++) {
		const MneTallyCell *x = &g_array_index(a, MneTallyCell, i);
		const MneTallyCell *y = &g_array_index(b, MneTallyCell, i);

		g_assert_cmpuint(x->table, ==, y->table);
		g_assert_cmpuint(x->first, ==, y->first);
		g_assert_cmpuint(x->last, ==, y->last);
		g_assert_cmpint(x->bytes, ==, y->bytes);
		g_assert_cmpint(x->images, ==, y->images);
	}
}

void assert_tally_right(Fixture *f)
{
	g_autoptr(GArray) said =
		mne_tally_cells(mne_ckpts_tally(mne_store_ckpts(f->store)));
	g_autoptr(MneTally) stored = mne_tally_new();
	g_autoptr(GArray) stored_cells = NULL;
	g_autoptr(GArray) is = NULL;
	bool counted;

	g_assert_cmpint(mne_store_count_retained(f->store, &is), ==, 0);
	g_assert_cmpint(mne_tally_load(stored, mne_store_kv(f->store), &counted), ==,
			0);
	g_assert_true(counted);
	stored_cells = mne_tally_cells(stored);
	assert_same_cells(said, is);
	assert_same_cells(stored_cells, is);
}

void assert_live_bytes_right(Fixture *f)
{
	const uint8_t first = 0;
	g_autoptr(MneKvIter) iter = NULL;
	MneStoreStats stats;
	uint64_t live = 0;

	g_assert_cmpint(mne_kv_iter(mne_store_kv(f->store), &iter), ==, 0);
	for (mne_kv_iter_seek(iter, mne_slice(&first, 1)); mne_kv_iter_valid(iter);
	     mne_kv_iter_next(iter)) {
		MneKeyParts parts;
		MneSlice payload;
		MneExtent extent;
		MneKind kind;
		uint64_t seq;

		g_assert_cmpint(mne_key_parse(mne_kv_iter_key(iter), &parts), ==, 0);
		if (parts.tag == MNE_TAG_RETAINED)
			g_assert_cmpint(mne_key_parse(parts.inner, &parts), ==, 0);
		if (parts.tag != MNE_TAG_EXTENT)
			continue;
		g_assert_cmpint(
			mne_value_open(mne_kv_iter_value(iter), &kind, &seq, &payload),
			==, 0);
		g_assert_cmpint(mne_extent_decode(payload, parts.offset, &extent), ==,
				0);
		live += extent.len;
	}
	mne_store_stats(f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, live);
}
