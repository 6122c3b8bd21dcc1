/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/json.h - the little JSON the control files use: one flat object on one line
 *
 * Values are strings, numbers, true, false, null, or arrays of those.  Objects inside
 * objects are refused.  Pure.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Field name -> text: a string's content, anything else as it is written; of an array
 * its members joined with ", ".  NULL when text is not such an object. */
GHashTable *mne_json_parse(const char *text);

/* The field, or fallback. */
const char *mne_json_text(GHashTable *object, const char *field, const char *fallback);
uint64_t mne_json_number(GHashTable *object, const char *field);
