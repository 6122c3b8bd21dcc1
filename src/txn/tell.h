/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tell.h - commits as events: see txn/feed.h
 *
 * A record that is written or made is a "write", with "created" when nothing stood there;
 * one that goes is a "delete"; a rename is a delete and a write of one commit.  Of a key
 * that a commit changes several times the last change counts.  The times of a directory
 * in which names come and go are no event of their own.
 */
#pragma once

#include "txn/commit.h"

typedef struct MneTelling MneTelling;

/* Before the batch changes key to value (data NULL: deletes it): note it, if anybody
 * listens.  *io_telling is made at need. */
int mne_tell_note(MneStore *store, MneTelling **io_telling, MneSlice key,
		  MneSlice value) MNE_CHECKED;
/* The batch was applied, and the gate is still held.  by: more members of each event, such
 * as ",\"tx\":\"J\""; or NULL. */
void mne_tell_all(MneStore *store, const MneTelling *telling, uint64_t seq,
		  const char *by);
void mne_telling_free(MneTelling *telling);

/* Something that writers wait for took so long, in milliseconds: an "overload" when that is
 * more than `limit`, but not more often than every few seconds. */
void mne_tell_overload(MneStore *store, const char *what, int64_t took, int64_t limit);
