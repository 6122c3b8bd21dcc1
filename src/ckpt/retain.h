/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/retain.h - copy on first write
 */
#pragma once

#include "kv/kv.h"
#include "util/slice.h"

/* key is about to be changed, created or deleted.  newest: seq of the newest checkpoint
 * that covers its table, 0: none.  now: its live value, empty when it has none.
 * Adds to the batch what that checkpoint, and all before it, will need.  True: `now` is
 * retained under newest. */
bool mne_retain(uint64_t newest, MneSlice key, MneSlice now, MneKvBatch *batch);
