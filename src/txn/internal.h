/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/internal.h - the inside of an open store, for the files of txn/ and for check/
 */
#pragma once

#include "ckpt/set.h"
#include "frag/live.h"
#include "kv/kv.h"
#include "record/volume.h"
#include "txn/files.h"
#include "txn/limit.h"
#include "txn/served.h"
#include "txn/space.h"
#include "txn/store.h"
#include "util/lock.h"

#include <pthread.h>

/* The durable barrier: callers that come while one runs share the next (group commit). */
typedef struct {
	MneLock lock;
	MneCond done;
	uint64_t requested, finished; /* tickets */
	bool running;
	int result; /* of the last one */
	_Atomic uint64_t seq; /* commits up to here are durable */
	_Atomic uint64_t count;
} MneBarrier;

/* The background thread. */
typedef struct {
	MneLock lock;
	MneCond wake;
	pthread_t thread;
	_Atomic bool running;
	bool stop;
	bool pending; /* somebody left work: reclaim, orphans, sweep */
} MneWorker;

/* Of background work: see txn/pace.h. */
typedef struct {
	uint64_t seen; /* seq of the last commit that it met */
	int64_t busy_until; /* others are taken to write; monotonic microseconds */
} MnePace;

typedef struct {
	MneLock lock;
	MneCond came, went;
	GQueue queue; /* of MneNotice * */
	bool in_hand; /* the last one taken may still be at work */
	bool served; /* somebody takes them */
	uint64_t put, done;
} MneNotices;

/* How far a split or merge is. */
typedef struct {
	unsigned index; /* in its list of fragments to look through */
	MneKey from; /* where the next batch begins */
} MneSplitAt;

/* The split or merge under way: of who holds `working`, but for what is counted. */
typedef struct {
	_Atomic uint64_t seq; /* of the map that it follows; 0: none */
	MneSplitAt at;
	_Atomic uint64_t moved, seen; /* records of this step */
	_Atomic uint64_t all_moved; /* since the store was opened */
	MneLock lock; /* of what follows */
	GHashTable
		*quiet; /* table id -> MneFragQuiet: since when nothing came or went */
} MneSplit;

struct MneStore {
	MneStoreOptions options;
	MneVolume *volume;
	MneFragModules *modules; /* of hashes; goes after all that use them */
	MneFrags *frags;
	struct MnePolicies *policies; /* see txn/policy.h */
	MneSplit split;
	MneLiveView stored;
	MneServedView live;
	MneCkpts *ckpts;
	MneCkpts *bookmarks;
	MneLock gate; /* one commit at a time; see txn/commit.h */
	_Atomic unsigned closing; /* closes under way: see mne_store_closing() */
	MneKvBatch *batch; /* of the commit that holds the gate */
	MneFiles *files;
	MneLock counters; /* one step at a time */
	MneSpace space;
	MneLimit limit;
	MneBarrier barrier;
	MneLock working; /* held by who does a step of background work */
	MneWorker worker;
	MnePace pace;
	MneNotices notices;
	_Atomic int64_t overload_told; /* when; monotonic microseconds */
	MneFeed *feed; /* of events: see txn/feed.h */
	_Atomic bool failed;
	_Atomic uint64_t commits;
	_Atomic uint64_t orphans; /* that wait to be reaped, roughly */
	MneKey reclaim_from, orphan_from; /* where the last step of each stopped */
	struct MneTxs *txs; /* of the live store: see txn/txstate.h */
	struct MneTx *tx; /* this store is a transaction's; NULL: it is the live one */
	uint64_t sweep_stuck; /* a segment that could not be emptied: not tried again */
};

MneKv *mne_store_kv(MneStore *store);
MneBlobStore *mne_store_blob(MneStore *store);

/* STORE_FAILED after a failed sync. */
int mne_store_require_working(MneStore *store) MNE_CHECKED;

/* The store of a transaction: its staged changes over what its view shows. */
MneStore *mne_store_new_staged(struct MneTx *tx, uint64_t seq);
void mne_store_free_staged(MneStore *store);

/* For repairs only: apply the batch as it stands, retaining nothing. */
int mne_store_apply_raw(MneStore *store, MneKvBatch *batch) MNE_CHECKED;

/* Wake the background thread: there is something to reclaim. */
void mne_store_wake(MneStore *store);
void mne_store_notify(MneStore *store, uint64_t rec);
void mne_store_notify_of(MneStore *store, const MneNotice *notice);
/* A checkpoint was dropped in the background. */
void mne_store_notify_dropped(MneStore *store);

/* txn/linknames.c: what an older mnefs left out. */
int mne_store_add_names(MneStore *store) MNE_CHECKED;

/* txn/work.c */
void mne_worker_start(MneStore *store);
void mne_worker_stop(MneStore *store);

/* txn/rollback.c: finish what was interrupted. */
int mne_rollback_resume(MneStore *store) MNE_CHECKED;

/* One bounded step each, by one thread at a time: 1 when something was done, 0 when nothing
 * is left. */
int mne_reclaim_step(MneStore *store) MNE_CHECKED;
int mne_bookmark_step(MneStore *store) MNE_CHECKED;
int mne_orphan_step(MneStore *store) MNE_CHECKED;
int mne_sweep_step(MneStore *store) MNE_CHECKED;
int mne_split_step(MneStore *store) MNE_CHECKED;
/* Would it do something? */
bool mne_split_is_wanted(MneStore *store);

/* txn/tally.c: read the counts of what is retained; in a store that has none, count. */
int mne_store_load_tally(MneStore *store) MNE_CHECKED;
/* Something was retained in other ways than by commits: count all, and store the counts. */
int mne_store_tally_anew(MneStore *store) MNE_CHECKED;
/* Count anew: all cells there are, as of a tally. */
int mne_store_count_retained(MneStore *store, GArray **out_cells) MNE_CHECKED;

/* Files that were closed but whose commit failed then: try again. */
int mne_files_commit_closed(MneStore *store) MNE_CHECKED;
/* Commit files that have been uncommitted for longer than milliseconds; the first failure,
 * after all were tried. */
int mne_files_commit_old(MneStore *store, int64_t milliseconds);
