/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/recent.c - which keys the last commits have changed
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/recent.h"

#define MOST 65536u

typedef struct {
	uint64_t seq;
	GBytes *key;
} Changed;

static void changed_clear(void *data)
{
	g_bytes_unref(((Changed *)data)->key);
}

static const Changed *changed_at(const MneRecent *recent, guint i)
{
	return &g_array_index(recent->keys, Changed, i);
}

void mne_recent_clear(MneRecent *recent)
{
	g_clear_pointer(&recent->keys, g_array_unref);
}

void mne_recent_start(MneRecent *recent, uint64_t seq)
{
	if (recent->keys)
		return;
	recent->keys = g_array_new(FALSE, FALSE, sizeof(Changed));
	g_array_set_clear_func(recent->keys, changed_clear);
	recent->from = seq;
}

/* Of the commit of the last one that goes not all will be there any more. */
static void forget_half(MneRecent *recent)
{
	recent->from = changed_at(recent, MOST / 2 - 1)->seq;
	g_array_remove_range(recent->keys, 0, MOST / 2);
}

void mne_recent_note(MneRecent *recent, uint64_t seq, MneSlice key)
{
	Changed changed = { seq, NULL };

	if (!recent->keys)
		return;
	if (recent->keys->len == MOST)
		forget_half(recent);
	changed.key = mne_slice_to_bytes(key);
	g_array_append_val(recent->keys, changed);
}

bool mne_recent_covers(const MneRecent *recent, uint64_t seq)
{
	return recent->keys && seq >= recent->from;
}

int mne_recent_foreach(const MneRecent *recent, uint64_t seq, MneRecentFunc func,
		       void *user)
{
	for (guint i = recent->keys->len; i > 0; i--) {
		const Changed *changed = changed_at(recent, i - 1);

		if (changed->seq <= seq)
			return 0;
		MNE_TRY(func(user, mne_slice_of(changed->key)));
	}
	return 0;
}
