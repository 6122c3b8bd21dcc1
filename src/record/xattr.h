/* SPDX-License-Identifier: Apache-2.0
 *
 * record/xattr.h - the small extended attributes inside a node
 *
 * Encoded as a list of (varint length, name)(varint length, value), sorted by name.
 * Big values stand under XATTR keys and are not in this list.  Pure.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#define MNE_XATTR_VALUE_MAX   65536u
#define MNE_XATTR_INLINE_MAX  512u /* a value longer than this gets its own key … */
#define MNE_XATTRS_INLINE_MAX 2048u /* … as does any once the list is this long */
#define MNE_XATTRS_MAX        (4u << 20) /* all of a file: they go in one batch */
#define MNE_XATTR_NAMES_MAX \
	65536u /* … and their names, each with a NUL: XATTR_LIST_MAX */

/* -ENODATA when absent.  out_value borrows from list. */
int mne_xattrs_get(MneSlice list, MneSlice name, MneSlice *out_value) MNE_CHECKED;
/* The list with name set, or with value.data == NULL removed; a new array. */
GByteArray *mne_xattrs_with(MneSlice list, MneSlice name, MneSlice value);
/* Step through: *io_at from 0; 1 and the slices, 0 at the end, VALUE_CORRUPT. */
int mne_xattrs_next(MneSlice list, size_t *io_at, MneSlice *out_name,
		    MneSlice *out_value) MNE_CHECKED;
