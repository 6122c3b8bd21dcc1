/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_text.h - control files that are a text, and take lines
 *
 * What is written is read as lines; a write(2) carries whole lines, its last one with or
 * without a newline.  Lines before one that fails were carried out.
 */
#pragma once

#include "ns/ctl.h"

/* A file of a kind that has print or line.  args are borrowed until it is closed. */
int mne_ctl_text_open(MneNs *ns, const MneCtlKind *kind, const char *const *args,
		      const MneCtlOpen *how, MneCtlFile **out_file) MNE_CHECKED;

/* Part of a text, for a read of a file's own: the number of bytes copied. */
ssize_t mne_ctl_text_read(MneSlice text, uint64_t offset, void *buffer, size_t len);
