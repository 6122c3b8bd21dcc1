/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/served.h - the tables as everybody but the writer reads them
 *
 * That is the live view, but while a rollback that takes several batches is under way: from
 * its first batch on, the keys of the tables it concerns are read as they were at the
 * checkpoint, which is what they will be when it is done.  So nobody sees half of it.  The
 * view of a checkpoint itself reads what is stored, and so does who retains.
 *
 * Threads: all functions, any thread; begin and end are for who holds the gate.
 */
#pragma once

#include "ckpt/ckpt.h"
#include "ckpt/plan.h"
#include "view/view.h"

typedef struct MneRolling MneRolling;

typedef struct {
	MneView base;
	MneView *stored; /* borrowed */
	MneRolling *_Atomic rolling; /* NULL: none */
	MneRolling *all; /* there ever were: a reader may still hold one */
} MneServedView;

void mne_served_init(MneServedView *view, MneView *stored);
void mne_served_clear(MneServedView *view);

/* From here on the tables of plan are read at ckpt; copies what it needs of plan. */
void mne_served_begin(MneServedView *view, MneCkpt *ckpt, const MnePlan *plan);
void mne_served_end(MneServedView *view);
bool mne_served_is_rolling(const MneServedView *view);
