/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/recount.h - the counters of a store against a count
 */
#pragma once

#include "txns.h"

/* Entries and links of every directory, links of every file, of the table. */
void assert_counters_right(Fixture *f);
/* The live bytes of the segments are those of the extents, retained ones included. */
void assert_live_bytes_right(Fixture *f);
/* What is retained is counted right, in memory and in the store. */
void assert_tally_right(Fixture *f);
/* How many keys of a kind the store holds. */
unsigned keys_of(Fixture *f, MneTag tag);
