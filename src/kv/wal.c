/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/wal.c - LevelDB's log files, handled from outside
 *
 * LevelDB hands every batch to its log file with write(2) before the call returns,
 * so a dying process loses nothing.  For power loss its own sync=true is no help: it
 * syncs the current log only, and when the log was switched since, the older one,
 * whose table is still being made, stays unsynced; nor is the directory synced
 * after a log is made.  So every log there is gets synced by us (kv/logsync.c).
 *
 * A sync of a file that has grown takes two writes, one in the file system's journal; of one
 * whose bytes were only overwritten, one.  So where syncs are frequent the log is made
 * longer in advance, with zeros, over which LevelDB writes.
 *
 * After a power loss some pages of a log may be missing amid others that were written.
 * LevelDB skips damaged blocks and goes on behind them; it would bring back batches
 * without the ones before them.  So the logs are cut at the first damage, and logs
 * that came later are dropped.  What is dropped stays beside them as *.lost: damage
 * in what had been synced is the disk's doing, and somebody may want to look at it.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/wal.h"

#include "kv/dirwatch.h"
#include "kv/logfile.h"
#include "kv/logsync.h"
#include "kv/trial.h"

#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

enum {
	SPARE = 1024 * 1024, /* a manifest, an info log, the ends of blocks */
	SPARE_TO_EXTEND = 256 * 1024 * 1024, /* with less, nothing is made in advance */
};

#define PROBE_NAME "room.probe"

struct MneWal {
	char *path;
	int dir_fd;
	bool locked; /* not everywhere can a directory be */
	MneLogSync *sync;
	MneDirWatch *names; /* of logs, since the newest was looked for */
	uint64_t newest;
};

typedef int (*LogFunc)(MneWal *wal, const char *name, void *user);

static int for_each_log(MneWal *wal, LogFunc func, void *user)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(wal->path, 0, &error);
	const char *name;

	if (!dir)
		return mne_err_in_sentence(error->message);
	while ((name = g_dir_read_name(dir)))
		if (mne_is_log(name))
			MNE_TRY(func(wal, name, user));
	return 0;
}

/* ---- sync ---- */

int mne_wal_sync(MneWal *wal)
{
	return mne_log_sync_run(wal->sync);
}

/* In vain it is tried again by the next sync. */
void mne_wal_follow(MneWal *wal)
{
	int err = mne_log_sync_follow(wal->sync);

	if (err < 0)
		g_debug("logs were not opened: %s", mne_err_text(err));
}

void mne_wal_reopening(MneWal *wal, bool begins)
{
	mne_log_sync_renaming(wal->sync, begins);
	if (!begins)
		mne_wal_follow(wal);
}

/* ---- the newest log ---- */

static int note_newest(MneWal *wal G_GNUC_UNUSED, const char *name, void *user)
{
	uint64_t *newest = user;

	*newest = MAX(*newest, mne_log_number(name));
	return 0;
}

static int find_newest(MneWal *wal)
{
	uint64_t newest = 0;
	int err = for_each_log(wal, note_newest, &newest);

	if (err < 0)
		mne_dir_watch_missed(wal->names);
	else
		wal->newest = newest;
	return err;
}

int mne_wal_newest(MneWal *wal, uint64_t *out_number)
{
	if (mne_dir_watch_changed(wal->names))
		MNE_TRY(find_newest(wal));
	*out_number = wal->newest;
	return 0;
}

static int newest_name(MneWal *wal, char **out_name)
{
	uint64_t newest;

	MNE_TRY(mne_wal_newest(wal, &newest));
	*out_name = g_strdup_printf("%06" G_GUINT64_FORMAT ".log", newest);
	return 0;
}

/* ---- room ---- */

static bool has_spare(int fd)
{
	struct statvfs vfs;

	return fstatvfs(fd, &vfs) == 0 &&
	       (uint64_t)vfs.f_bavail * vfs.f_frsize >= SPARE_TO_EXTEND;
}

/* At its end, wherever LevelDB writes: that is never behind it. */
static int append_zeros(int fd, size_t bytes)
{
	g_autofree char *zeros = g_malloc0(bytes);
	struct stat st;
	ssize_t done;

	if (fstat(fd, &st) < 0)
		return -errno;
	done = write(fd, zeros, bytes);
	if (done == (ssize_t)bytes)
		return 0;
	if (done > 0 && ftruncate(fd, st.st_size) < 0)
		return -errno;
	return -ENOSPC;
}

