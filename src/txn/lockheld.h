/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/lockheld.h - what is held at a resource, and by whom: for txn/locktable.c
 *
 * A resource is a record, a table, or a global name.  An owner has a set of modes at it; a
 * lock of a record takes an intention on its table, which conflicts with locks of the
 * whole table only.  So two locks conflict exactly when their modes do at one resource.
 *
 * Threads: the caller's lock.
 */
#pragma once

#include "txn/locktable.h"

enum {
	MNE_LOCK_READ_IN = 1, /* reads something in the table */
	MNE_LOCK_WRITE_IN = 2,
	MNE_LOCK_READ = 4,
	MNE_LOCK_WRITE = 8,
};

typedef struct {
	MneLockOwner *owner;
	unsigned modes;
} MneLockGrant;

typedef struct {
	char *key; /* "table", "table/record", "/global" */
	GArray *grants; /* of MneLockGrant, one for each owner */
	unsigned refs; /* of grants, and of requests */
} MneLockResource;

struct MneLockTable {
	GHashTable *resources; /* key -> MneLockResource */
	GQueue waiting; /* of MneLockRequest, in the order they came */
	GQueue granted; /* users of requests that were */
	uint64_t owners; /* ever made */
	unsigned n_owners; /* there are */
};

struct MneLockOwner {
	MneLockTable *table; /* borrowed */
	uint64_t born, number;
	char *name;
	GHashTable *held; /* MneLockResource -> its modes */
	MneLockRequest *request; /* that waits, borrowed; or NULL */
};

/* The modes that conflict with one of these. */
unsigned mne_lock_against(unsigned modes);
bool mne_lock_is_older(const MneLockOwner *a, const MneLockOwner *b);

MneLockResource *mne_lock_resource_ref(MneLockTable *table, const char *key);
void mne_lock_resource_unref(MneLockTable *table, MneLockResource *resource);

unsigned mne_lock_held_at(const MneLockOwner *owner, const MneLockResource *resource);
/* Does what it holds there allow all that these would? */
bool mne_lock_is_held(const MneLockOwner *owner, const char *key, unsigned modes);
void mne_lock_hold(MneLockOwner *owner, MneLockResource *resource, unsigned modes);
void mne_lock_release_all(MneLockOwner *owner);

/* "write users/alice" of a key. */
void mne_lock_print(const char *key, bool write, GString *to);
