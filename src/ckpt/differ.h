/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/differ.h - in what two states of a record differ
 *
 * What a copy would show: not ctime, atime or how many entries a directory has.
 */
#pragma once

#include "view/view.h"

typedef enum {
	MNE_DIFFER_TYPE = 1,
	MNE_DIFFER_DATA = 2, /* or a symlink's target, a device's number */
	MNE_DIFFER_MODE = 4,
	MNE_DIFFER_OWNER = 8,
	MNE_DIFFER_TIME = 16,
	MNE_DIFFER_XATTRS = 32,
	MNE_DIFFER_LINKS = 64, /* how many names a file has */
} MneDiffer;

/* A state of a record, and the view it is in. */
typedef struct {
	MneView *view;
	uint32_t table;
	const MneNode *node;
} MneState;

/* Bits of MneDiffer; that data are the same is said only when that is certain.  contents
 * false: one of them is only a stub; then data differ if size or mtime do, and attributes
 * are not looked at. */
int mne_differ(const MneState *a, const MneState *b, bool contents, unsigned *out_bits)
	MNE_CHECKED;

/* The word for bit number i, "data"; NULL past the last. */
const char *mne_differ_word(unsigned i);
