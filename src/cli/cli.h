/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cli.h - what every command is given, and how it ends
 *
 * A command is one row of the table in main.c: usage, help, --list-commands and the
 * parser are all driven by it.  A command prints its result on stdout, everything else
 * through cli/say.h on stderr, and returns an exit code.
 */
#pragma once

#include <stdbool.h>

#include <glib.h>

/* Exit codes are an interface: never change one. */
typedef enum {
	MNE_EXIT_OK = 0,
	MNE_EXIT_FAILED = 1,
	MNE_EXIT_USAGE = 2,
	MNE_EXIT_PARTIAL = 3, /* done, but something was left out */
	MNE_EXIT_DIFFERENT = 4, /* check: there were findings */
	MNE_EXIT_NOT_FOUND = 5,
	MNE_EXIT_EXISTS = 6,
	MNE_EXIT_NOT_PERMITTED = 7,
	MNE_EXIT_BUSY = 8,
	MNE_EXIT_NO_SPACE = 9,
	MNE_EXIT_NOT_MOUNTED = 69,
	MNE_EXIT_CONFLICT = 75,
	/* of commands that run another, as env(1) */
	MNE_EXIT_WRAPPER = 125, /* we failed, it was not run */
	MNE_EXIT_NOT_EXECUTABLE = 126,
	MNE_EXIT_NO_COMMAND = 127,
} MneExit;

typedef struct {
	const char *name; /* long name; "" ends a list */
	char letter; /* 0: none */
	const char *value; /* what stands for its value in usage; NULL: a switch */
	const char *sentence;
} MneOption;

typedef struct MneCli MneCli;

typedef struct {
	const char *name; /* "checkpoint create" */
	const char *arguments; /* "[NAME]" */
	unsigned min_words, max_words;
	const char *sentence;
	const MneOption *options; /* never NULL */
	MneExit (*run)(MneCli *cli);
	bool runs_another; /* wrong usage is MNE_EXIT_WRAPPER */
} MneCommand;

typedef struct {
	const MneOption *option;
	const char *value; /* borrowed from argv; NULL for a switch */
} MneOptionUse;

struct MneCli {
	const MneCommand *command;
	const char *program; /* argv[0] */
	char **argv; /* all of it */
	const char *at; /* -C MNT, or NULL: where we are */
	bool json, quiet, verbose;
	bool color; /* stdout and stderr are terminals that like it */
	GPtrArray *words; /* const char *: what follows the verb */
	GArray *uses; /* MneOptionUse, in order */
};

/* The table, ended by a row whose name is NULL; and the options every command has. */
const MneCommand *mne_commands(void);
/* What we are when called by mount(8) as mount.fuse.mnefs: not in the table. */
const MneCommand *mne_mount_helper(void);
const MneOption *mne_global_options(void);

/* Word number i after the verb, or NULL. */
const char *mne_cli_word(const MneCli *cli, unsigned i);
/* Was the option given?  Its last value, or NULL.  All its values (free the array). */
bool mne_cli_has(const MneCli *cli, const char *name);
const char *mne_cli_value(const MneCli *cli, const char *name);
GPtrArray *mne_cli_values(const MneCli *cli, const char *name);

MneExit mne_cmd_mount(MneCli *cli);
MneExit mne_cmd_mount_helper(MneCli *cli);
MneExit mne_cmd_umount(MneCli *cli);
MneExit mne_cmd_init(MneCli *cli);
MneExit mne_cmd_status(MneCli *cli);
MneExit mne_cmd_df(MneCli *cli);
MneExit mne_cmd_check(MneCli *cli);
MneExit mne_cmd_bookmark(MneCli *cli);
MneExit mne_cmd_bookmarks(MneCli *cli);
MneExit mne_cmd_unbookmark(MneCli *cli);
MneExit mne_cmd_changed(MneCli *cli);
MneExit mne_cmd_diff(MneCli *cli);
MneExit mne_cmd_history(MneCli *cli);
MneExit mne_cmd_restore(MneCli *cli);
MneExit mne_cmd_ckpt_create(MneCli *cli);
MneExit mne_cmd_ckpt_list(MneCli *cli);
MneExit mne_cmd_ckpt_show(MneCli *cli);
MneExit mne_cmd_ckpt_drop(MneCli *cli);
MneExit mne_cmd_ckpt_rename(MneCli *cli);
MneExit mne_cmd_counter(MneCli *cli);
MneExit mne_cmd_table_create(MneCli *cli);
MneExit mne_cmd_table_list(MneCli *cli);
MneExit mne_cmd_table_show(MneCli *cli);
MneExit mne_cmd_table_set(MneCli *cli);
MneExit mne_cmd_table_drop(MneCli *cli);
MneExit mne_cmd_table_fragments(MneCli *cli);
MneExit mne_cmd_query(MneCli *cli);
MneExit mne_cmd_watch(MneCli *cli);
MneExit mne_cmd_ckpt_prune(MneCli *cli);
MneExit mne_cmd_ckpt_pin(MneCli *cli);
MneExit mne_cmd_ckpt_unpin(MneCli *cli);
MneExit mne_cmd_ckpt_verify(MneCli *cli);
MneExit mne_cmd_rsync(MneCli *cli);
MneExit mne_cmd_hold(MneCli *cli);
MneExit mne_cmd_at(MneCli *cli);
MneExit mne_cmd_tx(MneCli *cli);
MneExit mne_cmd_hook_list(MneCli *cli);
MneExit mne_cmd_hook_test(MneCli *cli);
MneExit mne_cmd_hook_run(MneCli *cli);
MneExit mne_cmd_rollback(MneCli *cli);
MneExit mne_cmd_version(MneCli *cli);
MneExit mne_cmd_help(MneCli *cli);
