/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/main.c - the command table
 *
 * Usage, help, --list-commands, the parser and the tests of manual and completion all
 * read this table: it cannot drift from itself.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/args.h"
#include "cli/cli.h"
#include "cli/say.h"
#include "cli/usage.h"
#include "util/log.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define NO_MORE                   \
	{                         \
		"", 0, NULL, NULL \
	}

static const MneOption global_options[] = {
	{ "at", 'C', "MNT", "the mount to work on; else the one we stand in" },
	{ "json", 0, NULL, "print JSON: one object, or one object a line" },
	{ "quiet", 'q', NULL, "say only what went wrong" },
	{ "verbose", 'v', NULL, "say more" },
	{ "no-color", 0, NULL, "plain text, as with NO_COLOR set or TERM=dumb" },
	{ "help", 'h', NULL, "show help" },
	{ "version", 'V', NULL, "show the version" },
	{ "list-commands", 0, NULL, "list commands and options, for completion" },
	NO_MORE,
};

static const MneOption no_options[] = { NO_MORE };

static const MneOption mount_options[] = {
	{ "options", 'o', "OPT,...", "mount options; see mnefs(1)" },
	{ "foreground", 'f', NULL, "stay in the foreground" },
	{ "debug", 'd', NULL, "log every request; stay in the foreground" },
	{ "single", 's', NULL, "one thread" },
	NO_MORE,
};

/* As mount(8) calls its helpers. */
static const MneOption helper_options[] = {
	{ "options", 'o', "OPT,...", "mount options" },
	{ "fake", 'f', NULL, "do everything but mount" },
	{ "no-mtab", 'n', NULL, "ignored" },
	{ "sloppy", 's', NULL, "ignored" },
	{ "namespace", 'N', "NS", "ignored" },
	{ "type", 't', "TYPE", "ignored" },
	NO_MORE,
};

static const MneCommand helper = {
	"mount",        "STORE MNT",         2, 2, "Mount, for mount(8)",
	helper_options, mne_cmd_mount_helper
};

static const MneOption check_options[] = {
	{ "repair", 0, NULL, "mend what can be mended" },
	{ "fast", 0, NULL, "do not read the files' bytes" },
	{ "hash-modules", 0, "DIR", "where hash modules are" },
	NO_MORE,
};

static const MneOption create_options[] = {
	{ "table", 't', "TABLE", "cover this table only; may be repeated" },
	{ "pin", 0, NULL, "nobody drops it before it is unpinned" },
	{ "note", 0, "TEXT", "a line about it" },
	{ "expires", 0, "WHEN", "when it may go: 7d, 2026-12-31, never" },
	{ "min", 0, "TABLE", "as --table: one copy of what is retained" },
	{ "max", 0, "TABLE", "cover it, with a copy on every node" },
	{ "refuse", 0, NULL, "not while a transaction is open" },
	{ "wait", 0, NULL, "first wait for the transactions that are open now" },
	{ "ram-overrides-dump", 0, "yes|no", "no: tables in memory as last dumped" },
	{ "allow-remote", 0, "yes|no", "no: every table must have a copy here" },
	NO_MORE,
};

static const MneOption drop_options[] = {
	{ "dry-run", 'n', NULL, "say what would be dropped" },
	{ "force", 'f', NULL, "even if it is held or pinned" },
	NO_MORE,
};

static const MneOption counter_options[] = {
	{ "signed", 0, NULL, "it may become negative; else it stops at 0" },
	NO_MORE,
};

static const MneOption watch_options[] = {
	{ "since", 0, "SEQ", "from the commit after that on" },
	{ "detailed", 0, NULL, "with the versions before and after" },
	NO_MORE,
};

static const MneOption prune_options[] = {
	{ "keep-last", 0, "N", "keep the newest N" },
	{ "keep-hourly", 0, "N", "of each of the last N hours, the newest" },
	{ "keep-daily", 0, "N", "of each of the last N days, the newest" },
	{ "keep-weekly", 0, "N", "of each of the last N weeks, the newest" },
	{ "keep-monthly", 0, "N", "of each of the last N months, the newest" },
	{ "keep-yearly", 0, "N", "of each of the last N years, the newest" },
	{ "dry-run", 'n', NULL, "say what would be dropped, and what kept, and why" },
	NO_MORE,
};

static const MneOption rsync_options[] = {
	{ "jobs", 'j', "N", "run so many rsync at once" },
	{ "since", 0, "NAME", "copy what changed since this checkpoint or bookmark" },
	{ "verify", 0, NULL, "compare all bytes of the copy afterwards" },
	NO_MORE,
};

static const MneOption rollback_options[] = {
	{ "table", 't', "TABLE", "roll this table back only; may be repeated" },
	{ "dry-run", 'n', NULL, "say what would be done" },
	NO_MORE,
};

static const MneOption bookmark_options[] = {
	{ "force", 'f', NULL, "move a bookmark of that name here" },
	NO_MORE,
};

static const MneOption changed_options[] = {
	{ "null", '0', NULL, "end each path with a NUL" },
	{ "deleted", 0, NULL, "only what is no longer there" },
	{ "existing", 0, NULL, "only what is there" },
	NO_MORE,
};

