/* SPDX-License-Identifier: Apache-2.0
 *
 * util/log.h - where messages go
 *
 * GLib's g_log is the API; this installs its writer: stderr or the journal, and a
 * ring of the last lines that `.mnefs/log` shows.  Every message of level MESSAGE
 * and above enters the ring.  MNE_DEBUG=word[=n],word… switches decorators and
 * debugging help on.
 */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

/* Once, before threads start. */
void mne_log_init(void);

/* How much is logged, by Mnesia's names: what matters; also what is going on (INFO); also
 * for developers (DEBUG; -d); also every request. */
typedef enum {
	MNE_LOG_NONE,
	MNE_LOG_VERBOSE,
	MNE_LOG_DEBUG,
	MNE_LOG_TRACE,
} MneLogLevel;
void mne_log_set_level(MneLogLevel level);
bool mne_log_traces(void);

/* Whoever wants to hear each line of the ring as it comes; one for the process, func NULL:
 * nobody.  Called from any thread under any lock but the feed's; must not log.  When this
 * returns, the one before is no longer called. */
typedef void (*MneLogTap)(void *user, GLogLevelFlags level, const char *text);
void mne_log_set_tap(MneLogTap func, void *user);

/* A sentence for the user: into the ring, and to the log as MESSAGE. */
void mne_log_say(const char *format, ...) G_GNUC_PRINTF(1, 2);

/* The ring, oldest first, one line each with its time: a new string. */
char *mne_log_recent(void);

/* Is word in $MNE_DEBUG?  With "=N" behind it, N goes to out_value (may be NULL),
 * otherwise 1. */
bool mne_debug_has(const char *word, uint64_t *out_value);
