/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/copy.h - copying a record with all that belongs to it
 *
 * Type, bytes, holes, mode, owner, times, extended attributes (ACLs are such), and hard
 * links among what one MneCopier copies.  Directories go as whole trees.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

typedef struct {
	GHashTable *links; /* inode number -> path of its copy */
	unsigned left_out; /* owners and attributes that we may not set */
} MneCopier;

void mne_copier_init(MneCopier *copier);
void mne_copier_clear(MneCopier *copier);

/* from to `to`, which must not exist.  0, or a negative errno: then a part may be there. */
int mne_copy(MneCopier *copier, const char *from, const char *to);
/* What mne_copy() sets behind the bytes: owner, mode, attributes, times. */
int mne_copy_attributes(MneCopier *copier, const char *from, const char *to);
/* What was copied to a path below `from` stands below `to` now. */
void mne_copier_moved(MneCopier *copier, const char *from, const char *to);

/* Do two things look the same: type, size, mode, owner, mtime, and attributes?  Bytes are not
 * compared.  What cannot be looked at is different. */
bool mne_looks_same(const char *a, const char *b);

/* rm -r; 0, or a negative errno. */
int mne_remove_tree(const char *path);
