/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/say.h - messages for people, and numbers as people read them
 *
 * A message is "mnefs: what happened", and below it, where that helps, what to do.
 */
#pragma once

#include "cli/cli.h"

#include <stdint.h>
#include <stdio.h>

void mne_say_error(const char *format, ...) G_GNUC_PRINTF(1, 2);
void mne_say_hint(const char *format, ...) G_GNUC_PRINTF(1, 2);
/* Not with --quiet; only with --verbose. */
void mne_say_note(const MneCli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);
void mne_say_detail(const MneCli *cli, const char *format, ...) G_GNUC_PRINTF(2, 3);

/* The exit code for an errno, whatever its sign, or for a private error code. */
MneExit mne_exit_of(int err);

/* New strings. */
char *mne_text_count(uint64_t number); /* 88,120,412 */
char *mne_text_size(uint64_t bytes); /* 9.8 GiB */
char *mne_text_duration(int64_t seconds); /* 3d 4h */
char *mne_text_ago(int64_t seconds); /* 2 days ago */
char *mne_text_in(int64_t seconds); /* in 5d; due */
char *mne_text_utc(int64_t seconds); /* 2026-11-19 03:00:07Z */

/* Columns: every row is an array of `columns` strings; the first row is the heading. */
typedef struct MneColumns MneColumns;
/* align: one letter a column, 'l' or 'r'. */
MneColumns *mne_columns_new(const MneCli *cli, const char *align);
/* As many strings as there are columns, then NULL. */
void mne_columns_add(MneColumns *table, const char *first, ...) G_GNUC_NULL_TERMINATED;
/* Prints and frees. */
void mne_columns_print(MneColumns *take_table);
