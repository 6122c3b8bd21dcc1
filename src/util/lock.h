/* SPDX-License-Identifier: Apache-2.0
 *
 * util/lock.h - ranked mutexes
 *
 * A thread takes locks of strictly increasing rank, so never two of one rank.
 * Debug builds (MNE_DEBUG_LOCKS) check that before locking: a wrong order is
 * reported, not merely reached.  On pthread, because ThreadSanitizer cannot see
 * into GMutex.
 */
#pragma once

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

typedef enum {
	MNE_RANK_LISTENER, /* one reader of events, that looks into the past */
	MNE_RANK_COUNTERS, /* steps of counters */
	MNE_RANK_WORK, /* one step of background work at a time */
	MNE_RANK_BARRIER, /* one durable barrier at a time */
	MNE_RANK_GATE, /* every commit; checkpoint creation */
	MNE_RANK_TXN, /* one transaction's staged changes */
	MNE_RANK_CATALOG, /* table names */
	MNE_RANK_TABLE, /* one table's schema and fragment map */
	MNE_RANK_FILE, /* one open file: its uncommitted state */
	MNE_RANK_FILES, /* the set of open files and of names not yet committed */
	MNE_RANK_CKPTS, /* the set of checkpoints */
	MNE_RANK_TALLY, /* what they retain, counted */
	MNE_RANK_INODE, /* the inode table */
	MNE_RANK_CREW, /* the tasks of the crew, and who waits in one */
	MNE_RANK_HANDLE, /* one directory or control handle */
	MNE_RANK_SEGMENT, /* the open blob segment */
	MNE_RANK_ENGINE, /* inside a key-value engine */
	MNE_RANK_READS, /* what one transaction has read; which are open */
	MNE_RANK_LOCKS, /* which of them holds which lock */
	MNE_RANK_FRAGS, /* how the tables are spread; when their files are committed */
	MNE_RANK_QUEUE, /* work queues: notifications */
	MNE_RANK_FEED, /* the events that are told */
	MNE_RANK_LOG, /* the log ring and error counters: innermost */
	MNE_N_RANKS
} MneRank;

typedef struct {
	pthread_mutex_t mutex;
	MneRank rank;
} MneLock;

typedef struct {
	pthread_cond_t cond;
} MneCond;

#define MNE_LOCK_INIT(rank_)                       \
	{                                          \
		PTHREAD_MUTEX_INITIALIZER, (rank_) \
	}

void mne_lock_init(MneLock *lock, MneRank rank);
void mne_lock_clear(MneLock *lock);
void mne_lock(MneLock *lock);
void mne_unlock(MneLock *lock);

/* Debug builds abort when it is not so; release builds do nothing. */
void mne_lock_assert_held(const MneLock *lock);
void mne_lock_assert_none_held(void);

void mne_cond_init(MneCond *cond); /* monotonic clock */
void mne_cond_clear(MneCond *cond);
/* lock is held, given up while waiting, held again on return. */
void mne_cond_wait(MneCond *cond, MneLock *lock);
/* false when the time passed without a signal. */
bool mne_cond_wait_us(MneCond *cond, MneLock *lock, int64_t microseconds);
bool mne_cond_wait_ms(MneCond *cond, MneLock *lock, unsigned milliseconds);
void mne_cond_signal(MneCond *cond);
void mne_cond_broadcast(MneCond *cond);

/* Locked from here to the end of the block. */
static inline MneLock *mne_lock_scoped(MneLock *lock)
{
	mne_lock(lock);
	return lock;
}

static inline void mne_unlock_scoped(MneLock **lock)
{
	mne_unlock(*lock);
}

#define MNE_WITH_LOCK_NAME2(line) with_lock_##line##_
#define MNE_WITH_LOCK_NAME(line)  MNE_WITH_LOCK_NAME2(line)
#define MNE_WITH_LOCK(lock)                                           \
	__attribute__((cleanup(mne_unlock_scoped), unused)) MneLock * \
	MNE_WITH_LOCK_NAME(__LINE__) = mne_lock_scoped(lock)
