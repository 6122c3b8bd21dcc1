/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/daemon.c - being a process that others wait for
 *
 * The child does everything, from opening the store on: locks and threads do not survive
 * a fork.  Until it is ready its messages go where the parent's would.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/daemon.h"

#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include <glib.h>

/* 0 when the child said that it is ready; otherwise what it exited with. */
static int wait_for_child(int fd, pid_t child)
{
	int status = 0;
	char byte;
	ssize_t got;

	do
		got = read(fd, &byte, 1);
	while (got < 0 && errno == EINTR);
	close(fd);
	if (got == 1)
		return 0;
	if (waitpid(child, &status, 0) == child && WIFEXITED(status) &&
	    WEXITSTATUS(status) != 0)
		return WEXITSTATUS(status);
	return 1;
}

/* What the caller had open, a lock perhaps, is not ours to keep. */
static void close_inherited(int keep)
{
	if (keep > 3)
		(void)close_range(3, (unsigned)keep - 1, 0);
	(void)close_range((unsigned)keep + 1, ~0u, 0);
}

bool mne_daemon_fork(MneDaemon *daemon, bool foreground, int *out_exit)
{
	int ends[2];
	pid_t child;

	*daemon = (MneDaemon){ .foreground = foreground, .ready_fd = -1 };
	if (foreground)
		return false;
	*out_exit = 1;
	fflush(NULL);
	if (pipe2(ends, O_CLOEXEC) < 0) {
		g_warning("pipe: %s", g_strerror(errno));
		return true;
	}
	child = fork();
	if (child < 0) {
		g_warning("fork: %s", g_strerror(errno));
		return true;
	}
	if (child > 0) {
		close(ends[1]);
		*out_exit = wait_for_child(ends[0], child);
		return true;
	}
	daemon->ready_fd = ends[1];
	close_inherited(ends[1]);
	setsid();
	return false;
}

/* The protocol of sd_notify(3). */
static void tell_systemd(const char *state)
{
	const char *path = g_getenv("NOTIFY_SOCKET");
	struct sockaddr_un address = { .sun_family = AF_UNIX };
	size_t len = path ? strlen(path) : 0;
	int fd;

	if (len < 2 || len >= sizeof(address.sun_path))
		return;
	memcpy(address.sun_path, path, len);
	if (path[0] == '@')
		address.sun_path[0] = '\0';
	fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return;
	if (sendto(fd, state, strlen(state), MSG_NOSIGNAL, (struct sockaddr *)&address,
		   (socklen_t)(offsetof(struct sockaddr_un, sun_path) + len)) < 0)
		g_debug("NOTIFY_SOCKET: %s", g_strerror(errno));
	close(fd);
}

static void leave_terminal(void)
{
	int null = open("/dev/null", O_RDWR | O_CLOEXEC);

	if (chdir("/") < 0)
		g_debug("chdir: %s", g_strerror(errno));
	if (null < 0)
		return;
	for (int fd = 0; fd <= 2; fd++)
		(void)dup2(null, fd);
	if (null > 2)
		close(null);
}

void mne_daemon_ready(MneDaemon *daemon)
{
	tell_systemd("READY=1");
	if (daemon->foreground)
		return;
	leave_terminal();
	if (write(daemon->ready_fd, "", 1) != 1)
		g_debug("nobody waits");
	close(daemon->ready_fd);
	daemon->ready_fd = -1;
}

void mne_daemon_stopping(void)
{
	tell_systemd("STOPPING=1");
}
