/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/place.c - which mount a command is about, and its control files
 *
 * The mount point is found by walking up until `.mnefs/version` can be reached or the
 * filesystem changes: by "..", because directories above may be closed to us.  The
 * kernel's mount table is asked only for umount: in a container it names other paths.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/place.h"

#include "cli/say.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mntent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

static MneExit say_gone(const char *path)
{
	mne_say_error("the daemon for %s has gone", path);
	mne_say_hint("mnefs umount %s, then mount it again", path);
	return MNE_EXIT_NOT_MOUNTED;
}

static MneExit say_nowhere(const MneCli *cli)
{
	if (cli->at)
		mne_say_error("%s is not inside a mounted store", cli->at);
	else
		mne_say_error("this directory is not inside a mounted store");
	mne_say_hint("cd into one, or say which: mnefs -C MNT %s", cli->command->name);
	return MNE_EXIT_NOT_MOUNTED;
}

/* path's parent, if it is still on the same filesystem; NULL otherwise. */
static char *parent_on_device(const char *path)
{
	g_autofree char *parent = g_strdup_printf("%s/..", path);
	struct stat here, above;

	if (stat(path, &here) < 0 || stat(parent, &above) < 0 ||
	    here.st_dev != above.st_dev || here.st_ino == above.st_ino)
		return NULL;
	return g_steal_pointer(&parent);
}

static bool has_control_files(const char *path)
{
	g_autofree char *version = g_build_filename(path, ".mnefs", "version", NULL);

	return access(version, R_OK) == 0;
}

/* By its full name, if we may go there from above. */
static char *best_name(const char *path)
{
	g_autofree char *full = realpath(path, NULL);

	return g_strdup(full && has_control_files(full) ? full : path);
}

char *mne_place_absolute(const char *path)
{
	g_autofree char *plain = realpath(path, NULL);
	g_autofree char *cut = g_strdup(path);
	g_autofree char *parent = NULL, *base = NULL, *real = NULL;

	if (plain)
		return g_strdup(plain);
	while (strlen(cut) > 1 && g_str_has_suffix(cut, "/"))
		cut[strlen(cut) - 1] = 0;
	parent = g_path_get_dirname(cut);
	base = g_path_get_basename(cut);
	real = realpath(parent, NULL);
	return g_build_filename(real ? real : parent, base, NULL);
}

MneExit mne_place_find(const MneCli *cli, char **out_root)
{
	g_autofree char *path = g_strdup(cli->at ? cli->at : ".");
	struct stat st;

	if (stat(path, &st) < 0 && !mne_place_is_dead(errno)) {
		mne_say_error("%s: %s", path, g_strerror(errno));
		return mne_exit_of(errno);
	}
	while (path) {
		char *parent;

		if (has_control_files(path)) {
			*out_root = best_name(path);
			return MNE_EXIT_OK;
		}
		if (mne_place_is_dead(errno)) {
			g_autofree char *dead = mne_place_absolute(path);

			return say_gone(dead);
		}
		parent = parent_on_device(path);
		g_free(path);
		path = parent;
	}
	return say_nowhere(cli);
}

bool mne_place_is_dead(int err)
{
	return err == ENOTCONN || err == ECONNABORTED;
}

char *mne_place_read(const char *root, const char *file)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", file, NULL);
	g_autoptr(GString) text = g_string_new(NULL);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	char buffer[16384];
	ssize_t got;

	if (fd < 0)
		return NULL;
	while ((got = read(fd, buffer, sizeof buffer)) > 0)
		g_string_append_len(text, buffer, got);
	if (got < 0) {
		int err = errno;

		close(fd);
		errno = err;
		return NULL;
	}
	close(fd);
	return g_string_free(g_steal_pointer(&text), FALSE);
}

int mne_place_write(const char *root, const char *file, const char *text)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", file, NULL);
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t put;
	int err = 0;

	if (fd < 0)
		return -errno;
	put = write(fd, text, strlen(text));
	if (put < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	return err;
}

