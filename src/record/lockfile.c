/* SPDX-License-Identifier: Apache-2.0
 *
 * record/lockfile.c - the file by which one process at a time has a store
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/lockfile.h"

#include "util/error.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

#include <glib.h>

#define STEP      (20 * G_TIME_SPAN_MILLISECOND)
#define TO_NOTICE G_TIME_SPAN_SECOND
#define TO_LEAVE  G_TIME_SPAN_MINUTE

#define LEAVING "leaving"

/* As far as the file tells: 0 if it does not. */
static long holder_of(int fd, bool *out_leaving)
{
	char text[64] = "";

	*out_leaving = false;
	if (pread(fd, text, sizeof(text) - 1, 0) <= 0)
		return 0;
	*out_leaving = strstr(text, LEAVING) != NULL;
	return strtol(text, NULL, 10);
}

static int note(int fd, const char *more)
{
	g_autofree char *text = g_strdup_printf("%ld%s\n", (long)getpid(), more);
	ssize_t len = (ssize_t)strlen(text);

	if (ftruncate(fd, 0) < 0 || pwrite(fd, text, (size_t)len, 0) != len)
		return -errno;
	return 0;
}

static int wait_for(int fd, const char *store_path)
{
	gint64 began = g_get_monotonic_time();
	bool leaving;

	while (flock(fd, LOCK_EX | LOCK_NB) < 0) {
		long holder = holder_of(fd, &leaving);

		if (g_get_monotonic_time() - began > (leaving ? TO_LEAVE : TO_NOTICE))
			return mne_throw(STORE_LOCKED,
					 "the store at %s is in use by process %ld",
					 store_path, holder);
		g_usleep(STEP);
	}
	return 0;
}

static int take(int fd, const char *store_path)
{
	MNE_TRY(wait_for(fd, store_path));
	return note(fd, "") < 0 ? mne_throw(STORE_READONLY,
					    "the store cannot be written: %s/LOCK: %s",
					    store_path, g_strerror(errno))
				: 0;
}

int mne_lockfile_take(const char *store_path, int *out_fd)
{
	g_autofree char *file = g_build_filename(store_path, "LOCK", NULL);
	int fd = open(file, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	int err;

	if (fd < 0)
		return mne_throw(STORE_READONLY, "the store cannot be written: %s: %s",
				 file, g_strerror(errno));
	err = take(fd, store_path);
	if (err < 0)
		close(fd);
	else
		*out_fd = fd;
	return err;
}

void mne_lockfile_leave(int fd)
{
	(void)note(fd, " " LEAVING);
}
