/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/feed.h - what happens, told to whoever listens
 *
 * A feed keeps the last events, in the order of their commits, up to a number of bytes.
 * Each reader has its own place in it.  Nobody who tells waits for a reader: one that is
 * too slow finds its place gone, is told so with the seq from which on it lacks events,
 * and goes on with what there is.
 *
 * Every event is one line, a JSON object.  Changes of records are only told while somebody
 * listens to them.
 *
 * Threads: all functions, any thread; a reader belongs to one at a time, but for wake.
 */
#pragma once

#include "util/bell.h"
#include "util/error.h"
#include "util/slice.h"

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct MneFeed MneFeed;
typedef struct MneFeedReader MneFeedReader;

/* What a reader wants to hear. */
typedef struct {
	bool system; /* events that belong to no table */
	bool all_tables;
	GStrv tables; /* borrowed; of these, when not all; NULL: none */
	bool detailed; /* with the versions before and after */
} MneFeedFilter;

MneFeed *mne_feed_new(size_t max_bytes);
void mne_feed_free(MneFeed *feed); /* no reader is left */

/* Nothing comes any more: readers read what there is, then find the end. */
void mne_feed_close(MneFeed *feed);

/* Does anybody listen to changes of records? */
bool mne_feed_wants_changes(MneFeed *feed);
/* … of this table? */
bool mne_feed_wants_table(MneFeed *feed, const char *table);

/* Everything is borrowed. */
typedef struct {
	uint64_t seq;
	const char *table; /* NULL: it belongs to none */
	const char *line; /* a JSON object without its closing brace */
	const char *detail; /* more of it, or NULL */
	bool more; /* others of the same commit follow */
} MneFeedEvent;
void mne_feed_tell(MneFeed *feed, const MneFeedEvent *event);
/* A system event: {"event":NAME,"seq":SEQ,"time":NOW and the members, e.g. ",\"a\":1". */
void mne_feed_tell_system(MneFeed *feed, const char *event, uint64_t seq,
			  const char *members);

/* {"event":NAME,"seq":SEQ,"time":SECONDS without the brace: what all events begin with. */
void mne_feed_begin(GString *to, const char *event, uint64_t seq, double time);

/* A reader hears of the commits after `since`, if all that is kept; otherwise *out_complete
 * is false, and it hears of those after `now`, which is the last commit. */
MneFeedReader *mne_feed_subscribe(MneFeed *feed, const MneFeedFilter *filter,
				  uint64_t since, uint64_t now, bool *out_complete);
void mne_feed_unsubscribe(MneFeedReader *reader);
/* It reads this before anything else: whole lines. */
void mne_feed_greet(MneFeedReader *reader, const char *lines);

/* Lines into buffer: at least a byte of one.  Waits for them until *over; over NULL: does
 * not wait, -EAGAIN.  0: the feed was closed.  -EINTR. */
ssize_t mne_feed_read(MneFeedReader *reader, void *buffer, size_t len,
		      const _Atomic bool *over) MNE_CHECKED;
/* Is there something to read, or the end?  If not, takes the bell and rings it when there
 * is, with the feed's lock held. */
bool mne_feed_poll(MneFeedReader *reader, MneBell *io_bell);
/* Whoever reads looks at *over. */
void mne_feed_wake(MneFeedReader *reader);
