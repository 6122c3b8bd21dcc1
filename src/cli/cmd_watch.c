/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_watch.c - mnefs watch: what happens, a JSON object on each line
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

static bool check_since(const char *since)
{
	guint64 seq;

	if (!since || g_ascii_string_to_unsigned(since, 10, 0, G_MAXUINT64, &seq, NULL))
		return true;
	mne_say_error("--since wants a seq, which is a number, not %s", since);
	return false;
}

/* The name of the file to read: see ns/ctl_events.c. */
static char *query(const MneCli *cli)
{
	GString *name = g_string_new("events?system=1");
	const char *since = mne_cli_value(cli, "since");
	const char *table;

	if (!mne_cli_word(cli, 0))
		g_string_append(name, "&all=1");
	for (unsigned i = 0; (table = mne_cli_word(cli, i)); i++) {
		g_string_append(name, "&table=");
		g_string_append_uri_escaped(name, table, NULL, FALSE);
	}
	if (mne_cli_has(cli, "detailed"))
		g_string_append(name, "&detailed=1");
	if (since)
		g_string_append_printf(name, "&since=%s", since);
	return g_string_free(name, FALSE);
}

/* Until there is something to read, or nobody who reads what we say: as a write would. */
static void await(int fd)
{
	struct pollfd both[] = { { .fd = fd, .events = POLLIN },
				 { .fd = STDOUT_FILENO } };

	while (poll(both, G_N_ELEMENTS(both), -1) < 0 && errno == EINTR)
		continue;
	if (both[1].revents & POLLERR)
		(void)raise(SIGPIPE);
}

/* Of many that wait over io_uring some are told to ask again. */
static ssize_t read_some(int fd, char *buffer, size_t len)
{
	ssize_t got;

	await(fd);
	do
		got = read(fd, buffer, len);
	while (got < 0 && errno == EINTR);
	return got;
}

static MneExit copy_out(int fd)
{
	char buffer[65536];
	ssize_t got;

	while ((got = read_some(fd, buffer, sizeof(buffer))) > 0) {
		fwrite(buffer, 1, (size_t)got, stdout);
		if (fflush(stdout) != 0)
			return MNE_EXIT_FAILED; /* nobody reads: main says so */
	}
	if (got < 0) {
		mne_say_error("events: %s", g_strerror(errno));
		return mne_exit_of(errno);
	}
	return MNE_EXIT_OK;
}

MneExit mne_cmd_watch(MneCli *cli)
{
	g_autofree char *root = NULL, *name = NULL, *path = NULL;
	MneExit status;
	int fd;

	if (!check_since(mne_cli_value(cli, "since")))
		return MNE_EXIT_USAGE;
	status = mne_place_find(cli, &root);
	if (status != MNE_EXIT_OK)
		return status;
	name = query(cli);
	path = g_build_filename(root, ".mnefs", name, NULL);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0) {
		mne_say_error("%s: %s", path, g_strerror(errno));
		return mne_exit_of(errno);
	}
	status = copy_out(fd);
	close(fd);
	return status;
}
