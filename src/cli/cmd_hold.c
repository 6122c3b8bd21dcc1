/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_hold.c - mnefs hold, mnefs at: run a command that needs a checkpoint
 *
 * The command takes our place (exec) and inherits the descriptor that holds the checkpoint:
 * so its status is its own, it is itself the holder that others see, and the hold ends
 * with it and its children, however they end.
 *
 * `at` gives it a mount namespace of its own in which the checkpoint is bound over the
 * mount: the same paths, at another time.  Who is not root gets that inside a user
 * namespace in which he is himself.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/hold.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static MneExit say_no_hold(const char *root, const char *name, int err)
{
	if (err == ENOENT) {
		mne_say_error("there is no checkpoint %s", name);
		mne_say_hint("mnefs ck list shows those there are");
	} else {
		mne_say_error("cannot hold %s: %s", name, g_strerror(err));
		mne_place_explain(root);
	}
	return mne_exit_of(err);
}

MneExit mne_hold_open(const char *root, const char *name, int *out_fd)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", "hold", name, NULL);

	if (strchr(name, '/')) {
		mne_say_error("'/' is not allowed in a checkpoint name");
		return MNE_EXIT_USAGE;
	}
	*out_fd = open(path, O_RDONLY); /* inherited by the command */
	return *out_fd < 0 ? say_no_hold(root, name, errno) : MNE_EXIT_OK;
}

char *mne_hold_name(int fd)
{
	char name[512];
	ssize_t got = pread(fd, name, sizeof(name) - 1, 0);

	if (got <= 0)
		return NULL;
	name[got] = '\0';
	return g_strdup(g_strchomp(name));
}

/* Does not return when it goes well. */
static MneExit run(MneCli *cli, unsigned first)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *command = mne_cli_word(cli, first);

	for (unsigned i = first; i < cli->words->len; i++)
		g_ptr_array_add(words, g_ptr_array_index(cli->words, i));
	g_ptr_array_add(words, NULL);
	fflush(NULL);
	execvp(command, (char **)words->pdata);
	mne_say_error("%s: %s", command, g_strerror(errno));
	return errno == ENOENT ? MNE_EXIT_NO_COMMAND : MNE_EXIT_NOT_EXECUTABLE;
}

MneExit mne_cmd_hold(MneCli *cli)
{
	g_autofree char *root = NULL;
	int fd;

	if (mne_place_find(cli, &root) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	if (mne_hold_open(root, mne_cli_word(cli, 0), &fd) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	return run(cli, 1);
}

MneExit mne_cmd_at(MneCli *cli)
{
	g_autofree char *root = NULL, *name = NULL, *from = NULL;
	g_autofree char *here = g_get_current_dir();
	int fd;

	if (mne_place_find(cli, &root) != MNE_EXIT_OK ||
	    mne_hold_open(root, mne_cli_word(cli, 0), &fd) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	name = mne_hold_name(fd);
	if (!name) {
		(void)say_no_hold(root, mne_cli_word(cli, 0), errno);
		return MNE_EXIT_WRAPPER;
	}
	from = g_build_filename(root, ".checkpoints", name, NULL);
	if (mne_private_bind(from, root, here) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	return run(cli, 1);
}
