/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/caller.c - may the caller do that?
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/caller.h"

/* Further groups of a process: the line of /proc that begins with "Groups:". */
static bool is_member(pid_t pid, gid_t gid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/status", (int)pid);
	g_autofree char *text = NULL;
	g_auto(GStrv) groups = NULL;
	const char *line;

	if (pid <= 0 || !g_file_get_contents(path, &text, NULL, NULL))
		return false;
	line = strstr(text, "\nGroups:");
	if (!line)
		return false;
	line += strlen("\nGroups:");
	*strchrnul(line, '\n') = '\0';
	groups = g_strsplit_set(line, "\t ", -1);
	for (char **group = groups; *group; group++)
		if (**group && g_ascii_strtoull(*group, NULL, 10) == gid)
			return true;
	return false;
}

bool mne_caller_may(const MneCtlOpen *caller, const MneNode *node, int mask)
{
	unsigned shift = 0;

	if (caller->uid == 0)
		return true;
	if (caller->uid == node->uid)
		shift = 6;
	else if (caller->gid == node->gid || is_member(caller->pid, node->gid))
		shift = 3;
	return ((node->mode >> shift) & (unsigned)mask) == (unsigned)mask;
}
