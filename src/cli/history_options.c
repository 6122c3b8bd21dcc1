/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/history_options.c - what -o says of checkpoints and their history
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/history_options.h"

#include <string.h>

#define KEEP_MAX 100000

bool mne_parse_auto(const char *text, MneAutoRules *rules)
{
	const char *colon = strchr(text, ':');
	char *end = NULL;
	guint64 keep;

	if (!colon || !g_ascii_isdigit(colon[1]))
		return false;
	keep = g_ascii_strtoull(colon + 1, &end, 10);
	if (*end || keep < 1 || keep > KEEP_MAX)
		return false;
	for (unsigned i = 0; i < MNE_N_AUTO; i++) {
		const char *name = mne_auto_name(i);

		if (strlen(name) == (size_t)(colon - text) &&
		    g_str_has_prefix(text, name)) {
			rules->keep[i] = (unsigned)keep;
			return true;
		}
	}
	return false;
}
