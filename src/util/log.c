/* SPDX-License-Identifier: Apache-2.0
 *
 * util/log.c - where messages go
 *
 * The ring is, beside the error counters, the one mutable global of the program: a
 * message has no store to belong to.  It has a lock of the innermost rank, and
 * nothing is called with that lock held, so a message can be logged from anywhere.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/log.h"

#include "util/lock.h"

#include <stdarg.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define RING_LINES  256u
#define TAP_POLL_US 100u

typedef struct {
	gint64 time; /* real time, microseconds */
	const char *level;
	char *text; /* NULL: never used */
} Line;

static struct {
	MneLock lock;
	Line lines[RING_LINES];
	unsigned next; /* the oldest, replaced by the next message */
	bool to_journal; /* set before threads start */
	_Atomic MneLogLevel level;
	MneLogTap tap; /* or NULL */
	void *tap_user;
	unsigned tapping; /* calls of it that go on */
} ring = { .lock = MNE_LOCK_INIT(MNE_RANK_LOG) }; /* NOLINT */

static const char *level_name(GLogLevelFlags level)
{
	if (level & G_LOG_LEVEL_ERROR)
		return "error";
	if (level & G_LOG_LEVEL_CRITICAL)
		return "critical";
	if (level & G_LOG_LEVEL_WARNING)
		return "warning";
	if (level & G_LOG_LEVEL_MESSAGE)
		return "message";
	return level & G_LOG_LEVEL_INFO ? "info" : "debug";
}

static bool is_for_the_ring(GLogLevelFlags level)
{
	return level & (G_LOG_LEVEL_ERROR | G_LOG_LEVEL_CRITICAL | G_LOG_LEVEL_WARNING |
			G_LOG_LEVEL_MESSAGE);
}

/* Names are bytes: they must not end a line or play with a terminal. */
static char *as_one_line(const char *text, size_t len)
{
	char *line = g_strndup(text, len);

	for (char *c = line; *c; c++)
		if (g_ascii_iscntrl(*c))
			*c = '?';
	return line;
}

static char *replace_oldest(Line line)
{
	MNE_WITH_LOCK(&ring.lock);
	char *oldest = ring.lines[ring.next].text;

	ring.lines[ring.next] = line;
	ring.next = (ring.next + 1) % RING_LINES;
	return oldest;
}

static MneLogTap begin_tap(void **out_user)
{
	MNE_WITH_LOCK(&ring.lock);
	ring.tapping += ring.tap != NULL;
	*out_user = ring.tap_user;
	return ring.tap;
}

static void end_tap(void)
{
	MNE_WITH_LOCK(&ring.lock);
	ring.tapping--;
}

static void call_tap(GLogLevelFlags level, const char *text)
{
	void *user;
	MneLogTap tap = begin_tap(&user);

	if (!tap)
		return;
	tap(user, level, text);
	end_tap();
}

static bool replace_tap(MneLogTap func, void *user)
{
	MNE_WITH_LOCK(&ring.lock);
	ring.tap = func;
	ring.tap_user = user;
	return ring.tapping == 0;
}

void mne_log_set_tap(MneLogTap func, void *user)
{
	while (!replace_tap(func, user))
		g_usleep(TAP_POLL_US);
}

static void remember(GLogLevelFlags level, char *take_text)
{
	Line line = { g_get_real_time(), level_name(level), take_text };

	g_free(replace_oldest(line));
}

static const char *field(const GLogField *fields, gsize n_fields, const char *key,
			 size_t *out_len)
{
	for (gsize i = 0; i < n_fields; i++) {
		const GLogField *at = &fields[i];

		if (strcmp(at->key, key) != 0)
			continue;
		*out_len = at->length < 0 ? strlen(at->value) : (size_t)at->length;
		return at->value;
	}
	*out_len = 0;
	return NULL;
}

static void write_stderr(GLogLevelFlags level, const char *domain, const char *text)
{
	bool with_domain = domain && !is_for_the_ring(level);
	g_autofree char *line = g_strdup_printf("mnefs: %s %s%s%s\n", level_name(level),
						with_domain ? domain : "",
						with_domain ? ": " : "", text);

	fputs(line, stderr);
	fflush(stderr);
}

