/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/activation.h - a checkpoint as it is asked for in words
 *
 *	table T, min T		cover this table, with one copy of what is retained
 *	max T			cover it, with a copy on every node
 *	pinned yes|no
 *	note TEXT
 *	expires 7d|DATE|never
 *	transactions ignore|refuse	of those that are open: what they change is later than
 *		it (ignore), or it is not made (refuse: TX_IN_PROGRESS)
 *	ram_overrides_dump yes|no	no: tables in memory as they were last dumped
 *	allow_remote yes|no	no: every table must have its copy here
 *
 * min, max and allow_remote matter where a store has several nodes; here all is local.
 */
#pragma once

#include "ns/ctl.h"

typedef struct {
	MneCkptSpec spec;
	char *note;
	GArray *tables, *max_tables; /* ids; the second is part of the first */
} MneCtlActivation;

/* name is borrowed. */
void mne_ctl_activation_init(MneCtlActivation *asked, const char *name);
void mne_ctl_activation_clear(MneCtlActivation *asked);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneCtlActivation, mne_ctl_activation_clear)

/* BAD_CTL, NO_TABLE, CKPT_TWICE, CKPT_NOTE. */
int mne_ctl_activation_add(MneNs *ns, MneCtlActivation *asked, const char *what,
			   const char *value) MNE_CHECKED;
/* As mne_ns_checkpoint(). */
int mne_ctl_activate(MneNs *ns, MneCtlActivation *asked) MNE_CHECKED;