static const MneOption diff_options[] = {
	{ "stat", 0, NULL, "only how many, table by table" },
	{ "exit-code", 0, NULL, "exit with 4 when there are differences" },
	NO_MORE,
};

static const MneOption restore_options[] = {
	{ "from", 0, "C", "as it was in checkpoint C; else the newest other version" },
	{ "to", 0, "DIR", "into DIR, and not to where it was" },
	{ "dry-run", 'n', NULL, "say what would be restored, and from where" },
	NO_MORE,
};

static const MneOption table_create_options[] = {
	{ "fragments", 0, "N", "as many from the start, or auto:RECORDS" },
	{ "listing", 0, "WHAT", "list fragments (default), or records" },
	{ "commit", 0, "WHEN",
	  "commit files at close (default), at each write, or after seconds" },
	{ "hash", 0, "MODULE", "phash2 (default), keyed, or a module of your own" },
	{ "hash-arg", 0, "WORD", "what the module is told" },
	NO_MORE,
};

static const MneOption fragments_options[] = {
	{ "wait", 'w', NULL, "until there are as many, showing how far it is" },
	NO_MORE,
};

static const MneOption query_options[] = {
	{ "name", 'n', "GLOB", "names that match: * ? [abc]" },
	{ "from", 0, "NAME", "names from this one on" },
	{ "before", 0, "NAME", "names before this one" },
	{ "limit", 0, "N", "so many at most" },
	{ "null", 0, NULL, "end each name with a NUL" },
	NO_MORE,
};

static const MneOption tx_options[] = {
	{ "retries", 0, "N", "after a conflict, run it again so often (10)" },
	{ "dry-run", 'n', NULL, "show what it changes, and do not commit" },
	{ "ask", 0, NULL, "show what it changes, and ask before it is committed" },
	{ "sync", 0, NULL, "durable when it returns" },
	{ "lock", 0, "LOCK",
	  "first take a lock, such as 'write users/alice'; again for more" },
	{ "lock-timeout", 0, "SECONDS", "wait for a lock that long; 0: for ever" },
	{ "name", 0, "TEXT", "what it is called in events and in the log" },
	{ "kind", 0, "KIND",
	  "transaction, sync_transaction, async_dirty or sync_dirty" },
	NO_MORE,
};

enum { MANY = 10000 };

