/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_help.c - mnefs help and mnefs version
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/cli.h"
#include "cli/say.h"
#include "cli/suggest.h"
#include "cli/usage.h"

#include <stdio.h>
#include <string.h>

static const char paths_text[] =
	"Paths in a mount (MNT):\n"
	"  MNT/T                 a table: mkdir makes it, rmdir drops it when it is empty\n"
	"  MNT/T/R               a record: a file, a symlink, or a whole directory tree\n"
	"  .checkpoints/C        the tables as they were: mkdir makes a checkpoint, rmdir\n"
	"                        drops it, mv renames it; read-only\n"
	"  T/.checkpoints/C      mkdir: a checkpoint of that table alone\n"
	"  .checkpoints/@TIME    the newest that is not after it: @latest, @yesterday, @-2h,\n"
	"                        @2026-11-20, @2026-11-20T03:00\n"
	"  DIR/.checkpoints/C    any directory inside a table, as it was at C\n"
	"  .mnefs/               about the mount, as files:\n"
	"    version             the version of mnefs\n"
	"    status, status.json what is mounted, how it does, space\n"
	"    checkpoints.json    the checkpoints, one JSON object a line\n"
	"    changed/A..B        the paths that changed from checkpoint A to B (A: to what is\n"
	"                        live), with NULs; A..B.json says how; A..B.d is a tree\n"
	"    bookmarks           moments from which such lists can start; takes lines\n"
	"    hold/C              whoever has it open holds that checkpoint\n"
	"    checkpoints/C/      about one: info.json, tables, note, pinned, expires,\n"
	"                        holders, drop, sha256sums, verify\n"
	"    tables/T/           how table T is spread: fragments, listing, hash, commit\n"
	"    events              what happens, a JSON object a line, as it happens\n"
	"    counter             takes TABLE/RECORD +N, and answers with the number\n"
	"    rollback            takes run or preview, a checkpoint, tables\n"
	"    hooks/              list, join, run: who is told of checkpoints\n"
	"    log                 the last messages; tail -1 explains the last failure\n"
	"    stats, metrics      counters; metrics in the format of Prometheus\n"
	"    ctl                 takes commands: checkpoint, activate, drop, rename, sync,\n"
	"                        reclaim, debug\n"
	"  .tx/J                 a transaction: mkdir begins it, echo commit > .tx/J/.ctl ends\n"
	"                        it, rmdir gives it up\n"
	"The dot directories are not listed (ls -a, find and rsync do not see them) but can\n"
	"always be reached by name; -o ctl=visible lists them, -o ctl=off removes them.\n";

static const char errors_text[] =
	"Errors, and what they mean here:\n"
	"  EROFS      a write into a checkpoint, or the store went read-only after a failed\n"
	"             sync (tail -1 .mnefs/log says which)\n"
	"  EBUSY      rmdir of a checkpoint that somebody holds, or that is pinned (mnefs ck\n"
	"             list says who; mnefs ck drop --force)\n"
	"  ESTALE     the checkpoint was dropped: this directory is no longer valid, so that\n"
	"             a backup reading it fails instead of shrinking; or the file was open\n"
	"             when its table was rolled back: open it again\n"
	"  ECANCELED  mkdir in .checkpoints: a required hook was not ready; in a transaction:\n"
	"             somebody else changed what it read or wrote; begin it again\n"
	"  ETIMEDOUT  a transaction did not get its lock in time\n"
	"  EDQUOT     a transaction has read or changed too much (-o tx_mem=), or too many\n"
	"             are open (-o tx_max=)\n"
	"  ENODATA    .mnefs/changed: the store was repaired since; copy all of it once\n"
	"  ENOTUNIQ   .mnefs/changed: a checkpoint and a bookmark have that name\n"
	"  EXDEV      rename or link between two tables: mv copies instead\n"
	"  EPERM      a file at the root, a reserved name (.checkpoints, .mnefs, …), or a\n"
	"             checkpoint made below a table's top\n"
	"  EEXIST     mkdir in .checkpoints: a checkpoint of that name is active\n"
	"  EINVAL     mkdir in .checkpoints: ':' and control characters are not allowed\n"
	"  ENOSPC     the disk below the store is full, or what checkpoints may keep is\n"
	"             (-o history=); deleting still works\n"
	"  EIO        a checksum did not match: the bytes were NOT delivered; mnefs check\n"
	"  ENOTCONN   the daemon has gone: mnefs umount MNT, and mount again\n"
	"tail -1 MNT/.mnefs/log has the sentence for the last failure.\n"
	"\n"
	"Exit codes of mnefs:\n"
	"  0 done                     1 failed                  2 wrong usage\n"
	"  3 something was left out   4 check found something   5 not found\n"
	"  6 exists already           7 not permitted           8 busy\n"
	"  9 no space                 69 not mounted, or the daemon has gone\n"
	"hold, at and tx have that of the command they run; if it was not run: 125 mnefs\n"
	"failed, 126 it cannot be run, 127 it was not found; tx: 75 after the last conflict\n";

