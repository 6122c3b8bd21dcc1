/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/recent.c - which keys the last commits have changed
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/recent.h"

#define KEPT 4096u

typedef struct MneRecentKey {
	uint64_t seq;
	GBytes *key;
} MneRecentKey;

void mne_recent_clear(MneRecent *recent)
{
	for (unsigned i = 0; recent->keys && i < KEPT; i++)
		g_clear_pointer(&recent->keys[i].key, g_bytes_unref);
	g_clear_pointer(&recent->keys, g_free);
}

void mne_recent_start(MneRecent *recent, uint64_t seq)
{
	if (recent->keys)
		return;
	recent->keys = g_new0(MneRecentKey, KEPT);
	recent->put = 0;
	recent->from = seq;
}

void mne_recent_note(MneRecent *recent, uint64_t seq, MneSlice key)
{
	MneRecentKey *at;

	if (!recent->keys)
		return;
	at = &recent->keys[recent->put++ % KEPT];
	if (at->key) { /* of this commit not all will be there any more */
		recent->from = at->seq;
		g_bytes_unref(at->key);
	}
	*at = (MneRecentKey){ seq, mne_slice_to_bytes(key) };
}

bool mne_recent_covers(const MneRecent *recent, uint64_t seq)
{
	return recent->keys && seq >= recent->from;
}

int mne_recent_foreach(const MneRecent *recent, uint64_t seq, MneRecentFunc func,
		       void *user)
{
	uint64_t kept = MIN(recent->put, KEPT);

	for (uint64_t i = 1; i <= kept; i++) {
		const MneRecentKey *at = &recent->keys[(recent->put - i) % KEPT];

		if (at->seq <= seq)
			return 0;
		MNE_TRY(func(user, mne_slice_of(at->key)));
	}
	return 0;
}
