/* SPDX-License-Identifier: Apache-2.0
 *
 * record/volume.h - a store directory opened: the key-value engine, the blob segments,
 * the lock file, and the two counters
 *
 *	MNEFS   two lines of text: what this is, and its format version; written last
 *	LOCK    held by flock(2) while open; holds the pid of the holder
 *	kv/     LevelDB
 *	blob/   segments
 *
 * Counters are handed out from ranges that the SUPER record reserves ahead, so that a
 * crash never makes one come twice: it leaves a gap.
 *
 * Threads: next_id is atomic; everything else is for the one writer (see txn/commit.c).
 */
#pragma once

#include "blob/store.h"
#include "kv/engines.h"

#include <stdatomic.h>

#define MNE_FORMAT_VERSION 1u

/* Feature bits of a store, in SUPER.  On disk: never renumber.  An mnefs that does not know
 * one of them refuses the store. */
enum {
	MNE_FEATURE_NAMES = 1, /* every name of a hard-linked file has a NAME key */
	MNE_FEATURE_BOOKMARKS = 2, /* there are bookmarks, or were */
	MNE_FEATURE_FRAGMENTS = 4, /* a table has FRAGS: its records are spread */
	MNE_FEATURE_COMMIT = 8, /* a table says when its files are committed */
	MNE_FEATURE_MENDED =
		16, /* SUPER says up to when a repair may have changed things */
};
#define MNE_FEATURES_KNOWN                                      \
	((uint64_t)(MNE_FEATURE_NAMES | MNE_FEATURE_BOOKMARKS | \
		    MNE_FEATURE_FRAGMENTS | MNE_FEATURE_COMMIT | MNE_FEATURE_MENDED))
#define MNE_FEATURES_NEW ((uint64_t)MNE_FEATURE_NAMES) /* of a new store */

typedef struct MneVolume {
	char *path;
	MneKv *kv;
	MneBlobStore *blob;
	int lock_fd;
	bool read_only;
	bool unclean; /* the last stop was not a close */
	uint64_t cookie; /* of the store: random, for life */
	uint64_t features; /* MNE_FEATURE_ bits */
	atomic_uint_fast64_t next_id;
	_Atomic uint64_t seq; /* of the last commit */
	uint64_t mended; /* commits up to here were made before a repair; 0: none was */
	uint64_t id_limit, seq_limit; /* reserved in SUPER */
	MneKvOutside outside; /* what the engine asks about the blobs */
	_Atomic uint64_t applied; /* batches since the opening, failed ones included */
	_Atomic uint64_t settled; /* of these, how many name only durable blobs */
	uint64_t told; /* what of `settled` SUPER says */
	_Atomic uint32_t next_table;
	struct MneVolume *of; /* a transaction's: ids are handed out by this one */
	bool rebuilt; /* by a salvage: the engine, from what of it could be read */
	unsigned purged; /* by a salvage: keys that did not decode */
} MneVolume;

typedef struct {
	bool create; /* make it when the directory is absent or empty */
	bool read_only;
	bool in_memory;
	bool salvage; /* for repairs: open what does not open as it is, losing something */
	bool rebuild; /* with salvage: the engine opens, but not all of it can be read */
} MneVolumeOptions;

/* STORE_ABSENT, STORE_FOREIGN, STORE_HALF, STORE_NEWER, STORE_LOCKED, STORE_READONLY. */
int mne_volume_open(const char *path, const MneVolumeOptions *options,
		    MneVolume **out_volume) MNE_CHECKED;

/* It will be closed without further ado: who wants it next may wait. */
void mne_volume_leave(MneVolume *volume);

/* Durable and marked clean, unless `dirty`. */
void mne_volume_close(MneVolume *volume, bool dirty);

/* From now on the store has this feature; durable on return. */
int mne_volume_add_feature(MneVolume *volume, uint64_t feature) MNE_CHECKED;

/* A new record, data or version id: never 0, never used before, below 2^52. */
uint64_t mne_volume_new_id(MneVolume *volume);

/* What the next id will be above. */
uint64_t mne_volume_next_id(MneVolume *volume);

/* A new table id, put into SUPER with the batch that makes the table: never 0. */
uint32_t mne_volume_new_table(MneVolume *volume, MneKvBatch *batch);
/* Put the table ids that a transaction took into the batch that makes its tables. */
void mne_volume_tell(MneVolume *volume, MneKvBatch *batch);

/* A volume of staged changes in memory over another one, which stays open. */
MneVolume *mne_volume_new_staged(MneVolume *of, uint64_t seq);
void mne_volume_free_staged(MneVolume *volume);

/* From the batch on, the store uses the feature. */
void mne_volume_use(MneVolume *volume, uint64_t feature, MneKvBatch *batch);

/* With the batch a repair changes what tables show, or showed. */
void mne_volume_mend(MneVolume *volume, MneKvBatch *batch);

/* Everything goes to the engine through here. */
int mne_volume_apply(MneVolume *volume, MneKvBatch *batch) MNE_CHECKED;

/* A barrier of the blobs: what batches applied so far name is durable. */
int mne_volume_settle(MneVolume *volume) MNE_CHECKED;

/* Put SUPER into the batch if the next commits would pass what it reserves, or more
 * is settled than it says.  Called by the writer for every batch. */
void mne_volume_reserve(MneVolume *volume, MneKvBatch *batch);
