/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/mountpoint.c - the directory to mount on
 *
 * When a daemon dies its mount stays, and answers ENOTCONN to everything.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/mountpoint.h"

#include <mntent.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

static bool is_ours(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[8192];
	bool found = false;

	if (!mounts)
		return false;
	while (getmntent_r(mounts, &entry, buffer, sizeof(buffer)))
		if (strcmp(entry.mnt_dir, path) == 0)
			found = strcmp(entry.mnt_type, "fuse.mnefs") == 0;
	endmntent(mounts);
	return found;
}

static void unmount(const char *path)
{
	char *argv[] = { (char *)"fusermount3", (char *)"-u", (char *)"-z",
			 (char *)"--",          (char *)path, NULL };

	if (umount2(path, MNT_DETACH) == 0)
		return;
	(void)g_spawn_sync(NULL, argv, NULL, G_SPAWN_SEARCH_PATH, NULL, NULL, NULL,
			   NULL, NULL, NULL);
}

int mne_mountpoint_prepare(const char *path)
{
	struct stat status;
	int result = stat(path, &status);

	if (result < 0 && (errno == ENOTCONN || errno == ECONNABORTED) &&
	    is_ours(path)) {
		unmount(path);
		result = stat(path, &status);
	}
	if (result < 0) {
		result = -errno;
		fprintf(stderr, "mnefs: mount point %s: %s\n", path,
			g_strerror(-result));
		return result;
	}
	if (!S_ISDIR(status.st_mode)) {
		fprintf(stderr, "mnefs: mount point %s is no directory\n", path);
		return -ENOTDIR;
	}
	return 0;
}
