/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/dirwatch.c - have names come to a directory, or gone, since somebody looked?
 *
 * By inotify(7): the kernel queues the event before the call that makes or removes a name
 * returns.  When it loses events it says so.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/dirwatch.h"

#include <errno.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <glib.h>

#define EVENTS (IN_CREATE | IN_DELETE | IN_MOVED_FROM | IN_MOVED_TO | IN_ONLYDIR)

struct MneDirWatch {
	bool (*concerns)(const char *name);
	int fd; /* -1: the kernel cannot watch it, or the directory is gone */
	bool missed; /* something, or nobody has looked yet */
};

static int begin(const char *path)
{
	int fd = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);

	if (fd >= 0 && inotify_add_watch(fd, path, EVENTS) >= 0)
		return fd;
	g_debug("%s is not watched: %s", path, g_strerror(errno));
	if (fd >= 0)
		close(fd);
	return -1;
}

MneDirWatch *mne_dir_watch_new(const char *path, bool (*concerns)(const char *name))
{
	MneDirWatch *watch = g_new0(MneDirWatch, 1);

	watch->concerns = concerns;
	watch->fd = begin(path);
	watch->missed = true;
	return watch;
}

static void end(MneDirWatch *watch)
{
	if (watch->fd >= 0)
		close(watch->fd);
	watch->fd = -1;
}

void mne_dir_watch_free(MneDirWatch *watch)
{
	if (!watch)
		return;

	end(watch);
	g_free(watch);
}

/* An event without a name is about the queue, or about the directory itself. */
static bool concerns(const MneDirWatch *watch, const struct inotify_event *event)
{
	return event->len == 0 || watch->concerns(event->name);
}

static void take_in(MneDirWatch *watch, const char *events, size_t len)
{
	for (size_t at = 0; at < len;) {
		const struct inotify_event *event = (const void *)(events + at);

		if (concerns(watch, event))
			watch->missed = true;
		if (event->mask & IN_IGNORED) /* there will be no more */
			end(watch);
		at += sizeof(*event) + event->len;
	}
}

/* Reads what is queued. */
static void hear(MneDirWatch *watch)
{
	_Alignas(struct inotify_event) char events[4096];
	ssize_t len = 0;

	while (watch->fd >= 0 && (len = read(watch->fd, events, sizeof(events))) > 0)
		take_in(watch, events, (size_t)len);
	if (len < 0 && errno != EAGAIN)
		watch->missed = true;
}

bool mne_dir_watch_changed(MneDirWatch *watch)
{
	bool changed;

	hear(watch);
	changed = watch->missed || watch->fd < 0;
	watch->missed = false;
	return changed;
}

void mne_dir_watch_missed(MneDirWatch *watch)
{
	watch->missed = true;
}
