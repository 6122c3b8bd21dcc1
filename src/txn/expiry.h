/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/expiry.h - checkpoints that nobody drops by hand
 */
#pragma once

#include "txn/store.h"

/* Drop every checkpoint whose expiry is not after now (ns of CLOCK_REALTIME), unless it is
 * pinned or held: those are dropped when they no longer are.  How many were. */
unsigned mne_store_expire(MneStore *store, int64_t now_ns);

/* Has nothing been committed since the checkpoint, of all tables, was made? */
bool mne_store_is_unchanged_since(MneStore *store, const MneCkpt *ckpt);
