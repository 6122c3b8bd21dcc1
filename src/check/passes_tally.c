/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes_tally.c - is as much retained as is counted?
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "ckpt/set.h"
#include "txn/internal.h"

#include <inttypes.h>

static int compare_cells(const MneTallyCell *a, const MneTallyCell *b)
{
	if (a->table != b->table)
		return a->table < b->table ? -1 : 1;
	if (a->first != b->first)
		return a->first < b->first ? -1 : 1;
	return (a->last > b->last) - (a->last < b->last);
}

/* What must be added to `said` to get `is`; both sorted.  An array of MneTallyCell. */
static GArray *differences(const GArray *said, const GArray *is)
{
	GArray *out = g_array_new(FALSE, FALSE, sizeof(MneTallyCell));
	unsigned i = 0, j = 0;

	while (i < said->len || j < is->len) {
		const MneTallyCell *a = &g_array_index(said, MneTallyCell, i);
		const MneTallyCell *b = &g_array_index(is, MneTallyCell, j);
		int order = i == said->len ? 1
			    : j == is->len ? -1
					   : compare_cells(a, b);
		MneTallyCell delta = order <= 0 ? *a : *b;

		delta.bytes = (order >= 0 ? b->bytes : 0) - (order <= 0 ? a->bytes : 0);
		delta.images = (order >= 0 ? b->images : 0) -
			       (order <= 0 ? a->images : 0);
		if (delta.bytes != 0 || delta.images != 0)
			g_array_append_val(out, delta);
		i += order <= 0;
		j += order >= 0;
	}
	return out;
}

static void mend(MneCheck *check, const GArray *deltas)
{
	MneTally *tally = mne_ckpts_tally(mne_store_ckpts(check->store));

	for (unsigned i = 0; i < deltas->len; i++) {
		const MneTallyCell *delta = &g_array_index(deltas, MneTallyCell, i);

		mne_tally_put(tally, delta, check->store->volume->seq, check->batch);
		mne_tally_add(tally, delta);
	}
	mne_limit_refresh(check->store);
}

int mne_pass_tally(MneCheck *check)
{
	MneTally *tally = mne_ckpts_tally(mne_store_ckpts(check->store));
	g_autoptr(GArray) said = mne_tally_cells(tally);
	g_autoptr(GArray) deltas = NULL;
	g_autoptr(GArray) is = NULL;
	int64_t bytes = 0;

	MNE_TRY(mne_store_count_retained(check->store, &is));
	deltas = differences(said, is);
	for (unsigned i = 0; i < deltas->len; i++)
		bytes += ABS(g_array_index(deltas, MneTallyCell, i).bytes);
	/* After other repairs it is wrong because of them. */
	if (deltas->len > 0 && check->report->mended == 0)
		mne_check_say(check, check->repair,
			      "%" PRId64 " bytes of history are counted wrongly",
			      bytes);
	if (check->repair)
		mend(check, deltas);
	return 0;
}
