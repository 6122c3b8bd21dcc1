/* SPDX-License-Identifier: Apache-2.0
 *
 * blob/store.c - the set of segments: append, read, which are open
 *
 * One lock guards the numbers; files are read, written and synced outside it.  An append
 * reserves its place in the open segment under the lock and writes there without it, so
 * writers run in parallel.  A segment with a write under way cannot be removed.
 *
 * Invariants, under the lock:
 * 1. `total` is the sum of the sizes of the entries with a file.
 * 2. An entry is in `dirty` exactly while appended != synced, and keeps its descriptor
 *    then: an error of writing back is told to descriptors that were open.
 * 3. A place is reserved once.  Only the last reservation is ever given back, and only by
 *    the append that made it and failed; an earlier one stays as a hole, dead space.
 *
 * Write ordering: payloads, then directory entries, then (by the caller) the keys that
 * name them.  A crash in between leaves frames or files that nothing names.
 */
#define G_LOG_DOMAIN "mne-blob"

#include "config.h"

#include "blob/store.h"

#include "blob/segment.h"
#include "util/coding.h"
#include "util/lock.h"

#include <fcntl.h>
#include <signal.h>
#include <stdatomic.h>
#include <unistd.h>

#define OPEN_MAX_FILES 256 /* descriptors kept, beside those of dirty segments */
#define DIRTY_MAX      32 /* unsynced segments (2 GiB) before an append syncs by itself */

typedef struct {
	uint64_t id; /* the key in `entries` */
	uint64_t size; /* up to the end of the last reservation */
	int64_t live;
	bool present; /* there is a file; otherwise only live was told */
	unsigned pending; /* reservations being written */
	uint64_t appended; /* frames written */
	uint64_t synced; /* of these, how many are known to be durable */
	MneSegment *file; /* a reference, while cached; then also in `cached` */
	GList link;
} Entry;

struct MneBlobStore {
	int dir; /* descriptor */

	MneLock lock;
	GHashTable *entries; /* id -> Entry, owned */
	GHashTable *dirty; /* set of Entry */
	GQueue cached; /* of Entry by use, newest first */
	Entry *open; /* what is appended to, or NULL */
	uint64_t next_id;
	uint64_t segment_max; /* where a new segment is started */
	uint64_t total;
	uint64_t dir_changes;
	uint64_t dir_synced;
	int sync_failed; /* the error of the first failed sync: it stays */
	bool syncing;
	MneCond synced; /* syncing ended */

	_Atomic uint64_t fault_in; /* operations until the injected fault; 0: none */
	atomic_bool fault_kills;
};

/* What a barrier has to do about one segment. */
typedef struct {
	uint64_t id;
	uint64_t appended;
	MneSegment *file; /* owned */
} SyncJob;

static Entry *find(MneBlobStore *store, uint64_t id)
{
	mne_lock_assert_held(&store->lock);
	return g_hash_table_lookup(store->entries, &id);
}

static Entry *find_or_add(MneBlobStore *store, uint64_t id)
{
	Entry *entry = find(store, id);

	if (entry)
		return entry;

	entry = g_new0(Entry, 1);
	entry->id = id;
	entry->link.data = entry;
	g_hash_table_insert(store->entries, &entry->id, entry);
	if (id <= MNE_SEGMENT_ID_MAX)
		store->next_id = MAX(store->next_id, id + 1);
	return entry;
}

static void uncache(MneBlobStore *store, Entry *entry)
{
	if (!entry->file)
		return;

	g_queue_unlink(&store->cached, &entry->link);
	g_clear_pointer(&entry->file, mne_segment_unref);
}

static void cache(MneBlobStore *store, Entry *entry, MneSegment *take_file)
{
	GList *link = store->cached.tail;

	entry->file = take_file;
	g_queue_push_head_link(&store->cached, &entry->link);
	while (link && store->cached.length > OPEN_MAX_FILES) {
		Entry *oldest = link->data;

		link = link->prev;
		if (oldest != entry && oldest != store->open && oldest->pending == 0 &&
		    oldest->appended == oldest->synced)
			uncache(store, oldest);
	}
}

/* --- opening and closing --- */

static int load(MneBlobStore *store, const char *path)
{
	g_autoptr(GArray) files = g_array_new(FALSE, FALSE, sizeof(MneSegmentFile));

	MNE_TRY(mne_segment_list(path, files));
	MNE_WITH_LOCK(&store->lock);
	for (unsigned i = 0; i < files->len; i++) {
		const MneSegmentFile *file = &g_array_index(files, MneSegmentFile, i);
		Entry *entry = find_or_add(store, file->id);

		entry->present = true;
		entry->size = file->size;
		store->total += file->size;
	}
	return 0;
}

