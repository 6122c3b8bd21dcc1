/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/store.h - an open store: what a mount, a check or a command holds
 *
 * A store is a directory: `kv/` (LevelDB), `blob/` (segments), `LOCK` (who has it open),
 * `MNEFS` (what it is, format version).  One process opens it at a time.
 *
 * All changes go through the functions of txn/ (names.h, attr.h, file.h, and those below);
 * all of them are durable after the next barrier: mne_store_barrier(), every few seconds in
 * the background as opened, or at once with sync=commit … see MneStoreOptions.
 */
#pragma once

#include "ckpt/ckpt.h"
#include "txn/feed.h"
#include "view/view.h"

#include <stdatomic.h>
#include <sys/statvfs.h>

typedef struct MneStore MneStore;

enum { MNE_SYNC_COMMIT = 0, MNE_SYNC_OFF = -1 };

typedef struct {
	bool create; /* make it in an absent or empty directory */
	bool read_only; /* no change of any kind, not even recovery */
	int sync_seconds; /* background barrier every so many seconds (default 5);
			   * MNE_SYNC_COMMIT: every commit is durable when it returns;
			   * MNE_SYNC_OFF: only at fsync and unmount */
	unsigned
		commit_seconds; /* an open file's changes are committed after so long (30) */
	uint64_t history_bytes; /* limit of what checkpoints keep; 0: none */
	unsigned history_percent; /* … in percent of the disk; 0: as above */
	bool full_drops; /* when full, the oldest checkpoint gives way */
	const char *hash_modules; /* directory of hash modules; NULL: none but those
				   * built in.  Borrowed until the store is open */
	bool in_memory; /* tests: the memory engine instead of LevelDB */
	bool salvage; /* for repairs, as in MneVolumeOptions */
	bool rebuild;
	bool no_background; /* tests, check: no threads; mne_store_work() by hand */
} MneStoreOptions;

#define MNE_STORE_OPTIONS_DEFAULT                             \
	((MneStoreOptions){ .hash_modules = MNE_HASH_MODULES, \
			    .sync_seconds = 5,                \
			    .commit_seconds = 30 })

/* Make an empty store in directory path (absent or empty). */
int mne_store_init(const char *path) MNE_CHECKED;

/* Fails with STORE_ABSENT, STORE_FOREIGN, STORE_HALF, STORE_NEWER, STORE_LOCKED, STORE_READONLY,
 * each with a sentence (mne_err_sentence). */
int mne_store_open(const char *path, const MneStoreOptions *options,
		   MneStore **out_store) MNE_CHECKED;

/* A close of files begins, or ends.  Its process may have gone on before, and what it changed
 * since may be committed already; so a checkpoint, a rollback and a transaction begin while
 * no close is under way. */
void mne_store_closing(MneStore *store, bool begins);

/* It will be closed without further ado: who wants it next may wait. */
void mne_store_leave(MneStore *store);

/* Commits what is uncommitted, makes everything durable, ends the threads. */
void mne_store_close(MneStore *store);

/* The tables as they are, committed; a file being written is seen through txn/file.h. */
MneView *mne_store_live(MneStore *store);
/* Commits up to this one were made before a repair, which may have changed what they left:
 * what changed since any of them is not known.  0: there was none. */
uint64_t mne_store_mended(const MneStore *store);
MneCkpts *mne_store_ckpts(MneStore *store);
MneCkpts *mne_store_bookmarks(MneStore *store);
struct MneFrags *mne_store_frags(MneStore *store);

/* Was the last stop unclean (the caller may want to run the check passes)? */
bool mne_store_was_unclean(const MneStore *store);

/* Everything committed before the call survives power loss on return; concurrent callers
 * share one barrier. */
int mne_store_barrier(MneStore *store) MNE_CHECKED;
/* Commit every uncommitted file, then barrier. */
int mne_store_sync(MneStore *store) MNE_CHECKED;

/* Activate a checkpoint.  Durable on return.  CKPT_EXISTS, CKPT_NAME, CKPT_NOTE, NO_TABLE,
 * CKPT_NO_TABLES, CKPT_TWICE, -ENAMETOOLONG. */
int mne_store_checkpoint(MneStore *store, const MneCkptSpec *spec, MneCkpt **out_ckpt)
	MNE_CHECKED;
