/* SPDX-License-Identifier: Apache-2.0
 *
 * util/bell.c - somebody who wants to be told once, when there is something to read
 */
#include "config.h"

#include "util/bell.h"

static MneBell take_down(MneBell *at)
{
	MneBell bell = *at;

	*at = (MneBell){ 0 };
	return bell;
}

void mne_bell_clear(MneBell *at)
{
	MneBell bell = take_down(at);

	if (bell.forget)
		bell.forget(bell.data);
}

void mne_bell_hang(MneBell *at, MneBell *bell)
{
	if (!bell->ring)
		return;
	mne_bell_clear(at);
	*at = take_down(bell);
}

void mne_bell_ring(MneBell *at)
{
	MneBell bell = take_down(at);

	if (bell.ring)
		bell.ring(bell.data);
}
