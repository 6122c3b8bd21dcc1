/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/stats.c - how many requests came, how long they took, how they failed
 *
 * Durations are counted in buckets of powers of two nanoseconds: bucket b holds those
 * below 2^b (and not below 2^(b-1)).
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/stats.h"

#include <stdatomic.h>

#define BUCKETS     40u /* up to 9 minutes */
#define FIRST_SHOWN 10u /* 1 µs */
#define LAST_SHOWN  34u /* 17 s */
#define ERRNOS      134u

typedef struct {
	_Atomic uint64_t count, nanoseconds;
	_Atomic uint64_t buckets[BUCKETS];
} Request;

struct MneStats {
	const char *const *names;
	unsigned n;
	_Atomic uint64_t errors[ERRNOS];
	Request requests[];
};

MneStats *mne_stats_new(const char *const *names, unsigned n)
{
	MneStats *stats = g_malloc0(sizeof(MneStats) + n * sizeof(Request));

	stats->names = names;
	stats->n = n;
	return stats;
}

void mne_stats_free(MneStats *stats)
{
	g_free(stats);
}

static void add(_Atomic uint64_t *counter, uint64_t value)
{
	atomic_fetch_add_explicit(counter, value, memory_order_relaxed);
}

static uint64_t get(_Atomic uint64_t *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

void mne_stats_request(MneStats *stats, unsigned op, uint64_t nanoseconds)
{
	unsigned bucket = nanoseconds == 0 ? 0 : g_bit_storage(nanoseconds);
	Request *request;

	if (op >= stats->n)
		return;
	request = &stats->requests[op];
	add(&request->count, 1);
	add(&request->nanoseconds, nanoseconds);
	add(&request->buckets[MIN(bucket, BUCKETS - 1)], 1);
}

void mne_stats_error(MneStats *stats, int errnum)
{
	if (errnum > 0 && errnum < (int)ERRNOS)
		add(&stats->errors[errnum], 1);
}

/* The upper bound, in microseconds, of the bucket below which `share` of all lie. */
static double quantile(Request *request, double share)
{
	uint64_t count = get(&request->count), sum = 0;
	unsigned bucket = 0;

	for (; bucket < BUCKETS - 1; bucket++) {
		sum += get(&request->buckets[bucket]);
		if ((double)sum >= share * (double)count)
			break;
	}
	return (double)(G_GUINT64_CONSTANT(1) << bucket) / 1000;
}

static void add_row(GString *to, const char *name, Request *request)
{
	uint64_t count = get(&request->count);
	double mean = (double)get(&request->nanoseconds) / (double)count / 1000;

	g_string_append_printf(
		to, "%-12s %12" G_GUINT64_FORMAT " %10.1f %10.0f %10.0f %10.0f\n", name,
		count, mean, quantile(request, 0.5), quantile(request, 0.99),
		quantile(request, 1));
}

void mne_stats_add_text(MneStats *stats, GString *to)
{
	g_string_append_printf(to, "%-12s %12s %10s %10s %10s %10s\n", "request",
			       "count", "mean_us", "p50_us<", "p99_us<", "max_us<");
	for (unsigned op = 0; op < stats->n; op++)
		if (stats->names[op] && get(&stats->requests[op].count) > 0)
			add_row(to, stats->names[op], &stats->requests[op]);

	g_string_append_printf(to, "\n%-12s %12s\n", "error", "count");
	for (unsigned errnum = 1; errnum < ERRNOS; errnum++)
		if (get(&stats->errors[errnum]) > 0)
			g_string_append_printf(to, "%-12s %12" G_GUINT64_FORMAT "\n",
					       strerrorname_np((int)errnum),
					       get(&stats->errors[errnum]));
}

static void add_histogram(GString *to, const char *name, Request *request)
{
	static const char *const metric = "mnefs_request_seconds";
	uint64_t sum = 0;

	for (unsigned bucket = 0; bucket <= LAST_SHOWN; bucket++) {
		sum += get(&request->buckets[bucket]);
		if (bucket < FIRST_SHOWN)
			continue;
		g_string_append_printf(
			to, "%s_bucket{op=\"%s\",le=\"%.9g\"} %" G_GUINT64_FORMAT "\n",
			metric, name, (double)(G_GUINT64_CONSTANT(1) << bucket) / 1e9,
			sum);
	}
	g_string_append_printf(
		to, "%s_bucket{op=\"%s\",le=\"+Inf\"} %" G_GUINT64_FORMAT "\n", metric,
		name, get(&request->count));
	g_string_append_printf(to, "%s_sum{op=\"%s\"} %.9f\n", metric, name,
			       (double)get(&request->nanoseconds) / 1e9);
	g_string_append_printf(to, "%s_count{op=\"%s\"} %" G_GUINT64_FORMAT "\n",
			       metric, name, get(&request->count));
}

void mne_stats_add_metrics(MneStats *stats, GString *to)
{
	g_string_append(to, "# HELP mnefs_request_seconds Time to answer a request.\n"
			    "# TYPE mnefs_request_seconds histogram\n");
	for (unsigned op = 0; op < stats->n; op++)
		if (stats->names[op] && get(&stats->requests[op].count) > 0)
			add_histogram(to, stats->names[op], &stats->requests[op]);

	g_string_append(to,
			"# HELP mnefs_errors_total Requests answered with an error.\n"
			"# TYPE mnefs_errors_total counter\n");
	for (unsigned errnum = 1; errnum < ERRNOS; errnum++)
		if (get(&stats->errors[errnum]) > 0)
			g_string_append_printf(
				to,
				"mnefs_errors_total{errno=\"%s\"} %" G_GUINT64_FORMAT
				"\n",
				strerrorname_np((int)errnum),
				get(&stats->errors[errnum]));
}
