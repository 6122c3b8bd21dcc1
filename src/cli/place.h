/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/place.h - which mount a command is about, and its control files
 */
#pragma once

#include "cli/cli.h"

/* The mount point: of -C, or else the one we stand in.  Says why when it is none. */
MneExit mne_place_find(const MneCli *cli, char **out_root);

/* Does errno say that the daemon of a mount is gone?  ECONNABORTED: while it was asked. */
bool mne_place_is_dead(int err);

/* What a control file holds: a new string, or NULL with errno set. */
char *mne_place_read(const char *root, const char *file);
/* Write a line to a control file: 0, or a negative errno. */
int mne_place_write(const char *root, const char *file, const char *text);
/* The same, and what it answers, read from the same handle: a new string in any case.  After a
 * failure that is why, or empty. */
int mne_place_ask(const char *root, const char *file, const char *text,
		  char **out_answer);
/* The same as read, with a sentence on stderr for a failure. */
MneExit mne_place_must_read(const char *root, const char *file, char **out_text);

/* A hint with the last line of .mnefs/log, which explains the last failure, if it is younger
 * than this process. */
void mne_place_explain(const char *root);

/* A row of the kernel's mount table of type fuse.mnefs. */
typedef struct {
	char *source; /* the store */
	char *root; /* where it is mounted */
} MneMounted;

/* The topmost mount exactly at path; false when none.  Works on a dead mount, too. */
bool mne_mounted_at(const char *path, MneMounted *out);
void mne_mounted_clear(MneMounted *mounted);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneMounted, mne_mounted_clear)

/* path made absolute without looking at its last part, which may be dead. */
char *mne_place_absolute(const char *path);
