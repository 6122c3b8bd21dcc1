/* SPDX-License-Identifier: Apache-2.0
 *
 * view/view.c - looking names up and listing directories, in any view
 */
#define G_LOG_DOMAIN "mne-view"

#include "config.h"

#include "view/view.h"

#include "table/schema.h"
#include "view/iter.h"
#include "view/listing.h"

int mne_view_get(MneView *view, MneSlice key, GBytes **out_value)
{
	return view->ops->get(view, key, out_value);
}

int mne_view_iter(MneView *view, MneSlice prefix, MneSlice from, MneIter **out_iter)
{
	return view->ops->iter(view, prefix, from, out_iter);
}

static int node_at(MneView *view, const MneKey *key, MneNode *out_node)
{
	g_autoptr(GBytes) value = NULL;

	MNE_TRY(mne_view_get(view, mne_key_slice(key), &value));
	return mne_node_decode(value, out_node);
}

static int dir_node(MneView *view, uint32_t table, uint64_t dir, MneNode *out_node)
{
	MneKey key;

	mne_key_node(&key, table, dir, MNE_SLICE_EMPTY);
	return node_at(view, &key, out_node);
}

static int inode(MneView *view, uint32_t table, uint64_t rec, MneNode *out_node)
{
	MneKey key;

	mne_key_inode(&key, table, rec);
	return node_at(view, &key, out_node);
}

static MneKind kind_of(MneSlice value)
{
	return value.len > 0 ? value.data[0] : 0;
}

int mne_view_follow(MneView *view, uint32_t table, GBytes *value, MneNode *out_node)
{
	MneSlice bytes = mne_slice_of(value);
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (kind_of(bytes) == MNE_KIND_INODE)
		return mne_node_decode(value, out_node);

	MNE_TRY(mne_ref_decode(bytes, &kind, &rec, &mode));
	return kind == MNE_KIND_DIRREF ? dir_node(view, table, rec, out_node)
				       : inode(view, table, rec, out_node);
}

static int lookup_table(MneView *view, MneSlice name, uint32_t *out_table,
			MneNode *out_node)
{
	g_autoptr(GBytes) value = NULL;
	MneTable table;
	MneKey key;

	mne_key_table(&key, name);
	MNE_TRY(mne_view_get(view, mne_key_slice(&key), &value));
	MNE_TRY(mne_table_decode(mne_slice_of(value), &table));
	MNE_TRY(dir_node(view, table.id, table.dir, out_node));
	*out_table = table.id;
	return 0;
}

int mne_view_lookup(MneView *view, uint32_t table, uint64_t dir, MneSlice name,
		    uint32_t *out_table, MneNode *out_node)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	if (name.len == 0)
		return -ENOENT;
	if (table == MNE_ROOT_TABLE)
		return lookup_table(view, name, out_table, out_node);

	mne_key_node(&key, table, dir, name);
	MNE_TRY(mne_view_get(view, mne_key_slice(&key), &value));
	MNE_TRY(mne_view_follow(view, table, value, out_node));
	*out_table = table;
	return 0;
}

static int node_by_name(MneView *view, const MnePlace *place, MneNode *out_node)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	MNE_TRY(mne_view_lookup(view, place->table, place->dir, place->name, &table,
				&node));
	if (node.rec != place->rec)
		return -ENOENT;
	mne_node_copy(&node, out_node);
	return 0;
}

int mne_view_node(MneView *view, const MnePlace *place, MneNode *out_node)
{
	int err;

	if (place->is_dir)
		err = dir_node(view, place->table, place->rec, out_node);
	else
		err = node_by_name(view, place, out_node);
	if (err == -ENOENT && !place->is_dir)
		err = inode(view, place->table, place->rec, out_node);
	return err == -ENOENT ? -ESTALE : err;
}

typedef struct {
	MneListing base;
	MneView *view;
	MneIter *iter; /* owned */
	uint32_t table;
	size_t prefix; /* bytes of each key before the name */
} ViewListing;

