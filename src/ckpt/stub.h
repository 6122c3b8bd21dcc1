/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/stub.h - what a bookmark keeps of a value
 *
 * A bookmark is a checkpoint that knows what stood where, but not what was in it: enough to
 * say what changed since.  Of each name, and each inode, that is changed after it, a stub is
 * kept: the value without content and attributes, some hundred bytes whatever the size
 * of the file.  Bytes and big attributes have no stubs.
 *
 * Stubs stand beside what is retained for checkpoints and follow the same rule, with
 * STUB and SINCE in the places of RETAINED and CHANGED; neither knows of the other.
 */
#pragma once

#include "kv/kv.h"
#include "util/error.h"
#include "util/slice.h"

/* Is anything kept of keys of this kind? */
bool mne_stub_is_kept(MneSlice key);

/* The stub of a value: a new one.  VALUE_CORRUPT. */
int mne_stub_of(MneSlice value, GBytes **out_stub) MNE_CHECKED;

/* As mne_retain() does, for the newest bookmark that covers the key's table. */
int mne_stub_retain(uint64_t newest, MneSlice key, MneSlice now, MneKvBatch *batch)
	MNE_CHECKED;