static const char recipes_text[] =
	"Recipes, in a mount:\n"
	"  A backup that is one moment, while others write:\n"
	"    C=$(mnefs ck create) && mnefs rsync $C host:/backup/db/ && mnefs ck drop $C\n"
	"  Prove the copy with what every system has:\n"
	"    cd /backup/db && sha256sum -c --quiet MNT/.mnefs/checkpoints/C/sha256sums\n"
	"  Yesterday's report, with today's script:\n"
	"    mnefs at @yesterday -- ./report.sh\n"
	"  What did this record look like on Monday?\n"
	"    diff users/alice .checkpoints/monday/users/alice\n"
	"  Take it back:\n"
	"    mnefs restore users/alice --from monday\n"
	"  What has changed since?\n"
	"    mnefs diff monday --stat\n"
	"  Copy only what changed since the last copy, deletions too:\n"
	"    rsync -aXI --force --from0 --files-from=.mnefs/changed/monday..tuesday \\\n"
	"      --delete-missing-args .checkpoints/tuesday/ host:/backup/db/\n"
	"  Generations that share what did not change, as hard links:\n"
	"    rsync -aHX --delete .checkpoints/ host:/backup/generations/\n"
	"  How much do two checkpoints have in common?\n"
	"    du -sh .checkpoints/monday .checkpoints/tuesday\n"
	"  Make sure of a store that is not mounted:\n"
	"    mnefs check STORE\n";

static const struct {
	const char *name;
	const char *text;
} topics[] = {
	{ "paths", paths_text },
	{ "errors", errors_text },
	{ "recipes", recipes_text },
};

static bool print_topic(const char *name)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(topics); i++) {
		if (strcmp(topics[i].name, name) != 0)
			continue;
		fputs(topics[i].text, stdout);
		return true;
	}
	return false;
}

/* Every command called name, or in the group called name. */
static bool print_commands(const char *name)
{
	size_t len = strlen(name);
	bool any = false;

	for (const MneCommand *c = mne_commands(); c->name; c++) {
		if (strncmp(c->name, name, len) != 0 ||
		    (c->name[len] && c->name[len] != ' '))
			continue;
		if (any)
			putchar('\n');
		mne_usage_command(c);
		any = true;
	}
	return any;
}

MneExit mne_cmd_help(MneCli *cli)
{
	const char *first = mne_cli_word(cli, 0), *second = mne_cli_word(cli, 1);
	g_autofree char *name = NULL, *near = NULL;

	if (!first) {
		mne_usage_full();
		return MNE_EXIT_OK;
	}
	if (strcmp(first, "ck") == 0)
		first = "checkpoint";
	name = second ? g_strdup_printf("%s %s", first, second) : g_strdup(first);
	if (print_topic(name) || print_commands(name))
		return MNE_EXIT_OK;
	near = mne_suggest_command(name);
	mne_say_error("there is no help on %s", name);
	if (near)
		mne_say_hint("did you mean %s?", near);
	mne_usage_short(NULL);
	return MNE_EXIT_USAGE;
}

MneExit mne_cmd_version(MneCli *cli)
{
	if (cli->json)
		printf("{\"version\":\"%s\"}\n", PACKAGE_VERSION);
	else
		printf("mnefs %s\n", PACKAGE_VERSION);
	return MNE_EXIT_OK;
}
