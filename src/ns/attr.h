/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/attr.h - what stat(2) shows
 *
 * Inode numbers.  Live: the record id.  A file in a checkpoint: its version id, so that
 * all checkpoints that see one version show one number.  Directories in a checkpoint and
 * hidden objects have bit 52 set, and below it a hash of who they are.  All are below
 * 2^53.  Pure.
 */
#pragma once

#include "record/node.h"

#include <sys/stat.h>

void mne_attr_of_live(const MneNode *node, struct stat *out);

/* cookie: of the checkpoint.  sharers: how many checkpoints see this version. */
void mne_attr_of_past(const MneNode *node, uint64_t cookie, unsigned sharers,
		      struct stat *out);

/* A hidden object: domain keeps kinds apart, id tells one of a kind.  mode carries the
 * type; owner and times are those of like. */
void mne_attr_of_hidden(const struct stat *like, uint64_t domain, uint64_t id,
			uint32_t mode, struct stat *out);