static void entry_free(void *data)
{
	Entry *entry = data;

	g_clear_pointer(&entry->file, mne_segment_unref);
	g_free(entry);
}

int mne_blob_open(const char *path, bool create, MneBlobStore **out_store)
{
	MneBlobStore *store;
	int dir;
	int err;

	if (create)
		MNE_TRY(mne_segment_make_dir(path));
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return -errno;

	store = g_new0(MneBlobStore, 1);
	store->dir = dir;
	store->next_id = 1;
	store->segment_max = MNE_BLOB_SEGMENT_MAX;
	mne_lock_init(&store->lock, MNE_RANK_SEGMENT);
	mne_cond_init(&store->synced);
	store->entries = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
					       entry_free);
	store->dirty = g_hash_table_new(NULL, NULL);
	err = load(store, path);
	if (err < 0) {
		mne_blob_close(store);
		return err;
	}

	*out_store = store;
	return 0;
}

void mne_blob_close(MneBlobStore *store)
{
	g_hash_table_unref(store->dirty);
	g_hash_table_unref(store->entries);
	mne_cond_clear(&store->synced);
	mne_lock_clear(&store->lock);
	close(store->dir);
	g_free(store);
}

/* --- faults --- */

void mne_blob_set_fault(MneBlobStore *store, uint64_t nth, bool kill)
{
	atomic_store(&store->fault_kills, kill);
	atomic_store(&store->fault_in, nth);
}

static int maybe_fault(MneBlobStore *store, const char *what)
{
	uint64_t in = atomic_load(&store->fault_in);

	while (in > 0 && !atomic_compare_exchange_weak(&store->fault_in, &in, in - 1))
		continue;
	if (in != 1)
		return 0;

	if (atomic_load(&store->fault_kills))
		raise(SIGKILL);
	return mne_throw(INJECTED, "blob %s", what);
}

/* --- append --- */

static int start_segment(MneBlobStore *store)
{
	MneSegment *file = NULL;
	Entry *entry;

	if (store->next_id > MNE_SEGMENT_ID_MAX)
		return -ENOSPC;
	MNE_TRY(mne_segment_create(store->dir, store->next_id, &file));

	store->dir_changes++;
	entry = find_or_add(store, store->next_id);
	entry->present = true;
	store->open = entry;
	cache(store, entry, file);
	return 0;
}

/* A place for a frame with io_ref->len bytes of payload; the rest of io_ref is set. */
static int reserve(MneBlobStore *store, MneBlobRef *io_ref, MneSegment **out_file)
{
	uint64_t end;
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	if (store->open &&
	    mne_frame_end(store->open->size, io_ref->len) > store->segment_max)
		store->open = NULL;
	if (!store->open)
		MNE_TRY(start_segment(store));

	entry = store->open;
	end = mne_frame_end(entry->size, io_ref->len);
	io_ref->segment = entry->id;
	io_ref->at = entry->size;
	store->total += end - entry->size;
	entry->size = end;
	entry->pending++;
	*out_file = mne_segment_ref(entry->file);
	return 0;
}

/* Only the last place can go back: writes may be under way behind any other. */
static void give_back(MneBlobStore *store, Entry *entry, MneSegment *file,
		      const MneBlobRef *ref)
{
	if (mne_frame_end(ref->at, ref->len) != entry->size)
		return;
	if (mne_segment_truncate(file, ref->at) < 0)
		return;

	store->total -= entry->size - ref->at;
	entry->size = ref->at;
}

/* Returns whether so much is unsynced that the caller should run a barrier. */
static bool finish_append(MneBlobStore *store, MneSegment *file, const MneBlobRef *ref,
			  int err)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find(store, ref->segment);
	g_assert(entry && entry->pending > 0);
	entry->pending--;
	if (err < 0) {
		give_back(store, entry, file, ref);
		return false;
	}

	entry->appended++;
	g_hash_table_add(store->dirty, entry);
	return g_hash_table_size(store->dirty) > DIRTY_MAX;
}

int mne_blob_append(MneBlobStore *store, const MneBlobOwner *owner, MneSlice payload,
		    MneBlobRef *out_ref)
{
	MneBlobFrame frame = { .owner = *owner };
	g_autoptr(MneSegment) file = NULL;
	bool crowded;
	int err;

	g_assert(payload.len > 0 && payload.len <= MNE_BLOB_FRAME_MAX);
	MNE_TRY(maybe_fault(store, "append"));

	frame.ref.len = (uint32_t)payload.len;
	frame.ref.crc = mne_crc32c(0, payload.data, payload.len);
	MNE_TRY(reserve(store, &frame.ref, &file));
	err = mne_segment_write(file, &frame, payload);
	crowded = finish_append(store, file, &frame.ref, err);
	MNE_TRY(err);
	if (crowded)
		MNE_TRY(mne_blob_barrier(store));

	*out_ref = frame.ref;
	return 0;
}

