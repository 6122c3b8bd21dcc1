/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/kept.h - the listings that the kernel keeps
 *
 * The kernel can keep what it read of a directory, and show that to the next who lists it.
 * It takes such a listing for whole when it is answered "the end" (no byte at all) where
 * its copy ends, and gives it up when somebody changes the directory through the kernel,
 * or when a page of it is gone.  It does not know of changes that are not made through it,
 * and answers that were under way while something changed may enter a copy that counts as
 * newer.  So the end is what is decided here, each time:
 *
 *	MNE_KEPT_WHOLE	everything since this listing began is of one state of the
 *			directory, which is that of now, and nobody else took part
 *	MNE_KEPT_DROP	it is not: the kernel's pages go before the end is said, so that
 *			the next listing begins anew
 *	MNE_KEPT_OPEN	somebody else lists, too: the end is said in a way (a few bytes,
 *			too short for an entry) that ends the listing and leaves the copy as
 *			it is, not whole
 *
 * Who opens the directory may go on with what is kept when that is of the state of now; else
 * the kernel drops it while opening.  Positions are shared by all who may use the copy,
 * for they stand in it.  Decision 40 says why this suffices.
 *
 * Threads: any.
 */
#pragma once

#include "ns/shown.h"

#include <stdint.h>

typedef struct MneKept MneKept;
typedef struct MneKepts MneKepts;

/* A state of a directory: the commit that wrote it last, and changes of the names that wait
 * for theirs.  seq 0: unknown, and never equal to another. */
typedef struct {
	uint64_t seq, named;
} MneKeptState;

/* An open directory that may use the kernel's copy. */
typedef struct {
	MneKepts *kepts; /* borrowed */
	MneKept *kept; /* NULL: it may not */
	uint64_t opened_at, begun_at;
	bool is_fresh; /* the kernel drops what it has while opening */
	bool is_reader; /* was answered */
	bool is_begun; /* listed from the start, the end was not said yet */
	bool is_plain; /* of some entries the kernel was told no more than the name */
	uint64_t handed_out;
} MneKeptUse;

typedef enum { MNE_KEPT_WHOLE, MNE_KEPT_DROP, MNE_KEPT_OPEN } MneKeptEnd;

MneKepts *mne_kepts_new(void);
/* All that were opened must have been closed. */
void mne_kepts_free(MneKepts *kepts);

/* False: the kernel has to drop its copy. */
bool mne_kept_open(MneKepts *kepts, uint32_t table, uint64_t dir, MneKeptState now,
		   MneKeptUse *out_use);
void mne_kept_close(MneKeptUse *use);

/* One answer, from begin to finish; others wait in begin.  The state is that before anything
 * is read; NULL: it is not wanted, for if it is another now, so it will be at the end. */
bool mne_kept_wants_state(const MneKeptUse *use, bool at_start);
MneShown *mne_kept_begin(MneKeptUse *use, bool at_start, const MneKeptState *before);
void mne_kept_hand_out(MneKeptUse *use, bool is_plain);
MneKeptEnd mne_kept_end(MneKeptUse *use, MneKeptState now);
void mne_kept_finish(MneKeptUse *use);

/* The kernel forgot a directory; something in it. */
void mne_kepts_forget(MneKepts *kepts, uint64_t dir);
void mne_kepts_forget_in(MneKepts *kepts, uint64_t dir);
/* The directories of a table of which it may keep something: an array of uint64_t. */
GArray *mne_kepts_of(MneKepts *kepts, uint32_t table);
