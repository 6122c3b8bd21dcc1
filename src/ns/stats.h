/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/stats.h - how many requests came, how long they took, how they failed
 *
 * Requests are numbered by whoever counts; a number without a name is not shown.
 * Threads: all functions, any thread; counting takes no lock.
 */
#pragma once

#include <stdint.h>

#include <glib.h>

typedef struct MneStats MneStats;

/* names[op] for op < n: borrowed for ever; NULL: not shown. */
MneStats *mne_stats_new(const char *const *names, unsigned n);
void mne_stats_free(MneStats *stats);

void mne_stats_request(MneStats *stats, unsigned op, uint64_t nanoseconds);
/* errnum: a positive errno. */
void mne_stats_error(MneStats *stats, int errnum);

/* For people: a table of requests, then the errors. */
void mne_stats_add_text(MneStats *stats, GString *to);
/* In Prometheus' text format. */
void mne_stats_add_metrics(MneStats *stats, GString *to);
