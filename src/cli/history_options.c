/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/history_options.c - what -o says of checkpoints and their history
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/history_options.h"

#include <string.h>

#define KEEP_MAX 100000

/* 2 to this is meant by the letter; 64: it is none. */
static unsigned shift_of(char letter)
{
	static const char letters[] = "BKMGTPE";
	const char *at = letter ? strchr(letters, g_ascii_toupper(letter)) : NULL;

	return at ? 10 * (unsigned)(at - letters) : 64;
}

bool mne_parse_history(const char *text, uint64_t *out_bytes, unsigned *out_percent)
{
	char *end = NULL;
	double number = g_ascii_strtod(text, &end);
	unsigned shift = *end ? shift_of(*end) : 0;

	if (!g_ascii_isdigit(*text) || strchr(text, 'x') || strchr(text, 'X'))
		return false;
	if (strcmp(end, "%") == 0) {
		*out_bytes = 0;
		*out_percent = (unsigned)number;
		return number >= 1 && number <= 100 && number == *out_percent;
	}
	if (shift == 64 || (*end && end[1] && g_ascii_strcasecmp(end + 1, "iB") != 0 &&
			    g_ascii_strcasecmp(end + 1, "B") != 0))
		return false;
	number *= (double)(UINT64_C(1) << shift);
	if (number < 1 || number > (double)(UINT64_C(1) << 60))
		return false;
	*out_percent = 0;
	*out_bytes = (uint64_t)number;
	return true;
}

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
