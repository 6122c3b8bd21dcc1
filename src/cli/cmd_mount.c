/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/cmd_mount.c - mnefs STORE MNT, also as mount(8) and fstab call it
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/beside.h"
#include "cli/cli.h"
#include "cli/mount_options.h"
#include "cli/place.h"
#include "cli/say.h"
#include "fuse/session.h"
#include "util/log.h"

#include <errno.h>
#include <sys/stat.h>

static bool parse_options(MneCli *cli, MneMountOptions *options)
{
	g_autoptr(GPtrArray) texts = mne_cli_values(cli, "options");

	for (unsigned i = 0; i < texts->len; i++)
		if (!mne_mount_options_parse(options, g_ptr_array_index(texts, i)))
			return false;
	g_string_prepend(options->shown, options->shown->len > 0 ? "," : "");
	g_string_prepend(options->shown, options->read_only ? "ro" : "rw");
	return true;
}

static MneCtlMode ctl_mode(MneShow show)
{
	switch (show) {
	case MNE_SHOW_HIDDEN: return MNE_CTL_HIDDEN;
	case MNE_SHOW_VISIBLE: return MNE_CTL_VISIBLE;
	case MNE_SHOW_OFF: return MNE_CTL_OFF;
	}
	return MNE_CTL_HIDDEN;
}

static MneFuseOptions fuse_options(const MneMountOptions *asked)
{
	MneFuseOptions fuse = {
		.store_options = MNE_STORE_OPTIONS_DEFAULT,
		.ctl = ctl_mode(asked->ctl),
		.debug = asked->debug,
		.read_only = asked->read_only,
		.allow_other = asked->allow_other,
		.automatic = asked->automatic,
		.tx = asked->tx,
		.no_cplinks = asked->no_cplinks,
		.no_uring = asked->no_uring,
		.hooks_dir = asked->hooks,
		.hook_timeout = (unsigned)asked->hook_seconds * 1000,
		.mount_options = asked->kernel->len > 0 ? asked->kernel->str : NULL,
		.shown_options = asked->shown->str,
	};

	fuse.store_options.create = asked->create;
	fuse.store_options.read_only = asked->read_only;
	fuse.store_options.sync_seconds = asked->sync_seconds;
	fuse.store_options.history_bytes = asked->history_bytes;
	fuse.store_options.history_percent = asked->history_percent;
	fuse.store_options.full_drops = asked->full_drops;
	fuse.store_options.commit_seconds = asked->commit_seconds;
	if (asked->hash_modules)
		fuse.store_options.hash_modules = asked->hash_modules;
	return fuse;
}

/* A dead mount (ENOTCONN) is for the session to clear away. */
static MneExit check_mount_point(const char *path)
{
	struct stat st;
	int err = stat(path, &st) < 0 ? errno : 0;

	if (mne_place_is_dead(err))
		return MNE_EXIT_OK;
	if (!err && !S_ISDIR(st.st_mode))
		err = ENOTDIR;
	if (err) {
		mne_say_error("cannot mount at %s: %s", path, g_strerror(err));
		if (err == ENOENT)
			mne_say_hint("mkdir %s", path);
	}
	return mne_exit_of(err);
}

MneExit mne_cmd_mount(MneCli *cli)
{
	g_autofree char *store = g_canonicalize_filename(mne_cli_word(cli, 0), NULL);
	g_autofree char *mount_point = mne_place_absolute(mne_cli_word(cli, 1));
	g_auto(MneMountOptions) asked = { 0 };
	g_autofree char *live = NULL;
	MneFuseOptions fuse;
	MneExit status;
	int result;

	mne_mount_options_init(&asked);
	if (!parse_options(cli, &asked))
		return MNE_EXIT_USAGE;
	status = check_mount_point(mount_point);
	if (status != MNE_EXIT_OK)
		return status;
	if (asked.ckpt && mne_beside_find(store, &live))
		return mne_beside_mount(cli, live, asked.ckpt, mount_point,
					asked.kernel->str);
	fuse = fuse_options(&asked);
	fuse.ckpt = asked.ckpt;
	fuse.store = store;
	fuse.mount_point = mount_point;
	fuse.debug |= mne_cli_has(cli, "debug");
	fuse.foreground = fuse.debug || mne_cli_has(cli, "foreground");
	fuse.readers = mne_cli_has(cli, "single") ? 1 : 0;
	if (fuse.debug)
		mne_log_set_level(MNE_LOG_DEBUG);
	result = mne_fuse_run(&fuse);
	return result < 0 ? mne_exit_of(result) : (MneExit)result;
}

/* `mount -f` wants everything but the mount; -s (sloppy) and -n mean nothing here. */
MneExit mne_cmd_mount_helper(MneCli *cli)
{
	return mne_cli_has(cli, "fake") ? MNE_EXIT_OK : mne_cmd_mount(cli);
}
