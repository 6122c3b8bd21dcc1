/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/map.h - which fragment a name belongs to: linear hashing, pure
 */
#pragma once

#include "util/slice.h"

#include <stdint.h>

/* Erlang's phash2 of the bytes as a binary, 32 bits (Bob Jenkins' mix of 1996). */
uint32_t mne_phash2(MneSlice bytes);

/* The fragment, from 0, of a hash among n >= 1 fragments.
 * Let 2^k be the largest power of two <= n.  Fragments below n - 2^k are split already
 * and told apart by k+1 bits of the hash, the others by k: take k+1 bits, fold back what
 * lies beyond.  (W. Litwin, Linear Hashing, VLDB 1980; mnesia_frag_hash counts from 1.) */
uint32_t mne_frag_of(uint32_t n, uint32_t hash);
