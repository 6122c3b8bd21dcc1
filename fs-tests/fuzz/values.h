/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/values.h - a value around any payload, with the right checksum
 *
 * No search guesses a checksum: without this it would never come past it.
 */
#pragma once

#include "record/node.h"
#include "util/coding.h"

static inline GBytes *value_around(MneKind kind, MneSlice payload)
{
	GByteArray *to = g_byte_array_new();

	mne_value_begin(to, kind, 42);
	mne_add_bytes(to, payload);
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}
