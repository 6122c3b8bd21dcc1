/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/pace.c - how background work leaves writers their time
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/pace.h"

enum {
	BUSY_US = 500000, /* so long after a commit others are taken to write */
	REST_SHARE = 3, /* times the time that a step took */
	REST_MOST_US = 20000,
};

/* What moves no version takes no seq: a new one is somebody else's commit. */
bool mne_pace_is_busy(MneStore *store)
{
	MnePace *pace = &store->pace;
	int64_t now = g_get_monotonic_time();
	uint64_t seq = store->volume->seq;

	if (seq != pace->seen)
		pace->busy_until = now + BUSY_US;
	pace->seen = seq;
	return now < pace->busy_until;
}

void mne_pace_own(MneStore *store)
{
	store->pace.seen++;
}

void mne_pace_rest(MneStore *store, int64_t begun_us)
{
	int64_t took = MAX(g_get_monotonic_time() - begun_us, 0);

	if (store->options.no_background || mne_space_left(&store->space) == 0 ||
	    !mne_pace_is_busy(store))
		return;
	g_usleep((gulong)MIN(took * REST_SHARE, REST_MOST_US));
}
