/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/locktable.h - which transaction holds which lock, and which of them wait: pure
 *
 * Locks are of records, of tables, and of names that mean nothing here (global).  Any
 * number may hold a read lock, one alone a write lock; a lock of a table stands against
 * those of its records.
 *
 * Nobody waits in a circle, because nobody waits for who is older (wait-die):
 * 1. who conflicts only with younger ones waits for them; others then wait for him, too;
 * 2. who conflicts with an older one, and holds nothing yet, is parked: he waits, but
 *    nobody waits for him, so that he can close no circle;
 * 3. who conflicts with an older one, and holds a lock, dies: he gives up all he has, and
 *    begins again with the age he had, so that one day he is the oldest.
 * Who asks for more of what others wait for him to release, need not wait behind those.
 *
 * Threads: the caller's lock.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct MneLockTable MneLockTable;
typedef struct MneLockOwner MneLockOwner;
typedef struct MneLockRequest MneLockRequest;

typedef struct {
	bool write;
	const char *table; /* NULL: a global one */
	const char *name; /* of the record, or the global one; NULL: the whole table */
} MneLockWant;

typedef enum { MNE_LOCK_GRANTED, MNE_LOCK_WAITS, MNE_LOCK_DIES } MneLockVerdict;

MneLockTable *mne_lock_table_new(void);
/* No owner is left. */
void mne_lock_table_free(MneLockTable *table);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneLockTable, mne_lock_table_free)

/* born: who has the smaller number is older; of equals, who was made before.  name: for
 * people; copied. */
MneLockOwner *mne_lock_owner_new(MneLockTable *table, uint64_t born, const char *name);
/* What it holds is released, and what it asks for is withdrawn. */
void mne_lock_owner_free(MneLockOwner *owner);
bool mne_lock_owner_holds_any(const MneLockOwner *owner);
/* That which waits; NULL: none does. */
MneLockRequest *mne_lock_owner_request(const MneLockOwner *owner);

typedef struct {
	MneLockRequest *request; /* WAITS: owned by who asked */
	char *lost, *culprit; /* DIES: the lock, and who is older; new strings */
} MneLockAnswer;
/* All of the wants at once, or none of them.  An owner that waits asks for nothing more.
 * user: what mne_lock_table_take_granted() will return. */
MneLockVerdict mne_lock_ask(MneLockOwner *owner, const MneLockWant *wants, unsigned n,
			    void *user, MneLockAnswer *out);
bool mne_lock_request_is_granted(const MneLockRequest *request);
bool mne_lock_request_is_parked(const MneLockRequest *request);
/* Withdraws it, unless it was granted. */
void mne_lock_request_free(MneLockRequest *request);
/* The user of a request that was granted since; NULL: no more. */
void *mne_lock_table_take_granted(MneLockTable *table);

/* What is held, "write users/alice" on a line each, after `before`: sorted. */
void mne_lock_owner_print(const MneLockOwner *owner, const char *before, GString *to);
/* What it waits for, the same way.  Returns the name of who is in the way: borrowed. */
const char *mne_lock_request_print(const MneLockRequest *request, const char *before,
				   GString *to);

/* For tests: does the first wait for the second, for a lock or behind it? */
bool mne_lock_waits_for(const MneLockOwner *waiter, const MneLockOwner *other);
bool mne_lock_table_is_empty(const MneLockTable *table);
