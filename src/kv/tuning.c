/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/tuning.c - what LevelDB is told about memory, disk and care
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/tuning.h"

#include "util/log.h"

enum { KIB = 1024, MIB = 1024 * KIB };

/* Tables are mapped, and what is mapped and not compressed does not enter the block cache:
 * it is for tables beyond a thousand. */
static const MneTuning chosen = {
	.write_buffer = 24 * MIB,
	.block_cache = 8 * MIB,
	.block_size = 4 * KIB,
	.table_size = 2 * MIB,
	.bloom_bits = 10,
	.open_tables = 1000,
	.compress = false,
	.paranoid = true,
	.verify = true,
};

static uint64_t debugged(const char *word, uint64_t value)
{
	(void)mne_debug_has(word, &value);
	return value;
}

MneTuning mne_tuning(size_t write_buffer, size_t block_cache)
{
	MneTuning it = chosen;

	if (write_buffer > 0)
		it.write_buffer = MIN(write_buffer, it.write_buffer);
	if (block_cache > 0)
		it.block_cache = block_cache;
	it.write_buffer = debugged("kv-buffer", it.write_buffer);
	it.block_cache = debugged("kv-cache", it.block_cache);
	it.block_size = debugged("kv-block", it.block_size);
	it.table_size = debugged("kv-table", it.table_size);
	it.bloom_bits = (int)debugged("kv-bloom", (uint64_t)it.bloom_bits);
	it.open_tables = (int)debugged("kv-open", (uint64_t)it.open_tables);
	it.compress = debugged("kv-snappy", it.compress);
	it.paranoid = debugged("kv-paranoid", it.paranoid);
	it.verify = debugged("kv-verify", it.verify);
	return it;
}
