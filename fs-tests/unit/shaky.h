/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/shaky.h - an engine of which the nth call fails, reads and snapshots too
 *
 * kv/fault.c stands in front of an engine, and who knows that one directly goes past it.
 * This one changes the engine itself, for all who have it.
 */
#pragma once

#include "kv/kv.h"

typedef struct {
	uint64_t calls; /* so far: get, iter, each step of an iterator, snapshot, apply,
			 * barrier; of the engine and of all that came from it */
	uint64_t nth; /* of these fails, and does nothing; 0: none */
} Shake;

/* For the life of the engine: shake is borrowed. */
void shaky_make(MneKv *kv, Shake *shake);
