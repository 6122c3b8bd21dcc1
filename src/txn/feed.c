/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/feed.c - what happens, told to whoever listens
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/feed.h"

#include "util/lock.h"
#include "util/text.h"

#include <errno.h>

typedef struct {
	uint64_t seq;
	char *table; /* NULL: a system event */
	char *line, *detail; /* detail may be NULL */
	bool more; /* others of the same commit follow */
	size_t bytes;
} Item;

struct MneFeed {
	MneLock lock;
	MneCond came;
	GQueue items; /* of Item */
	uint64_t first; /* number of the first item; they count from 0 */
	size_t bytes, max_bytes;
	GQueue readers; /* of MneFeedReader */
	unsigned listening; /* readers that want changes */
	uint64_t complete_from; /* all changes after this seq were told */
	_Atomic bool wants_changes;
	bool closed;
};

struct MneFeedReader {
	MneFeed *feed;
	GList link;
	MneFeedFilter filter; /* strings owned */
	uint64_t next; /* number of the item */
	uint64_t heard; /* the last commit of which all was read */
	GString *rest; /* of a line that did not fit */
	size_t rest_at;
	MneBell bell; /* of who polls, and has read everything */
};

static void item_free(Item *item)
{
	g_free(item->table);
	g_free(item->line);
	g_free(item->detail);
	g_free(item);
}

MneFeed *mne_feed_new(size_t max_bytes)
{
	MneFeed *feed = g_new0(MneFeed, 1);

	mne_lock_init(&feed->lock, MNE_RANK_FEED);
	mne_cond_init(&feed->came);
	g_queue_init(&feed->items);
	g_queue_init(&feed->readers);
	feed->max_bytes = max_bytes;
	return feed;
}

void mne_feed_free(MneFeed *feed)
{
	g_assert(g_queue_is_empty(&feed->readers));
	g_queue_clear_full(&feed->items, (GDestroyNotify)item_free);
	mne_lock_clear(&feed->lock);
	mne_cond_clear(&feed->came);
	g_free(feed);
}

void mne_feed_close(MneFeed *feed)
{
	MNE_WITH_LOCK(&feed->lock);
	feed->closed = true;
	mne_cond_broadcast(&feed->came);
	for (GList *at = feed->readers.head; at; at = at->next)
		mne_bell_ring(&((MneFeedReader *)at->data)->bell);
}

bool mne_feed_wants_changes(MneFeed *feed)
{
	return atomic_load_explicit(&feed->wants_changes, memory_order_relaxed);
}

static bool filter_takes(const MneFeedFilter *filter, const char *table)
{
	if (!table)
		return filter->system;
	return filter->all_tables ||
	       (filter->tables &&
		g_strv_contains((const char *const *)filter->tables, table));
}

bool mne_feed_wants_table(MneFeed *feed, const char *table)
{
	MNE_WITH_LOCK(&feed->lock);
	for (GList *at = feed->readers.head; at; at = at->next)
		if (filter_takes(&((MneFeedReader *)at->data)->filter, table))
			return true;
	return false;
}

/* Caller holds the lock. */
static void make_room(MneFeed *feed)
{
	while (feed->bytes > feed->max_bytes) {
		Item *oldest = g_queue_pop_head(&feed->items);

		feed->bytes -= oldest->bytes;
		feed->first++;
		feed->complete_from = MAX(feed->complete_from, oldest->seq);
		item_free(oldest);
	}
}

void mne_feed_begin(GString *to, const char *event, uint64_t seq, double time)
{
	g_string_append(to, "{\"event\":");
	mne_text_add_json(to, mne_slice_str(event));
	g_string_append_printf(to, ",\"seq\":%" G_GUINT64_FORMAT ",\"time\":%.3f", seq,
			       time);
}

static void say_overflow(MneFeedReader *reader)
{
	MneFeed *feed = reader->feed;

	mne_feed_begin(reader->rest, "overflow", feed->complete_from,
		       (double)g_get_real_time() / 1e6);
	g_string_append_printf(reader->rest, ",\"resume\":%" G_GUINT64_FORMAT "}\n",
			       reader->heard);
	reader->next = feed->first;
}

static void say_item(MneFeedReader *reader, const Item *item)
{
	if (!item->more)
		reader->heard = MAX(reader->heard, item->seq);
	if (!filter_takes(&reader->filter, item->table))
		return;
	g_string_append(reader->rest, item->line);
	if (reader->filter.detailed && item->detail)
		g_string_append(reader->rest, item->detail);
	g_string_append(reader->rest, "}\n");
}

/* Up to `wanted` bytes of what is there into rest.  Caller holds the lock. */
static void gather(MneFeedReader *reader, size_t wanted)
{
	MneFeed *feed = reader->feed;
	GList *at;

	if (reader->next < feed->first)
		say_overflow(reader);
	at = g_queue_peek_nth_link(&feed->items, (guint)(reader->next - feed->first));
	for (; at && reader->rest->len < wanted; at = at->next, reader->next++)
		say_item(reader, at->data);
}

/* Who polls has read everything but this; what it does not want it passes by.  Caller holds
 * the lock. */
