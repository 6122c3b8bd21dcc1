/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_tx.c - mnefs tx: run a command in a transaction, or as a dirty activity
 *
 * The command runs in a mount namespace of its own, in which the transaction stands over the
 * mount: it works at the paths it knows.  We stay outside, own the transaction, and commit
 * it when the command ends with 0.  A conflict runs the command again, and so does a lock
 * that an older transaction has.
 *
 * A dirty activity is the command alone.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/say.h"
#include "cli/tx_dir.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_RETRIES 10u
#define MAX_RETRIES     1000000u

typedef enum {
	KIND_TRANSACTION,
	KIND_SYNC_TRANSACTION,
	KIND_ASYNC_DIRTY,
	KIND_SYNC_DIRTY,
	N_KINDS,
} Kind;

static const char *const kind_names[] = {
	[KIND_TRANSACTION] = "transaction",
	[KIND_SYNC_TRANSACTION] = "sync_transaction",
	[KIND_ASYNC_DIRTY] = "async_dirty",
	[KIND_SYNC_DIRTY] = "sync_dirty",
};

typedef struct {
	MneCli *cli;
	char *root, *here;
	Kind kind;
	unsigned retries;
} Activity;

static void activity_clear(Activity *activity)
{
	g_free(activity->root);
	g_free(activity->here);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Activity, activity_clear)

/* From when the command runs until all is done, ^C is for the command to decide about. */
static void set_interruptible(bool may_be)
{
	signal(SIGINT, may_be ? SIG_DFL : SIG_IGN);
	signal(SIGQUIT, may_be ? SIG_DFL : SIG_IGN);
}

/* ---- the command ---- */

/* In the child; does not return.  path: of the transaction, or NULL. */
static G_GNUC_NORETURN void run_command(const Activity *activity, const char *path)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *command = mne_cli_word(activity->cli, 0);

	for (unsigned i = 0; i < activity->cli->words->len; i++)
		g_ptr_array_add(words, g_ptr_array_index(activity->cli->words, i));
	g_ptr_array_add(words, NULL);
	if (path &&
	    mne_private_bind(path, activity->root, activity->here) != MNE_EXIT_OK)
		_exit(MNE_EXIT_WRAPPER);
	set_interruptible(true);
	execvp(command, (char **)words->pdata);
	mne_say_error("%s: %s", command, g_strerror(errno));
	_exit(errno == ENOENT ? MNE_EXIT_NO_COMMAND : MNE_EXIT_NOT_EXECUTABLE);
}

static int failed(const char *what)
{
	mne_say_error("%s: %s", what, g_strerror(errno));
	return MNE_EXIT_WRAPPER;
}

