/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_umount.c - mnefs umount: done when the store is free again
 *
 * The kernel lets go of the mount at once; the daemon still has to commit and sync.  So
 * its end is waited for, by a pidfd taken before the unmount.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/json.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { WAIT_SECONDS = 120, BUFFER_SIZE = 4096 };

/* Whoever has the store open has written its pid into LOCK. */
static pid_t holder_of(const char *store)
{
	g_autofree char *path = g_build_filename(store, "LOCK", NULL);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return 0;
	return (pid_t)g_ascii_strtoll(text, NULL, 10);
}

/* A descriptor that becomes readable when the daemon of root ends; -1 when unknown. */
static int watch_daemon(const char *root)
{
	g_autofree char *text = mne_place_read(root, "status.json");
	g_autoptr(GHashTable) status = text ? mne_json_parse(text) : NULL;
	pid_t pid = status ? holder_of(mne_json_text(status, "store", "")) : 0;

	if (pid <= 1)
		return -1;
	return (int)syscall(SYS_pidfd_open, pid, 0);
}

/* What fusermount3 said goes to *out_said; its exit status, or a negative errno. */
static int spawn_fusermount(const char *root, char **out_said)
{
	char *const argv[] = { (char *)"fusermount3", (char *)"-u", (char *)root,
			       NULL };
	posix_spawn_file_actions_t actions;
	char buffer[BUFFER_SIZE];
	int tube[2], status = 0, err;
	ssize_t got;
	pid_t pid;

	if (pipe2(tube, O_CLOEXEC) < 0)
		return -errno;
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_adddup2(&actions, tube[1], STDERR_FILENO);
	err = posix_spawnp(&pid, argv[0], &actions, NULL, argv, environ);
	posix_spawn_file_actions_destroy(&actions);
	close(tube[1]);
	got = err ? 0 : read(tube[0], buffer, sizeof buffer);
	close(tube[0]);
	if (err)
		return -err;
	*out_said = g_strchomp(g_strndup(buffer, (gsize)MAX(got, 0)));
	if (waitpid(pid, &status, 0) < 0)
		return -errno;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 1;
}

static MneExit say_failed(const char *root, int result, const char *said)
{
	if (result < 0) {
		mne_say_error("cannot run fusermount3: %s", g_strerror(-result));
		mne_say_hint("install fuse3");
		return MNE_EXIT_FAILED;
	}
	if (strstr(said, "busy")) {
		mne_say_error("%s is busy", root);
		mne_say_hint("something stands in it or has a file open: fuser -vm %s",
			     root);
		return MNE_EXIT_BUSY;
	}
	if (strstr(said, "not found in")) {
		mne_say_error("%s is not a mount of yours", root);
		return MNE_EXIT_NOT_PERMITTED;
	}
	mne_say_error("%s could not be unmounted: %s", root, said);
	return MNE_EXIT_FAILED;
}

static MneExit wait_for_end(int daemon, const char *source)
{
	struct pollfd ended = { daemon, POLLIN, 0 };
	int got;

	if (daemon < 0)
		return MNE_EXIT_OK;
	got = poll(&ended, 1, WAIT_SECONDS * 1000);
	close(daemon);
	if (got > 0)
		return MNE_EXIT_OK;
	mne_say_error("unmounted, but after %d s the daemon still has %s open",
		      WAIT_SECONDS, source);
	return MNE_EXIT_FAILED;
}

static MneExit unmount(const MneMounted *mounted)
{
	g_autofree char *said = NULL;
	int daemon = watch_daemon(mounted->root);
	int result = spawn_fusermount(mounted->root, &said);

	if (result == 0)
		return wait_for_end(daemon, mounted->source);
	if (daemon >= 0)
		close(daemon);
	return say_failed(mounted->root, result, said ? said : "");
}

MneExit mne_cmd_umount(MneCli *cli)
{
	const char *path = mne_cli_word(cli, 0);
	g_autofree char *root = NULL;
	g_auto(MneMounted) mounted = { NULL, NULL };

	if (!path && !cli->at) {
		MneExit status = mne_place_find(cli, &root);

		if (status != MNE_EXIT_OK)
			return status;
		path = root;
	}
	if (!path)
		path = cli->at;
	if (!mne_mounted_at(path, &mounted)) {
		mne_say_error("no store is mounted at %s", path);
		return MNE_EXIT_NOT_MOUNTED;
	}
	return unmount(&mounted);
}
