/* SPDX-License-Identifier: Apache-2.0
 *
 * util/text.h - bytes as text that others read
 */
#pragma once

#include "util/slice.h"

/* A quoted JSON string; bytes that are no UTF-8 become \udcXX, as Python's
 * surrogateescape has it, so that they can be had back. */
void mne_text_add_json(GString *to, MneSlice text);
