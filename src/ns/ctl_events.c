/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_events.c - `.mnefs/events`: what happens, a JSON object on each line
 *
 * `events` tells everything; `events?table=users&detailed=1` what it is asked for:
 *
 *	table=NAME	changes in that table; again for others; without it of none
 *	all=1		changes in all tables
 *	system=1	what belongs to no table
 *	detailed=1	with the versions before and after
 *	since=SEQ	from the commit after that on
 *
 * Names are percent-encoded.  A read waits for the next line.  What is written to `events`
 * is itself an event.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/ctl_text.h"
#include "ns/replay.h"
#include "util/text.h"

#include <fcntl.h>

#define FIRST_NAME "events"
#define QUERY      "events?"

typedef struct {
	MneFeedFilter filter;
	GPtrArray *tables; /* strings, ended by NULL when filter.tables is set */
	uint64_t since;
	bool has_since;
} Query;

static void query_clear(Query *query)
{
	g_clear_pointer(&query->tables, g_ptr_array_unref);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Query, query_clear)

static bool read_switch(const char *value, bool *out)
{
	*out = strcmp(value, "1") == 0;
	return *out || strcmp(value, "0") == 0;
}

static bool read_field(const char *name, const char *value, Query *io)
{
	if (strcmp(name, "table") == 0 && *value) {
		g_ptr_array_add(io->tables, g_strdup(value));
		return true;
	}
	if (strcmp(name, "all") == 0)
		return read_switch(value, &io->filter.all_tables);
	if (strcmp(name, "system") == 0)
		return read_switch(value, &io->filter.system);
	if (strcmp(name, "detailed") == 0)
		return read_switch(value, &io->filter.detailed);
	if (strcmp(name, "since") == 0) {
		io->has_since = true;
		return g_ascii_string_to_unsigned(value, 10, 0, G_MAXUINT64, &io->since,
						  NULL);
	}
	return false;
}

static bool read_pair(const char *pair, Query *io)
{
	const char *equals = strchr(pair, '=');
	g_autofree char *name = NULL, *value = NULL;

	if (!equals)
		return false;
	name = g_strndup(pair, (gsize)(equals - pair));
	value = g_uri_unescape_string(equals + 1, NULL);
	return value && read_field(name, value, io);
}

/* name: of the file. */
static bool query_read(const char *name, Query *out)
{
	g_auto(GStrv) pairs = NULL;
	bool good = true;

	*out = (Query){ .since = UINT64_MAX };
	out->tables = g_ptr_array_new_with_free_func(g_free);
	if (strcmp(name, FIRST_NAME) == 0) {
		out->filter.system = out->filter.all_tables = true;
		return true;
	}
	if (!g_str_has_prefix(name, QUERY))
		return false;
	pairs = g_strsplit(name + strlen(QUERY), "&", -1);
	for (char **pair = pairs; *pair && good; pair++)
		good = read_pair(*pair, out);
	if (out->tables->len > 0) {
		g_ptr_array_add(out->tables, NULL);
		out->filter.tables = (GStrv)out->tables->pdata;
	}
	return good;
}

static bool exists(MneNs *ns, const char *const *args)
{
	g_auto(Query) query = { 0 };

	(void)ns;
	return query_read(args[0], &query) &&
	       (query.filter.tables || query.filter.all_tables || query.filter.system);
}

typedef struct {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	MneFeedReader *reader; /* NULL: only written to */
	MneLock lock; /* of what follows */
	MneReplay *replay; /* read before anything else; NULL when it is done */
	GString *rest; /* of it, not yet read */
} Events;

static void end_replay(Events *events)
{
	g_clear_pointer(&events->replay, mne_replay_free);
}

/* 0: there is no more of the past. */
static ssize_t read_replay(Events *events, void *buffer, size_t len)
{
	int got = 1;
	size_t take;

	MNE_WITH_LOCK(&events->lock);
	while (events->replay && events->rest->len < len && got > 0)
		got = mne_replay_next(events->replay, events->rest);
	if (got <= 0)
		end_replay(events);
	MNE_TRY(got);
	take = MIN(len, events->rest->len);
	memcpy(buffer, events->rest->str, take);
	g_string_erase(events->rest, 0, (gssize)take);
	return (ssize_t)take;
}

