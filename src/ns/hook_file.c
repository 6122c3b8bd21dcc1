/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/hook_file.c - hooks that are executable files of a directory
 *
 * A file is run as `FILE prepare NAME` and `FILE after NAME ok|failed|rolledback`, in a session of
 * its own, with none of our descriptors, signals or environment.  On its standard output, a
 * line `add TABLE` asks for a table to be covered, too; the last other line, of that or of
 * its standard error, is its reason.  When its time is up, all of its session is killed.
 *
 * Who can write to the file, or to the directory, could run what he likes as the owner of
 * the mount: so files that others than the owner and root can change are not run.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/hooks.h"
#include "util/log.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <pwd.h>
#include <signal.h>
#include <spawn.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define OUTPUT_MOST 65536u
#define SLICE_MS    50

typedef struct {
	MneHook base;
	char *path;
	char *mount_point, *store;
} FileHook;

/* --- running it -------------------------------------------------------------- */

typedef struct {
	pid_t pid;
	int out; /* reading end of both its outputs */
	int exited; /* a descriptor that becomes readable then */
	GString *said;
} Child;

static char **environment_of(const FileHook *hook)
{
	GPtrArray *all = g_ptr_array_new();
	struct passwd entry, *user = NULL;
	char buffer[4096];

	(void)getpwuid_r(geteuid(), &entry, buffer, sizeof(buffer), &user);
	g_ptr_array_add(all, g_strdup("PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:"
				      "/usr/bin:/sbin:/bin"));
	g_ptr_array_add(all, g_strdup("LC_ALL=C.UTF-8"));
	g_ptr_array_add(all, g_strdup_printf("HOME=%s", user ? user->pw_dir : "/"));
	g_ptr_array_add(all, g_strdup_printf("USER=%s", user ? user->pw_name : ""));
	g_ptr_array_add(all, g_strdup_printf("LOGNAME=%s", user ? user->pw_name : ""));
	g_ptr_array_add(all, g_strdup_printf("MNEFS_MOUNT=%s", hook->mount_point));
	g_ptr_array_add(all, g_strdup_printf("MNEFS_STORE=%s", hook->store));
	g_ptr_array_add(all, g_strdup_printf("MNEFS_HOOK=%s", hook->base.name));
	g_ptr_array_add(all, NULL);
	return (char **)g_ptr_array_free(all, FALSE);
}

/* A session of its own, all signals as at the beginning, nothing open but 0 to 2. */
static int spawn(const FileHook *hook, const MneHookCall *call, int out, pid_t *out_pid)
{
	char *argv[] = { hook->path, (char *)call->phase, (char *)call->checkpoint,
			 (char *)call->result, NULL };
	g_auto(GStrv) environment = environment_of(hook);
	posix_spawn_file_actions_t actions;
	posix_spawnattr_t attr;
	sigset_t none, all;
	int err;

	sigemptyset(&none);
	sigfillset(&all);
	posix_spawnattr_init(&attr);
	posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK |
						POSIX_SPAWN_SETSIGDEF);
	posix_spawnattr_setsigmask(&attr, &none);
	posix_spawnattr_setsigdefault(&attr, &all);
	posix_spawn_file_actions_init(&actions);
	posix_spawn_file_actions_addopen(&actions, STDIN_FILENO, "/dev/null", O_RDONLY,
					 0);
	posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
	posix_spawn_file_actions_adddup2(&actions, out, STDERR_FILENO);
	posix_spawn_file_actions_addclosefrom_np(&actions, STDERR_FILENO + 1);
	posix_spawn_file_actions_addchdir_np(&actions, "/");
	err = posix_spawn(out_pid, hook->path, &actions, &attr, argv, environment);
	posix_spawn_file_actions_destroy(&actions);
	posix_spawnattr_destroy(&attr);
	return -err;
}

static int start(const FileHook *hook, const MneHookCall *call, Child *out)
{
	int ends[2], err;

	*out = (Child){ .out = -1, .exited = -1 };
	if (pipe2(ends, O_CLOEXEC) < 0)
		return -errno;
	err = spawn(hook, call, ends[1], &out->pid);
	close(ends[1]);
	if (err < 0) {
		close(ends[0]);
		return err;
	}
	(void)fcntl(ends[0], F_SETFL, O_NONBLOCK);
	out->out = ends[0];
	out->exited = (int)syscall(SYS_pidfd_open, out->pid, 0);
	out->said = g_string_new(NULL);
	return 0;
}

/* false: nothing more will come. */
static bool listen_to(Child *child)
{
	char buffer[4096];
	ssize_t got;

	while ((got = read(child->out, buffer, sizeof(buffer))) > 0)
		if (child->said->len < OUTPUT_MOST)
			g_string_append_len(child->said, buffer, got);
	return got < 0 && errno == EAGAIN;
}

/* Has it ended?  Its children may go on, and hold the output open. */
static bool has_ended(Child *child, int *out_status)
{
	struct pollfd fds[] = { { child->exited, POLLIN, 0 },
				{ child->out, POLLIN, 0 } };

	(void)poll(fds, child->exited < 0 ? 0 : G_N_ELEMENTS(fds), SLICE_MS);
	if (!listen_to(child) && child->exited >= 0) {
		fds[1].fd = -1;
		(void)poll(fds, 1, SLICE_MS);
	}
	return waitpid(child->pid, out_status, WNOHANG) == child->pid;
}

