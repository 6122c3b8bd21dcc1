/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/auto.h - checkpoints that come by themselves: `-o auto=hourly:24,daily:7`
 *
 * A kind is due when its period (an hour, a day, … of UTC) has begun and no automatic
 * checkpoint was made of it since.  One checkpoint serves all kinds that are due, and
 * expires when the last of them would.  After a time unmounted one is made, not one for
 * each period that was missed.  When nothing has changed since the newest automatic one, that
 * one stands for the new period as well: it only expires later.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef enum {
	MNE_AUTO_HOURLY,
	MNE_AUTO_DAILY,
	MNE_AUTO_WEEKLY,
	MNE_AUTO_MONTHLY,
	MNE_N_AUTO
} MneAutoKind;

typedef struct {
	unsigned keep[MNE_N_AUTO]; /* so many of a kind at a time; 0: none are made */
} MneAutoRules;

#define MNE_AUTO_NOTE "automatic:" /* then the kinds, with blanks between them */

/* Pure.  Seconds since the epoch. */
const char *mne_auto_name(MneAutoKind kind); /* "hourly" */
bool mne_auto_is_on(const MneAutoRules *rules);
/* When the period that now is in began. */
int64_t mne_auto_period(MneAutoKind kind, int64_t now);
/* kinds: a bit for each.  When one made now expires. */
int64_t mne_auto_expiry(const MneAutoRules *rules, unsigned kinds, int64_t now);
/* The kinds that a note says; 0: it is not of an automatic checkpoint. */
unsigned mne_auto_kinds_of(const char *note);
/* A new string. */
char *mne_auto_note(unsigned kinds);
