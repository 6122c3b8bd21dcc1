/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/private.c - a mount namespace of one's own
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/private.h"

#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/mount.h>
#include <unistd.h>

static bool write_proc(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);

	if (fd >= 0)
		close(fd);
	return done;
}

/* Ourselves in it, and nobody else: that needs no privilege. */
static bool enter_user_namespace(void)
{
	g_autofree char *uids = g_strdup_printf("%u %u 1\n", geteuid(), geteuid());
	g_autofree char *gids = g_strdup_printf("%u %u 1\n", getegid(), getegid());

	if (unshare(CLONE_NEWUSER | CLONE_NEWNS) < 0)
		return false;
	return write_proc("/proc/self/setgroups", "deny") &&
	       write_proc("/proc/self/gid_map", gids) &&
	       write_proc("/proc/self/uid_map", uids);
}

static MneExit say_no_namespace(int err)
{
	mne_say_error("cannot make a mount namespace: %s",
		      err == ENOSPC ? "the limit of user namespaces is reached"
				    : g_strerror(err));
	mne_say_hint("user namespaces are not allowed here (see the sysctls "
		     "kernel.unprivileged_userns_clone, "
		     "kernel.apparmor_restrict_unprivileged_userns and "
		     "user.max_user_namespaces); run it as root");
	return MNE_EXIT_WRAPPER;
}

/* What others unmount goes here, too; nothing that is mounted here is seen elsewhere. */
static MneExit bind_over(const char *from, const char *root)
{
	if (mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) == 0 &&
	    mount(from, root, NULL, MS_BIND | MS_REC, NULL) == 0)
		return MNE_EXIT_OK;
	mne_say_error("cannot bind %s over %s: %s", from, root, g_strerror(errno));
	return MNE_EXIT_WRAPPER;
}

/* A current directory keeps its mount: go there again. */
static MneExit go_again(const char *directory)
{
	if (chdir(directory) == 0)
		return MNE_EXIT_OK;
	mne_say_error("%s: %s there", directory, g_strerror(errno));
	mne_say_hint("start it from a directory that is there");
	return MNE_EXIT_WRAPPER;
}

MneExit mne_private_bind(const char *from, const char *root, const char *here)
{
	if (unshare(CLONE_NEWNS) < 0 && !enter_user_namespace())
		return say_no_namespace(errno);
	if (bind_over(from, root) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	return go_again(here);
}
