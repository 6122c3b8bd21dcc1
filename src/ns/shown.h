/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/shown.h - the names a listing has handed out, by number
 *
 * A position is a number that stands for a name: "after the entry that was handed out
 * there".  It means the same name for as long as the names are not cleared; then a new era
 * begins, and positions of earlier ones mean nothing any more.
 *
 * Threads: none of its own.
 */
#pragma once

#include "util/slice.h"

#include <stdbool.h>

#include <glib.h>

#define MNE_SHOWN_DOTS 2u /* "." and ".." stand at 1 and 2 */

typedef struct {
	GByteArray *bytes; /* length, name, length, name … */
	GArray *index; /* uint32_t: where every 64th begins */
	uint64_t count;
	uint64_t first_count; /* names of the first listing; 0: not known yet */
	uint64_t era;
} MneShown;

void mne_shown_init(MneShown *shown);
void mne_shown_free(MneShown *shown);
/* The next era. */
void mne_shown_clear(MneShown *shown);

void mne_shown_add(MneShown *shown, MneSlice name);
/* Name number i < count; valid until one is added. */
MneSlice mne_shown_get(const MneShown *shown, uint64_t i);

/* A listing begins anew; true: there are more names than are worth keeping. */
bool mne_shown_rewind(MneShown *shown);
bool mne_shown_is_full(const MneShown *shown);
size_t mne_shown_size(const MneShown *shown); /* bytes of memory, about */

/* The position of name number i, which may be the next one. */
uint64_t mne_shown_position(const MneShown *shown, uint64_t i);
/* How many names come before what follows a position.  One that was never handed out can
 * only mean the end. */
uint64_t mne_shown_before(const MneShown *shown, uint64_t position);
