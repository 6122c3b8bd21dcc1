/* SPDX-License-Identifier: Apache-2.0
 *
 * util/lock.c - ranked mutexes
 *
 * In debug builds every thread keeps what it holds, by rank: at most one lock of each.
 * The order is checked before a lock is tried, so that a wrong order is reported
 * by the first thread that uses it, whether or not another stands in the way.
 * What is wrong is said on stderr, past the log, because the log takes a lock, too.
 */
#define G_LOG_DOMAIN "mne-util"

#include "config.h"

#include "util/lock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include <glib.h>

/* pthread fails only where we misuse it. */
static void must(int err)
{
	g_assert(err == 0);
}

#ifdef MNE_DEBUG_LOCKS

static _Thread_local const MneLock *held[MNE_N_RANKS]; /* NOLINT */

static G_GNUC_NORETURN void complain(const char *what, MneRank rank)
{
	fprintf(stderr, "mnefs: lock order: %s rank %u, holding", what, (unsigned)rank);
	for (unsigned i = 0; i < MNE_N_RANKS; i++)
		if (held[i])
			fprintf(stderr, " %u", i);
	fputs("\n", stderr);
	abort();
}

static void note_taking(const MneLock *lock)
{
	for (unsigned i = lock->rank; i < MNE_N_RANKS; i++)
		if (held[i])
			complain("taking", lock->rank);
	held[lock->rank] = lock;
}

static void note_giving(const MneLock *lock)
{
	mne_lock_assert_held(lock);
	held[lock->rank] = NULL;
}

void mne_lock_assert_held(const MneLock *lock)
{
	if (held[lock->rank] != lock)
		complain("not held:", lock->rank);
}

void mne_lock_assert_none_held(void)
{
	for (unsigned i = 0; i < MNE_N_RANKS; i++)
		if (held[i])
			complain("none may be held, but", (MneRank)i);
}

#else

static void note_taking(const MneLock *lock)
{
	(void)lock;
}

static void note_giving(const MneLock *lock)
{
	(void)lock;
}

void mne_lock_assert_held(const MneLock *lock)
{
	(void)lock;
}

void mne_lock_assert_none_held(void)
{
}

#endif

void mne_lock_init(MneLock *lock, MneRank rank)
{
	g_assert(rank < MNE_N_RANKS);
	must(pthread_mutex_init(&lock->mutex, NULL));
	lock->rank = rank;
}

void mne_lock_clear(MneLock *lock)
{
	must(pthread_mutex_destroy(&lock->mutex));
}

void mne_lock(MneLock *lock)
{
	note_taking(lock);
	must(pthread_mutex_lock(&lock->mutex));
}

void mne_unlock(MneLock *lock)
{
	note_giving(lock);
	must(pthread_mutex_unlock(&lock->mutex));
}

void mne_cond_init(MneCond *cond)
{
	pthread_condattr_t attr;

	must(pthread_condattr_init(&attr));
	must(pthread_condattr_setclock(&attr, CLOCK_MONOTONIC));
	must(pthread_cond_init(&cond->cond, &attr));
	must(pthread_condattr_destroy(&attr));
}

void mne_cond_clear(MneCond *cond)
{
	must(pthread_cond_destroy(&cond->cond));
}

void mne_cond_wait(MneCond *cond, MneLock *lock)
{
	mne_lock_assert_held(lock);
	must(pthread_cond_wait(&cond->cond, &lock->mutex));
}

bool mne_cond_wait_us(MneCond *cond, MneLock *lock, int64_t microseconds)
{
	struct timespec until;
	int err;

	mne_lock_assert_held(lock);
	must(clock_gettime(CLOCK_MONOTONIC, &until));
	until.tv_sec += microseconds / G_USEC_PER_SEC;
	until.tv_nsec += (long)(microseconds % G_USEC_PER_SEC) * 1000;
	if (until.tv_nsec >= 1000000000) {
		until.tv_sec++;
		until.tv_nsec -= 1000000000;
	}

	err = pthread_cond_timedwait(&cond->cond, &lock->mutex, &until);
	if (err == ETIMEDOUT)
		return false;
	must(err);
	return true;
}

bool mne_cond_wait_ms(MneCond *cond, MneLock *lock, unsigned milliseconds)
{
	return mne_cond_wait_us(cond, lock, (int64_t)milliseconds * 1000);
}

void mne_cond_signal(MneCond *cond)
{
	must(pthread_cond_signal(&cond->cond));
}

void mne_cond_broadcast(MneCond *cond)
{
	must(pthread_cond_broadcast(&cond->cond));
}
