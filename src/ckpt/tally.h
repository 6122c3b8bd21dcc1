/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/tally.h - how much is retained, by the checkpoints that can see it
 *
 * An image RETAINED(key, S) whose value has seq v is seen by the checkpoints of seq v … S
 * that cover its table: a run of neighbours.  A cell counts all images of a table that
 * have the same run: `first` is the oldest checkpoint of the run, `last` is S.  What a
 * checkpoint sees is the sum of the cells whose run it is in, what it alone keeps the sum
 * of those whose run has no other; and dropping one only makes runs shorter.
 *
 * In `first` count the checkpoints still being reclaimed, too: so the cell of an image
 * follows from what is stored, and changes only when the image moves or a checkpoint is
 * forgotten for good.  Every cell is also under a TALLY key, written in the batch that
 * changes it.
 *
 * An image counts with the bytes of its RETAINED key and value; an extent's with those of
 * the file it stands for, and for its value always with the most that can be, as a sweep
 * changes its length.
 *
 * Threads: all functions; it has its own lock (MNE_RANK_TALLY).
 */
#pragma once

#include "kv/kv.h"
#include "util/lock.h"

typedef struct {
	uint32_t table;
	uint64_t first, last; /* seqs of checkpoints */
	int64_t bytes, images;
} MneTallyCell;

typedef struct MneTally MneTally;

MneTally *mne_tally_new(void);
void mne_tally_free(MneTally *tally);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneTally, mne_tally_free)

/* Read the cells of a store.  out_counted: false when it was written by a version that did
 * not count. */
int mne_tally_load(MneTally *tally, MneKv *kv, bool *out_counted) MNE_CHECKED;
void mne_tally_clear(MneTally *tally);

void mne_tally_add(MneTally *tally, const MneTallyCell *delta);
/* Put the cell's key into the batch as it will be after adding delta. */
void mne_tally_put(MneTally *tally, const MneTallyCell *delta, uint64_t seq,
		   MneKvBatch *batch);
/* The mark that a store's retained values are counted. */
void mne_tally_put_mark(uint64_t seq, MneKvBatch *batch);

/* All cells, by table, first and last: an array of MneTallyCell. */
GArray *mne_tally_cells(MneTally *tally);

/* The bytes an image counts with. */
int64_t mne_tally_size(MneSlice key, MneSlice value);

/* VALUE_CORRUPT for what mne_tally_put() cannot have written. */
int mne_tally_decode(MneSlice value, int64_t *out_bytes, int64_t *out_images)
	MNE_CHECKED;
