/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/moment.c - names that ask for a time
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/moment.h"

#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <glib.h>

#define SECOND     G_GINT64_CONSTANT(1000000000)
#define DAY        86400
#define LONGEST    64u
#define MAX_SPAN   (G_GINT64_CONSTANT(200) * 365 * DAY)
#define LAST_YEAR  2200
#define FIRST_YEAR 1970
#define MIN_DIGITS 9 /* of seconds since the epoch: 20261120 is something else */
#define MAX_DIGITS 12

bool mne_moment_is(MneSlice name)
{
	return name.len > 0 && name.data[0] == '@';
}

/* Exactly n digits at *io_at, which is moved on. */
static bool take_number(const char **io_at, unsigned n, int *out)
{
	int value = 0;

	for (unsigned i = 0; i < n; i++) {
		char c = (*io_at)[i];

		if (!g_ascii_isdigit(c))
			return false;
		value = value * 10 + (c - '0');
	}
	*io_at += n;
	*out = value;
	return true;
}

static bool take_char(const char **io_at, char c)
{
	if (**io_at != c)
		return false;
	(*io_at)++;
	return true;
}

static bool take_date(const char **io_at, char between, struct tm *date)
{
	if (!take_number(io_at, 4, &date->tm_year) || !take_char(io_at, between) ||
	    !take_number(io_at, 2, &date->tm_mon) || !take_char(io_at, between) ||
	    !take_number(io_at, 2, &date->tm_mday))
		return false;
	if (date->tm_year < FIRST_YEAR || date->tm_year > LAST_YEAR ||
	    !g_date_valid_dmy((GDateDay)date->tm_mday, (GDateMonth)date->tm_mon,
			      (GDateYear)date->tm_year))
		return false;
	date->tm_year -= 1900;
	date->tm_mon -= 1;
	return true;
}

/* "03:00:07", "0300", …; *out_unit: seconds of the smallest part that was given. */
static bool take_time(const char **io_at, char between, struct tm *date, int *out_unit)
{
	bool parted;

	if (!take_number(io_at, 2, &date->tm_hour))
		return false;
	parted = take_char(io_at, between);
	if (!take_number(io_at, 2, &date->tm_min))
		return false;
	*out_unit = 60;
	if (parted ? take_char(io_at, between) : g_ascii_isdigit(**io_at)) {
		if (!take_number(io_at, 2, &date->tm_sec))
			return false;
		*out_unit = 1;
	}
	return date->tm_hour < 24 && date->tm_min < 60 && date->tm_sec < 60;
}

/* "Z", "+01:00", "-0330" or nothing; false: something else. */
static bool take_zone(const char **io_at, bool *out_local, int *out_ahead)
{
	int sign = **io_at == '-' ? -1 : 1, hours, minutes;

	*out_local = **io_at == '\0';
	*out_ahead = 0;
	if (*out_local || take_char(io_at, 'Z'))
		return true;
	if (!take_char(io_at, '+') && !take_char(io_at, '-'))
		return false;
	if (!take_number(io_at, 2, &hours))
		return false;
	(void)take_char(io_at, ':');
	if (!take_number(io_at, 2, &minutes) || hours > 14 || minutes > 59)
		return false;
	*out_ahead = sign * (hours * 60 + minutes) * 60;
	return true;
}

static int64_t end_of(struct tm *date, bool local, int ahead, int unit)
{
	int64_t start;

	date->tm_isdst = -1;
	if (unit == DAY) { /* a day may have 23 hours */
		date->tm_mday++;
		unit = 0;
	}
	start = local ? mktime(date) : timegm(date);
	return (start - ahead + unit) * SECOND - 1;
}

static bool parse_date(const char *text, int64_t *out_ns)
{
	struct tm date = { 0 };
	bool local;
	int ahead, unit = DAY;

	if (!take_date(&text, '-', &date))
		return false;
	if ((take_char(&text, 'T') || take_char(&text, ' ')) &&
	    !take_time(&text, ':', &date, &unit))
		return false;
	if (!take_zone(&text, &local, &ahead) || *text)
		return false;
	*out_ns = end_of(&date, local, ahead, unit);
	return true;
}

static bool parse_samba(const char *text, int64_t *out_ns)
{
	struct tm date = { 0 };
	int unit;

	if (!take_date(&text, '.', &date) || !take_char(&text, '-') ||
	    !take_time(&text, '.', &date, &unit) || *text)
		return false;
	*out_ns = end_of(&date, false, 0, unit);
	return true;
}

static int64_t seconds_of(char unit)
{
	switch (unit) {
	case 's': return 1;
	case 'm': return 60;
	case 'h': return 3600;
	case 'd': return DAY;
	case 'w': return 7 * DAY;
	default: return 0;
	}
}

bool mne_moment_parse_span(const char *text, int64_t *out_seconds)
{
	int64_t span = 0;

	do {
		char *end;
		int64_t count = (int64_t)g_ascii_strtoull(text, &end, 10);

		if (!g_ascii_isdigit(*text) || end - text > 9 || !seconds_of(*end))
			return false;
		span = MIN(span + count * seconds_of(*end), MAX_SPAN);
		text = end + 1;
	} while (*text);
	*out_seconds = span;
	return true;
}

static bool parse_ago(const char *text, int64_t now_ns, int64_t *out_ns)
{
	int64_t span;

	if (!mne_moment_parse_span(text, &span))
		return false;
	*out_ns = now_ns - span * SECOND;
	return true;
}

static int64_t end_of_day(int64_t now_ns, int days)
{
	time_t now = (time_t)(now_ns / SECOND);
	struct tm date;

	localtime_r(&now, &date);
	date.tm_mday += days;
	date.tm_hour = date.tm_min = date.tm_sec = 0;
	return end_of(&date, true, 0, DAY);
}

static bool parse_epoch(const char *text, int64_t *out_ns)
{
	char *end;
	uint64_t seconds = g_ascii_strtoull(text, &end, 10);

	if (!g_ascii_isdigit(*text) || *end || end - text < MIN_DIGITS ||
	    end - text > MAX_DIGITS || seconds > INT64_MAX / SECOND - 1)
		return false;
	*out_ns = ((int64_t)seconds + 1) * SECOND - 1;
	return true;
}

bool mne_moment_parse(MneSlice name, int64_t now_ns, int64_t *out_ns)
{
	char text[LONGEST];

	if (!mne_moment_is(name) || name.len > sizeof(text) ||
	    memchr(name.data, 0, name.len))
		return false;
	memcpy(text, name.data + 1, name.len - 1);
	text[name.len - 1] = '\0';
	if (strcmp(text, "latest") == 0) {
		*out_ns = INT64_MAX;
		return true;
	}
	if (strcmp(text, "today") == 0 || strcmp(text, "yesterday") == 0) {
		*out_ns = end_of_day(now_ns, *text == 'y' ? -1 : 0);
		return true;
	}
	if (*text == '-')
		return parse_ago(text + 1, now_ns, out_ns);
	if (g_str_has_prefix(text, "GMT-"))
		return parse_samba(text + strlen("GMT-"), out_ns);
	return parse_date(text, out_ns) || parse_epoch(text, out_ns);
}
