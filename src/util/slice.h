/* SPDX-License-Identifier: Apache-2.0
 *
 * util/slice.h - borrowed bytes
 *
 * A slice points at bytes that somebody else owns and is valid as long as they
 * are.  Keys and names are bytes, not strings: they may hold anything.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <glib.h>

typedef struct {
	const uint8_t *data;
	size_t len;
} MneSlice;

#define MNE_SLICE_EMPTY ((MneSlice){ NULL, 0 })

static inline MneSlice mne_slice(const void *data, size_t len)
{
	return (MneSlice){ data, len };
}

static inline MneSlice mne_slice_str(const char *text)
{
	return (MneSlice){ (const uint8_t *)text, strlen(text) };
}

/* Borrows from bytes; NULL gives the empty slice. */
static inline MneSlice mne_slice_of(GBytes *bytes)
{
	MneSlice slice = MNE_SLICE_EMPTY;

	if (bytes)
		slice.data = g_bytes_get_data(bytes, &slice.len);
	return slice;
}

static inline GBytes *mne_slice_to_bytes(MneSlice slice)
{
	return g_bytes_new(slice.data, slice.len);
}

/* Bytewise, shorter first: the order of every key in the store. */
static inline int mne_slice_compare(MneSlice a, MneSlice b)
{
	size_t len = MIN(a.len, b.len);
	int order = len > 0 ? memcmp(a.data, b.data, len) : 0;

	return order != 0 ? order : (a.len > b.len) - (a.len < b.len);
}

static inline bool mne_slice_equal(MneSlice a, MneSlice b)
{
	return a.len == b.len && (a.len == 0 || memcmp(a.data, b.data, a.len) == 0);
}

static inline bool mne_slice_has_prefix(MneSlice slice, MneSlice prefix)
{
	return slice.len >= prefix.len &&
	       (prefix.len == 0 || memcmp(slice.data, prefix.data, prefix.len) == 0);
}
