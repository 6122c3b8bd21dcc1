/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/fault.c - a decorator that fails, or dies, at the nth call
 *
 * Running an operation with n = 1, 2, 3 and so on until nothing fails any more tries
 * every place where the engine could fail it.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/engines.h"

#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

typedef struct {
	MneKv base;
	MneKv *next; /* owned */
	MneFaultKind kind;
	bool with_reads;
	uint64_t nth;
	atomic_ullong calls; /* that count */
} FaultKv;

static bool due(FaultKv *fault)
{
	uint64_t now = atomic_fetch_add(&fault->calls, 1) + 1;

	return fault->kind == MNE_FAULT_FAIL_FROM ? fault->nth > 0 && now >= fault->nth
						  : now == fault->nth;
}

static G_GNUC_NORETURN void die(void)
{
	kill(getpid(), SIGKILL);
	for (;;)
		pause();
}

static int before(const FaultKv *fault, const char *op)
{
	g_message("INJECTED: call %" G_GUINT64_FORMAT ", %s", fault->nth, op);
	switch (fault->kind) {
	case MNE_FAULT_FAIL:
	case MNE_FAULT_FAIL_FROM:
		return mne_throw(INJECTED, "INJECTED: call %" G_GUINT64_FORMAT ", %s",
				 fault->nth, op);
	case MNE_FAULT_KILL: die();
	case MNE_FAULT_KILL_AFTER: return 0;
	}
	g_assert_not_reached();
}

/* Only a call that is to die afterwards gets here due. */
static int after(bool is_due, int err)
{
	if (is_due)
		die();
	return err;
}

static int fault_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	FaultKv *fault = (FaultKv *)kv;
	bool is_due = fault->with_reads && due(fault);

	if (is_due)
		MNE_TRY(before(fault, "get"));
	return after(is_due, mne_kv_get(fault->next, key, out_value));
}

static int fault_iter(MneKv *kv, MneKvIter **out_iter)
{
	FaultKv *fault = (FaultKv *)kv;
	bool is_due = fault->with_reads && due(fault);

	if (is_due)
		MNE_TRY(before(fault, "iter"));
	return after(is_due, mne_kv_iter(fault->next, out_iter));
}

static int fault_apply(MneKv *kv, MneKvBatch *batch)
{
	FaultKv *fault = (FaultKv *)kv;
	bool is_due = due(fault);

	if (is_due)
		MNE_TRY(before(fault, "apply"));
	return after(is_due, mne_kv_apply(fault->next, batch));
}

static int fault_barrier(MneKv *kv)
{
	FaultKv *fault = (FaultKv *)kv;
	bool is_due = due(fault);

	if (is_due)
		MNE_TRY(before(fault, "barrier"));
	return after(is_due, mne_kv_barrier(fault->next));
}

static int fault_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	return mne_kv_snapshot(((FaultKv *)kv)->next, out_snapshot);
}

static uint64_t fault_size(MneKv *kv, MneSlice first, MneSlice last)
{
	return mne_kv_size(((FaultKv *)kv)->next, first, last);
}

static char *fault_stats(MneKv *kv)
{
	return mne_kv_stats(((FaultKv *)kv)->next);
}

static void fault_close(MneKv *kv)
{
	FaultKv *fault = (FaultKv *)kv;

	mne_kv_close(fault->next);
	g_free(fault);
}

static const MneKvOps fault_ops = {
	.name = "fault",
	.get = fault_get,
	.iter = fault_iter,
	.snapshot = fault_snapshot,
	.apply = fault_apply,
	.barrier = fault_barrier,
	.size = fault_size,
	.stats = fault_stats,
	.close = fault_close,
};

MneKv *mne_kv_fault_new(MneKv *take_next, MneFaultKind kind, uint64_t nth,
			bool with_reads)
{
	FaultKv *fault = g_new0(FaultKv, 1);

	fault->base.ops = &fault_ops;
	fault->next = take_next;
	fault->kind = kind;
	fault->nth = nth;
	fault->with_reads = with_reads;
	return &fault->base;
}
