/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/closing.c - the closes under way, and who waits for a moment between them
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/closing.h"

#include "txn/txstate.h"

#define TRIES   200u
#define WAIT_US 100

void mne_store_closing(MneStore *store, bool begins)
{
	if (begins)
		store->closing++;
	else
		store->closing--;
}

void mne_gate_lock_between_closes(MneStore *store)
{
	const MneStore *live = mne_store_root(store);

	for (unsigned tries = 0; tries < TRIES; tries++) {
		mne_lock(&store->gate);
		if (live->closing == 0)
			return;
		mne_unlock(&store->gate);
		g_usleep(tries < TRIES / 2 ? 0 : WAIT_US);
	}
	mne_lock(&store->gate);
}
