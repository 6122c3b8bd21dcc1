/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/space.c - keeping room
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/space.h"

#include <sys/statvfs.h>
#include <time.h>

#include <glib.h>

#define LOOK_EVERY_MS 200
#define LOOK_BELOW    (INT64_C(16) << 20) /* near the end, look every time */

static int64_t now_ms(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
	return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void look(MneSpace *space)
{
	struct statvfs vfs;
	uint64_t available;

	if (statvfs(space->path, &vfs) < 0)
		return;
	available = (uint64_t)vfs.f_bavail * vfs.f_frsize;
	space->left = available > space->reserve ? (int64_t)(available - space->reserve)
						 : 0;
	space->looked = now_ms();
}

void mne_space_init(MneSpace *space, const char *path)
{
	const uint64_t most = UINT64_C(144) << 20; /* two memtables and a merge */
	struct statvfs vfs;

	space->path = path;
	space->reserve = most;
	if (statvfs(path, &vfs) == 0)
		space->reserve = MIN(most, (uint64_t)vfs.f_blocks * vfs.f_frsize / 4);
	look(space);
}

int mne_space_admit(MneSpace *space, uint64_t bytes)
{
	int64_t left = space->left;

	if (left - (int64_t)bytes < LOOK_BELOW ||
	    now_ms() - space->looked > LOOK_EVERY_MS)
		look(space);
	left = atomic_fetch_sub(&space->left, (int64_t)bytes) - (int64_t)bytes;
	if (left < 0)
		return mne_throw(STORE_FULL,
				 "the store is full: delete records or drop "
				 "checkpoints (deleting always works)");
	return 0;
}

uint64_t mne_space_left(MneSpace *space)
{
	look(space);
	return space->left > 0 ? (uint64_t)space->left : 0;
}