static void ring(MneFeed *feed)
{
	for (GList *at = feed->readers.head; at; at = at->next) {
		MneFeedReader *reader = at->data;

		if (!reader->bell.ring)
			continue;
		gather(reader, 1);
		if (reader->rest->len > 0)
			mne_bell_ring(&reader->bell);
	}
}

void mne_feed_tell(MneFeed *feed, const MneFeedEvent *event)
{
	Item *item = g_new0(Item, 1);

	item->seq = event->seq;
	item->table = g_strdup(event->table);
	item->line = g_strdup(event->line);
	item->detail = g_strdup(event->detail);
	item->more = event->more;
	item->bytes = sizeof(*item) + strlen(event->line) +
		      (event->detail ? strlen(event->detail) : 0);

	MNE_WITH_LOCK(&feed->lock);
	feed->bytes += item->bytes;
	g_queue_push_tail(&feed->items, item);
	ring(feed);
	make_room(feed);
	mne_cond_broadcast(&feed->came);
}

void mne_feed_tell_system(MneFeed *feed, const char *event, uint64_t seq,
			  const char *members)
{
	GString *line = g_string_new(NULL);

	mne_feed_begin(line, event, seq, (double)g_get_real_time() / 1e6);
	g_string_append(line, members);
	mne_feed_tell(feed, &(MneFeedEvent){ .seq = seq, .line = line->str });
	g_string_free(line, TRUE);
}

static bool wants_records(const MneFeedFilter *filter)
{
	return filter->all_tables || filter->tables;
}

/* The first item of a later commit than since.  Caller holds the lock. */
static uint64_t find_after(const MneFeed *feed, uint64_t since)
{
	uint64_t number = feed->first;

	for (GList *at = feed->items.head; at; at = at->next, number++)
		if (((const Item *)at->data)->seq > since)
			break;
	return number;
}

MneFeedReader *mne_feed_subscribe(MneFeed *feed, const MneFeedFilter *filter,
				  uint64_t since, uint64_t now, bool *out_complete)
{
	MneFeedReader *reader = g_new0(MneFeedReader, 1);

	reader->feed = feed;
	reader->filter = *filter;
	reader->filter.tables = g_strdupv(filter->tables);
	reader->rest = g_string_new(NULL);
	reader->link.data = reader;

	MNE_WITH_LOCK(&feed->lock);
	if (wants_records(filter) && feed->listening++ == 0) {
		feed->complete_from = MAX(feed->complete_from, now);
		atomic_store(&feed->wants_changes, true);
	}
	g_queue_push_tail_link(&feed->readers, &reader->link);
	*out_complete = since >= feed->complete_from;
	reader->heard = *out_complete ? since : now;
	reader->next = find_after(feed, reader->heard);
	return reader;
}

static void leave(MneFeedReader *reader)
{
	MneFeed *feed = reader->feed;

	MNE_WITH_LOCK(&feed->lock);
	g_queue_unlink(&feed->readers, &reader->link);
	mne_bell_clear(&reader->bell);
	if (wants_records(&reader->filter) && --feed->listening == 0)
		atomic_store(&feed->wants_changes, false);
}

void mne_feed_unsubscribe(MneFeedReader *reader)
{
	leave(reader);
	g_strfreev(reader->filter.tables);
	g_string_free(reader->rest, TRUE);
	g_free(reader);
}

void mne_feed_greet(MneFeedReader *reader, const char *lines)
{
	MNE_WITH_LOCK(&reader->feed->lock);
	g_string_append(reader->rest, lines);
}

static size_t take_rest(MneFeedReader *reader, void *buffer, size_t len)
{
	size_t take = MIN(len, reader->rest->len - reader->rest_at);

	memcpy(buffer, reader->rest->str + reader->rest_at, take);
	reader->rest_at += take;
	if (reader->rest_at == reader->rest->len) {
		g_string_truncate(reader->rest, 0);
		reader->rest_at = 0;
	}
	return take;
}

ssize_t mne_feed_read(MneFeedReader *reader, void *buffer, size_t len,
		      const _Atomic bool *over)
{
	MneFeed *feed = reader->feed;

	MNE_WITH_LOCK(&feed->lock);
	while (reader->rest->len == 0) {
		gather(reader, len);
		if (reader->rest->len > 0)
			break;
		if (feed->closed)
			return 0;
		if (!over)
			return -EAGAIN;
		if (atomic_load(over))
			return -EINTR;
		mne_cond_wait(&feed->came, &feed->lock);
	}
	return (ssize_t)take_rest(reader, buffer, len);
}

bool mne_feed_poll(MneFeedReader *reader, MneBell *io_bell)
{
	MneFeed *feed = reader->feed;

	MNE_WITH_LOCK(&feed->lock);
	gather(reader, 1);
	if (reader->rest->len > 0 || feed->closed)
		return true;
	mne_bell_hang(&reader->bell, io_bell);
	return false;
}

void mne_feed_wake(MneFeedReader *reader)
{
	MNE_WITH_LOCK(&reader->feed->lock);
	mne_cond_broadcast(&reader->feed->came);
}
