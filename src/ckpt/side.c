/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/side.c - what a name leads to in one view
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/side.h"

#include "table/schema.h"

void mne_side_clear(MneSide *side)
{
	mne_node_clear(&side->node);
	*side = (MneSide){ 0 };
}

bool mne_is_gone(int err)
{
	return err == -ESTALE || mne_err_is(err, ENOENT);
}

static int load_table(MneView *view, MneSlice value, MneSide *out)
{
	MnePlace place = { .is_dir = true };
	MneTable table;

	MNE_TRY(mne_table_decode(value, &table));
	place.table = out->table = table.id;
	place.rec = table.dir;
	return mne_view_node(view, &place, &out->node);
}

int mne_side_load(MneView *view, MneSlice key, const MneKeyParts *parts, MneSide *out)
{
	g_autoptr(GBytes) value = NULL;
	int err = mne_view_get(view, key, &value);

	if (err == 0) {
		out->table = parts->table;
		out->seq = mne_value_seq(mne_slice_of(value));
		err = parts->tag == MNE_TAG_TABLE
			      ? load_table(view, mne_slice_of(value), out)
			      : mne_view_follow(view, parts->table, value, &out->node);
	}
	if (mne_is_gone(err))
		return 0;
	MNE_TRY(err);
	out->found = true;
	return 0;
}
