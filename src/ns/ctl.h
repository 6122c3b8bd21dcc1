/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl.h - the small files in `.mnefs`
 *
 * A file is a number from 1; MNE_CTL_DIR is the directory.  What a file says is made when it
 * is opened, and stays the same for that handle.  What is written is read as lines, each a
 * command; a write(2) carries whole lines, its last one with or without a newline.
 */
#pragma once

#include "ns/ns.h"

#define MNE_CTL_DIR 0u

/* The number of a file, or MNE_CTL_DIR when there is none of that name. */
uint64_t mne_ctl_find(MneSlice name);
/* Its name; NULL past the last. */
const char *mne_ctl_name(uint64_t number);
bool mne_ctl_is_writable(uint64_t number);
int mne_ctl_stat(MneNs *ns, uint64_t number, struct stat *out) MNE_CHECKED;
/* -EACCES when it is not for reading (or not for writing). */
int mne_ctl_open(MneNs *ns, uint64_t number, bool writable, GBytes **out_content)
	MNE_CHECKED;
/* BAD_CTL, or what a command failed with; the lines before it were carried out. */
int mne_ctl_write(MneNs *ns, uint64_t number, MneSlice lines) MNE_CHECKED;
