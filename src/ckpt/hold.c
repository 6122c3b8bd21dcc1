/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/hold.c - who needs a checkpoint to stay
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/hold.h"

#include "ckpt/set.h"

struct MneHold {
	GList link; /* in ckpt->holds */
	MneCkpt *ckpt; /* reference */
	MneProcess who;
};

static bool enter(MneCkpt *ckpt, MneHold *hold)
{
	MNE_WITH_LOCK(mne_ckpts_lock(ckpt->set));
	if (ckpt->closing || !mne_ckpt_is_active(ckpt))
		return false;
	g_queue_push_tail_link(&ckpt->holds, &hold->link);
	return true;
}

int mne_hold_take(MneCkpt *ckpt, const MneProcess *who, MneHold **out_hold)
{
	MneHold *hold = g_new0(MneHold, 1);

	hold->link.data = hold;
	hold->who = *who;
	if (!enter(ckpt, hold)) {
		g_free(hold);
		return mne_throw(CKPT_GONE, "the checkpoint is being dropped");
	}
	hold->ckpt = mne_ckpt_ref(ckpt);
	*out_hold = hold;
	return 0;
}

static void leave(MneHold *hold)
{
	MNE_WITH_LOCK(mne_ckpts_lock(hold->ckpt->set));
	g_queue_unlink(&hold->ckpt->holds, &hold->link);
}

void mne_hold_release(MneHold *hold)
{
	leave(hold);
	mne_ckpt_unref(hold->ckpt);
	g_free(hold);
}

MneCkpt *mne_hold_ckpt(const MneHold *hold)
{
	return hold->ckpt;
}

GArray *mne_ckpt_holders(MneCkpt *ckpt)
{
	GArray *holders = g_array_new(FALSE, FALSE, sizeof(MneProcess));

	MNE_WITH_LOCK(mne_ckpts_lock(ckpt->set));
	for (GList *at = ckpt->holds.head; at; at = at->next)
		g_array_append_val(holders, ((MneHold *)at->data)->who);
	return holders;
}

static bool try_close(MneCkpt *ckpt, bool by_force)
{
	MNE_WITH_LOCK(mne_ckpts_lock(ckpt->set));
	if (!by_force && !g_queue_is_empty(&ckpt->holds))
		return false;
	ckpt->closing = true;
	return true;
}

int mne_ckpt_close(MneCkpt *ckpt, bool by_force)
{
	g_autofree char *name = NULL, *first = NULL;
	g_autoptr(GArray) holders = NULL;

	if (try_close(ckpt, by_force))
		return 0;
	holders = mne_ckpt_holders(ckpt);
	name = mne_ckpt_name(ckpt);
	if (holders->len == 0) /* it left just now */
		return mne_throw(CKPT_HELD, "%s was held a moment ago", name);
	first = mne_process_sentence(&g_array_index(holders, MneProcess, 0));
	if (holders->len > 1)
		return mne_throw(CKPT_HELD, "%s is held by %s and %u more", name, first,
				 holders->len - 1);
	return mne_throw(CKPT_HELD, "%s is held by %s", name, first);
}

void mne_ckpt_reopen(MneCkpt *ckpt)
{
	MNE_WITH_LOCK(mne_ckpts_lock(ckpt->set));
	ckpt->closing = false;
}
