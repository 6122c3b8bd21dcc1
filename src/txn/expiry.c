/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/expiry.c - checkpoints that nobody drops by hand
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/expiry.h"

#include "txn/internal.h"
#include "util/log.h"

static bool is_due(MneCkpt *ckpt, int64_t now_ns)
{
	g_auto(MneCkptTraits) traits = { 0 };

	mne_ckpt_traits(ckpt, &traits);
	return traits.expires_ns > 0 && traits.expires_ns <= now_ns && !traits.pinned;
}

unsigned mne_store_expire(MneStore *store, int64_t now_ns)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(store->ckpts);
	unsigned dropped = 0;

	for (guint i = 0; i < ckpts->len; i++) {
		MneCkpt *ckpt = ckpts->pdata[i];
		g_autofree char *name = NULL;
		int err;

		if (!is_due(ckpt, now_ns))
			continue;
		name = mne_ckpt_name(ckpt);
		err = mne_store_drop(store, mne_slice_str(name));
		if (err == 0) {
			mne_log_say("checkpoint %s had expired and was dropped", name);
			dropped++;
		} else if (!mne_err_is(err, EBUSY)) {
			g_debug("checkpoint %s has expired, but: %s", name,
				mne_err_sentence(err));
		}
	}
	if (dropped > 0)
		mne_store_notify_dropped(store);
	return dropped;
}

/* Of all the lists of changes that began with it, or later, none has anything in it. */
bool mne_store_is_unchanged_since(MneStore *store, const MneCkpt *ckpt)
{
	g_autoptr(MneKvIter) iter = NULL;
	MneKey from;

	if (mne_kv_iter(store->volume->kv, &iter) < 0)
		return false;
	mne_key_changed(&from, ckpt->seq, MNE_SLICE_EMPTY);
	mne_kv_iter_seek(iter, mne_key_slice(&from));
	return (!mne_kv_iter_valid(iter) ||
		mne_kv_iter_key(iter).data[0] != MNE_TAG_CHANGED) &&
	       mne_kv_iter_status(iter) == 0;
}
