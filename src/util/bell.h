/* SPDX-License-Identifier: Apache-2.0
 *
 * util/bell.h - somebody who wants to be told once, when there is something to read
 *
 * Threads: whoever owns the place where it hangs guards it by a lock of its own, and holds
 * that lock in all these functions; what a bell calls may take no lock.
 */
#pragma once

/* Nobody, when all is NULL. */
typedef struct {
	void (*ring)(void *data); /* there is something; data is gone afterwards */
	void (*forget)(void *data); /* there will be nothing; likewise */
	void *data;
} MneBell;

/* Takes the bell, if there is one, and leaves nobody.  One that hung there is forgotten. */
void mne_bell_hang(MneBell *at, MneBell *bell);
void mne_bell_ring(MneBell *at);
void mne_bell_clear(MneBell *at);
