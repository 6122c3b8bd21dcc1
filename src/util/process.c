/* SPDX-License-Identifier: Apache-2.0
 *
 * util/process.c - a process, as people want it named
 *
 * From /proc/PID/stat: "pid (name) state ppid …", of which field 22 is when it started.
 * A name may hold blanks and parentheses, so it ends at the last ')'.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/process.h"

#include <string.h>

#define FIELDS_TO_START 20u /* blanks between ')' and field 22 */

/* false: there is no such process. */
static bool look(pid_t pid, MneProcess *out)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/stat", (int)pid);
	g_autofree char *text = NULL;
	const char *open, *close, *at;

	if (pid <= 0 || !g_file_get_contents(path, &text, NULL, NULL))
		return false;
	open = strchr(text, '(');
	close = strrchr(text, ')');
	if (!open || !close || close < open)
		return false;
	*out = (MneProcess){ .pid = pid };
	g_strlcpy(out->name, open + 1, MIN(sizeof(out->name), (size_t)(close - open)));
	at = close;
	for (unsigned i = 0; at && i < FIELDS_TO_START; i++)
		at = strchr(at + 1, ' ');
	out->started = at ? g_ascii_strtoull(at, NULL, 10) : 0;
	return true;
}

void mne_process_meet(MneProcess *out, pid_t pid)
{
	if (look(pid, out))
		return;
	*out = (MneProcess){ .pid = pid, .name = "a process" };
}

/* As it is now, or as it was when it is no more. */
static MneProcess now(const MneProcess *process)
{
	MneProcess found;

	if (look(process->pid, &found) && found.started == process->started)
		return found;
	return *process;
}

char *mne_process_text(const MneProcess *process)
{
	MneProcess current = now(process);

	return g_strdup_printf("%s[%d]", current.name, (int)current.pid);
}

char *mne_process_sentence(const MneProcess *process)
{
	MneProcess current = now(process);

	return g_strdup_printf("%s (pid %d)", current.name, (int)current.pid);
}
