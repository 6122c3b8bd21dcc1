/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/stream.h - an open directory: entries at positions that stay valid
 *
 * A position means "after the entry that was handed out there".  The stream remembers the
 * names it handed out, so that reading can go on from any earlier position while entries
 * come and go; an entry that exists throughout a listing appears exactly once.  Position 0
 * lists from the start again.  "." and ".." stand at 1 and 2.
 *
 *	MNE_TRY(mne_stream_start(stream, position));
 *	while ((got = mne_stream_next(stream, &entry)) > 0 && it fits)
 *		mne_stream_take(stream, &entry);
 *	mne_stream_stop(stream);
 *
 * Threads: any; between start and stop others wait in start.
 */
#pragma once

#include "ns/kept.h"
#include "ns/ns.h"

typedef struct MneStream MneStream;

/* CKPT_GONE, -ENOTDIR. */
int mne_stream_open(MneNs *ns, MneInode *inode, MneStream **out_stream) MNE_CHECKED;
void mne_stream_close(MneStream *stream);

/* What the kernel may do with a listing: to be asked once, while opening. */
typedef enum {
	MNE_STREAM_KEEPS_NOT, /* nothing */
	MNE_STREAM_PASSES_BY, /* this one leaves alone what is kept */
	MNE_STREAM_BEGINS, /* drop what it has, keep what it reads from now on */
	MNE_STREAM_GOES_ON, /* show what it has */
} MneStreamKeeps;
MneStreamKeeps mne_stream_keeps(MneStream *stream);

typedef struct {
	MneSlice name; /* borrowed until the next step */
	uint64_t position; /* to go on after it */
	MneFound found;
	bool is_dot;
} MneStreamEntry;

int mne_stream_start(MneStream *stream, uint64_t position) MNE_CHECKED;
/* 1 and the next entry, 0 at the end.  A lookup is counted for each, except "." and "..":
 * for one that was not taken it is given back by the next step, or by stop. */
int mne_stream_next(MneStream *stream, MneStreamEntry *out_entry) MNE_CHECKED;
/* The entry in hand was handed out.  keep_lookup: the kernel counts one, too. */
void mne_stream_take(MneStream *stream, MneStreamEntry *entry, bool keep_lookup);
/* Before stop, when there is no further entry and none was taken: how to say so. */
MneKeptEnd mne_stream_end(MneStream *stream) MNE_CHECKED;
void mne_stream_stop(MneStream *stream);
