/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/live.h - the live view: the tables as last committed
 *
 * It alone knows where a logical key stands in the store.  A table has one fragment, 0,
 * so that today every key stands where it says; the records of a table's root directory
 * will be spread by mne_frag_of() over more.
 */
#pragma once

#include "kv/kv.h"
#include "view/view.h"

typedef struct {
	MneView base;
	MneKv *kv; /* borrowed */
} MneLiveView;

void mne_live_view_init(MneLiveView *view, MneKv *kv, MneBlobStore *blob);
