/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/tx_options.c - what -o says of transactions
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/tx_options.h"

#include <string.h>

#define MAX_IDLE (7 * 24 * 3600u)
#define MAX_OPEN 100000u
#define MIN_MEM  (UINT64_C(64) << 10)
#define MAX_MEM  (UINT64_C(1) << 40)

/* A number, and one of the letters that multiply it, or none. */
static bool parse_unit(const char *text, const char *letters, const uint64_t *factors,
		       uint64_t *out)
{
	char *end = NULL;
	guint64 number;
	const char *letter;

	if (!g_ascii_isdigit(*text))
		return false;
	number = g_ascii_strtoull(text, &end, 10);
	if (number > MAX_MEM)
		return false;
	*out = number;
	if (!*end)
		return true;
	letter = strchr(letters, *end);
	if (!letter || end[1])
		return false;
	*out = number * factors[letter - letters];
	return *out / factors[letter - letters] == number;
}

static bool parse_seconds(const char *text, unsigned *out)
{
	static const uint64_t factors[] = { 1, 60, 3600 };
	uint64_t seconds;

	if (!parse_unit(text, "smh", factors, &seconds) || seconds > MAX_IDLE)
		return false;
	*out = (unsigned)seconds;
	return true;
}

bool mne_parse_tx_idle(const char *text, MneNsTxLimits *limits)
{
	return parse_seconds(text, &limits->idle_seconds);
}

bool mne_parse_tx_lock_timeout(const char *text, MneNsTxLimits *limits)
{
	return parse_seconds(text, &limits->lock_seconds);
}

bool mne_parse_tx_max(const char *text, MneNsTxLimits *limits)
{
	uint64_t count;

	if (!parse_unit(text, "", NULL, &count) || count < 1 || count > MAX_OPEN)
		return false;
	limits->max = (unsigned)count;
	return true;
}

bool mne_parse_tx_mem(const char *text, MneNsTxLimits *limits)
{
	static const uint64_t factors[] = { UINT64_C(1) << 10, UINT64_C(1) << 20,
					    UINT64_C(1) << 30 };
	uint64_t bytes;

	if (!parse_unit(text, "KMG", factors, &bytes) || bytes < MIN_MEM ||
	    bytes > MAX_MEM)
		return false;
	limits->mem = bytes;
	return true;
}
