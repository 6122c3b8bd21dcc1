/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/ckpt.h - what the commands about checkpoints share
 */
#pragma once

#include "cli/cli.h"

/* `.checkpoints/NAME` of the mount, or of a table in it (NULL: none): a new string. */
char *mne_ckpt_path(const char *root, const char *table, const char *name);

/* MNE_EXIT_USAGE, with a sentence, for what no checkpoint can be called. */
MneExit mne_ckpt_must_be_name(const char *name);

/* Its line of checkpoints.json; of a time, too. */
MneExit mne_ckpt_print_json(const char *root, const char *name);

/* Why it was not made: the errno. */
MneExit mne_ckpt_say_make(const char *root, const char *name, int err);
/* Why something could not be done with it ("drop", "pin"). */
MneExit mne_ckpt_say_failed(const char *root, const char *what, const char *name,
			    int err);

/* The fields of its line of checkpoints.json, of a time, too; NULL and errno. */
GHashTable *mne_ckpt_read(const char *root, const char *name);
/* Of such a line, for a column: borrowed from it. */
const char *mne_ckpt_tables_text(GHashTable *object);
const char *mne_ckpt_holders_text(GHashTable *object);
