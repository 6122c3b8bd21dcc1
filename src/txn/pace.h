/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/pace.h - how background work leaves writers their time
 *
 * A step looks for a few keys and reads what they say before it takes the gate, changes a
 * little inside, and rests: three times as long as it took while somebody writes, and not
 * at all while nobody does.  Its thread stays behind others, too: see util/thread.h.
 *
 * Looking is done with iterators.  LevelDB counts gets that ask more than one table, and
 * merges tables for them; background work would have it do nothing else.
 *
 * Threads: who holds `working`.
 */
#pragma once

#include "txn/internal.h"

/* Keys of one step: inside the gate they take about as long as one commit. */
#define MNE_PACE_KEYS 32u

/* Does somebody write, or did half a second ago? */
bool mne_pace_is_busy(MneStore *store);

/* The commit just applied, of background work, took a seq: nobody else's. */
void mne_pace_own(MneStore *store);

/* After a step that was begun then (monotonic microseconds): let others have the gate, the
 * processor and the disk.  Not in tests, and not while the disk is full. */
void mne_pace_rest(MneStore *store, int64_t begun_us);
