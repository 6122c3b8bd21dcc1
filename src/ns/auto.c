/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/auto.c - when automatic checkpoints are due
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/auto.h"

#include <string.h>

#define HOUR 3600
#define DAY  (24 * HOUR)

static const struct {
	const char *name;
	int64_t seconds; /* the longest a period can be */
} kinds_[MNE_N_AUTO] = {
	[MNE_AUTO_HOURLY] = { "hourly", HOUR },
	[MNE_AUTO_DAILY] = { "daily", DAY },
	[MNE_AUTO_WEEKLY] = { "weekly", INT64_C(7) * DAY },
	[MNE_AUTO_MONTHLY] = { "monthly", INT64_C(31) * DAY },
};

const char *mne_auto_name(MneAutoKind kind)
{
	return kinds_[kind].name;
}

bool mne_auto_is_on(const MneAutoRules *rules)
{
	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (rules->keep[i] > 0)
			return true;
	return false;
}

static int64_t month_of(int64_t now)
{
	g_autoptr(GDateTime) then = g_date_time_new_from_unix_utc(now);
	g_autoptr(GDateTime) first = NULL;

	if (!then)
		return 0;
	first = g_date_time_new_utc(g_date_time_get_year(then),
				    g_date_time_get_month(then), 1, 0, 0, 0);
	return g_date_time_to_unix(first);
}

int64_t mne_auto_period(MneAutoKind kind, int64_t now)
{
	switch (kind) {
	case MNE_AUTO_HOURLY: return now - now % HOUR;
	case MNE_AUTO_DAILY: return now - now % DAY;
	case MNE_AUTO_WEEKLY: /* the first day of 1970 was a Thursday */
		return now - (now + INT64_C(3) * DAY) % (INT64_C(7) * DAY);
	case MNE_AUTO_MONTHLY: return month_of(now);
	case MNE_N_AUTO: break;
	}
	return now;
}

int64_t mne_auto_expiry(const MneAutoRules *rules, unsigned kinds, int64_t now)
{
	int64_t latest = now;

	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (kinds & (1u << i))
			latest = MAX(latest,
				     mne_auto_period(i, now) +
					     rules->keep[i] * kinds_[i].seconds);
	return latest;
}

unsigned mne_auto_kinds_of(const char *note)
{
	g_auto(GStrv) words = NULL;
	unsigned kinds = 0;

	if (!note || !g_str_has_prefix(note, MNE_AUTO_NOTE))
		return 0;
	words = g_strsplit(note + strlen(MNE_AUTO_NOTE), " ", -1);
	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (g_strv_contains((const char *const *)words, kinds_[i].name))
			kinds |= 1u << i;
	return kinds;
}

char *mne_auto_note(unsigned kinds)
{
	GString *note = g_string_new(MNE_AUTO_NOTE);

	for (unsigned i = 0; i < MNE_N_AUTO; i++)
		if (kinds & (1u << i))
			g_string_append_printf(note, " %s", kinds_[i].name);
	return g_string_free(note, FALSE);
}
