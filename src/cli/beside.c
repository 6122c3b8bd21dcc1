/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/beside.c - a mount of one checkpoint, beside the live mount of its store
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/beside.h"

#include "cli/hold.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <mntent.h>
#include <poll.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

bool mne_beside_find(const char *store, char **out_live)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[16384];
	bool found = false;

	if (!mounts)
		return false;
	while (!found && getmntent_r(mounts, &entry, buffer, sizeof(buffer))) {
		g_autofree char *ckpts = g_build_filename(entry.mnt_dir, ".checkpoints",
							  NULL);

		found = strcmp(entry.mnt_type, "fuse.mnefs") == 0 &&
			strcmp(entry.mnt_fsname, store) == 0 &&
			access(ckpts, X_OK) == 0;
		if (found)
			*out_live = g_strdup(entry.mnt_dir);
	}
	endmntent(mounts);
	return found;
}

static unsigned long flags_of(const char *options)
{
	static const struct {
		const char *name;
		unsigned long flag;
	} known[] = {
		{ "noexec", MS_NOEXEC },
		{ "nosuid", MS_NOSUID },
		{ "nodev", MS_NODEV },
	};
	g_auto(GStrv) words = g_strsplit(options, ",", -1);
	unsigned long flags = MS_NOSUID | MS_NODEV; /* as the live mount has them */

	for (char **word = words; *word; word++)
		for (unsigned i = 0; i < G_N_ELEMENTS(known); i++)
			if (strcmp(*word, known[i].name) == 0)
				flags |= known[i].flag;
	return flags;
}

static MneExit say_no_bind(const char *mount_point, int err)
{
	mne_say_error("cannot mount at %s: %s", mount_point, g_strerror(err));
	if (err == EPERM)
		mne_say_hint("beside the live mount a checkpoint is mounted by root; "
			     "mnefs at works for everybody");
	return mne_exit_of(err);
}

static MneExit bind(const char *from, const char *mount_point, unsigned long flags)
{
	int err;

	if (mount(from, mount_point, NULL, MS_BIND, NULL) < 0)
		return say_no_bind(mount_point, errno);
	if (mount(NULL, mount_point, NULL, MS_BIND | MS_REMOUNT | MS_RDONLY | flags,
		  NULL) == 0)
		return MNE_EXIT_OK;
	err = errno;
	(void)umount2(mount_point, MNT_DETACH);
	return say_no_bind(mount_point, err);
}

/* Is there a mount of ours at path? */
static bool is_mounted(const char *path)
{
	FILE *mounts = setmntent("/proc/self/mounts", "re");
	struct mntent entry;
	char buffer[16384];
	bool found = false;

	while (mounts && getmntent_r(mounts, &entry, buffer, sizeof(buffer)))
		found |= strcmp(entry.mnt_dir, path) == 0 &&
			 strcmp(entry.mnt_type, "fuse.mnefs") == 0;
	if (mounts)
		endmntent(mounts);
	return found;
}

/* Until the mount ends; the kernel tells of changes in the table of mounts. */
static void stay(const char *live, const char *mount_point)
{
	int fd = open("/proc/self/mounts", O_RDONLY | O_CLOEXEC);
	struct pollfd changed = { fd, POLLPRI, 0 };

	while (fd >= 0 && is_mounted(mount_point)) {
		if (!is_mounted(live)) {
			(void)umount2(mount_point, MNT_DETACH);
			break;
		}
		if (poll(&changed, 1, -1) < 0 && errno != EINTR)
			break;
	}
	if (fd >= 0)
		close(fd);
}

/* Nothing of who called us: not his terminal, not his descriptors, but the hold. */
static void leave_caller(int hold)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	setsid();
	if (chdir("/") < 0 || null < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		(void)dup2(null, fd);
	if (hold > 3)
		(void)close_range(3, (unsigned)hold - 1, 0);
	(void)close_range((unsigned)hold + 1, ~0u, 0);
}

/* The parent, which took the hold, is not who others shall see. */
static void hold_ourselves(const char *live, const char *name, int *io_hold)
{
	int own;

	if (!name || mne_hold_open(live, name, &own) != MNE_EXIT_OK)
		return;
	close(*io_hold);
	*io_hold = own;
}

MneExit mne_beside_mount(MneCli *cli, const char *live, const char *ckpt,
			 const char *mount_point, const char *options)
{
	g_autofree char *name = NULL, *from = NULL;
	int hold;
	MneExit status = mne_hold_open(live, ckpt, &hold);
	pid_t child = 0;

	if (status != MNE_EXIT_OK)
		return status;
	name = mne_hold_name(hold);
	from = g_build_filename(live, ".checkpoints", name ? name : ckpt, NULL);
	status = bind(from, mount_point, flags_of(options));
	if (status == MNE_EXIT_OK && !mne_cli_has(cli, "foreground"))
		child = fork();
	if (child < 0) {
		mne_say_error("cannot start a process: %s", g_strerror(errno));
		(void)umount2(mount_point, MNT_DETACH);
		status = MNE_EXIT_FAILED;
	}
	if (status == MNE_EXIT_OK && child == 0) {
		if (!mne_cli_has(cli, "foreground"))
			leave_caller(hold);
		hold_ourselves(live, name, &hold);
		stay(live, mount_point);
	}
	close(hold);
	return status;
}
