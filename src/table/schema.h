/* SPDX-License-Identifier: Apache-2.0
 *
 * table/schema.h - what a table is, as the value of its TABLE key
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdint.h>

#include <glib.h>

/* Storage types, by Mnesia's names.  On disk: never renumber. */
typedef enum {
	MNE_STORAGE_DISC_COPIES = 1,
} MneStorage;

/* When what is written to a file becomes its committed version.  On disk: never renumber. */
typedef enum {
	MNE_COMMIT_CLOSE =
		0, /* at the last close of a writer, or after the store's time */
	MNE_COMMIT_WRITE = 1, /* at each write */
	MNE_COMMIT_SECONDS = 2, /* at the last close of a writer, or after so many */
} MneCommitWhen;

#define MNE_COMMIT_SECONDS_MAX 86400u

typedef struct {
	MneCommitWhen when;
	uint32_t seconds; /* of MNE_COMMIT_SECONDS, from 1; else 0 */
} MneCommitPolicy;

typedef struct {
	uint64_t seq; /* of the commit that wrote it */
	uint32_t id;
	uint64_t dir; /* dir id of the table's root directory */
	uint64_t cookie; /* random at creation: a table made again is another one */
	uint64_t version; /* counts changes of the schema */
	MneStorage storage;
	uint32_t fragments; /* how many the records are hashed over */
	MneCommitPolicy commit;
} MneTable;

GBytes *mne_table_encode(const MneTable *table);
int mne_table_decode(MneSlice value, MneTable *out) MNE_CHECKED;