int mne_wal_extend(MneWal *wal, size_t bytes)
{
	g_autofree char *name = NULL;
	int err, fd;

	if (!wal->locked)
		return -ENOLCK; /* nobody would trim it before LevelDB reads it */
	MNE_TRY(newest_name(wal, &name));
	fd = openat(wal->dir_fd, name, O_WRONLY | O_APPEND | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = has_spare(fd) ? append_zeros(fd, bytes) : -ENOSPC;
	close(fd);
	return err;
}

static int add_size(MneWal *wal, const char *name, void *user)
{
	uint64_t *total = user;
	struct stat st;

	if (fstatat(wal->dir_fd, name, &st, 0) == 0)
		*total += (uint64_t)st.st_size;
	return 0;
}

/* Answered by taking the room, for statvfs() knows no quota. */
int mne_wal_require_room(MneWal *wal, uint64_t more, uint64_t less)
{
	uint64_t need = SPARE + more;
	int err, fd;

	mne_wal_follow(wal); /* gives back what was held of logs that are gone */
	MNE_TRY(for_each_log(wal, add_size, &need));
	if (need <= less)
		return 0;
	need -= less;
	fd = openat(wal->dir_fd, PROBE_NAME, O_CREAT | O_RDWR | O_CLOEXEC, 0600);
	if (fd < 0)
		return -errno;
	unlinkat(wal->dir_fd, PROBE_NAME, 0);
	err = posix_fallocate(fd, 0, (off_t)need);
	close(fd);
	return -err;
}

/* ---- cut ---- */

static char *file_of(MneWal *wal, const char *name, const char *ending)
{
	return g_strdup_printf("%s/%s%s", wal->path, name, ending);
}

static int read_file(MneWal *wal, const char *name, GBytes **out)
{
	g_autofree char *path = file_of(wal, name, "");
	g_autoptr(GError) error = NULL;
	gsize len;
	char *text;

	if (!g_file_get_contents(path, &text, &len, &error))
		return mne_err_in_sentence(error->message);
	*out = g_bytes_new_take(text, len);
	return 0;
}

/* CURRENT is the manifest's name and a line feed. */
static int find_oldest_needed(MneWal *wal, uint64_t *out_number)
{
	g_autoptr(GBytes) current = NULL;
	g_autoptr(GBytes) manifest = NULL;
	g_autofree char *text = NULL;
	MneSlice name;

	MNE_TRY(read_file(wal, "CURRENT", &current));
	name = mne_slice_of(current);
	if (name.len == 0)
		return -ENOENT;
	text = g_strndup((const char *)name.data, name.len - 1);
	MNE_TRY(read_file(wal, text, &manifest));
	if (!mne_log_oldest_needed(mne_slice_of(manifest), out_number))
		return mne_throw(KV_CORRUPT, "%s/%s: unreadable", wal->path, text);
	return 0;
}

/* What has been seen of the logs so far. */
typedef struct {
	bool damaged; /* nothing after it counts */
	uint64_t next; /* the sequence number to come; 0: any */
} Seen;

/* The bytes of whole records whose numbers go on from those seen. */
static size_t good_part(MneSlice log, Seen *seen)
{
	g_autoptr(GByteArray) record = g_byte_array_new();
	MneLogReader reader = mne_log_reader(log);
	uint64_t first, next;
	size_t good = 0;

	while (mne_log_next(&reader, record)) {
		if (!mne_log_sequences(mne_slice(record->data, record->len), &first,
				       &next))
			return good;
		if (seen->next > 0 && first != seen->next)
			return good;
		seen->next = next;
		good = reader.whole;
	}
	return good;
}

/* Is what follows the good part how a log ends?  The beginning of a record that was being
 * written, then zeros: room made in advance. */
static bool is_ending(MneSlice log, size_t good)
{
	size_t used = log.len;
	MneLogReader reader;

	while (used > good && log.data[used - 1] == 0)
		used--;
	reader = mne_log_reader(mne_slice(log.data, used));
	reader.at = reader.whole = good;
	return used == good || (!mne_log_next(&reader, NULL) && reader.torn);
}

/* LevelDB takes a torn record that zeros follow for damage, and refuses to open. */
static int trim_log(MneWal *wal, const char *name, size_t good)
{
	int fd = openat(wal->dir_fd, name, O_WRONLY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = ftruncate(fd, (off_t)good) < 0 ? -errno : 0;
	close(fd);
	return err;
}

/* Replace a log by its first bytes; the old file stays as *.lost. */
static int cut_log(MneWal *wal, const char *name, MneSlice log, size_t whole,
		   const char *why)
{
	g_autofree char *path = file_of(wal, name, "");
	g_autofree char *lost = file_of(wal, name, ".lost");
	g_autoptr(GError) error = NULL;

	g_warning("%s: %s after %zu of %zu bytes; what follows is dropped", path, why,
		  whole, log.len);
	unlink(lost);
	if (link(path, lost) < 0)
		return -errno;
	if (g_file_set_contents_full(path, (const char *)log.data, (gssize)whole,
				     G_FILE_SET_CONTENTS_CONSISTENT |
					     G_FILE_SET_CONTENTS_DURABLE,
				     0644, &error))
		return 0;
	return mne_err_in_sentence(error->message);
}

/* Whether a log has lost records at its end shows in the next one: its numbers do not go on.
 * An empty log has lost something if there is anything in a later one. */
static int check_log(MneWal *wal, const char *name, Seen *seen)
{
	g_autoptr(GBytes) bytes = NULL;
	bool was_damaged = seen->damaged, ends;
	MneSlice log;
	size_t good;

	MNE_TRY(read_file(wal, name, &bytes));
	log = mne_slice_of(bytes);
	good = was_damaged ? 0 : good_part(log, seen);
	ends = !was_damaged && is_ending(log, good);
	seen->damaged = !ends || good == 0;
	if (good == log.len)
		return 0;
	return ends ? trim_log(wal, name, good)
		    : cut_log(wal, name, log, good, "damaged");
}

typedef struct {
	GPtrArray *names;
	uint64_t oldest;
} Needed;

static int add_needed(MneWal *wal G_GNUC_UNUSED, const char *name, void *user)
{
	Needed *needed = user;

	if (mne_log_number(name) >= needed->oldest)
		g_ptr_array_add(needed->names, g_strdup(name));
	return 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = mne_log_number(*(const char *const *)a);
	uint64_t y = mne_log_number(*(const char *const *)b);

	return (x > y) - (x < y);
}

/* Drop what names something that is not there. */
static int cut_unheld(MneWal *wal, const GPtrArray *names, const MneKvOutside *outside)
{
	g_autoptr(GPtrArray) logs =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	MneLogPlace place;

	for (guint i = 0; i < names->len; i++) {
		GBytes *log;

		MNE_TRY(read_file(wal, names->pdata[i], &log));
		g_ptr_array_add(logs, log);
	}
	if (!mne_trial_run(logs, outside, &place))
		return 0;
	for (guint i = place.log; i < logs->len; i++)
		MNE_TRY(cut_log(wal, names->pdata[i], mne_slice_of(logs->pdata[i]),
				i == place.log ? place.at : 0,
				"names file data that is not there"));
	return 0;
}

int mne_wal_cut(MneWal *wal, const MneKvOutside *outside)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	Needed needed = { .names = names };
	Seen seen = { false, 0 };

	if (!wal->locked)
		return 0;
	if (find_oldest_needed(wal, &needed.oldest) < 0)
		needed.oldest = 0;
	MNE_TRY(for_each_log(wal, add_needed, &needed));
	g_ptr_array_sort(names, by_number);
	for (guint i = 0; i < names->len; i++)
		MNE_TRY(check_log(wal, g_ptr_array_index(names, i), &seen));
	return outside ? cut_unheld(wal, names, outside) : 0;
}

/* ---- undo ---- */

int mne_wal_keep(MneWal *wal, uint64_t records)
{
	g_autofree char *name = NULL;
	g_autoptr(GBytes) bytes = NULL;
	MneLogReader reader;
	size_t keep;

	MNE_TRY(newest_name(wal, &name));
	MNE_TRY(read_file(wal, name, &bytes));
	reader = mne_log_reader(mne_slice_of(bytes));
	while (records > 0 && mne_log_next(&reader, NULL))
		records--;
	if (records > 0)
		return 0;
	keep = reader.whole;
	if (mne_log_next(&reader, NULL) && mne_log_next(&reader, NULL))
		return mne_throw(KV_CORRUPT, "%s/%s: more was written than is known",
				 wal->path, name);
	return trim_log(wal, name, keep);
}

/* ---- life ---- */

static int lock_dir(MneWal *wal)
{
	wal->locked = flock(wal->dir_fd, LOCK_EX | LOCK_NB) == 0;
	if (!wal->locked && errno == EWOULDBLOCK)
		return mne_throw(STORE_LOCKED, "%s", wal->path);
	return 0;
}

int mne_wal_open(const char *path, MneWal **out_wal)
{
	g_autoptr(MneWal) wal = g_new0(MneWal, 1);

	wal->path = g_strdup(path);
	wal->dir_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (wal->dir_fd < 0)
		return -errno;
	MNE_TRY(lock_dir(wal));
	wal->sync = mne_log_sync_new(path, wal->dir_fd);
	wal->names = mne_dir_watch_new(path, mne_is_log);
	*out_wal = g_steal_pointer(&wal);
	return 0;
}

void mne_wal_close(MneWal *wal)
{
	if (!wal)
		return;

	mne_dir_watch_free(wal->names);
	mne_log_sync_free(wal->sync);
	if (wal->dir_fd >= 0)
		close(wal->dir_fd);
	g_free(wal->path);
	g_free(wal);
}