void mne_blob_seal(MneBlobStore *store)
{
	MNE_WITH_LOCK(&store->lock);
	store->open = NULL;
}

/* --- read --- */

/* A reference to the cached file, or NULL; *out_present: is there a file to open? */
static MneSegment *cached_file(MneBlobStore *store, uint64_t id, bool *out_present)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find(store, id);
	*out_present = entry && entry->present;
	if (!*out_present || !entry->file)
		return NULL;

	g_queue_unlink(&store->cached, &entry->link);
	g_queue_push_head_link(&store->cached, &entry->link);
	return mne_segment_ref(entry->file);
}

/* Keep file for the next reader, unless another thread was faster or it was removed. */
static void offer_to_cache(MneBlobStore *store, MneSegment *file)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find(store, mne_segment_id(file));
	if (entry && entry->present && !entry->file)
		cache(store, entry, mne_segment_ref(file));
}

static int acquire(MneBlobStore *store, uint64_t id, MneSegment **out_file)
{
	bool present = false;

	*out_file = cached_file(store, id, &present);
	if (*out_file)
		return 0;
	if (!present)
		return mne_throw(NO_SEGMENT, "segment %016" G_GINT64_MODIFIER "x", id);

	MNE_TRY(mne_segment_open(store->dir, id, out_file));
	offer_to_cache(store, *out_file);
	return 0;
}

int mne_blob_read(MneBlobStore *store, const MneBlobRef *ref, uint32_t from,
		  void *buffer, uint32_t len)
{
	g_autoptr(MneSegment) file = NULL;

	MNE_TRY(acquire(store, ref->segment, &file));
	return mne_segment_read(file, ref, from, buffer, len);
}

int mne_blob_walk(MneBlobStore *store, uint64_t segment, uint64_t *io_at,
		  MneBlobFrame *out_frame)
{
	g_autoptr(MneSegment) file = NULL;

	MNE_TRY(acquire(store, segment, &file));
	return mne_segment_walk(file, io_at, out_frame);
}

/* --- barrier --- */

static void sync_job_clear(void *data)
{
	SyncJob *job = data;

	mne_segment_unref(job->file);
}

/* An array of SyncJob: all that is unsynced now.  One syncs at a time: the system tells of a
 * failure once, and another one's sync would succeed. */
static GArray *sync_jobs(MneBlobStore *store, uint64_t *out_dir_changes, int *out_err)
{
	GArray *jobs = g_array_new(FALSE, FALSE, sizeof(SyncJob));
	GHashTableIter iter;
	void *key;

	g_array_set_clear_func(jobs, sync_job_clear);
	MNE_WITH_LOCK(&store->lock);
	while (store->syncing)
		mne_cond_wait(&store->synced, &store->lock);
	store->syncing = store->sync_failed == 0;
	g_hash_table_iter_init(&iter, store->dirty);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		const Entry *entry = key;
		SyncJob job = { entry->id, entry->appended,
				mne_segment_ref(entry->file) };

		g_array_append_val(jobs, job);
	}
	*out_dir_changes = store->dir_changes == store->dir_synced ? 0
								   : store->dir_changes;
	*out_err = store->sync_failed;
	return jobs;
}

void mne_blob_doubt(MneBlobStore *store, uint64_t segment)
{
	g_autoptr(MneSegment) file = NULL;
	Entry *entry;

	if (acquire(store, segment, &file) < 0)
		return;
	MNE_WITH_LOCK(&store->lock);
	entry = find(store, segment);
	if (!entry || !entry->file || g_hash_table_contains(store->dirty, entry))
		return;
	mne_segment_reread(file); /* nobody else is here yet */
	entry->appended++;
	g_hash_table_add(store->dirty, entry);
	store->dir_changes++;
}

static int run_jobs(MneBlobStore *store, const GArray *jobs, uint64_t dir_changes)
{
	for (unsigned i = 0; i < jobs->len; i++)
		MNE_TRY(mne_segment_sync(g_array_index(jobs, SyncJob, i).file));
	return dir_changes > 0 && fsync(store->dir) < 0 ? -errno : 0;
}

