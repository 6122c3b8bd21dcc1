/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/bookmark.h - bookmarks: moments from which lists of what changed can start
 *
 * A bookmark is made of an active checkpoint and outlives it.
 */
#pragma once

#include "txn/store.h"

/* Mark the moment of a checkpoint.  Takes as long as there are changes since it; others go
 * on writing.  Durable on return.  replace: a bookmark of that name is given up for it;
 * otherwise CKPT_EXISTS.  CKPT_NAME, NO_CKPT; CKPT_GONE when it is dropped meanwhile. */
int mne_store_bookmark(MneStore *store, MneSlice checkpoint, MneSlice name,
		       bool replace) MNE_CHECKED;
/* NO_CKPT. */
int mne_store_drop_bookmark(MneStore *store, MneSlice name) MNE_CHECKED;
/* CKPT_EXISTS, CKPT_NAME, NO_CKPT. */
int mne_store_rename_bookmark(MneStore *store, MneSlice from, MneSlice to) MNE_CHECKED;
