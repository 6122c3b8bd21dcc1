/* SPDX-License-Identifier: Apache-2.0
 *
 * check/whole.c - what is not whole after the engine was put together anew
 *
 * A damaged table loses records here and there, or brings back older ones.  A commit that
 * writes data writes the inode with it: so an inode that is older than one of its extents,
 * or says of another number of stored bytes, does not belong to them.  Such a name is taken
 * away, before the other passes look; what is left of the data becomes lost-ID.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"
#include "view/iter.h"

/* Extents of a data id: how many bytes, and the newest seq. */
static int sum_up(MneView *view, uint32_t table, uint64_t data, uint64_t *out_stored,
		  uint64_t *out_seq)
{
	g_autoptr(MneIter) iter = NULL;
	MneSlice found, value;
	MneKey key, range;
	int got;

	*out_stored = *out_seq = 0;
	mne_key_extent(&key, table, data, 0);
	range = key;
	range.len = (uint16_t)(range.len - 8);
	MNE_TRY(mne_view_iter(view, mne_key_slice(&range), mne_key_slice(&key), &iter));
	while ((got = mne_iter_next(iter, &found, &value)) > 0) {
		MneSlice payload;
		MneExtent extent;
		MneKind kind;
		uint64_t seq;

		if (mne_value_open(value, &kind, &seq, &payload) < 0 ||
		    mne_extent_decode(payload, 0, &extent) < 0)
			continue;
		*out_stored += extent.len;
		*out_seq = MAX(*out_seq, seq);
	}
	return got;
}

/* 1: so it is. */
static int is_whole(MneView *view, uint32_t table, const MneNode *node)
{
	uint64_t stored, seq;

	if (!mne_node_is_file(node) || node->data == 0)
		return 1;
	MNE_TRY(sum_up(view, table, node->data, &stored, &seq));
	return stored == node->stored && seq <= node->seq;
}

static bool decode(MneSlice value, MneNode *out)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);

	return value.len > 0 && value.data[0] == MNE_KIND_INODE &&
	       mne_node_decode(bytes, out) == 0;
}

static void forget(MneCheck *check, const MneKeyParts *parts, const MneNode *node)
{
	const MneCheckId data = { parts->table, node->data };
	const MneCheckId rec = { parts->table, node->rec };
	MneFileFact *file = mne_fact_file(check, parts->table, node->rec, false);

	g_hash_table_remove(check->data, &data);
	g_hash_table_remove(check->live, &data);
	g_hash_table_remove(check->big, &rec);
	if (parts->tag == MNE_TAG_INODE && file)
		file->has_node = false;
	else if (parts->tag == MNE_TAG_NODE)
		mne_fact_dir(check, parts->table, parts->id, true)->counted--;
}

static int check_live(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		      MneSlice value)
{
	g_auto(MneNode) node = { 0 };
	g_autofree char *path = NULL;
	int whole;

	if (!decode(value, &node))
		return 0;
	whole = is_whole(mne_store_live(check->store), parts->table, &node);
	if (whole != 0)
		return MIN(whole, 0);
	path = parts->tag == MNE_TAG_NODE
		       ? mne_path_of_name(check, parts->table, parts->id, parts->name)
		       : mne_key_to_text(key);
	forget(check, parts, &node);
	mne_check_say(check, mne_check_del(check, key),
		      "%s: the inode and the data do not belong together", path);
	return 0;
}

static MneCkpt *find_ckpt(GPtrArray *ckpts, uint64_t seq)
{
	for (guint i = 0; i < ckpts->len; i++)
		if (((MneCkpt *)ckpts->pdata[i])->seq == seq)
			return ckpts->pdata[i];
	return NULL;
}

/* All checkpoints that see this image see the same extents as that of its seq. */
static int check_image(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		       MneSlice value)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(check->store));
	MneCkpt *ckpt = find_ckpt(ckpts, parts->seq);
	g_auto(MneNode) node = { 0 };
	g_autofree char *text = NULL;
	MneKeyParts inner;
	int whole;

	if (!ckpt || !decode(value, &node) || mne_key_parse(parts->inner, &inner) < 0)
		return 0;
	whole = is_whole(&ckpt->view, inner.table, &node);
	if (whole != 0)
		return MIN(whole, 0);
	text = mne_key_to_text(key);
	mne_check_say(check, mne_check_del(check, key),
		      "%s: the inode and the data do not belong together", text);
	return 0;
}

int mne_pass_whole(MneCheck *check)
{
	if (!check->store->volume->rebuilt)
		return 0;
	MNE_TRY(mne_check_each(check, MNE_TAG_NODE, check_live));
	MNE_TRY(mne_check_each(check, MNE_TAG_INODE, check_live));
	return mne_check_each(check, MNE_TAG_RETAINED, check_image);
}
