/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/shown.c - the names a listing has handed out, by number
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/shown.h"

#define INDEX_STEP 64u
#define KEPT_NAMES 1024u
#define ERA_SHIFT  32u /* positions stay positive: 2^31 eras */

void mne_shown_init(MneShown *shown)
{
	*shown = (MneShown){ .bytes = g_byte_array_new(),
			     .index = g_array_new(FALSE, FALSE, sizeof(uint32_t)) };
}

void mne_shown_free(MneShown *shown)
{
	g_clear_pointer(&shown->bytes, g_byte_array_unref);
	g_clear_pointer(&shown->index, g_array_unref);
}

void mne_shown_clear(MneShown *shown)
{
	g_byte_array_set_size(shown->bytes, 0);
	g_array_set_size(shown->index, 0);
	shown->count = 0;
	shown->first_count = 0;
	shown->era = (shown->era + 1) & G_MAXINT32;
}

void mne_shown_add(MneShown *shown, MneSlice name)
{
	uint8_t len = (uint8_t)name.len;
	uint32_t at = shown->bytes->len;

	if (shown->count++ % INDEX_STEP == 0)
		g_array_append_val(shown->index, at);
	g_byte_array_append(shown->bytes, &len, 1);
	g_byte_array_append(shown->bytes, name.data, len);
}

MneSlice mne_shown_get(const MneShown *shown, uint64_t i)
{
	const uint8_t *at = shown->bytes->data +
			    g_array_index(shown->index, uint32_t, i / INDEX_STEP);

	for (uint64_t n = i / INDEX_STEP * INDEX_STEP; n < i; n++)
		at += 1 + *at;
	return mne_slice(at + 1, *at);
}

bool mne_shown_rewind(MneShown *shown)
{
	if (shown->first_count == 0)
		shown->first_count = shown->count;
	return mne_shown_is_full(shown);
}

bool mne_shown_is_full(const MneShown *shown)
{
	return shown->first_count > 0 &&
	       shown->count > 4 * MAX(shown->first_count, KEPT_NAMES);
}

size_t mne_shown_size(const MneShown *shown)
{
	return shown->bytes->len + shown->index->len * sizeof(uint32_t);
}

uint64_t mne_shown_position(const MneShown *shown, uint64_t i)
{
	return (shown->era << ERA_SHIFT) + i + MNE_SHOWN_DOTS + 1;
}

uint64_t mne_shown_before(const MneShown *shown, uint64_t position)
{
	uint64_t first = shown->era << ERA_SHIFT;

	if (position <= MNE_SHOWN_DOTS)
		return 0;
	if (position < first || position - first > shown->count + MNE_SHOWN_DOTS)
		return shown->count;
	return MAX(position - first, MNE_SHOWN_DOTS) - MNE_SHOWN_DOTS;
}
