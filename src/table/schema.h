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

typedef struct {
	uint64_t seq; /* of the commit that wrote it */
	uint32_t id;
	uint64_t dir; /* dir id of the table's root directory */
	uint64_t cookie; /* random at creation: a table made again is another one */
	uint64_t version; /* counts changes of the schema */
	MneStorage storage;
	uint32_t fragments; /* how many the records are hashed over */
} MneTable;

GBytes *mne_table_encode(const MneTable *table);
int mne_table_decode(MneSlice value, MneTable *out) MNE_CHECKED;
