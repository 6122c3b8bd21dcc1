/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/clock.h - what happens because time passes: expiry, automatic checkpoints
 *
 * One thread, from mounting to unmounting, that looks every second.  MNE_DEBUG=clock=N lets it
 * see a time N seconds ahead.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneClock MneClock;

MneClock *mne_clock_new(MneNs *ns);
/* Waits for what it is doing. */
void mne_clock_free(MneClock *clock);

/* One look, by hand. */
void mne_clock_look(MneClock *clock, int64_t now_ns);
