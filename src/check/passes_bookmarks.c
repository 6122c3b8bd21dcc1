/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes_bookmarks.c - the pass over what bookmarks keep
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"

static bool is_known(MneCheck *check, uint64_t seq)
{
	return g_hash_table_contains(check->marks, &seq);
}

static int check_stub(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		      MneSlice value)
{
	g_autoptr(GBytes) empty = g_bytes_new_static("", 0);
	g_autofree char *text = mne_key_to_text(key);
	g_autoptr(GBytes) found = NULL;
	MneKey since;
	int err;

	(void)value;
	if (!is_known(check, parts->seq)) {
		mne_check_say(check, mne_check_del(check, key),
			      "%s: kept for no bookmark", text);
		return 0;
	}
	mne_key_since(&since, parts->seq, parts->inner);
	err = mne_kv_get(check->kv, mne_key_slice(&since), &found);
	if (err != -ENOENT)
		return err;
	mne_check_say(check, mne_check_put(check, mne_key_slice(&since), empty),
		      "%s: kept, but not listed as changed", text);
	return 0;
}

static int check_since(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		       MneSlice value)
{
	g_autofree char *text = NULL;

	(void)value;
	if (is_known(check, parts->seq))
		return 0;
	text = mne_key_to_text(key);
	mne_check_say(check, mne_check_del(check, key), "%s: changed since no bookmark",
		      text);
	return 0;
}

int mne_pass_bookmarks(MneCheck *check)
{
	MNE_TRY(mne_check_each(check, MNE_TAG_STUB, check_stub));
	return mne_check_each(check, MNE_TAG_SINCE, check_since);
}
