/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_commands.c - the file `.mnefs/ctl`: a command on each line
 *
 * A command line is words with tabs between them, or, if it has no tab, with blanks; so
 * names with blanks can be given.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/activation.h"
#include "ns/ctl.h"
#include "util/log.h"

/* words: the command and what follows it, ended by NULL. */
typedef int (*CommandFunc)(MneNs *ns, char **words);

static int run_sync(MneNs *ns, char **words)
{
	(void)words;
	return mne_store_sync(ns->store);
}

/* Who owns .mnefs may write here. */
static int be_owner(MneNs *ns, MneCkptSpec *spec)
{
	struct stat maker;

	MNE_TRY(mne_ctl_stat(ns, MNE_CTL_ROOT, &maker));
	spec->uid = maker.st_uid;
	spec->gid = maker.st_gid;
	return 0;
}

static int run_checkpoint(MneNs *ns, char **words)
{
	g_auto(MneCtlActivation) asked = { 0 };

	mne_ctl_activation_init(&asked, words[1]);
	MNE_TRY(be_owner(ns, &asked.spec));
	for (char **table = words + 2; *table; table++)
		MNE_TRY(mne_ctl_activation_add(ns, &asked, "table", *table));
	return mne_ctl_activate(ns, &asked);
}

static int run_activate(MneNs *ns, char **words)
{
	g_auto(MneCtlActivation) asked = { 0 };

	mne_ctl_activation_init(&asked, words[1]);
	MNE_TRY(be_owner(ns, &asked.spec));
	for (char **pair = words + 2; *pair; pair += 2) {
		if (!pair[1])
			return mne_throw(BAD_CTL, "%.64s of what?", pair[0]);
		MNE_TRY(mne_ctl_activation_add(ns, &asked, pair[0], pair[1]));
	}
	return mne_ctl_activate(ns, &asked);
}

static int run_drop(MneNs *ns, char **words)
{
	MneSlice name = mne_slice_str(words[1]);

	if (!words[2])
		return mne_store_drop(ns->store, name);
	if (strcmp(words[2], "force") != 0)
		return mne_throw(BAD_CTL, "drop how? %.64s", words[2]);
	return mne_store_drop_by_force(ns->store, name);
}

static int run_rename(MneNs *ns, char **words)
{
	MneSlice to = mne_slice_str(words[2]);

	MNE_TRY(mne_ckpt_check_name(to));
	return mne_store_rename_ckpt(ns->store, mne_slice_str(words[1]), to);
}

static int run_debug(MneNs *ns, char **words)
{
	static const char *const levels[] = { "none", "verbose", "debug", "trace" };

	(void)ns;
	for (unsigned i = 0; i < G_N_ELEMENTS(levels); i++) {
		if (strcmp(words[1], levels[i]) != 0)
			continue;
		mne_log_set_level((MneLogLevel)i);
		return 0;
	}
	return mne_throw(BAD_CTL, "debug is none, verbose, debug or trace, not %.64s",
			 words[1]);
}

static int run_reclaim(MneNs *ns, char **words)
{
	(void)words;
	while (mne_store_work(ns->store))
		;
	return 0;
}

static const struct {
	const char *name, *usage;
	unsigned min_words, max_words;
	CommandFunc run;
} commands[] = {
	{ "activate", "activate NAME [WHAT VALUE]…", 2, G_MAXUINT, run_activate },
	{ "checkpoint", "checkpoint NAME [TABLE…]", 2, G_MAXUINT, run_checkpoint },
	{ "debug", "debug none|verbose|debug|trace", 2, 2, run_debug },
	{ "drop", "drop NAME [force]", 2, 3, run_drop },
	{ "reclaim", "reclaim", 1, 1, run_reclaim },
	{ "rename", "rename OLD NEW", 3, 3, run_rename },
	{ "sync", "sync", 1, 1, run_sync },
};

static int run_words(MneNs *ns, char **words)
{
	unsigned n = g_strv_length(words);

	for (unsigned i = 0; i < G_N_ELEMENTS(commands); i++) {
		if (strcmp(words[0], commands[i].name) != 0)
			continue;
		if (n < commands[i].min_words || n > commands[i].max_words)
			return mne_throw(BAD_CTL, "usage: %s", commands[i].usage);
		return commands[i].run(ns, words);
	}
	return mne_throw(BAD_CTL, "there is no control command %.64s", words[0]);
}

static void drop_empty_words(char **words)
{
	char **to = words;

	for (char **from = words; *from; from++) {
		if (**from)
			*to++ = *from;
		else
			g_free(*from);
	}
	*to = NULL;
}

static int run_line(MneNs *ns, const char *const *args, const char *line,
		    GString *answer)
{
	g_auto(GStrv) words = g_strsplit(line, strchr(line, '\t') ? "\t" : " ", -1);

	(void)args;
	(void)answer;
	drop_empty_words(words);
	return words[0] ? run_words(ns, words) : 0;
}

const MneCtlKind mne_ctl_commands[] = {
	{ .path = "ctl", .mode = S_IFREG | 0600, .line = run_line },
	{ 0 },
};
