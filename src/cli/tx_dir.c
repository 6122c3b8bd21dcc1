/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/tx_dir.c - an open transaction of ours, by its directory
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/tx_dir.h"

#include "cli/place.h"
#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define LOST "conflict lock "
#define BORN "born "

void mne_tx_dir_init(MneTxDir *tx, const char *root)
{
	*tx = (MneTxDir){ .root = root, .ctl = -1 };
	tx->locks = g_ptr_array_new_with_free_func(g_free);
}

void mne_tx_dir_clear(MneTxDir *tx)
{
	if (tx->ctl >= 0)
		close(tx->ctl);
	g_free(tx->path);
	g_clear_pointer(&tx->locks, g_ptr_array_unref);
}

static MneExit failed(const MneTxDir *tx, const char *what)
{
	mne_say_error("%s: %s", what, g_strerror(errno));
	mne_place_explain(tx->root);
	return MNE_EXIT_WRAPPER;
}

int mne_tx_dir_tell(MneTxDir *tx, const char *line, char **out_answer)
{
	int err = write(tx->ctl, line, strlen(line)) < 0 ? errno : 0;
	char text[1024];
	ssize_t got = pread(tx->ctl, text, sizeof(text) - 1, 0);

	text[MAX(got, 0)] = '\0';
	*out_answer = g_strdup(g_strchomp(text));
	return err;
}

/* Lines of `.status`, or NULL. */
static char **status_of(const MneTxDir *tx)
{
	g_autofree char *path = g_build_filename(tx->path, ".status", NULL);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return NULL;
	return g_strsplit(text, "\n", -1);
}

static bool has_lock(const MneTxDir *tx, const char *lock)
{
	for (unsigned i = 0; i < tx->locks->len; i++)
		if (strcmp(tx->locks->pdata[i], lock) == 0)
			return true;
	return false;
}

static void learn(MneTxDir *tx, const char *line)
{
	const char *lost = line + strlen(LOST);

	if (g_str_has_prefix(line, LOST) && !has_lock(tx, lost))
		g_ptr_array_add(tx->locks, g_strdup(lost));
}

bool mne_tx_dir_has_failed(MneTxDir *tx)
{
	g_auto(GStrv) lines = status_of(tx);
	bool has_failed = false;

	for (char **line = lines; line && *line; line++) {
		has_failed |= strcmp(*line, "state conflict") == 0;
		learn(tx, *line);
	}
	return has_failed;
}

static void note_age(MneTxDir *tx)
{
	g_auto(GStrv) lines = status_of(tx);

	for (char **line = lines; line && *line; line++)
		if (g_str_has_prefix(*line, BORN))
			tx->born = g_ascii_strtoull(*line + strlen(BORN), NULL, 10);
}

/* What is set before the first lock. */
static GString *settings(const MneTxDir *tx)
{
	GString *lines = g_string_new("own\n");

	if (tx->name)
		g_string_append_printf(lines, "name %s\n", tx->name);
	if (tx->timeout)
		g_string_append_printf(lines, "timeout %s\n", tx->timeout);
	if (tx->born > 0)
		g_string_append_printf(lines, "born %" G_GUINT64_FORMAT "\n", tx->born);
	return lines;
}

static MneExit set_up(MneTxDir *tx)
{
	g_autoptr(GString) lines = settings(tx);
	g_autofree char *answer = NULL;
	int err = mne_tx_dir_tell(tx, lines->str, &answer);

	if (err == 0)
		return MNE_EXIT_OK;
	mne_say_error("cannot set the transaction up: %s",
		      *answer ? answer : g_strerror(err));
	return MNE_EXIT_WRAPPER;
}

/* All in one write: they are granted together. */
static MneExit take_locks(MneTxDir *tx)
{
	g_autoptr(GString) lines = g_string_new(NULL);
	g_autofree char *answer = NULL;
	int err;

	if (tx->locks->len == 0)
		return MNE_EXIT_OK;
	for (unsigned i = 0; i < tx->locks->len; i++)
		g_string_append_printf(lines, "lock %s\n",
				       (const char *)tx->locks->pdata[i]);
	err = mne_tx_dir_tell(tx, lines->str, &answer);
	if (err == 0)
		return MNE_EXIT_OK;
	if (err == ECANCELED && mne_tx_dir_has_failed(tx))
		return MNE_EXIT_CONFLICT;
	mne_say_error("cannot lock: %s", *answer ? answer : g_strerror(err));
	return MNE_EXIT_WRAPPER;
}

static MneExit open_ctl(MneTxDir *tx)
{
	g_autofree char *ctl = g_build_filename(tx->path, ".ctl", NULL);

	tx->ctl = open(ctl, O_RDWR | O_CLOEXEC);
	return tx->ctl < 0 ? failed(tx, "cannot own the transaction") : MNE_EXIT_OK;
}

MneExit mne_tx_dir_begin(MneTxDir *tx, unsigned try)
{
	g_autofree char *name = g_strdup_printf("tx-%d-%u", (int)getpid(), try);
	MneExit status;

	tx->path = g_build_filename(tx->root, ".tx", name, NULL);
	if (mkdir(tx->path, 0700) < 0) {
		status = failed(tx, "cannot begin a transaction");
		g_clear_pointer(&tx->path, g_free);
		return status;
	}
	status = open_ctl(tx);
	if (status == MNE_EXIT_OK)
		status = set_up(tx);
	if (status == MNE_EXIT_OK)
		note_age(tx);
	return status == MNE_EXIT_OK ? take_locks(tx) : status;
}

char *mne_tx_dir_changes(const MneTxDir *tx)
{
	g_autofree char *path = g_build_filename(tx->path, ".changes", NULL);
	char *text = NULL;

	return g_file_get_contents(path, &text, NULL, NULL) ? text : NULL;
}

/* It goes with the descriptor; but only we know when. */
void mne_tx_dir_end(MneTxDir *tx)
{
	if (!tx->path)
		return;
	(void)rmdir(tx->path);
	g_clear_pointer(&tx->path, g_free);
	if (tx->ctl >= 0)
		close(tx->ctl);
	tx->ctl = -1;
}