static const MneCommand commands[] = {
	{ "mount", "STORE MNT", 2, 2, "Mount a store (the word mount may be left out)",
	  mount_options, mne_cmd_mount },
	{ "umount", "[MNT]", 0, 1, "Unmount, and wait until the store is released",
	  no_options, mne_cmd_umount },
	{ "init", "STORE", 1, 1, "Make an empty store in an absent or empty directory",
	  no_options, mne_cmd_init },
	{ "status", "", 0, 0, "Show what is mounted, and how it does", no_options,
	  mne_cmd_status },
	{ "df", "", 0, 0, "Show the space used and free", no_options, mne_cmd_df },
	{ "checkpoint create", "[NAME]", 0, 1,
	  "Freeze this moment of all tables; without NAME it is named by the time",
	  create_options, mne_cmd_ckpt_create },
	{ "checkpoint list", "", 0, 0, "List the checkpoints, oldest first", no_options,
	  mne_cmd_ckpt_list },
	{ "checkpoint show", "NAME", 1, 1, "Show one checkpoint", no_options,
	  mne_cmd_ckpt_show },
	{ "checkpoint drop", "NAME...", 1, MANY, "Give checkpoints up", drop_options,
	  mne_cmd_ckpt_drop },
	{ "checkpoint rename", "OLD NEW", 2, 2, "Give a checkpoint another name",
	  no_options, mne_cmd_ckpt_rename },
	{ "counter", "TABLE/RECORD [+N|-N]", 1, 2,
	  "Add to a record that is a number, as one step, and show it", counter_options,
	  mne_cmd_counter },
	{ "table create", "NAME", 1, 1, "Make a table", table_create_options,
	  mne_cmd_table_create },
	{ "table list", "", 0, 0, "List the tables", no_options, mne_cmd_table_list },
	{ "table show", "NAME", 1, 1, "Show how a table's records are spread",
	  no_options, mne_cmd_table_show },
	{ "table set", "NAME PROPERTY VALUE", 3, 3,
	  "Set fragments, listing, hash or commit of a table", no_options,
	  mne_cmd_table_set },
	{ "table drop", "NAME", 1, 1, "Drop an empty table", no_options,
	  mne_cmd_table_drop },
	{ "table fragments", "NAME [N|+N|-N|auto:RECORDS]", 1, 2,
	  "Show or change how many fragments a table has", fragments_options,
	  mne_cmd_table_fragments },
	{ "query", "TABLE", 1, 1, "List the names of a table that match", query_options,
	  mne_cmd_query },
	{ "watch", "[TABLE...]", 0, MANY, "Show what happens, as it happens",
	  watch_options, mne_cmd_watch },
	{ "checkpoint prune", "", 0, 0,
	  "Drop all checkpoints but those that the rules keep", prune_options,
	  mne_cmd_ckpt_prune },
	{ "checkpoint pin", "NAME...", 1, MANY, "Keep checkpoints from being dropped",
	  no_options, mne_cmd_ckpt_pin },
	{ "checkpoint unpin", "NAME...", 1, MANY, "Take the pins back", no_options,
	  mne_cmd_ckpt_unpin },
	{ "checkpoint verify", "NAME", 1, 1,
	  "Read all of a checkpoint, and check all its checksums", no_options,
	  mne_cmd_ckpt_verify },
	{ "rsync", "NAME DEST [-- RSYNC-OPTION...]", 2, MANY,
	  "Copy a checkpoint with rsync, and hold it meanwhile", rsync_options,
	  mne_cmd_rsync },
	{ "hold", "NAME -- COMMAND...", 2, MANY,
	  "Run a command; meanwhile the checkpoint is not dropped", no_options,
	  mne_cmd_hold, true },
	{ "at", "NAME -- COMMAND...", 2, MANY,
	  "Run a command that sees the mount as it was at a checkpoint, or a time",
	  no_options, mne_cmd_at, true },
	{ "rollback", "NAME", 1, 1, "Make tables again what they were at a checkpoint",
	  rollback_options, mne_cmd_rollback },
	{ "hook list", "", 0, 0, "List what is told of checkpoints, in order",
	  no_options, mne_cmd_hook_list },
	{ "hook test", "[HOOK]", 0, 1, "Call hooks as for a checkpoint, without one",
	  no_options, mne_cmd_hook_test },
	{ "hook run", "HOOK prepare|after NAME [ok|failed|rolledback]", 3, 4,
	  "Call one hook by hand", no_options, mne_cmd_hook_run },
	{ "checkpoint bookmark", "C [NAME]", 1, 2,
	  "Mark the moment of checkpoint C, for lists of what changed since",
	  bookmark_options, mne_cmd_bookmark },
	{ "checkpoint bookmarks", "", 0, 0, "List the bookmarks, oldest moment first",
	  no_options, mne_cmd_bookmarks },
	{ "checkpoint unbookmark", "NAME...", 1, MANY, "Give bookmarks up", no_options,
	  mne_cmd_unbookmark },
	{ "changed", "A [B]", 1, 2,
	  "List the paths that changed from checkpoint A to B, or to what is live",
	  changed_options, mne_cmd_changed },
	{ "diff", "A [B] [PATH]", 1, 3,
	  "Show what was made, changed, renamed and deleted since checkpoint A",
	  diff_options, mne_cmd_diff },
	{ "history", "PATH", 1, 1, "List the versions of a record", no_options,
	  mne_cmd_history },
	{ "restore", "PATH...", 1, MANY, "Bring records back as they were",
	  restore_options, mne_cmd_restore },
	{ "tx", "-- COMMAND...", 1, MANY,
	  "Run a command in a transaction: all that it changes, or nothing", tx_options,
	  mne_cmd_tx, true },
	{ "check", "STORE", 1, 1, "Verify a store that is not mounted", check_options,
	  mne_cmd_check },
	{ "version", "", 0, 0, "Show the version", no_options, mne_cmd_version },
	{ "help", "[COMMAND|TOPIC]", 0, 2,
	  "Explain a command, or one of: paths, errors, recipes", no_options,
	  mne_cmd_help },
	{ NULL, NULL, 0, 0, NULL, no_options, NULL },
};

const MneCommand *mne_commands(void)
{
	return commands;
}

const MneCommand *mne_mount_helper(void)
{
	return &helper;
}

const MneOption *mne_global_options(void)
{
	return global_options;
}

static bool wants_color(void)
{
	const char *term = g_getenv("TERM");
	const char *no_color = g_getenv("NO_COLOR");

	return isatty(STDOUT_FILENO) && !(no_color && *no_color) && term && *term &&
	       strcmp(term, "dumb") != 0;
}

static MneExit run(MneCli *cli, int argc, char **argv)
{
	switch (mne_args_parse(cli, argc, argv)) {
	case MNE_ARGS_RUN: return cli->command->run(cli);
	case MNE_ARGS_VERSION: return mne_cmd_version(cli);
	case MNE_ARGS_LIST: mne_usage_list(); return MNE_EXIT_OK;
	case MNE_ARGS_WRONG:
		return cli->command && cli->command->runs_another ? MNE_EXIT_WRAPPER
								  : MNE_EXIT_USAGE;
	case MNE_ARGS_HELP: break;
	}
	if (cli->command)
		mne_usage_command(cli->command);
	else
		mne_usage_full();
	return MNE_EXIT_OK;
}

int main(int argc, char **argv)
{
	MneCli cli = { .color = wants_color() };
	MneExit status;

	mne_log_init();
	status = run(&cli, argc, argv);
	mne_args_clear(&cli);
	if (fflush(stdout) != 0 || ferror(stdout)) {
		mne_say_error("cannot write the result: %s", g_strerror(errno));
		return MNE_EXIT_FAILED;
	}
	return status;
}