static GLogWriterOutput write_log(GLogLevelFlags level, const GLogField *fields,
				  gsize n_fields, gpointer user)
{
	size_t len, domain_len;
	const char *text = field(fields, n_fields, "MESSAGE", &len);
	const char *domain = field(fields, n_fields, "GLIB_DOMAIN", &domain_len);
	g_autofree char *line = NULL;

	if (g_log_writer_default_would_drop(level, domain) ||
	    ((level & G_LOG_LEVEL_DEBUG) &&
	     atomic_load(&ring.level) == MNE_LOG_VERBOSE))
		return G_LOG_WRITER_HANDLED;

	line = as_one_line(text ? text : "", len);
	if (is_for_the_ring(level)) {
		remember(level, g_strdup(line));
		call_tap(level, line);
	}
	if (ring.to_journal)
		return g_log_writer_journald(level, fields, n_fields, user);
	write_stderr(level, domain, line);
	return G_LOG_WRITER_HANDLED;
}

void mne_log_init(void)
{
	ring.to_journal = g_log_writer_is_journald(STDERR_FILENO);
	g_log_set_writer_func(write_log, NULL, NULL);
}

/* GLib keeps the switch, so that whoever asks it before formatting gets our answer. */
void mne_log_set_level(MneLogLevel level)
{
	atomic_store(&ring.level, level);
	g_log_set_debug_enabled(level > MNE_LOG_NONE);
}

bool mne_log_traces(void)
{
	return atomic_load_explicit(&ring.level, memory_order_relaxed) == MNE_LOG_TRACE;
}

void mne_log_say(const char *format, ...)
{
	g_autofree char *text = NULL;
	va_list args;

	va_start(args, format);
	text = g_strdup_vprintf(format, args);
	va_end(args);
	g_message("%s", text);
}

static void add_line(GString *to, const Line *line)
{
	g_autoptr(GDateTime) utc =
		g_date_time_new_from_unix_utc(line->time / G_USEC_PER_SEC);
	g_autoptr(GDateTime) local = g_date_time_to_local(utc);
	g_autofree char *when = g_date_time_format(local, "%Y-%m-%d %H:%M:%S");

	g_string_append_printf(to, "%s.%03d %s %s\n", when,
			       (int)(line->time % G_USEC_PER_SEC / 1000), line->level,
			       line->text);
}

/* The lines used so far, oldest first. */
static unsigned copy_ring(Line *to)
{
	unsigned n = 0;

	MNE_WITH_LOCK(&ring.lock);
	for (unsigned i = 0; i < RING_LINES; i++) {
		const Line *line = &ring.lines[(ring.next + i) % RING_LINES];

		if (line->text)
			to[n++] = (Line){ line->time, line->level,
					  g_strdup(line->text) };
	}
	return n;
}

char *mne_log_recent(void)
{
	g_autofree Line *lines = g_new(Line, RING_LINES);
	GString *text = g_string_new(NULL);
	unsigned n = copy_ring(lines);

	for (unsigned i = 0; i < n; i++) {
		add_line(text, &lines[i]);
		g_free(lines[i].text);
	}
	return g_string_free(text, FALSE);
}

/* The value of one "word" or "word=N"; false when it is another word, or no number. */
static bool debug_value(const char *entry, const char *word, uint64_t *out_value)
{
	size_t len = strlen(word);
	guint64 value = 1;

	if (strncmp(entry, word, len) != 0)
		return false;
	if (entry[len] != '\0' && entry[len] != '=')
		return false;
	if (entry[len] == '=' && !g_ascii_string_to_unsigned(entry + len + 1, 10, 0,
							     G_MAXUINT64, &value, NULL))
		return false;
	if (out_value)
		*out_value = value;
	return true;
}

bool mne_debug_has(const char *word, uint64_t *out_value)
{
	const char *all = g_getenv("MNE_DEBUG");
	g_auto(GStrv) entries = NULL;

	if (!all)
		return false;
	entries = g_strsplit(all, ",", -1);
	for (char **entry = entries; *entry; entry++)
		if (debug_value(g_strstrip(*entry), word, out_value))
			return true;
	return false;
}
