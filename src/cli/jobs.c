/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/jobs.c - programs to be run, some at once
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/jobs.h"

#include "cli/say.h"

#include <errno.h>
#include <sys/wait.h>

void mne_jobs_free_command(void *command)
{
	g_strfreev(command);
}

static bool start(char **command)
{
	const GSpawnFlags flags = G_SPAWN_SEARCH_PATH | G_SPAWN_DO_NOT_REAP_CHILD |
				  G_SPAWN_CHILD_INHERITS_STDIN |
				  G_SPAWN_LEAVE_DESCRIPTORS_OPEN;
	g_autoptr(GError) error = NULL;
	GPid pid;

	if (g_spawn_async(NULL, command, NULL, flags, NULL, NULL, &pid, &error))
		return true;
	mne_say_error("cannot run %s: %s", command[0], error->message);
	return false;
}

/* Wait for one: its exit status. */
static int reap(void)
{
	int status;

	while (waitpid(-1, &status, 0) < 0)
		if (errno != EINTR)
			return -1;
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

int mne_jobs_run(const GPtrArray *commands, unsigned at_once, MneBar *bar)
{
	unsigned begun = 0, running = 0;
	int result = 0;

	if (bar)
		bar->total = commands->len;
	while (running > 0 || (begun < commands->len && result == 0)) {
		int status;

		if (begun < commands->len && running < at_once && result == 0) {
			if (start(g_ptr_array_index(commands, begun++)))
				running++;
			else
				result = -1;
			continue;
		}
		status = reap();
		running--;
		if (result == 0)
			result = status;
		if (bar)
			mne_bar_show(bar, begun - running);
	}
	return result;
}