static void read_answer(int fd, GString *answer)
{
	char buffer[16384];
	ssize_t got;

	while ((got = pread(fd, buffer, sizeof buffer, (off_t)answer->len)) > 0)
		g_string_append_len(answer, buffer, got);
}

int mne_place_ask(const char *root, const char *file, const char *line,
		  char **out_answer)
{
	g_autofree char *path = g_build_filename(root, ".mnefs", file, NULL);
	g_autoptr(GString) answer = g_string_new(NULL);
	int fd = open(path, O_RDWR | O_CLOEXEC);
	int err = fd < 0 ? -errno : 0;

	if (fd >= 0) {
		if (write(fd, line, strlen(line)) < 0)
			err = -errno;
		read_answer(fd, answer);
		close(fd);
	}
	*out_answer = g_string_free(g_steal_pointer(&answer), FALSE);
	return err;
}

MneExit mne_place_must_read(const char *root, const char *file, char **out_text)
{
	char *text = mne_place_read(root, file);

	if (!text && mne_place_is_dead(errno))
		return say_gone(root);
	if (!text) {
		mne_say_error("%s/.mnefs/%s: %s", root, file, g_strerror(errno));
		return mne_exit_of(errno);
	}
	*out_text = text;
	return MNE_EXIT_OK;
}

/* When this process began: microseconds since the epoch, in steps of the kernel's clock. */
static int64_t process_began(void)
{
	g_autofree char *text = NULL;
	const char *behind_name;
	unsigned long long ticks;
	struct timespec since_boot;

	if (!g_file_get_contents("/proc/self/stat", &text, NULL, NULL))
		return 0;
	behind_name = strrchr(text, ')');
	if (!behind_name || sscanf(behind_name + 1,
				   " %*c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s "
				   "%*s %*s %*s %*s %*s %*s %*s %llu",
				   &ticks) != 1)
		return 0;
	clock_gettime(CLOCK_BOOTTIME, &since_boot);
	return g_get_real_time() - since_boot.tv_sec * G_USEC_PER_SEC -
	       since_boot.tv_nsec / 1000 +
	       (int64_t)ticks * G_USEC_PER_SEC / sysconf(_SC_CLK_TCK);
}

/* Was the line of the log written since this process began?  Else it explains something
 * that failed before. */
static bool is_news(const char *line)
{
	g_autoptr(GDateTime) when = NULL;
	int year, month, day, hour, minute;
	double second;

	if (sscanf(line, "%4d-%2d-%2d %2d:%2d:%6lf", &year, &month, &day, &hour,
		   &minute, &second) != 6)
		return false;
	when = g_date_time_new_local(year, month, day, hour, minute, second);
	return when && g_date_time_to_unix(when) * G_USEC_PER_SEC +
				       g_date_time_get_microsecond(when) >=
			       process_began() - 1000;
}

void mne_place_explain(const char *root)
{
	g_autofree char *log = mne_place_read(root, "log");
	const char *last;

	if (!log)
		return;
	g_strchomp(log);
	last = strrchr(log, '\n');
	last = last ? last + 1 : log;
	if (is_news(last))
		mne_say_hint("%s", last);
}

bool mne_mounted_at(const char *path, MneMounted *out)
{
	g_autofree char *absolute = mne_place_absolute(path);
	FILE *file = setmntent("/proc/self/mounts", "re");
	char buffer[4 * PATH_MAX];
	struct mntent entry;
	bool found = false;

	if (!file)
		return false;
	while (getmntent_r(file, &entry, buffer, sizeof buffer)) {
		if (strcmp(entry.mnt_dir, absolute) != 0)
			continue;
		if (found)
			mne_mounted_clear(out);
		found = strcmp(entry.mnt_type, "fuse.mnefs") == 0;
		if (found)
			*out = (MneMounted){ g_strdup(entry.mnt_fsname),
					     g_strdup(entry.mnt_dir) };
	}
	endmntent(file);
	return found;
}

void mne_mounted_clear(MneMounted *mounted)
{
	g_clear_pointer(&mounted->source, g_free);
	g_clear_pointer(&mounted->root, g_free);
}
