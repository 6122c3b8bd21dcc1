/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/live.c - reading the live tables with what is not committed yet
 *
 * Order of looking: names that wait for their commit first, the store after.  A commit
 * removes a waiting name only when its batch has been applied; so a name is never missed.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "record/xattr.h"
#include "txn/attr.h"
#include "txn/filestate.h"
#include "txn/frags.h"
#include "view/listing.h"

static void copy_from_file(MneFile *file, MneNode *out_node)
{
	MNE_WITH_LOCK(&file->lock);
	mne_node_clear(out_node);
	mne_file_copy_node(file, out_node);
}

/* What is open or waiting makes a stored node look newer.  false: nothing is, or it was
 * committed since the node was read. */
static bool overlay(MneStore *store, MneNode *node)
{
	struct timespec mtime;
	unsigned count;

	if (mne_node_is_file(node)) {
		g_autoptr(MneFile) file = mne_files_find(store->files, node->rec);

		if (file)
			copy_from_file(file, node);
		return file != NULL;
	}
	if (!mne_node_is_dir(node))
		return true;
	if (!mne_files_dir(store->files, node->rec, &count, &mtime))
		return false;
	node->entries += count;
	if (mtime.tv_sec > node->mtime.tv_sec ||
	    (mtime.tv_sec == node->mtime.tv_sec && mtime.tv_nsec > node->mtime.tv_nsec))
		node->mtime = node->ctime = mtime;
	return true;
}

/* 1: nothing newer can have been missed. */
static int look_up(MneStore *store, uint32_t table, uint64_t dir, MneSlice name,
		   uint32_t *out_table, MneNode *out_node)
{
	g_autoptr(MneFile) waiting = NULL;

	waiting = mne_files_find_name(store->files, table, dir, name);
	if (waiting) {
		*out_node = (MneNode){ 0 };
		copy_from_file(waiting, out_node);
		*out_table = table;
		return 1;
	}
	MNE_TRY(mne_view_lookup(&store->live.base, table, dir, name, out_table,
				out_node));
	return overlay(store, out_node);
}

static int look_at(MneStore *store, const MnePlace *place, MneNode *out_node)
{
	g_autoptr(MneFile) file = NULL;

	if (!place->is_dir)
		file = mne_files_find(store->files, place->rec);
	if (file) {
		*out_node = (MneNode){ 0 };
		copy_from_file(file, out_node);
		return 1;
	}
	MNE_TRY(mne_view_node(&store->live.base, place, out_node));
	return overlay(store, out_node);
}

/* After got < 1, read when the last commit was *io_seq: has there been another since? */
static bool look_again(MneStore *store, int got, MneNode *node, uint64_t *io_seq)
{
	uint64_t seq = store->volume->seq;

	if (got != 0 || seq == *io_seq)
		return false;
	mne_node_clear(node);
	*io_seq = seq;
	return true;
}

int mne_live_lookup(MneStore *store, uint32_t table, uint64_t dir, MneSlice name,
		    uint32_t *out_table, MneNode *out_node)
{
	uint64_t seq = store->volume->seq;
	int got;

	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	do
		got = look_up(store, table, dir, name, out_table, out_node);
	while (look_again(store, got, out_node, &seq));
	return MIN(got, 0);
}

int mne_live_node(MneStore *store, const MnePlace *place, MneNode *out_node)
{
	uint64_t seq = store->volume->seq;
	int got;

	do
		got = look_at(store, place, out_node);
	while (look_again(store, got, out_node, &seq));
	return MIN(got, 0);
}

int mne_live_xattr(MneStore *store, const MnePlace *place, MneSlice name,
		   GBytes **out_value)
{
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_live_node(store, place, &node));
	return mne_view_xattr(&store->live.base, place->table, &node, name, out_value);
}

int mne_live_xattr_names(MneStore *store, const MnePlace *place, GByteArray *out)
{
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_live_node(store, place, &node));
	return mne_view_xattr_names(&store->live.base, place->table, &node, out);
}

/* The committed entries merged with the waiting ones. */
typedef struct {
	MneListing base;
	MneStore *store;
	MneListing *stored; /* owned */
	GArray *waiting; /* MnePendingEntry */
	guint next_waiting;
	uint32_t table;
	uint64_t dir;
	uint64_t seq; /* of the last commit when it began */
	MneEntry entry; /* the next stored one, if held */
	MneNode node;
	bool held, ended;
} LiveListing;

static int hold_stored(LiveListing *listing, bool with_node)
{
	int got;

	if (listing->held || listing->ended)
		return 0;
	mne_node_clear(&listing->node);
	got = mne_listing_next(listing->stored, &listing->entry,
			       with_node ? &listing->node : NULL);
	MNE_TRY(got);
	listing->held = got > 0;
	listing->ended = got == 0;
	return 0;
}