/* true: it ended by itself, with *out_status. */
static bool wait_for(Child *child, const MneHookCall *call, int *out_status)
{
	int64_t until = g_get_monotonic_time() + call->timeout * 1000;

	while (!atomic_load(call->stop) && g_get_monotonic_time() < until)
		if (has_ended(child, out_status)) {
			(void)listen_to(child);
			return true;
		}
	kill(-child->pid, SIGKILL);
	kill(child->pid, SIGKILL);
	while (waitpid(child->pid, out_status, 0) < 0 && errno == EINTR)
		;
	return false;
}

static void child_clear(Child *child)
{
	close(child->out);
	if (child->exited >= 0)
		close(child->exited);
	g_string_free(child->said, TRUE);
}

/* `add TABLE` lines, and the last of the others. */
static char *read_lines(const char *said, GPtrArray *tables)
{
	g_auto(GStrv) lines = g_strsplit(said, "\n", -1);
	const char *last = "";

	for (char **line = lines; *line; line++) {
		if (g_str_has_prefix(*line, "add "))
			g_ptr_array_add(tables, g_strdup(*line + 4));
		else if (**line)
			last = *line;
	}
	return g_strndup(last, 200);
}

static void judge(const Child *child, bool ended, int status, MneHookAnswer *out)
{
	g_autofree char *last = read_lines(child->said->str, out->tables);

	if (!ended) {
		out->end = MNE_HOOK_LATE;
		out->reason = g_strdup(last);
	} else if (WIFEXITED(status) && WEXITSTATUS(status) == 0) {
		out->end = MNE_HOOK_READY;
	} else {
		out->end = MNE_HOOK_REFUSED;
		out->reason = WIFEXITED(status)
				      ? g_strdup_printf("exit %d \"%s\"",
							WEXITSTATUS(status), last)
				      : g_strdup_printf("signal %d \"%s\"",
							WTERMSIG(status), last);
	}
}

static void file_call(MneHook *base, const MneHookCall *call, MneHookAnswer *out)
{
	const FileHook *hook = (FileHook *)base;
	int err, status = 0;
	Child child;
	bool ended;

	err = start(hook, call, &child);
	if (err < 0) {
		out->end = MNE_HOOK_BROKEN;
		out->reason = g_strdup_printf("%s: %s", hook->path, g_strerror(-err));
		return;
	}
	ended = wait_for(&child, call, &status);
	judge(&child, ended, status, out);
	child_clear(&child);
}

/* --- finding them ------------------------------------------------------------ */

static void file_free(MneHook *base)
{
	FileHook *hook = (FileHook *)base;

	g_free(hook->base.name);
	g_free(hook->path);
	g_free(hook->mount_point);
	g_free(hook->store);
	g_free(hook);
}

static MneHook *file_new(const MneHooksOptions *options, const char *name)
{
	static const MneHookOps ops = { "file", file_call, file_free };
	FileHook *hook = g_new0(FileHook, 1);

	hook->base.ops = &ops;
	mne_ref_init(&hook->base.ref);
	hook->base.name = g_strdup(name);
	hook->base.required = g_str_has_suffix(name, ".required");
	hook->path = g_build_filename(options->dir, name, NULL);
	hook->mount_point = g_strdup(options->mount_point);
	hook->store = g_strdup(options->store);
	return &hook->base;
}

/* Nobody but root and us can change what it is. */
static bool is_safe(const struct stat *st)
{
	return (st->st_uid == 0 || st->st_uid == geteuid()) &&
	       (st->st_mode & (S_IWGRP | S_IWOTH)) == 0;
}

/* What editors and package managers leave lying about. */
static bool is_leftover(const char *name)
{
	return name[0] == '.' || g_str_has_suffix(name, "~") ||
	       strstr(name, ".dpkg-") || strchr(name, '\n');
}

static bool is_hook(const char *dir, const char *name)
{
	g_autofree char *path = g_build_filename(dir, name, NULL);
	struct stat st;

	if (is_leftover(name) || stat(path, &st) < 0 || !S_ISREG(st.st_mode) ||
	    (st.st_mode & 0111) == 0)
		return false;
	if (is_safe(&st))
		return true;
	mne_log_say("hook %s is not run: others than root and the owner of the mount "
		    "can change it",
		    path);
	return false;
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void mne_hook_files(const MneHooksOptions *options, GPtrArray *hooks)
{
	g_autoptr(GDir) dir = options->dir ? g_dir_open(options->dir, 0, NULL) : NULL;
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	const char *name;
	struct stat st;

	if (!dir || stat(options->dir, &st) < 0)
		return;
	if (!is_safe(&st)) {
		mne_log_say("no hook of %s is run: others than root and the owner of "
			    "the mount can change the directory",
			    options->dir);
		return;
	}
	while ((name = g_dir_read_name(dir)))
		if (is_hook(options->dir, name))
			g_ptr_array_add(names, g_strdup(name));
	g_ptr_array_sort(names, compare_names);
	for (guint i = 0; i < names->len; i++)
		g_ptr_array_add(hooks, file_new(options, names->pdata[i]));
}
