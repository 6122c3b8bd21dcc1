/* SPDX-License-Identifier: Apache-2.0
 *
 * record/extent.h - which bytes of a file lie where: extents, and lists of them
 *
 * All of it is pure: no I/O, no locks.  A list belongs to one thread at a time.
 */
#pragma once

#include "blob/store.h"
#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Bytes [offset, offset+len) of a file are bytes [from, from+len) of a frame's payload.
 * With ref.segment == 0 it is a hole: the bytes are zeros, len is anything up to
 * UINT64_MAX - offset, from and the rest of ref are 0.  A hole is never stored. */
typedef struct {
	uint64_t offset;
	uint64_t len;
	uint32_t from;
	MneBlobRef ref;
} MneExtent;

#define MNE_EXTENT_VALUE_MAX 64

static inline bool mne_extent_is_hole(const MneExtent *extent)
{
	return extent->ref.segment == 0;
}

static inline uint64_t mne_extent_end(const MneExtent *extent)
{
	return extent->offset + extent->len;
}

static inline MneExtent mne_extent_hole(uint64_t offset, uint64_t len)
{
	return (MneExtent){ .offset = offset, .len = len };
}

/* Append what a stored value says of an extent that is no hole: all but the offset, which
 * is in the key.  At most MNE_EXTENT_VALUE_MAX bytes. */
void mne_extent_encode(const MneExtent *extent, GByteArray *to);
/* value is exactly what mne_extent_encode() wrote; -VALUE_CORRUPT on anything odd. */
int mne_extent_decode(MneSlice value, uint64_t offset, MneExtent *out) MNE_CHECKED;

/* What is left of old when [offset, offset+len) is replaced: up to two pieces, ascending.
 * Returns how many; 1, old itself, when nothing overlaps. */
unsigned mne_extent_cut(const MneExtent *old, uint64_t offset, uint64_t len,
			MneExtent out_remains[2]);

/* The part of extent that lies in [offset, offset+len), which overlap. */
MneExtent mne_extent_clip(const MneExtent *extent, uint64_t offset, uint64_t len);

/* Extents of one file, ascending, never overlapping; neighbours are not joined.  Where it
 * has no extent, the list says nothing. */
typedef struct MneExtentList MneExtentList;

MneExtentList *mne_extents_new(void);
void mne_extents_free(MneExtentList *list);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneExtentList, mne_extents_free)

size_t mne_extents_count(const MneExtentList *list);
/* The extent of an index below count.  Valid until the list changes. */
const MneExtent *mne_extents_get(const MneExtentList *list, size_t index);
/* Index of the first extent that ends after offset; count when there is none. */
size_t mne_extents_find(const MneExtentList *list, uint64_t offset);
/* That extent, or NULL.  The bytes at offset are its own if its offset is <= offset. */
const MneExtent *mne_extents_at(const MneExtentList *list, uint64_t offset);

/* Replace what extent overlaps by it.  The pieces that fall out and are no holes are
 * appended to out_dropped, an array of MneExtent (may be NULL). */
void mne_extents_put(MneExtentList *list, const MneExtent *extent, GArray *out_dropped);
/* Cut everything from size on; dropped pieces as in put. */
void mne_extents_truncate(MneExtentList *list, uint64_t size, GArray *out_dropped);
void mne_extents_clear(MneExtentList *list);
