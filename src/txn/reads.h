/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/reads.h - what a transaction has read: keys, and ranges of names
 *
 * That a key was absent is read, too.  A range says that the transaction saw which names
 * there are, not what they hold.  Extents are not noted: no extent of a file changes
 * without its inode, which was read before.
 *
 * Threads: the caller's lock.
 */
#pragma once

#include "record/keys.h"

#include <glib.h>

typedef struct MneReads MneReads;

MneReads *mne_reads_new(void);
void mne_reads_free(MneReads *reads);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneReads, mne_reads_free)

void mne_reads_add_key(MneReads *reads, MneSlice key);
/* Keys with prefix that are >= from and <= last; ended: all from `from` on.  Ranges of one
 * prefix grow together: what lies between two of them counts as read. */
void mne_reads_add_range(MneReads *reads, MneSlice prefix, MneSlice from, MneSlice last,
			 bool ended);
/* What `from` has read, too. */
void mne_reads_add_all(MneReads *reads, const MneReads *from);

/* Memory taken, roughly. */
size_t mne_reads_bytes(const MneReads *reads);
size_t mne_reads_count(const MneReads *reads);

bool mne_reads_has_key(const MneReads *reads, MneSlice key);

/* Negative stops and is returned.  Either may be NULL. */
typedef int (*MneReadKeyFunc)(void *user, MneSlice key);
typedef int (*MneReadRangeFunc)(void *user, MneSlice prefix, MneSlice from,
				MneSlice last, bool ended);
int mne_reads_foreach(const MneReads *reads, MneReadKeyFunc key_func,
		      MneReadRangeFunc range_func, void *user) MNE_CHECKED;
