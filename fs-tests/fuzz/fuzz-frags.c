/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-frags.c - how a table is spread: what decodes encodes to the same,
 * and puts every name into a fragment that exists, or says why not
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "frag/map.h"

#include "values.h"

static const MneFragHash *find(void *data, const char *name)
{
	(void)data;
	return mne_frag_hash_builtin(name);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autoptr(GBytes) framed = value_around(MNE_KIND_FRAGS, mne_slice(data, size));
	g_autoptr(MneFragMap) map = NULL;
	g_autoptr(GBytes) again = NULL;
	uint32_t old, new;

	if (mne_frag_map_decode(mne_slice_of(framed), 1, find, NULL, &map) < 0)
		return 0;
	again = mne_frag_map_encode(map);
	g_assert_true(g_bytes_equal(framed, again));
	if (mne_frag_map_place(map, mne_slice_str("name"), &old, &new) < 0)
		return 0;
	g_assert_cmpuint(old, >=, 1);
	g_assert_cmpuint(old, <=, map->n);
	g_assert_cmpuint(new, <=, mne_frag_map_parts(map));
	return 0;
}