static void end_sync(MneBlobStore *store)
{
	store->syncing = false;
	mne_cond_broadcast(&store->synced);
}

static void note_synced(MneBlobStore *store, const GArray *jobs, uint64_t dir_changes)
{
	MNE_WITH_LOCK(&store->lock);
	end_sync(store);
	store->dir_synced = MAX(store->dir_synced, dir_changes);
	for (unsigned i = 0; i < jobs->len; i++) {
		const SyncJob *job = &g_array_index(jobs, SyncJob, i);
		Entry *entry = find(store, job->id);

		if (entry)
			entry->synced = MAX(entry->synced, job->appended);
		if (entry && entry->synced == entry->appended)
			g_hash_table_remove(store->dirty, entry);
	}
}

static void note_sync_failed(MneBlobStore *store, int err)
{
	g_warning("syncing blob segments failed: %s", mne_err_text(err));
	MNE_WITH_LOCK(&store->lock);
	end_sync(store);
	store->sync_failed = err;
}

int mne_blob_barrier(MneBlobStore *store)
{
	g_autoptr(GArray) jobs = NULL;
	uint64_t dir_changes = 0;
	int err = 0;

	MNE_TRY(maybe_fault(store, "barrier"));
	jobs = sync_jobs(store, &dir_changes, &err);
	MNE_TRY(err);
	err = run_jobs(store, jobs, dir_changes);
	if (err < 0)
		note_sync_failed(store, err);
	else
		note_synced(store, jobs, dir_changes);
	return err;
}

/* --- accounting --- */

void mne_blob_set_live(MneBlobStore *store, uint64_t segment, int64_t live)
{
	MNE_WITH_LOCK(&store->lock);
	find_or_add(store, segment)->live = live;
}

int64_t mne_blob_add_live(MneBlobStore *store, uint64_t segment, int64_t delta)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find_or_add(store, segment);
	if (__builtin_add_overflow(entry->live, delta, &entry->live))
		entry->live = delta < 0 ? INT64_MIN : INT64_MAX;
	return entry->live;
}

static int info_compare(const void *a, const void *b)
{
	const MneBlobSegmentInfo *left = a;
	const MneBlobSegmentInfo *right = b;

	return (left->id > right->id) - (left->id < right->id);
}

GArray *mne_blob_segments(MneBlobStore *store)
{
	GArray *infos = g_array_new(FALSE, FALSE, sizeof(MneBlobSegmentInfo));
	GHashTableIter iter;
	void *value;

	MNE_WITH_LOCK(&store->lock);
	g_hash_table_iter_init(&iter, store->entries);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const Entry *entry = value;
		MneBlobSegmentInfo info = { entry->id, entry->size, entry->live,
					    entry == store->open };

		if (entry->present)
			g_array_append_val(infos, info);
	}
	g_array_sort(infos, info_compare);
	return infos;
}

/* No new reader finds the segment from here on; its file is still there. */
static int hide(MneBlobStore *store, uint64_t segment, MneSegment **out_file)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find(store, segment);
	if (!entry || !entry->present)
		return -ENOENT;
	if (entry == store->open || entry->pending > 0)
		return -EBUSY;

	entry->present = false;
	store->total -= entry->size;
	store->dir_changes++;
	g_hash_table_remove(store->dirty, entry);
	entry->synced = entry->appended;
	if (entry->file) {
		*out_file = mne_segment_ref(entry->file);
		uncache(store, entry);
	}
	return 0;
}

static void finish_remove(MneBlobStore *store, uint64_t segment, int err)
{
	Entry *entry;

	MNE_WITH_LOCK(&store->lock);
	entry = find(store, segment);
	if (err == 0) {
		g_hash_table_remove(store->entries, &segment);
	} else if (entry) {
		entry->present = true;
		store->total += entry->size;
	}
}

int mne_blob_remove(MneBlobStore *store, uint64_t segment)
{
	g_autoptr(MneSegment) file =
		NULL; /* closed, and its blocks freed, without the lock */
	int err = hide(store, segment, &file);

	if (err == -EBUSY)
		return err;
	if (err == 0)
		err = mne_segment_unlink(store->dir, segment);
	if (err == -ENOENT)
		err = 0;
	finish_remove(store, segment, err);
	return err;
}

void mne_blob_set_segment_max(MneBlobStore *store, uint64_t bytes)
{
	MNE_WITH_LOCK(&store->lock);
	store->segment_max = MIN(bytes, MNE_BLOB_SEGMENT_MAX);
}

uint64_t mne_blob_total(MneBlobStore *store)
{
	MNE_WITH_LOCK(&store->lock);
	return store->total;
}
