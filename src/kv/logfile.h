/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/logfile.h - the format of LevelDB's log files and manifests
 *
 * Threads: a reader belongs to one thread at a time.
 * Ownership: a reader borrows its bytes.
 */
#pragma once

#include "util/slice.h"

typedef struct {
	MneSlice file;
	size_t at;
	size_t whole; /* the bytes from the start that are whole records */
	bool torn; /* what follows them is the beginning of one, up to the end */
} MneLogReader;

MneLogReader mne_log_reader(MneSlice file);

/* The next record into out_record, which may be NULL; false at the end, and at
 * the first damage, behind which nothing is read. */
bool mne_log_next(MneLogReader *reader, GByteArray *out_record);

/* The first sequence number of a log's record, and the one after its last. */
bool mne_log_sequences(MneSlice record, uint64_t *out_first, uint64_t *out_next);

/* What a database consists of. */
typedef struct {
	uint64_t oldest_log; /* number of the oldest log that is still needed */
	GHashTable *tables; /* set of uint64_t: numbers of the tables */
} MneManifest;

/* What a manifest's edits lead to, up to its end or the first damage; false when it does
 * not say enough.  out is to be cleared in either case. */
bool mne_manifest_read(MneSlice manifest, MneManifest *out);
void mne_manifest_clear(MneManifest *manifest);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneManifest, mne_manifest_clear)

/* The number of the oldest log that a manifest's database still needs; false when
 * the manifest does not say. */
bool mne_log_oldest_needed(MneSlice manifest, uint64_t *out_number);
