/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/closing.h - the closes under way, and who waits for a moment between them
 *
 * A process goes on before what it closed is committed, and what it does next may be
 * committed first.  A moment that is kept (a checkpoint, the beginning of a transaction)
 * would show the later change without the earlier one; so it is taken while no close is
 * under way: see mne_store_closing().
 */
#pragma once

#include "txn/internal.h"

/* Take the gate of store, which may be a transaction's, while no close is under way in the
 * live one.  Closes are short; who is not lucky for some ten milliseconds does without. */
void mne_gate_lock_between_closes(MneStore *store);
