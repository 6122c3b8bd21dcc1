/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/say.c - messages for people, and numbers as people read them
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/say.h"

#include "util/error.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>

G_GNUC_PRINTF(2, 0)
static void say(const char *lead, const char *format, va_list args)
{
	fflush(stdout);
	fputs(lead, stderr);
	vfprintf(stderr, format, args);
	fputc('\n', stderr);
}

void mne_say_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("mnefs: ", format, args);
	va_end(args);
}

void mne_say_hint(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	say("       ", format, args);
	va_end(args);
}

void mne_say_note(const MneCli *cli, const char *format, ...)
{
	va_list args;

	if (cli->quiet)
		return;
	va_start(args, format);
	say("mnefs: ", format, args);
	va_end(args);
}

void mne_say_detail(const MneCli *cli, const char *format, ...)
{
	va_list args;

	if (!cli->verbose)
		return;
	va_start(args, format);
	say("mnefs: ", format, args);
	va_end(args);
}

MneExit mne_exit_of(int err)
{
	static const struct {
		int code;
		MneExit status;
	} table[] = {
		{ ENOENT, MNE_EXIT_NOT_FOUND },
		{ ESTALE, MNE_EXIT_NOT_FOUND },
		{ EEXIST, MNE_EXIT_EXISTS },
		{ EACCES, MNE_EXIT_NOT_PERMITTED },
		{ EPERM, MNE_EXIT_NOT_PERMITTED },
		{ EROFS, MNE_EXIT_NOT_PERMITTED },
		{ EBUSY, MNE_EXIT_BUSY },
		{ ENOSPC, MNE_EXIT_NO_SPACE },
		{ EDQUOT, MNE_EXIT_NO_SPACE },
		{ ENOTCONN, MNE_EXIT_NOT_MOUNTED },
		{ ECONNABORTED, MNE_EXIT_NOT_MOUNTED },
		{ ECANCELED, MNE_EXIT_CONFLICT },
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(table); i++)
		if (mne_err_is(err, table[i].code))
			return table[i].status;
	return err ? MNE_EXIT_FAILED : MNE_EXIT_OK;
}

char *mne_text_count(uint64_t number)
{
	g_autofree char *digits = g_strdup_printf("%" G_GUINT64_FORMAT, number);
	GString *text = g_string_new(NULL);

	for (size_t len = strlen(digits), i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			g_string_append_c(text, ',');
		g_string_append_c(text, digits[i]);
	}
	return g_string_free(text, FALSE);
}

char *mne_text_size(uint64_t bytes)
{
	static const char *const units[] = { "B",   "KiB", "MiB", "GiB",
					     "TiB", "PiB", "EiB" };
	double value = (double)bytes;
	unsigned unit = 0;

	while (value >= 999.5 && unit + 1 < G_N_ELEMENTS(units)) {
		value /= 1024;
		unit++;
	}
	if (unit == 0 || value >= 9.95)
		return g_strdup_printf("%.0f %s", value, units[unit]);
	return g_strdup_printf("%.1f %s", value, units[unit]);
}

char *mne_text_duration(int64_t seconds)
{
	int64_t s = MAX(seconds, 0);

	if (s < 60)
		return g_strdup_printf("%ds", (int)s);
	if (s < 3600)
		return g_strdup_printf("%dm %ds", (int)(s / 60), (int)(s % 60));
	if (s < 86400)
		return g_strdup_printf("%dh %dm", (int)(s / 3600), (int)(s / 60 % 60));
	return g_strdup_printf("%" G_GINT64_FORMAT "d %dh", s / 86400,
			       (int)(s / 3600 % 24));
}

char *mne_text_in(int64_t seconds)
{
	const int64_t half_hour = 1800, half_day = 43200;

	if (seconds <= 0)
		return g_strdup("due");
	if (seconds < 120)
		return g_strdup_printf("in %ds", (int)seconds);
	if (seconds < 7200)
		return g_strdup_printf("in %dm", (int)((seconds + 30) / 60));
	if (seconds < 4 * half_day)
		return g_strdup_printf("in %dh", (int)((seconds + half_hour) / 3600));
	return g_strdup_printf("in %" G_GINT64_FORMAT "d",
			       (seconds + half_day) / 86400);
}

char *mne_text_ago(int64_t seconds)
{
	if (seconds < 0)
		return g_strdup("in the future");
	if (seconds < 60)
		return g_strdup_printf("%d s ago", (int)seconds);
	if (seconds < 2 * 3600)
		return g_strdup_printf("%d min ago", (int)(seconds / 60));
	if (seconds < 2 * 86400)
		return g_strdup_printf("%d h ago", (int)(seconds / 3600));
	return g_strdup_printf("%" G_GINT64_FORMAT " days ago", seconds / 86400);
}

char *mne_text_utc(int64_t seconds)
{
	g_autoptr(GDateTime) time = g_date_time_new_from_unix_utc(seconds);

	return time ? g_date_time_format(time, "%Y-%m-%d %H:%M:%SZ") : g_strdup("-");
}

struct MneColumns {
	const char *align;
	unsigned count;
	bool bold;
	GPtrArray *cells; /* row after row */
};

MneColumns *mne_columns_new(const MneCli *cli, const char *align)
{
	MneColumns *table = g_new0(MneColumns, 1);

	table->align = align;
	table->count = (unsigned)strlen(align);
	table->bold = cli->color;
	table->cells = g_ptr_array_new_with_free_func(g_free);
	return table;
}

/* Names are bytes: they must not play with a terminal. */
static char *printable(const char *cell)
{
	char *text = g_strdup(cell);

	for (char *c = text; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	return text;
}

void mne_columns_add(MneColumns *table, const char *first, ...)
{
	va_list args;
	const char *cell = first;

	va_start(args, first);
	for (unsigned i = 0; i < table->count; i++) {
		g_ptr_array_add(table->cells, printable(cell ? cell : "-"));
		cell = i + 1 < table->count ? va_arg(args, const char *) : NULL;
	}
	va_end(args);
}

/* Characters, as far as that can be known of any bytes. */
static int length_of(const char *cell)
{
	bool valid = g_utf8_validate(cell, -1, NULL);

	return (int)(valid ? (size_t)g_utf8_strlen(cell, -1) : strlen(cell));
}

static int width_of(const MneColumns *table, unsigned column)
{
	int width = 0;

	for (unsigned i = column; i < table->cells->len; i += table->count)
		width = MAX(width, length_of(g_ptr_array_index(table->cells, i)));
	return width;
}

static void print_row(const MneColumns *table, unsigned first, const int *widths)
{
	bool bold = table->bold && first == 0;

	if (bold)
		fputs("\033[1m", stdout);
	for (unsigned i = 0; i < table->count; i++) {
		const char *cell = g_ptr_array_index(table->cells, first + i);
		bool last = i + 1 == table->count;

		int pad = widths[i] - length_of(cell);

		if (table->align[i] == 'r')
			printf("%*s%s", pad, "", cell);
		else
			printf("%s%*s", cell, last ? 0 : pad, "");
		fputs(last ? "" : "  ", stdout);
	}
	fputs(bold ? "\033[0m\n" : "\n", stdout);
}

void mne_columns_print(MneColumns *take_table)
{
	g_autofree int *widths = g_new0(int, take_table->count);

	for (unsigned i = 0; i < take_table->count; i++)
		widths[i] = width_of(take_table, i);
	for (unsigned i = 0; i < take_table->cells->len; i += take_table->count)
		print_row(take_table, i, widths);
	g_ptr_array_unref(take_table->cells);
	g_free(take_table);
}
