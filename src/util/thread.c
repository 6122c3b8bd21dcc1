/* SPDX-License-Identifier: Apache-2.0
 *
 * util/thread.c - threads whose work nobody waits for
 *
 * A long slice says that a thread does not mind when it runs, only how much: one that wakes
 * up and wants a short one goes first (Linux 6.12; before, a slice is not looked at).  But
 * one that wakes up again and again has often had more than its share a moment ago, and
 * then it waits for the next tick, 4 ms, however short its wish; so a little niceness comes
 * with it.  Only a little, and not SCHED_IDLE: who holds a lock must get on, also where
 * other programs keep all processors busy.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/thread.h"

#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <glib.h>

#define LONG_SLICE_NS 100000000u /* the longest there is */
#define NICER         5
#define NICEST        19

/* As include/uapi/linux/sched/types.h has it, which does not go with <sched.h>. */
typedef struct {
	uint32_t size;
	uint32_t policy;
	uint64_t flags;
	int32_t nice;
	uint32_t priority;
	uint64_t runtime; /* of these two policies: the slice; 0: as all have it */
	uint64_t deadline;
	uint64_t period;
} SchedAttr;

/* Who was begun with another policy keeps it. */
void mne_thread_stay_behind(void)
{
	SchedAttr how = { .size = sizeof(how) };

	if (syscall(SYS_sched_getattr, 0, &how, sizeof(how), 0) < 0 ||
	    how.policy != SCHED_OTHER)
		return;
	how.policy = SCHED_BATCH;
	how.nice = MIN(how.nice + NICER, NICEST);
	how.runtime = LONG_SLICE_NS;
	if (syscall(SYS_sched_setattr, 0, &how, 0) < 0)
		g_debug("a thread cannot stay behind: %m");
}
