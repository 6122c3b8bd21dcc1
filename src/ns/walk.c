/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/walk.c - a walk through everything in a checkpoint
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/walk.h"

#include "ns/frags.h"

#define FAILURES_MAX 3u /* in one directory, before it is left */

typedef struct {
	MneListing *listing; /* owned; NULL: not begun */
	uint32_t table;
	uint64_t dir;
	size_t path_len; /* of the directory */
	unsigned failures;
	bool fragmented; /* it lists fragments */
} Level;

struct MneWalk {
	MneNs *ns; /* borrowed */
	MneCkpt *ckpt; /* reference */
	GArray *levels; /* of Level */
	GString *path;
	MneNode node;
	MneWalkEntry last;
	bool again;
};

static void push(MneWalk *walk, uint32_t table, uint64_t dir)
{
	Level level = { .table = table, .dir = dir, .path_len = walk->path->len };
	const MneIdentity self = { .object = MNE_OBJECT_PAST,
				   .is_dir = true,
				   .table = table,
				   .rec = dir,
				   .ckpt = walk->ckpt };

	level.fragmented = mne_frags_are_listed(walk->ns, &self);

	g_array_append_val(walk->levels, level);
}

static Level *top(MneWalk *walk)
{
	return walk->levels->len > 0
		       ? &g_array_index(walk->levels, Level, walk->levels->len - 1)
		       : NULL;
}

static void pop(MneWalk *walk)
{
	Level *level = &g_array_index(walk->levels, Level, walk->levels->len - 1);

	g_clear_pointer(&level->listing, mne_listing_free);
	g_array_set_size(walk->levels, walk->levels->len - 1);
}

MneWalk *mne_walk_new(MneNs *ns, MneCkpt *ckpt)
{
	MneWalk *walk = g_new0(MneWalk, 1);

	walk->ns = ns;
	walk->ckpt = mne_ckpt_ref(ckpt);
	walk->levels = g_array_new(FALSE, FALSE, sizeof(Level));
	walk->path = g_string_new(NULL);
	push(walk, MNE_ROOT_TABLE, MNE_ROOT_DIR);
	return walk;
}

void mne_walk_free(MneWalk *walk)
{
	while (walk->levels->len > 0)
		pop(walk);
	g_array_unref(walk->levels);
	g_string_free(walk->path, TRUE);
	mne_node_clear(&walk->node);
	mne_ckpt_unref(walk->ckpt);
	g_free(walk);
}

/* The next entry of a directory, its node in walk->node. */
static int step(MneWalk *walk, Level *level, MneEntry *entry)
{
	mne_node_clear(&walk->node);
	if (!level->listing)
		MNE_TRY(mne_view_list(&walk->ckpt->view, level->table, level->dir,
				      MNE_SLICE_EMPTY, &level->listing));
	return mne_listing_next(level->listing, entry, &walk->node);
}

static int fail(MneWalk *walk, Level *level, int err, MneWalkEntry *out_entry)
{
	*out_entry = (MneWalkEntry){ .path = walk->path->str, .table = level->table };
	if (!level->listing || ++level->failures >= FAILURES_MAX ||
	    mne_err_is(err, ESTALE))
		pop(walk);
	return err;
}

static void enter_fragment(MneWalk *walk, const Level *level, const MneEntry *entry)
{
	const MneIdentity self = { .object = MNE_OBJECT_PAST, .ckpt = walk->ckpt };
	const MnePlace place = { .table = level->table,
				 .rec = entry->rec,
				 .dir = level->dir,
				 .name = entry->name };
	uint32_t fragment;

	if (mne_frag_of_place(walk->ns, &self, &place, &fragment) == 0)
		g_string_append_printf(walk->path, "%04u/", fragment);
}

static void enter(MneWalk *walk, const Level *level, const MneEntry *entry)
{
	if (level->path_len > 0)
		g_string_append_c(walk->path, '/');
	if (level->fragmented)
		enter_fragment(walk, level, entry);
	g_string_append_len(walk->path, (const char *)entry->name.data,
			    (gssize)entry->name.len);
}

int mne_walk_next(MneWalk *walk, MneWalkEntry *out_entry)
{
	Level *level;

	if (walk->again) {
		walk->again = false;
		*out_entry = walk->last;
		return 1;
	}
	while ((level = top(walk))) {
		MneEntry entry;
		int got;

		g_string_truncate(walk->path, level->path_len);
		got = step(walk, level, &entry);
		if (got < 0)
			return fail(walk, level, got, out_entry);
		if (got == 0) {
			pop(walk);
			continue;
		}
		enter(walk, level, &entry);
		walk->last = (MneWalkEntry){ walk->path->str, entry.table,
					     &walk->node };
		*out_entry = walk->last;
		if (mne_node_is_dir(&walk->node))
			push(walk, entry.table, walk->node.rec);
		return 1;
	}
	return 0;
}

void mne_walk_again(MneWalk *walk)
{
	g_assert(walk->last.node && !mne_node_is_dir(walk->last.node));
	walk->again = true;
}
