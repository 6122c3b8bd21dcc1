/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/names.c - the names of a hard-linked file: its NAME keys
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/names.h"

#include "view/iter.h"

struct MneLinkNames {
	MneIter *iter; /* owned */
};

int mne_link_names_open(MneView *view, uint32_t table, uint64_t rec,
			MneLinkNames **out_names)
{
	g_autoptr(MneIter) iter = NULL;
	MneLinkNames *names;
	MneKey prefix;

	mne_key_name(&prefix, table, rec, 0, MNE_SLICE_EMPTY);
	prefix.len = (uint16_t)(prefix.len - 8);
	MNE_TRY(mne_view_iter(view, mne_key_slice(&prefix), mne_key_slice(&prefix),
			      &iter));
	names = g_new0(MneLinkNames, 1);
	names->iter = g_steal_pointer(&iter);
	*out_names = names;
	return 0;
}

int mne_link_names_next(MneLinkNames *names, MneKey *out_key)
{
	MneSlice key, value;
	MneKeyParts parts;
	int got = mne_iter_next(names->iter, &key, &value);

	if (got <= 0)
		return got;
	MNE_TRY(mne_key_parse(key, &parts));
	mne_key_node(out_key, parts.table, parts.dir, parts.name);
	return 1;
}

void mne_link_names_free(MneLinkNames *names)
{
	if (!names)
		return;
	mne_iter_free(names->iter);
	g_free(names);
}
