/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/trial.c - do the batches of a log name only what exists outside of it?
 *
 * After a power loss a batch may be there whose bytes outside, which were written before
 * it, are not.  Dropping it and all that follow leaves the state of an earlier moment.
 *
 * What is missing may have gone because later batches gave it up; so a missing thing
 * counts from the batch that names it to the one that puts or deletes the same key again,
 * and the cut is the last moment that lies in no such span.  What is vouched for (see
 * MneKvOutside) is not looked at.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/trial.h"

#include "kv/logfile.h"
#include "util/coding.h"

enum { HEAD = 12, IS_PUT = 1 };

#define STILL UINT64_MAX

/* State n, after n batches, lacks something when from < n <= to. */
typedef struct {
	uint64_t from, to;
} Span;

typedef struct {
	const MneKvOutside *outside;
	GArray *places; /* of MneLogPlace: one for each batch */
	uint64_t vouched; /* batches before this one need no trial */
	uint64_t batch; /* the one at hand */
	GArray *spans;
	GHashTable *open; /* key -> index in spans of a span that has no end yet */
} Trial;

/* value.data is NULL for a delete. */
typedef void (*EntryFunc)(Trial *trial, MneSlice key, MneSlice value);

static void each_entry(Trial *trial, MneSlice record, EntryFunc func)
{
	MneReader reader = mne_reader(record);

	mne_read_bytes(&reader, HEAD);
	while (!reader.failed && !mne_reader_done(&reader)) {
		bool is_put = mne_read_u8(&reader) == IS_PUT;
		MneSlice key = mne_read_sized(&reader);
		MneSlice value = { NULL, 0 };

		if (is_put)
			value = mne_read_sized(&reader);
		if (!reader.failed)
			func(trial, key, value);
	}
}

/* From batch trial->batch on, which is at `from`. */
static void each_batch(Trial *trial, const GPtrArray *logs, MneLogPlace from,
		       EntryFunc func)
{
	g_autoptr(GByteArray) record = g_byte_array_new();

	for (guint i = from.log; i < logs->len; i++) {
		MneLogReader reader = mne_log_reader(mne_slice_of(logs->pdata[i]));
		MneLogPlace place = { i, i == from.log ? from.at : 0 };

		reader.at = reader.whole = place.at;
		while (mne_log_next(&reader, record)) {
			if (trial->batch == trial->places->len)
				g_array_append_val(trial->places, place);
			each_entry(trial, mne_slice(record->data, record->len), func);
			trial->batch++;
			place.at = reader.whole;
		}
	}
}

static void note_vouched(Trial *trial, MneSlice key, MneSlice value)
{
	uint64_t behind;

	if (value.data &&
	    trial->outside->vouches(trial->outside->user, key, value, &behind) &&
	    behind <= trial->batch)
		trial->vouched = MAX(trial->vouched, trial->batch - behind);
}

static void end_span(Trial *trial, GBytes *key)
{
	gpointer index = g_hash_table_lookup(trial->open, key);

	if (!index)
		return;
	g_array_index(trial->spans, Span, GPOINTER_TO_UINT(index) - 1).to =
		trial->batch;
	g_hash_table_remove(trial->open, key);
}

static void try_entry(Trial *trial, MneSlice key, MneSlice value)
{
	const Span span = { trial->batch, STILL };
	g_autoptr(GBytes) bytes = NULL;

	bytes = mne_slice_to_bytes(key);
	end_span(trial, bytes);
	if (!value.data || trial->outside->holds(trial->outside->user, key, value))
		return;
	g_array_append_val(trial->spans, span);
	g_hash_table_insert(trial->open, g_steal_pointer(&bytes),
			    GUINT_TO_POINTER(trial->spans->len));
}

/* The last state that lacks nothing.  Spans stand in the order of their beginnings, so one
 * passed over going back does not come into question again. */
static uint64_t last_whole(const Trial *trial)
{
	uint64_t state = trial->places->len;

	for (guint i = trial->spans->len; i-- > 0;) {
		const Span *span = &g_array_index(trial->spans, Span, i);

		if (span->from < state && state <= span->to)
			state = span->from;
	}
	return state;
}

bool mne_trial_run(const GPtrArray *logs, const MneKvOutside *outside, MneLogPlace *out)
{
	g_autoptr(GArray) places = g_array_new(FALSE, FALSE, sizeof(MneLogPlace));
	g_autoptr(GArray) spans = g_array_new(FALSE, FALSE, sizeof(Span));
	g_autoptr(GHashTable) open = g_hash_table_new_full(
		g_bytes_hash, g_bytes_equal, (GDestroyNotify)g_bytes_unref, NULL);
	Trial trial = {
		.outside = outside, .places = places, .spans = spans, .open = open
	};
	uint64_t state;

	each_batch(&trial, logs, (MneLogPlace){ 0, 0 }, note_vouched);
	if (places->len == 0)
		return false;
	trial.batch = trial.vouched;
	each_batch(&trial, logs, g_array_index(places, MneLogPlace, trial.vouched),
		   try_entry);
	state = last_whole(&trial);
	if (state == places->len)
		return false;
	*out = g_array_index(places, MneLogPlace, state);
	return true;
}
