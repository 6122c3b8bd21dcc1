/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/written.h - what a rollback wrote, for whoever remembers how it was before
 *
 * Of each name that changed there is one notice that says which record stands there now, and
 * one of the record that stood there before, if that is another; of each inode that
 * changed in place, one.
 *
 * Threads: it belongs to one.
 */
#pragma once

#include "txn/store.h"

typedef struct MneWritten MneWritten;

/* From inside the gate: the keys that CHANGED has for `before`, which it takes a reference
 * of, as of now. */
int mne_written_open(MneStore *store, MneCkpt *before, MneWritten **out_written)
	MNE_CHECKED;
void mne_written_free(MneWritten *written);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneWritten, mne_written_free)

/* 1 and the next; 0: the end, and the next call begins anew. */
int mne_written_next(MneWritten *written, MneNotice *out) MNE_CHECKED;
