/* SPDX-License-Identifier: Apache-2.0
 *
 * util/ref.h - a reference count on C11 atomics
 *
 * Embedded in shared objects.  Not g_atomic_rc_box: ThreadSanitizer cannot see into it.
 */
#pragma once

#include <stdatomic.h>
#include <stdbool.h>

#include <glib.h>

typedef struct {
	atomic_int count;
} MneRef;

static inline void mne_ref_init(MneRef *ref)
{
	atomic_init(&ref->count, 1);
}

static inline void mne_ref_get(MneRef *ref)
{
	int was = atomic_fetch_add_explicit(&ref->count, 1, memory_order_relaxed);

	g_assert(was > 0);
}

/* True when this was the last one: the caller frees the object. */
static inline bool mne_ref_put(MneRef *ref)
{
	int was = atomic_fetch_sub_explicit(&ref->count, 1, memory_order_acq_rel);

	g_assert(was > 0);
	return was == 1;
}
