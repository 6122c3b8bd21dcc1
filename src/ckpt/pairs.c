/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/pairs.c - two directories, each in a view of its own, side by side
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/pairs.h"

typedef struct {
	MneListing *listing; /* owned; NULL: nothing, or nothing more */
	MneEntry entry;
	MneNode node;
	bool used; /* the next entry is wanted */
} Half;

struct MnePairs {
	Half halves[2];
};

int mne_pairs_open(MneView *const views[2], const MneDirPair *dirs,
		   MnePairs **out_pairs)
{
	g_autoptr(MnePairs) pairs = g_new0(MnePairs, 1);

	for (int i = 0; i < 2; i++) {
		Half *half = &pairs->halves[i];

		half->used = true;
		if (dirs->dirs[i] != 0)
			MNE_TRY(mne_view_list(views[i], dirs->tables[i], dirs->dirs[i],
					      MNE_SLICE_EMPTY, &half->listing));
	}
	*out_pairs = g_steal_pointer(&pairs);
	return 0;
}

void mne_pairs_free(MnePairs *pairs)
{
	if (!pairs)
		return;
	for (int i = 0; i < 2; i++) {
		mne_listing_free(pairs->halves[i].listing);
		mne_node_clear(&pairs->halves[i].node);
	}
	g_free(pairs);
}

static int settle(Half *half)
{
	int got;

	if (!half->used || !half->listing)
		return 0;
	mne_node_clear(&half->node);
	got = mne_listing_next(half->listing, &half->entry, &half->node);
	MNE_TRY(got);
	half->used = false;
	if (got == 0)
		g_clear_pointer(&half->listing, mne_listing_free);
	return 0;
}

/* <0: the first comes first, 0: both have the same name. */
static int order_of(const Half *first, const Half *second)
{
	if (!first->listing || !second->listing)
		return !first->listing - !second->listing;
	return mne_slice_compare(first->entry.name, second->entry.name);
}

int mne_pairs_next(MnePairs *pairs, MnePair *out_pair)
{
	Half *halves = pairs->halves;
	int order;

	MNE_TRY(settle(&halves[0]));
	MNE_TRY(settle(&halves[1]));
	if (!halves[0].listing && !halves[1].listing)
		return 0;

	order = order_of(&halves[0], &halves[1]);
	*out_pair = (MnePair){ .found = { order <= 0, order >= 0 } };
	for (int i = 0; i < 2; i++) {
		if (!out_pair->found[i])
			continue;
		out_pair->name = halves[i].entry.name;
		out_pair->tables[i] = halves[i].entry.table;
		out_pair->nodes[i] = &halves[i].node;
		halves[i].used = true;
	}
	return 1;
}
