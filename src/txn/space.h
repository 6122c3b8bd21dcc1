/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/space.h - keeping room: writes are refused while deletes still fit
 *
 * What grows the store asks first.  Below a reserve it is told STORE_FULL, so that
 * deleting, dropping checkpoints and the engine's own compaction always find room.
 */
#pragma once

#include "util/error.h"

#include <stdatomic.h>
#include <stdint.h>

typedef struct {
	const char *path; /* borrowed: somewhere on the disk */
	uint64_t reserve; /* bytes kept back */
	_Atomic int64_t
		left; /* bytes above the reserve at the last look, less what was admitted */
	_Atomic int64_t looked; /* when, in ms of the coarse monotonic clock */
} MneSpace;

void mne_space_init(MneSpace *space, const char *path);
/* May bytes more be written?  STORE_FULL. */
int mne_space_admit(MneSpace *space, uint64_t bytes) MNE_CHECKED;
/* Bytes that may still be written. */
uint64_t mne_space_left(MneSpace *space);