static int table_entry(ViewListing *listing, MneSlice value, MneEntry *entry,
		       MneNode *out_node)
{
	MneTable table;

	MNE_TRY(mne_table_decode(value, &table));
	entry->table = table.id;
	entry->rec = table.dir;
	entry->mode = S_IFDIR;
	if (out_node)
		MNE_TRY(dir_node(listing->view, table.id, table.dir, out_node));
	return 1;
}

static int record_entry(ViewListing *listing, MneSlice bytes, MneEntry *entry,
			MneNode *out_node)
{
	entry->table = listing->table;
	if (kind_of(bytes) != MNE_KIND_INODE) {
		MneKind kind;

		MNE_TRY(mne_ref_decode(bytes, &kind, &entry->rec, &entry->mode));
		if (!out_node)
			return 1;
	}

	g_autoptr(GBytes) value = mne_slice_to_bytes(bytes);
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_view_follow(listing->view, listing->table, value, &node));
	entry->rec = node.rec;
	entry->mode = node.mode;
	if (out_node)
		mne_node_copy(&node, out_node);
	return 1;
}

static int view_listing_next(MneListing *base, MneEntry *out_entry, MneNode *out_node)
{
	ViewListing *listing = (ViewListing *)base;
	MneEntry entry = { 0 };
	MneSlice key, value;
	int got;

	/* A reference whose inode went since the iterator's moment is skipped. */
	do {
		got = mne_iter_next(listing->iter, &key, &value);
		if (got <= 0)
			return got;
		entry.name = mne_slice(key.data + listing->prefix,
				       key.len - listing->prefix);
		got = listing->table == MNE_ROOT_TABLE
			      ? table_entry(listing, value, &entry, out_node)
			      : record_entry(listing, value, &entry, out_node);
	} while (got == -ENOENT);

	if (got > 0)
		*out_entry = entry;
	return got;
}

static void view_listing_free(MneListing *base)
{
	ViewListing *listing = (ViewListing *)base;

	mne_iter_free(listing->iter);
	g_free(listing);
}

static const MneListingOps view_listing_ops = { view_listing_next, view_listing_free };

/* The smallest key of a name that comes after `after`: names hold no NUL. */
static void key_after(MneKey *key, uint32_t table, uint64_t dir, MneSlice after)
{
	if (table == MNE_ROOT_TABLE)
		mne_key_table(key, after);
	else
		mne_key_node(key, table, dir, after);
	key->bytes[key->len++] = after.len > 0 ? 0 : 1;
}

int mne_view_list(MneView *view, uint32_t table, uint64_t dir, MneSlice after,
		  MneListing **out_listing)
{
	MneFragmentOf all = { table, dir, 0 };

	return mne_view_list_fragment(view, &all, after, out_listing);
}

int mne_view_list_fragment(MneView *view, const MneFragmentOf *what, MneSlice after,
			   MneListing **out_listing)
{
	uint32_t table = what->table;
	g_autoptr(MneIter) iter = NULL;
	ViewListing *listing;
	MneKey prefix, from;

	if (after.len > MNE_NAME_MAX)
		return -EINVAL;
	if (table == MNE_ROOT_TABLE)
		mne_key_table(&prefix, MNE_SLICE_EMPTY);
	else
		mne_key_node(&prefix, table, what->dir, MNE_SLICE_EMPTY);
	key_after(&from, table, what->dir, after);
	if (what->fragment > 0) {
		mne_key_set_fragment(&prefix, what->fragment);
		mne_key_set_fragment(&from, what->fragment);
	}
	MNE_TRY(mne_view_iter(view, mne_key_slice(&prefix), mne_key_slice(&from),
			      &iter));

	listing = g_new0(ViewListing, 1);
	listing->base.ops = &view_listing_ops;
	listing->view = view;
	listing->table = table;
	listing->prefix = prefix.len;
	listing->iter = g_steal_pointer(&iter);
	*out_listing = &listing->base;
	return 0;
}

int mne_listing_next(MneListing *listing, MneEntry *out_entry, MneNode *out_node)
{
	return listing->ops->next(listing, out_entry, out_node);
}

void mne_listing_free(MneListing *listing)
{
	if (listing)
		listing->ops->free(listing);
}
