/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/suggest.h - the nearest word to a mistyped one
 */
#pragma once

#include "cli/cli.h"

/* Insertions, deletions, replacements and swaps of neighbours that turn a into b. */
unsigned mne_edit_distance(const char *a, const char *b);

/* A new string, or NULL when nothing is near. */
char *mne_suggest_command(const char *given);
/* given with its dashes; command may be NULL. */
char *mne_suggest_option(const MneCommand *command, const char *given);
/* Among words, an array of count strings; borrowed from there. */
const char *mne_suggest_word(const char *const *words, size_t count, const char *given);
