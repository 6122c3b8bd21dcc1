/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/counter.h - a record that is a number, added to as one step
 *
 * The model is Mnesia's update_counter: it returns the new value, makes the record at
 * need, and stops at 0.  Unlike there a record that holds something else is left alone,
 * and the checkpoints keep what stood there before.
 */
#pragma once

#include "txn/names.h"

typedef struct {
	int64_t by;
	bool is_signed; /* it may become negative; else it stops at 0 */
} MneCounterStep;

/* make: whose a new record is.  Plain writers that come between two steps are not lost;
 * one that has the file open delays the commit until it closes.  COUNTER_NO_NUMBER, -ERANGE,
 * -EISDIR; -EINVAL for what is no regular file. */
int mne_counter_add(MneStore *store, const MneSpot *spot, const MneMake *make,
		    const MneCounterStep *step, int64_t *out_value) MNE_CHECKED;
