/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/space.c - what the history of each checkpoint takes
 *
 * Of each table, the active checkpoints that cover it are put in a row; a cell's run is
 * then an interval of places in the row, found by bisection, and sums over intervals are
 * made from their ends.  So a hundred checkpoints with all their cells are weighed in
 * well under a millisecond.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/space.h"

#include "ckpt/set.h"

typedef struct {
	const GPtrArray *ckpts;
	GArray *row; /* unsigned: which of ckpts cover the table, ascending */
	GArray *ends; /* MneCkptSpace: changes of `used` from this place on */
	MneCkptSpace *out;
	MneHistorySpace *total;
} Scale;

static uint64_t seq_at(const Scale *scale, unsigned place)
{
	unsigned i = g_array_index(scale->row, unsigned, place);

	return ((const MneCkpt *)g_ptr_array_index(scale->ckpts, i))->seq;
}

/* The first place in the row whose seq is >= seq. */
static unsigned place_of(const Scale *scale, uint64_t seq)
{
	unsigned low = 0, high = scale->row->len;

	while (low < high) {
		unsigned middle = low + (high - low) / 2;

		if (seq_at(scale, middle) < seq)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

static void begin_table(Scale *scale, uint32_t table)
{
	g_array_set_size(scale->row, 0);
	for (unsigned i = 0; i < scale->ckpts->len; i++)
		if (mne_ckpt_covers(g_ptr_array_index(scale->ckpts, i), table))
			g_array_append_val(scale->row, i);
	g_array_set_size(scale->ends, 0);
	g_array_set_size(scale->ends, scale->row->len + 1);
}

static void add_cell(Scale *scale, const MneTallyCell *cell)
{
	uint64_t bytes = (uint64_t)cell->bytes, images = (uint64_t)cell->images;
	unsigned begin = place_of(scale, cell->first);
	unsigned end = place_of(scale, cell->last + 1);
	MneCkptSpace *only;

	if (begin >= end) {
		scale->total->pending += bytes;
		return;
	}
	scale->total->bytes += bytes;
	scale->total->images += images;
	g_array_index(scale->ends, MneCkptSpace, begin).used += bytes;
	g_array_index(scale->ends, MneCkptSpace, begin).used_images += images;
	g_array_index(scale->ends, MneCkptSpace, end).used -= bytes;
	g_array_index(scale->ends, MneCkptSpace, end).used_images -= images;
	if (end - begin == 1) {
		only = &scale->out[g_array_index(scale->row, unsigned, begin)];
		only->frees += bytes;
		only->frees_images += images;
	}
}

static void end_table(Scale *scale)
{
	uint64_t bytes = 0, images = 0;

	for (unsigned place = 0; place < scale->row->len; place++) {
		unsigned i = g_array_index(scale->row, unsigned, place);

		bytes += g_array_index(scale->ends, MneCkptSpace, place).used;
		images += g_array_index(scale->ends, MneCkptSpace, place).used_images;
		scale->out[i].used += bytes;
		scale->out[i].used_images += images;
	}
}

void mne_space_weigh(const GArray *cells, const GPtrArray *ckpts, const uint32_t *table,
		     MneCkptSpace *out, MneHistorySpace *out_total)
{
	g_autoptr(GArray) row = g_array_new(FALSE, FALSE, sizeof(unsigned));
	g_autoptr(GArray) ends = g_array_new(FALSE, TRUE, sizeof(MneCkptSpace));
	Scale scale = { ckpts, row, ends, out, out_total };
	const MneTallyCell *last = NULL;

	memset(out, 0, ckpts->len * sizeof(*out));
	*out_total = (MneHistorySpace){ 0 };
	for (unsigned i = 0; i < cells->len; i++) {
		const MneTallyCell *cell = &g_array_index(cells, MneTallyCell, i);

		if (table && cell->table != *table)
			continue;
		if (last && last->table != cell->table)
			end_table(&scale);
		if (!last || last->table != cell->table)
			begin_table(&scale, cell->table);
		add_cell(&scale, cell);
		last = cell;
	}
	if (last)
		end_table(&scale);
}

static MneCkptSpace *weigh_now(MneCkpts *set, const GPtrArray *ckpts,
			       const uint32_t *table, MneHistorySpace *out_total)
{
	g_autoptr(GArray) cells = mne_tally_cells(mne_ckpts_tally(set));
	MneCkptSpace *all = g_new(MneCkptSpace, ckpts->len + 1);

	mne_space_weigh(cells, ckpts, table, all, out_total);
	return all;
}

MneCkptSpace *mne_ckpts_spaces(const GPtrArray *ckpts)
{
	MneHistorySpace total;
	MneCkpt *any;

	if (ckpts->len == 0)
		return NULL;
	any = g_ptr_array_index(ckpts, 0);
	return weigh_now(any->set, ckpts, NULL, &total);
}

void mne_ckpt_space(MneCkpt *ckpt, const uint32_t *table, MneCkptSpace *out)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(ckpt->set);
	MneHistorySpace total;
	g_autofree MneCkptSpace *all = weigh_now(ckpt->set, ckpts, table, &total);

	*out = (MneCkptSpace){ 0 };
	for (unsigned i = 0; i < ckpts->len; i++)
		if (g_ptr_array_index(ckpts, i) == ckpt)
			*out = all[i];
}

void mne_ckpts_history(MneCkpts *set, MneHistorySpace *out)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(set);

	g_free(weigh_now(set, ckpts, NULL, out));
}
