/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/prune.c - which of many checkpoints to keep
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/prune.h"

#include <string.h>

#define HOUR 3600
#define DAY  (24 * HOUR)

static const char *const names[MNE_N_KEEP] = {
	[MNE_KEEP_LAST] = "last",       [MNE_KEEP_HOURLY] = "hourly",
	[MNE_KEEP_DAILY] = "daily",     [MNE_KEEP_WEEKLY] = "weekly",
	[MNE_KEEP_MONTHLY] = "monthly", [MNE_KEEP_YEARLY] = "yearly",
};

const char *mne_keep_name(MneKeepRule rule)
{
	return names[rule];
}

/* Rounds down, also before 1970. */
static int64_t divide(int64_t time, int64_t by)
{
	return time >= 0 ? time / by : -((-time + by - 1) / by);
}

static int64_t month_of(int64_t time, bool of_year)
{
	g_autoptr(GDateTime) then = g_date_time_new_from_unix_utc(time);

	if (!then)
		return 0;
	return of_year ? g_date_time_get_year(then)
		       : g_date_time_get_year(then) * 12 + g_date_time_get_month(then);
}

/* A number for the period that a time is in: the same for all times of it. */
static int64_t period_of(MneKeepRule rule, int64_t time, unsigned index)
{
	switch (rule) {
	case MNE_KEEP_HOURLY: return divide(time, HOUR);
	case MNE_KEEP_DAILY: return divide(time, DAY);
	case MNE_KEEP_WEEKLY: /* 1970 began on a Thursday */
		return divide(time + INT64_C(3) * DAY, INT64_C(7) * DAY);
	case MNE_KEEP_MONTHLY: return month_of(time, false);
	case MNE_KEEP_YEARLY: return month_of(time, true);
	case MNE_KEEP_LAST:
	case MNE_N_KEEP: break;
	}
	return index;
}

void mne_prune(const int64_t *times, unsigned n, const unsigned keep[MNE_N_KEEP],
	       unsigned *out_why)
{
	memset(out_why, 0, n * sizeof(*out_why));
	for (unsigned rule = 0; rule < MNE_N_KEEP; rule++) {
		unsigned left = keep[rule];
		int64_t last = 0;
		bool any = false;

		for (unsigned i = n; i-- > 0 && left > 0;) {
			int64_t period = period_of(rule, times[i], i);

			if (any && period == last)
				continue;
			out_why[i] |= 1u << rule;
			last = period;
			any = true;
			left--;
		}
	}
}
