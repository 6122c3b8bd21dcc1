/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/name.h - the names that are not records
 *
 * In a live directory `.checkpoints`, `.frag`, `.by`, `.tx` and `.mnefs` are reserved,
 * though `.tx` and `.mnefs` stand at the root only.  Inside a checkpoint nothing is.  Pure.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

typedef enum {
	MNE_NAME_ORDINARY,
	MNE_NAME_CHECKPOINTS,
	MNE_NAME_FRAG,
	MNE_NAME_BY,
	MNE_NAME_TX,
	MNE_NAME_CTL,
} MneNameKind;

/* A live directory: the root, one of a table, one deeper. */
typedef enum {
	MNE_AT_ROOT = 1,
	MNE_IN_TABLE = 2,
	MNE_BELOW_TABLE = 4,
} MneNamePlace;

/* How the reserved names behave. */
typedef enum {
	MNE_CTL_HIDDEN, /* not listed, but reachable */
	MNE_CTL_VISIBLE, /* listed, too */
	MNE_CTL_OFF, /* unreachable, but reserved all the same */
} MneCtlMode;

MneNameKind mne_name_kind(MneSlice name);

/* May something of this name be made, moved or removed?  RESERVED_NAME, -ENAMETOOLONG. */
int mne_name_check(MneSlice name) MNE_CHECKED;

/* The hidden names that ctl=visible lists, in order: number i from 0, NULL at the end. */
const char *mne_name_visible(unsigned i, MneNamePlace place);
