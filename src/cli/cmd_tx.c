/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_tx.c - mnefs tx: run a command in a transaction
 *
 * The command runs in a mount namespace of its own, in which the transaction stands over the
 * mount: it works at the paths it knows.  We stay outside, own the transaction, and commit
 * it when the command ends with 0.  A conflict runs the command again.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/place.h"
#include "cli/private.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#define DEFAULT_RETRIES 10u
#define MAX_RETRIES     1000000u

typedef struct {
	MneCli *cli;
	char *root, *here;
	char *path; /* of the transaction */
	int ctl; /* its `.ctl`, by which we own it */
	bool durable;
} Tx;

static void tx_clear(Tx *tx)
{
	if (tx->ctl >= 0)
		close(tx->ctl);
	g_free(tx->root);
	g_free(tx->here);
	g_free(tx->path);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Tx, tx_clear)

static MneExit failed(const Tx *tx, const char *what)
{
	mne_say_error("%s: %s", what, g_strerror(errno));
	mne_place_explain(tx->root);
	return MNE_EXIT_WRAPPER;
}

static MneExit begin(Tx *tx, unsigned try)
{
	g_autofree char *name = g_strdup_printf("tx-%d-%u", (int)getpid(), try);
	g_autofree char *ctl = g_build_filename(tx->root, ".tx", name, ".ctl", NULL);

	tx->path = g_build_filename(tx->root, ".tx", name, NULL);
	if (mkdir(tx->path, 0700) < 0)
		return failed(tx, "cannot begin a transaction");
	tx->ctl = open(ctl, O_RDWR | O_CLOEXEC);
	if (tx->ctl < 0 || write(tx->ctl, "own", 3) != 3) {
		MneExit status = failed(tx, "cannot own the transaction");

		(void)rmdir(tx->path);
		return status;
	}
	return MNE_EXIT_OK;
}

/* It goes with the descriptor; but only we know when. */
static void end(Tx *tx)
{
	(void)rmdir(tx->path);
	g_clear_pointer(&tx->path, g_free);
	close(tx->ctl);
	tx->ctl = -1;
}

/* In the child; does not return. */
static G_GNUC_NORETURN void run_command(const Tx *tx)
{
	g_autoptr(GPtrArray) words = g_ptr_array_new();
	const char *command = mne_cli_word(tx->cli, 0);

	for (unsigned i = 0; i < tx->cli->words->len; i++)
		g_ptr_array_add(words, g_ptr_array_index(tx->cli->words, i));
	g_ptr_array_add(words, NULL);
	if (mne_private_bind(tx->path, tx->root, tx->here) != MNE_EXIT_OK)
		_exit(MNE_EXIT_WRAPPER);
	signal(SIGINT, SIG_DFL);
	signal(SIGQUIT, SIG_DFL);
	execvp(command, (char **)words->pdata);
	mne_say_error("%s: %s", command, g_strerror(errno));
	_exit(errno == ENOENT ? MNE_EXIT_NO_COMMAND : MNE_EXIT_NOT_EXECUTABLE);
}

/* The command's status, as a shell says it. */
static int run(const Tx *tx)
{
	int status = 0;
	pid_t child;

	fflush(NULL);
	child = fork();
	if (child == 0)
		run_command(tx);
	if (child < 0)
		return (int)failed(tx, "fork");
	while (waitpid(child, &status, 0) < 0)
		if (errno != EINTR)
			return (int)failed(tx, "wait");
	return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

/* What `.ctl` answered to the last command: a new string, without the newline. */
static char *answer_of(const Tx *tx)
{
	char text[1024];
	ssize_t got = pread(tx->ctl, text, sizeof(text) - 1, 0);

	text[MAX(got, 0)] = '\0';
	return g_strdup(g_strchomp(text));
}

/* 0, or the errno. */
static int commit(const Tx *tx, char **out_answer)
{
	const char *line = tx->durable ? "commit sync" : "commit";
	int err = write(tx->ctl, line, strlen(line)) < 0 ? errno : 0;

	*out_answer = answer_of(tx);
	return err;
}

static bool print_changes(const Tx *tx)
{
	g_autofree char *path = g_build_filename(tx->path, ".changes", NULL);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return false;
	fputs(text, stdout);
	fflush(stdout);
	return *text != '\0';
}

static bool is_wanted(const Tx *tx)
{
	char line[16] = "";

	if (!print_changes(tx))
		return true;
	fputs("mnefs: commit this? [y/N] ", stderr);
	return fgets(line, sizeof(line), stdin) && (line[0] == 'y' || line[0] == 'Y');
}

static void wait_a_little(unsigned try)
{
	g_usleep((gulong)g_random_int_range(1000, 1000 + 5000 * (int)MIN(try, 20u)));
}

/* One try.  MNE_EXIT_CONFLICT: another may succeed. */
static int attempt(Tx *tx, unsigned try, unsigned tries)
{
	g_autofree char *answer = NULL;
	int status, err;

	if (begin(tx, try) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	status = run(tx);
	if (status == 0 && mne_cli_has(tx->cli, "dry-run"))
		(void)print_changes(tx);
	if (status != 0 || mne_cli_has(tx->cli, "dry-run"))
		return status;
	if (mne_cli_has(tx->cli, "ask") && !is_wanted(tx)) {
		mne_say_note(tx->cli, "not committed");
		return MNE_EXIT_FAILED;
	}
	err = commit(tx, &answer);
	if (err == 0) {
		mne_say_note(tx->cli, "%s", answer);
		return MNE_EXIT_OK;
	}
	if (err == ECANCELED) {
		mne_say_note(tx->cli, "%s (try %u of %u)", answer, try, tries);
		return MNE_EXIT_CONFLICT;
	}
	mne_say_error("cannot commit: %s", *answer ? answer : g_strerror(err));
	return MNE_EXIT_WRAPPER;
}

static bool parse_retries(const MneCli *cli, unsigned *out)
{
	const char *text = mne_cli_value(cli, "retries");
	char *last = NULL;
	guint64 number;

	*out = DEFAULT_RETRIES;
	if (!text)
		return true;
	number = g_ascii_strtoull(text, &last, 10);
	if (!g_ascii_isdigit(*text) || *last || number > MAX_RETRIES) {
		mne_say_error("--retries %s: it is a number", text);
		return false;
	}
	*out = (unsigned)number;
	return true;
}

/* What conflicts is known when it is committed: `status` is then not the command's. */
MneExit mne_cmd_tx(MneCli *cli)
{
	g_auto(Tx) tx = { .cli = cli, .ctl = -1, .here = g_get_current_dir() };
	int status = MNE_EXIT_CONFLICT;
	unsigned retries;

	if (!parse_retries(cli, &retries) ||
	    mne_place_find(cli, &tx.root) != MNE_EXIT_OK)
		return MNE_EXIT_WRAPPER;
	tx.durable = mne_cli_has(cli, "sync");
	signal(SIGINT, SIG_IGN);
	signal(SIGQUIT, SIG_IGN);
	for (unsigned try = 1; try <= retries + 1; try++) {
		bool again;

		status = attempt(&tx, try, retries + 1);
		again = status == MNE_EXIT_CONFLICT && tx.path;
		if (tx.path)
			end(&tx);
		if (!again)
			return (MneExit)status;
		wait_a_little(try);
	}
	mne_say_error("conflicts with others in all %u tries; nothing was changed",
		      retries + 1);
	return MNE_EXIT_CONFLICT;
}