/* Deactivate: O(1); space comes back in the background.  CKPT_PINNED and CKPT_HELD,
 * which force does not mind. */
int mne_store_drop(MneStore *store, MneSlice name) MNE_CHECKED;
int mne_store_drop_by_force(MneStore *store, MneSlice name) MNE_CHECKED;
/* -EEXIST (CKPT_EXISTS) when `to` is taken. */
int mne_store_rename_ckpt(MneStore *store, MneSlice from, MneSlice to) MNE_CHECKED;

enum {
	MNE_CKPT_SET_PINNED = 1,
	MNE_CKPT_SET_EXPIRES = 2,
	MNE_CKPT_SET_NOTE = 4,
};
typedef struct {
	unsigned set; /* of these */
	MneCkptTraits traits; /* note is borrowed */
} MneCkptChange;
/* NO_CKPT, CKPT_NOTE. */
int mne_store_change_ckpt(MneStore *store, MneSlice name, const MneCkptChange *change)
	MNE_CHECKED;

/* Table facts. */
typedef struct {
	uint32_t id;
	uint64_t dir; /* dir id of its root directory */
	uint64_t cookie;
	uint64_t version;
	uint64_t records;
	char name[256];
} MneTableInfo;
/* All live tables by name: an array of MneTableInfo. */
int mne_store_tables(MneStore *store, GArray **out_tables) MNE_CHECKED;

typedef struct {
	uint64_t seq; /* last commit */
	uint64_t commits, barriers; /* since open */
	uint64_t records; /* entries at the top of all tables */
	uint64_t tables;
	uint64_t open_files, uncommitted;
	uint64_t reclaim_backlog; /* checkpoints and orphans still to reclaim */
	uint64_t moving_tables; /* those that get or lose a fragment */
	uint64_t moved_records; /* between fragments, since open */
	uint64_t live_bytes, blob_bytes, kv_bytes; /* payload alive, files on disk */
	uint64_t free_bytes; /* writable before ENOSPC */
	uint64_t history_limit; /* of what checkpoints keep; 0: none */
	uint64_t last_barrier_seq;
	bool failed; /* read-only after a failed sync */
} MneStoreStats;
void mne_store_stats(MneStore *store, MneStoreStats *out);
/* Of the engine, for people: a new string. */
char *mne_store_engine_stats(MneStore *store);
const char *mne_store_path(const MneStore *store);
const MneStoreOptions *mne_store_options(const MneStore *store);
uint64_t mne_store_cookie(const MneStore *store);

uint64_t mne_store_history_limit(const MneStore *store);
int mne_store_statvfs(MneStore *store, struct statvfs *out) MNE_CHECKED;

/* What changed behind the kernel's back: the notify thread takes these one by one. */
typedef struct {
	uint64_t rec; /* live record whose attributes changed; 0: none */
	bool bytes; /* and what it holds */
	uint64_t
		dir; /* what stands at name in this directory changed; 0: nothing does */
	bool dropped; /* a checkpoint was, by nobody's request */
	uint64_t now; /* record that stands there now; 0: none, or it did not move */
	uint8_t name_len;
	uint8_t name[255];
} MneNotice;
/* Events: see txn/feed.h.  A reader hears of the commits after since, or, where that is not
 * kept, of those from now on: *out_from is the seq after which it hears everything. */
MneFeedReader *mne_store_subscribe(MneStore *store, const MneFeedFilter *filter,
				   uint64_t since, uint64_t *out_from);
/* A system event; members: more JSON, such as ",\"a\":1". */
void mne_store_tell(MneStore *store, const char *event, const char *members);
/* No events come any more: whoever reads them finds the end. */
void mne_store_end_events(MneStore *store);

/* Waits up to milliseconds; false: none came. */
/* From now on somebody takes notices; or no longer. */
void mne_store_serve_notices(MneStore *store, bool on);
/* Many of them: waits while too many wait to be taken.  No lock may be held. */
void mne_store_notify_patiently(MneStore *store, const MneNotice *notice);
/* Waits until all that were given have been seen to. */
void mne_store_await_notices(MneStore *store);
/* A notice of nothing wakes who waits. */
void mne_store_wake_notices(MneStore *store);
bool mne_store_next_notice(MneStore *store, unsigned milliseconds, MneNotice *out);

/* One round of background work by hand (reclaim, orphans, sweep): true while there is more. */
bool mne_store_work(MneStore *store);
