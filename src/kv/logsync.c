/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/logsync.c - making LevelDB's log files durable
 *
 * Every log there is gets synced, and then the directory if a log is new, or CURRENT
 * may be.
 *
 * A log that vanishes is no loss: LevelDB syncs the table made from it, the directory
 * and the manifest, in this order, before it unlinks the log.  But when the database is
 * opened anew the manifest is another one, and CURRENT, which names it, is renamed after
 * the last sync of the directory.
 *
 * When the system has failed to write something back it says so once to each descriptor
 * that was open then, and takes the lost bytes for written.  So a log's descriptor is
 * opened before anything is written to the log, and kept; and one sync at a time goes
 * on, lest one be told and another, under way at the same time, succeed.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/logsync.h"

#include "kv/dirwatch.h"
#include "util/lock.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include <glib.h>

struct MneLogSync {
	char *path;
	int dir_fd; /* borrowed */
	MneLock lock; /* of what follows, but for the last two: they are whose turn it is */
	MneCond done;
	bool busy;
	int error; /* once a sync failed nobody knows what is durable */
	uint64_t newest; /* the log that was there when the directory was synced */
	unsigned renamings; /* begun and ended: odd while one goes on */
	GHashTable *logs; /* number -> descriptor */
	MneDirWatch *names; /* of logs */
};

uint64_t mne_log_number(const char *name)
{
	char *end;
	uint64_t number = g_ascii_strtoull(name, &end, 10);

	return strcmp(end, ".log") == 0 ? number : 0;
}

bool mne_is_log(const char *name)
{
	return mne_log_number(name) > 0;
}

static void close_log(void *data)
{
	close(GPOINTER_TO_INT(data));
}

MneLogSync *mne_log_sync_new(const char *path, int dir_fd)
{
	MneLogSync *sync = g_new0(MneLogSync, 1);

	sync->path = g_strdup(path);
	sync->dir_fd = dir_fd;
	sync->logs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					   close_log);
	sync->names = mne_dir_watch_new(path, mne_is_log);
	mne_lock_init(&sync->lock, MNE_RANK_ENGINE);
	mne_cond_init(&sync->done);
	return sync;
}

void mne_log_sync_free(MneLogSync *sync)
{
	if (!sync)
		return;

	mne_dir_watch_free(sync->names);
	g_hash_table_unref(sync->logs);
	mne_cond_clear(&sync->done);
	mne_lock_clear(&sync->lock);
	g_free(sync->path);
	g_free(sync);
}

/* ---- whose turn it is ---- */

static int take_turn(MneLogSync *sync)
{
	MNE_WITH_LOCK(&sync->lock);
	while (sync->busy)
		mne_cond_wait(&sync->done, &sync->lock);
	if (sync->error < 0)
		return sync->error;
	sync->busy = true;
	return 0;
}

static void end_turn(MneLogSync *sync)
{
	MNE_WITH_LOCK(&sync->lock);
	sync->busy = false;
	mne_cond_broadcast(&sync->done);
}

static int note_error(MneLogSync *sync, uint64_t log, int err)
{
	g_autofree char *name =
		log > 0 ? g_strdup_printf("/%06" G_GUINT64_FORMAT ".log", log) : NULL;

	g_warning("%s%s: cannot sync: %s", sync->path, name ? name : "",
		  g_strerror(-err));

	MNE_WITH_LOCK(&sync->lock);
	sync->error = err;
	return err;
}

/* ---- the logs; it is our turn ---- */

static int open_log(MneLogSync *sync, const char *name, uint64_t number)
{
	int fd;

	if (g_hash_table_contains(sync->logs, &number))
		return 0;
	fd = openat(sync->dir_fd, name, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return errno == ENOENT ? 0 : -errno;
	g_hash_table_insert(sync->logs, g_memdup2(&number, sizeof(number)),
			    GINT_TO_POINTER(fd));
	return 0;
}

static gboolean is_gone(gpointer key, gpointer value, gpointer user)
{
	(void)value;
	return !g_hash_table_contains(user, key);
}

static int list_logs(MneLogSync *sync)
{
	g_autoptr(GHashTable) there = g_hash_table_new_full(g_int64_hash, g_int64_equal,
							    g_free, NULL);
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(sync->path, 0, &error);
	const char *name;

	if (!dir)
		return mne_err_in_sentence(error->message);
	while ((name = g_dir_read_name(dir))) {
		uint64_t number = mne_log_number(name);

		if (number == 0)
			continue;
		MNE_TRY(open_log(sync, name, number));
		g_hash_table_add(there, g_memdup2(&number, sizeof(number)));
	}
	g_hash_table_foreach_remove(sync->logs, is_gone, there);
	return 0;
}

static int follow(MneLogSync *sync)
{
	int err;

	if (!mne_dir_watch_changed(sync->names))
		return 0;
	err = list_logs(sync);
	if (err < 0)
		mne_dir_watch_missed(sync->names);
	return err;
}

static int sync_logs(MneLogSync *sync, uint64_t *out_newest)
{
	GHashTableIter iter;
	gpointer key, fd;

	*out_newest = 0;
	g_hash_table_iter_init(&iter, sync->logs);
	while (g_hash_table_iter_next(&iter, &key, &fd)) {
		uint64_t number = *(const uint64_t *)key;

		if (fdatasync(GPOINTER_TO_INT(fd)) < 0)
			return note_error(sync, number, -errno);
		*out_newest = MAX(*out_newest, number);
	}
	return 0;
}

/* How many renamings there were, if names have to be synced. */
static bool has_new_names(MneLogSync *sync, uint64_t newest, unsigned *out_renamings)
{
	MNE_WITH_LOCK(&sync->lock);
	*out_renamings = sync->renamings;
	return newest > sync->newest || sync->renamings % 2 == 1;
}

static int sync_names(MneLogSync *sync, uint64_t newest)
{
	unsigned renamings;

	if (!has_new_names(sync, newest, &renamings))
		return 0;
	if (fsync(sync->dir_fd) < 0)
		return note_error(sync, 0, -errno);

	MNE_WITH_LOCK(&sync->lock);
	if (renamings == sync->renamings && renamings % 2 == 0)
		sync->newest = newest;
	return 0;
}

static int sync_all(MneLogSync *sync)
{
	uint64_t newest;

	MNE_TRY(follow(sync));
	MNE_TRY(sync_logs(sync, &newest));
	return sync_names(sync, newest);
}

int mne_log_sync_run(MneLogSync *sync)
{
	int err;

	MNE_TRY(take_turn(sync));
	err = sync_all(sync);
	end_turn(sync);
	return err;
}

int mne_log_sync_follow(MneLogSync *sync)
{
	int err;

	MNE_TRY(take_turn(sync));
	err = follow(sync);
	end_turn(sync);
	return err;
}

void mne_log_sync_renaming(MneLogSync *sync, bool begins)
{
	MNE_WITH_LOCK(&sync->lock);
	g_assert(sync->renamings % 2 == (begins ? 0 : 1));
	sync->renamings++;
	sync->newest = 0;
}
