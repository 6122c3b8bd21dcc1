/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/trace.c - a decorator that logs, counts and times every call
 *
 * Iterators are the next engine's own: their making is counted, their steps are not.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/engines.h"

#include <stdatomic.h>
#include <time.h>

/* TRACED_OP(NAME, "name") */
#define TRACED_OPS(TRACED_OP)     \
	TRACED_OP(GET, "get")     \
	TRACED_OP(ITER, "iter")   \
	TRACED_OP(APPLY, "apply") \
	TRACED_OP(BARRIER, "barrier")

#define AS_ENUM(name, text) OP_##name,
#define AS_TEXT(name, text) text,

typedef enum { TRACED_OPS(AS_ENUM) N_OPS } Op;

static const char *const op_names[] = { TRACED_OPS(AS_TEXT) };

enum { N_SLOTS = 40 }; /* slot i counts calls of 2^(i-1) up to 2^i - 1 ns */

typedef struct {
	atomic_ullong calls;
	atomic_ullong failed;
	atomic_ullong ns;
	atomic_ullong slots[N_SLOTS];
} OpStats;

typedef struct {
	MneKv base;
	MneKv *next; /* owned */
	OpStats stats[N_OPS];
} TraceKv;

static uint64_t now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static void add(atomic_ullong *counter, uint64_t n)
{
	atomic_fetch_add_explicit(counter, n, memory_order_relaxed);
}

static unsigned long long value_of(const atomic_ullong *counter)
{
	return atomic_load_explicit(counter, memory_order_relaxed);
}

/* An absent key is an answer, not a failure. */
static void note(TraceKv *trace, Op op, uint64_t since, size_t bytes, int err)
{
	OpStats *stats = &trace->stats[op];
	uint64_t ns = now_ns() - since;
	unsigned slot = ns > 0 ? 64 - (unsigned)__builtin_clzll(ns) : 0;

	add(&stats->calls, 1);
	add(&stats->ns, ns);
	add(&stats->slots[MIN(slot, N_SLOTS - 1)], 1);
	if (err < 0 && err != -ENOENT)
		add(&stats->failed, 1);
	g_debug("%s %s: %zu bytes, %" G_GUINT64_FORMAT " ns: %s",
		trace->next->ops->name, op_names[op], bytes, ns,
		err < 0 ? mne_err_name(err) : "ok");
}

static int trace_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	TraceKv *trace = (TraceKv *)kv;
	uint64_t since = now_ns();
	int err = mne_kv_get(trace->next, key, out_value);

	note(trace, OP_GET, since, err == 0 ? g_bytes_get_size(*out_value) : 0, err);
	return err;
}

static int trace_iter(MneKv *kv, MneKvIter **out_iter)
{
	TraceKv *trace = (TraceKv *)kv;
	uint64_t since = now_ns();
	int err = mne_kv_iter(trace->next, out_iter);

	note(trace, OP_ITER, since, 0, err);
	return err;
}

static int trace_apply(MneKv *kv, MneKvBatch *batch)
{
	TraceKv *trace = (TraceKv *)kv;
	uint64_t since = now_ns();
	int err = mne_kv_apply(trace->next, batch);

	note(trace, OP_APPLY, since, mne_kv_batch_bytes(batch), err);
	return err;
}

static int trace_barrier(MneKv *kv)
{
	TraceKv *trace = (TraceKv *)kv;
	uint64_t since = now_ns();
	int err = mne_kv_barrier(trace->next);

	note(trace, OP_BARRIER, since, 0, err);
	return err;
}

static int trace_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	return mne_kv_snapshot(((TraceKv *)kv)->next, out_snapshot);
}

static uint64_t trace_size(MneKv *kv, MneSlice first, MneSlice last)
{
	return mne_kv_size(((TraceKv *)kv)->next, first, last);
}

/* "apply calls=7 failed=0 ns=12345 <1024:5 <4096:2" */
static void print_op(GString *text, Op op, const OpStats *stats)
{
	g_string_append_printf(text, "%s calls=%llu failed=%llu ns=%llu", op_names[op],
			       value_of(&stats->calls), value_of(&stats->failed),
			       value_of(&stats->ns));
	for (unsigned i = 0; i < N_SLOTS; i++)
		if (value_of(&stats->slots[i]) > 0)
			g_string_append_printf(text, " <%llu:%llu", 1ull << i,
					       value_of(&stats->slots[i]));
	g_string_append_c(text, '\n');
}

static char *trace_stats(MneKv *kv)
{
	TraceKv *trace = (TraceKv *)kv;
	g_autofree char *below = mne_kv_stats(trace->next);
	GString *text = g_string_new(NULL);

	for (unsigned op = 0; op < N_OPS; op++)
		print_op(text, op, &trace->stats[op]);
	g_string_append(text, below ? below : "");
	return g_string_free(text, false);
}

static void trace_close(MneKv *kv)
{
	TraceKv *trace = (TraceKv *)kv;

	mne_kv_close(trace->next);
	g_free(trace);
}

static const MneKvOps trace_ops = {
	.name = "trace",
	.get = trace_get,
	.iter = trace_iter,
	.snapshot = trace_snapshot,
	.apply = trace_apply,
	.barrier = trace_barrier,
	.size = trace_size,
	.stats = trace_stats,
	.close = trace_close,
};

MneKv *mne_kv_trace_new(MneKv *take_next)
{
	TraceKv *trace = g_new0(TraceKv, 1);

	trace->base.ops = &trace_ops;
	trace->next = take_next;
	return &trace->base;
}
