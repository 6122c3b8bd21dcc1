/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/phash2.h - Erlang's phash2 of a byte string: the same on every machine, pure
 */
#pragma once

#include "util/slice.h"

#include <stdint.h>

/* Erlang's phash2 of the bytes as a binary, 32 bits (Bob Jenkins' mix of 1996). */
uint32_t mne_phash2(MneSlice bytes);
