/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/lent.c - attributes of what is in checkpoints, lent to the kernel for a moment
 *
 * Numbers are noted in the order they come, and kept until the kernel believes nothing more,
 * with the time that the answer takes to reach it.  There is room for so many that telling
 * the kernel of all takes some ten milliseconds; when there is none, nothing is lent.  A
 * number whose inode the kernel has forgotten does no harm.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/lent.h"

#include "ns/ns.h"
#include "util/lock.h"

#define ON_THE_WAY 0.1 /* seconds */
#define KEPT_US    ((int64_t)((MNE_PAST_TIMEOUT + ON_THE_WAY) * G_USEC_PER_SEC))

enum { ROOM = 16384 };

typedef struct {
	uint64_t number;
	int64_t until; /* monotonic */
} Loan;

struct MneLent {
	MneCkpts *ckpts; /* borrowed */
	MneLock lock;
	unsigned first, n; /* of the loans, a ring: oldest first */
	uint64_t turns; /* of the checkpoints, when they were taken last */
	Loan loans[ROOM];
};

MneLent *mne_lent_new(MneCkpts *ckpts)
{
	MneLent *lent = g_new0(MneLent, 1);

	lent->ckpts = ckpts;
	mne_lock_init(&lent->lock, MNE_RANK_QUEUE);
	return lent;
}

void mne_lent_free(MneLent *lent)
{
	mne_lock_clear(&lent->lock);
	g_free(lent);
}

uint64_t mne_lent_begin(MneLent *lent)
{
	return mne_ckpts_turns(lent->ckpts);
}

/* Caller holds the lock. */
static void drop_old(MneLent *lent, int64_t now)
{
	while (lent->n > 0 && lent->loans[lent->first].until <= now) {
		lent->first = (lent->first + 1) % ROOM;
		lent->n--;
	}
}

bool mne_lent_note(MneLent *lent, uint64_t begun, uint64_t number)
{
	int64_t now = g_get_monotonic_time();

	MNE_WITH_LOCK(&lent->lock);
	drop_old(lent, now);
	if (lent->n == ROOM || mne_ckpts_turns(lent->ckpts) != begun)
		return false;
	lent->loans[(lent->first + lent->n++) % ROOM] = (Loan){ number, now + KEPT_US };
	return true;
}

GArray *mne_lent_take(MneLent *lent)
{
	GArray *taken = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	uint64_t turns;

	MNE_WITH_LOCK(&lent->lock);
	turns = mne_ckpts_turns(lent->ckpts);
	if (turns == lent->turns)
		return taken;
	lent->turns = turns;
	drop_old(lent, g_get_monotonic_time());
	for (; lent->n > 0; lent->n--) {
		g_array_append_val(taken, lent->loans[lent->first].number);
		lent->first = (lent->first + 1) % ROOM;
	}
	return taken;
}