static int await(pid_t child)
{
	int status = 0;

	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return failed("wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* The command's status, as a shell says it. */
static int run(const Activity *activity, const char *path)
{
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		run_command(activity, path);
	return child < 0 ? failed("fork") : await(child);
}

/* ---- dirty activities ---- */

/* Durable is what stands there when it returns, whatever the command's status.  (syncfs()
 * does not come as far as to a FUSE filesystem.) */
static int run_dirty(const Activity *activity)
{
	int status, fd, err;

	set_interruptible(false);
	status = run(activity, NULL);
	if (activity->kind != KIND_SYNC_DIRTY)
		return status;
	fd = open(activity->root, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	err = fd < 0 || fsync(fd) < 0 ? failed("cannot make it durable") : 0;
	if (fd >= 0)
		close(fd);
	return err != 0 ? err : status;
}

/* ---- transactions ---- */

static bool print_changes(const MneTxDir *tx)
{
	g_autofree char *text = mne_tx_dir_changes(tx);

	if (!text)
		return false;
	fputs(text, stdout);
	fflush(stdout);
	return *text != '\0';
}

static bool is_wanted(const MneTxDir *tx)
{
	char line[16] = "";
	bool is_yes;

	if (!print_changes(tx))
		return true;
	fputs("mnefs: commit this? [y/N] ", stderr);
	set_interruptible(true);
	is_yes = fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
	set_interruptible(false);
	return is_yes;
}

static void wait_a_little(unsigned try)
{
	g_usleep((gulong)g_random_int_range(1000, 1000 + 5000 * (int)MIN(try, 20u)));
}

static int commit(const Activity *activity, MneTxDir *tx, unsigned try)
{
	bool durable = activity->kind == KIND_SYNC_TRANSACTION;
	g_autofree char *answer = NULL;
	int err = mne_tx_dir_tell(tx, durable ? "commit sync" : "commit", &answer);

	if (err == 0) {
		mne_say_note(activity->cli, "%s",
			     g_str_has_prefix(answer, "committed 0 ")
				     ? "nothing changed"
				     : answer);
		return MNE_EXIT_OK;
	}
	if (err == ECANCELED) {
		(void)mne_tx_dir_has_failed(tx);
		mne_say_note(activity->cli, "%s (try %u of %u)", answer, try,
			     activity->retries + 1);
		return MNE_EXIT_CONFLICT;
	}
	mne_say_error("cannot commit: %s", *answer ? answer : g_strerror(err));
	return MNE_EXIT_WRAPPER;
}

/* The command has ended with this status. */
static int finish(const Activity *activity, MneTxDir *tx, int status, unsigned try)
{
	bool is_dry = mne_cli_has(activity->cli, "dry-run");

	if (status != 0)
		return status;
	if (is_dry) {
		(void)print_changes(tx);
		return status;
	}
	if (mne_cli_has(activity->cli, "ask") && !is_wanted(tx)) {
		mne_say_note(activity->cli, "not committed");
		return MNE_EXIT_FAILED;
	}
	return commit(activity, tx, try);
}

/* One try.  *out_again: another may succeed. */
static int attempt(const Activity *activity, MneTxDir *tx, unsigned try,
		   bool *out_again)
{
	int status = (int)mne_tx_dir_begin(tx, try);

	if (status != MNE_EXIT_OK) {
		*out_again = status == MNE_EXIT_CONFLICT;
		return status;
	}
	set_interruptible(false);
	status = run(activity, tx->path);
	if (status != 0 && mne_tx_dir_has_failed(tx)) { /* it asked for a lock */
		*out_again = true;
		return MNE_EXIT_CONFLICT;
	}
	status = finish(activity, tx, status, try);
	*out_again = status == MNE_EXIT_CONFLICT;
	return status;
}

static int run_transaction(const Activity *activity, MneTxDir *tx)
{
	for (unsigned try = 1; try <= activity->retries + 1; try++) {
		bool again = false;
		int status = attempt(activity, tx, try, &again);

		mne_tx_dir_end(tx);
		set_interruptible(true);
		if (!again)
			return status;
		wait_a_little(try);
	}
	mne_say_error("conflicts with others in all %u tries; nothing was changed",
		      activity->retries + 1);
	return MNE_EXIT_CONFLICT;
}

/* ---- what is asked for ---- */

static bool parse_number(const MneCli *cli, const char *option, unsigned *io)
{
	const char *text = mne_cli_value(cli, option);
	guint64 number = *io;

	if (text &&
	    !g_ascii_string_to_unsigned(text, 10, 0, MAX_RETRIES, &number, NULL)) {
		mne_say_error("--%s %s: it is a number", option, text);
		return false;
	}
	*io = (unsigned)number;
	return true;
}

static bool parse_kind(const MneCli *cli, Kind *out)
{
	const char *text = mne_cli_value(cli, "kind");

	*out = mne_cli_has(cli, "sync") ? KIND_SYNC_TRANSACTION : KIND_TRANSACTION;
	if (!text)
		return true;
	for (unsigned i = 0; i < N_KINDS; i++) {
		if (strcmp(text, kind_names[i]) != 0)
			continue;
		if (i != KIND_TRANSACTION)
			*out = (Kind)i;
		return true;
	}
	if (strcmp(text, "ets") == 0) {
		mne_say_error("ets is not offered: nothing may bypass what "
			      "checkpoints keep");
		mne_say_hint("async_dirty is what comes nearest");
	} else {
		mne_say_error("--kind %s: it is transaction, sync_transaction, "
			      "async_dirty or sync_dirty",
			      text);
	}
	return false;
}

static bool is_dirty(const Activity *activity)
{
	return activity->kind == KIND_ASYNC_DIRTY || activity->kind == KIND_SYNC_DIRTY;
}

/* A dirty activity is done when it is done. */
static bool require_no_promises(const Activity *activity)
{
	static const char *const names[] = { "retries",     "dry-run", "ask",
					     "sync",        "lock",    "name",
					     "lock-timeout" };

	for (unsigned i = 0; i < G_N_ELEMENTS(names); i++) {
		if (!mne_cli_has(activity->cli, names[i]))
			continue;
		mne_say_error("--%s needs a transaction; %s is none", names[i],
			      kind_names[activity->kind]);
		return false;
	}
	return true;
}

static bool require_line(const char *option, const char *text)
{
	if (*text && !strchr(text, '\n'))
		return true;
	mne_say_error("--%s: it is a line of text", option);
	return false;
}

static bool read_locks(const MneCli *cli, MneTxDir *tx)
{
	g_autoptr(GPtrArray) values = mne_cli_values(cli, "lock");

	for (unsigned i = 0; i < values->len; i++) {
		if (!require_line("lock", values->pdata[i]))
			return false;
		g_ptr_array_add(tx->locks, g_strdup(values->pdata[i]));
	}
	tx->name = mne_cli_value(cli, "name");
	tx->timeout = mne_cli_value(cli, "lock-timeout");
	return !tx->name || require_line("name", tx->name);
}

MneExit mne_cmd_tx(MneCli *cli)
{
	g_auto(Activity) activity = { .cli = cli,
				      .here = g_get_current_dir(),
				      .retries = DEFAULT_RETRIES };
	g_auto(MneTxDir) tx = { 0 };
	unsigned timeout = 0;

	mne_tx_dir_init(&tx, NULL);
	if (!parse_number(cli, "retries", &activity.retries) ||
	    !parse_number(cli, "lock-timeout", &timeout) ||
	    !parse_kind(cli, &activity.kind) || !read_locks(cli, &tx) ||
	    mne_place_find(cli, &activity.root) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	tx.root = activity.root;
	if (!is_dirty(&activity))
		return (MneExit)run_transaction(&activity, &tx);
	return require_no_promises(&activity) ? (MneExit)run_dirty(&activity)
					      : MNE_EXIT_WRAPPER;
}