static void give_waiting(LiveListing *listing, const MnePendingEntry *waiting,
			 MneEntry *out_entry, MneNode *out_node)
{
	g_auto(MneNode) node = { 0 };

	copy_from_file(waiting->file, &node);
	*out_entry = (MneEntry){ .name = mne_slice_of(waiting->name),
				 .rec = node.rec,
				 .mode = node.mode,
				 .table = listing->table };
	if (out_node)
		mne_node_copy(&node, out_node);
	listing->next_waiting++;
}

static void give_stored(LiveListing *listing, MneEntry *out_entry, MneNode *out_node)
{
	*out_entry = listing->entry;
	listing->held = false;
	if (!out_node)
		return;
	*out_node = listing->node;
	listing->node = (MneNode){ 0 };
	(void)overlay(listing->store, out_node);
}

static int next_entry(LiveListing *listing, MneEntry *out_entry, MneNode *out_node)
{
	const MnePendingEntry *waiting = NULL;
	int order = -1;

	MNE_TRY(hold_stored(listing, out_node != NULL));
	if (listing->next_waiting < listing->waiting->len) {
		waiting = &g_array_index(listing->waiting, MnePendingEntry,
					 listing->next_waiting);
		order = listing->held ? mne_slice_compare(listing->entry.name,
							  mne_slice_of(waiting->name))
				      : 1;
	}
	if (!waiting && !listing->held)
		return 0;
	/* At the same name the waiting one has just been committed: one of them. */
	if (order == 0)
		listing->next_waiting++;
	if (order > 0)
		give_waiting(listing, waiting, out_entry, out_node);
	else
		give_stored(listing, out_entry, out_node);
	return 1;
}

/* The entry as it is by now; -ENOENT when it went. */
static int refresh(LiveListing *listing, MneEntry *entry, MneNode *node)
{
	mne_node_clear(node);
	MNE_TRY(mne_live_lookup(listing->store, listing->table, listing->dir,
				entry->name, &entry->table, node));
	entry->rec = node->rec;
	entry->mode = node->mode;
	return 1;
}

/* Names may be of the moment the listing began; nodes are remembered by who asks, and so
 * must be of now. */
static int live_listing_next(MneListing *base, MneEntry *out_entry, MneNode *out_node)
{
	LiveListing *listing = (LiveListing *)base;
	int got;

	do {
		got = next_entry(listing, out_entry, out_node);
		if (got > 0 && out_node && listing->store->volume->seq != listing->seq)
			got = refresh(listing, out_entry, out_node);
	} while (got == -ENOENT);
	return got;
}

static void live_listing_free(MneListing *base)
{
	LiveListing *listing = (LiveListing *)base;

	mne_listing_free(listing->stored);
	g_array_unref(listing->waiting);
	mne_node_clear(&listing->node);
	g_free(listing);
}

static const MneListingOps live_listing_ops = { live_listing_next, live_listing_free };

/* Of the waiting entries those whose names are in the fragment. */
static int keep_fragment(MneStore *store, const MneFragmentOf *what, GArray *waiting)
{
	g_autoptr(MneFragMap) map = mne_frags_now(store, what->table, what->dir);

	for (guint i = waiting->len; what->fragment > 0 && i-- > 0;) {
		const MnePendingEntry *entry = &g_array_index(waiting, MnePendingEntry,
							      i);
		uint32_t old, new;

		MNE_TRY(mne_frag_map_place(map, mne_slice_of(entry->name), &old, &new));
		if (old != what->fragment)
			g_array_remove_index(waiting, i);
	}
	return 0;
}

uint64_t mne_live_waiting_changes(MneStore *store, uint64_t dir)
{
	return mne_files_changes(store->files, dir);
}

int mne_live_list(MneStore *store, uint32_t table, uint64_t dir, MneSlice after,
		  MneListing **out_listing)
{
	MneFragmentOf all = { table, dir, 0 };

	return mne_live_list_fragment(store, &all, after, out_listing);
}

int mne_live_list_fragment(MneStore *store, const MneFragmentOf *what, MneSlice after,
			   MneListing **out_listing)
{
	uint64_t seq = store->volume->seq, dir = what->dir;
	uint32_t table = what->table;
	g_autoptr(GArray) waiting = mne_files_list(store->files, table, dir, after);
	g_autoptr(MneListing) stored = NULL;
	LiveListing *listing;

	MNE_TRY(keep_fragment(store, what, waiting));
	MNE_TRY(mne_view_list_fragment(&store->live.base, what, after, &stored));
	listing = g_new0(LiveListing, 1);
	listing->base.ops = &live_listing_ops;
	listing->store = store;
	listing->stored = g_steal_pointer(&stored);
	listing->waiting = g_steal_pointer(&waiting);
	listing->table = table;
	listing->dir = dir;
	listing->seq = seq;
	*out_listing = &listing->base;
	return 0;
}