static ssize_t events_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			   const MneCtlWait *wait)
{
	Events *events = (Events *)file;
	ssize_t got;

	(void)offset; /* it is a stream */
	if (!events->reader)
		return -EACCES;
	got = read_replay(events, buffer, len);
	if (got != 0)
		return got;
	return mne_feed_read(events->reader, buffer, len, wait ? &wait->over : NULL);
}

static void report(MneNs *ns, const char *text)
{
	GString *members = g_string_new(",\"text\":");

	mne_text_add_json(members, mne_slice_str(text));
	mne_store_tell(ns->store, "user", members->str);
	g_string_free(members, TRUE);
}

static int events_write(MneCtlFile *file, MneSlice bytes,
			const MneCtlWait *wait G_GNUC_UNUSED)
{
	Events *events = (Events *)file;
	g_autofree char *text = g_strndup((const char *)bytes.data, bytes.len);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);

	if (bytes.len > 65536)
		return mne_throw(BAD_CTL, "an event of more than 65536 bytes");
	for (char **line = lines; *line; line++)
		if (**line)
			report(events->ns, *line);
	return 0;
}

static bool has_past(Events *events)
{
	MNE_WITH_LOCK(&events->lock);
	return events->replay || events->rest->len > 0;
}

static bool events_poll(MneCtlFile *file, MneBell *io_bell)
{
	Events *events = (Events *)file;

	if (!events->reader || has_past(events))
		return true; /* without a reader, a read fails at once */
	return mne_feed_poll(events->reader, io_bell);
}

static void events_wake(MneCtlFile *file)
{
	Events *events = (Events *)file;

	if (events->reader)
		mne_feed_wake(events->reader);
}

static void events_close(MneCtlFile *file)
{
	Events *events = (Events *)file;

	g_clear_pointer(&events->reader, mne_feed_unsubscribe);
	end_replay(events);
	g_string_free(events->rest, TRUE);
	mne_lock_clear(&events->lock);
	g_free(events);
}

/* From where on everything is told; and what lies between that and what was asked. */
static void greet(Events *events, const Query *query, uint64_t from)
{
	double now = (double)g_get_real_time() / 1e6;
	GString *lines = g_string_new(NULL);

	if (query->has_since && query->since < from)
		events->replay = mne_replay_new(events->ns, &query->filter,
						query->since);
	if (query->has_since && query->since < from && !events->replay) {
		mne_feed_begin(lines, "overflow", from, now);
		g_string_append_printf(lines, ",\"resume\":%" G_GUINT64_FORMAT "}\n",
				       query->since);
	}
	mne_feed_begin(lines, "subscribed", from, now);
	g_string_append(lines, "}\n");
	mne_feed_greet(events->reader, lines->str);
	g_string_free(lines, TRUE);
}

static int events_open(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		       MneCtlFile **out_file)
{
	static const MneCtlFileOps ops = {
		.read = events_read,
		.write = events_write,
		.close = events_close,
		.wake = events_wake,
		.poll = events_poll,
	};
	g_auto(Query) query = { 0 };
	Events *events;
	uint64_t from;

	if (!query_read(args[0] ? args[0] : FIRST_NAME, &query))
		return -ENOENT;
	events = g_new0(Events, 1);
	events->base.ops = &ops;
	events->ns = ns;
	events->rest = g_string_new(NULL);
	mne_lock_init(&events->lock, MNE_RANK_LISTENER);
	if ((how->flags & O_ACCMODE) != O_WRONLY) {
		events->reader = mne_store_subscribe(ns->store, &query.filter,
						     query.since, &from);
		greet(events, &query, from);
	}
	*out_file = &events->base;
	return 0;
}

const MneCtlKind mne_ctl_events[] = {
	{ .path = "events", .mode = S_IFREG | 0600, .open = events_open },
	{ .path = "*", .mode = S_IFREG | 0400, .exists = exists, .open = events_open },
	{ 0 },
};
