/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/names.h - the names of a hard-linked file
 */
#pragma once

#include "view/view.h"

typedef struct MneLinkNames MneLinkNames;

int mne_link_names_open(MneView *view, uint32_t table, uint64_t rec,
			MneLinkNames **out_names) MNE_CHECKED;
/* 1: *out_key is the NODE key of the next; 0: end. */
int mne_link_names_next(MneLinkNames *names, MneKey *out_key) MNE_CHECKED;
void mne_link_names_free(MneLinkNames *names);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneLinkNames, mne_link_names_free)
