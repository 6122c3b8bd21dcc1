/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/tuning.h - what LevelDB is told about memory, disk and care
 *
 * The values were chosen by measuring (docs/performance.md); $MNE_DEBUG overrides each,
 * to measure again.
 */
#pragma once

#include "util/error.h"

#include <stddef.h>

typedef struct {
	size_t write_buffer; /* bytes of a memtable, and so of a table made of one */
	size_t block_cache; /* bytes of blocks that were read, not mapped */
	size_t block_size; /* bytes of a block in a table */
	size_t table_size; /* bytes of a table made by merging */
	int bloom_bits; /* for each key; 0: no filter */
	int open_tables; /* how many tables stay open, and mapped */
	bool compress; /* with snappy */
	bool paranoid; /* verify the checksums of what LevelDB reads for itself */
	bool verify; /* … and of what it reads for us */
} MneTuning;

/* What whoever opens it wants, for a small disk: 0 nothing; a bigger buffer than chosen is not
 * had. */
MneTuning mne_tuning(size_t write_buffer, size_t block_cache);
