/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/retain.c - copy on first write
 *
 * The image travels in the same batch as the change that destroys it, so no crash can
 * leave one without the other.  A value carries the seq that wrote it: one newer than the
 * newest checkpoint was kept already, or no checkpoint ever saw it, and there is nothing
 * to do.  Older checkpoints find the image by seeking forward from their own seq.
 *
 * Moving a value without changing it (a sweep, a split) must not come here.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/retain.h"

#include "record/keys.h"
#include "record/node.h"

bool mne_retain(uint64_t newest, MneSlice key, MneSlice now, MneKvBatch *batch)
{
	MneKey at;

	if (newest == 0 || (now.len > 0 && mne_value_seq(now) > newest))
		return false;

	if (now.len > 0) {
		mne_key_retained(&at, key, newest);
		mne_kv_batch_put(batch, mne_key_slice(&at), now);
	}
	mne_key_changed(&at, newest, key);
	mne_kv_batch_put(batch, mne_key_slice(&at), MNE_SLICE_EMPTY);
	return now.len > 0;
}
