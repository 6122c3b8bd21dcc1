/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes_names.c - the pass over NAME keys: each doubles the NODE key of a hard link
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"

static bool holds(MneCheck *check, const MneKey *key, MneSlice value)
{
	g_autoptr(GBytes) there = NULL;

	return mne_view_get(mne_store_live(check->store), mne_key_slice(key), &there) ==
		       0 &&
	       mne_slice_equal(mne_slice_of(there), value);
}

/* A name of a linked file. */
static int check_doubled(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			 MneSlice value)
{
	g_autoptr(GBytes) bytes = NULL;
	g_autofree char *text = NULL;
	MneKind kind;
	uint64_t rec;
	uint32_t mode;
	MneKey name;

	(void)key;
	if (parts->name.len == 0 || value.len == 0 || value.data[0] != MNE_KIND_LINK ||
	    mne_ref_decode(value, &kind, &rec, &mode) < 0)
		return 0;
	mne_key_name(&name, parts->table, rec, parts->id, parts->name);
	if (holds(check, &name, value))
		return 0;
	text = mne_path_of_name(check, parts->table, parts->id, parts->name);
	bytes = mne_slice_to_bytes(value);
	mne_check_say(check, mne_check_put(check, mne_key_slice(&name), bytes),
		      "%s: a name that its file does not know", text);
	return 0;
}

static int check_name(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		      MneSlice value)
{
	g_autofree char *text = NULL;
	MneKey node;

	mne_key_node(&node, parts->table, parts->dir, parts->name);
	mne_check_route(check, &node);
	if (holds(check, &node, value))
		return 0;
	text = mne_path_of_name(check, parts->table, parts->dir, parts->name);
	mne_check_say(check, mne_check_del_kept(check, key, value),
		      "%s: known as a name of a linked file, but it is none", text);
	return 0;
}

int mne_pass_names(MneCheck *check)
{
	/* A store that was only read has none yet. */
	if (!(check->store->volume->features & MNE_FEATURE_NAMES))
		return 0;
	MNE_TRY(mne_check_each(check, MNE_TAG_NAME, check_name));
	return mne_check_each(check, MNE_TAG_NODE, check_doubled);
}
