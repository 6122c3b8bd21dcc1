/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/leveldb.c - the engine on disk
 *
 * Durability is wal.c's part.
 *
 * Healing.  When writing to a log fails, its end is torn; LevelDB would go on
 * behind the torn record, where recovery does not find the later ones.  When making
 * a table fails, LevelDB refuses every later write.  Both are cured by opening the
 * database anew, which drops the torn record and makes tables of what the logs
 * hold.  So after a failed apply:
 * 1. Nothing is written through the same handle again (kv->broken).
 * 2. The next apply first makes sure that recovery has the space it needs, for if
 *    it had not, there would be nothing left to read from.
 * 3. It waits a moment for iterators to end; if they do not, it fails as before.
 * 4. Then it reopens, and goes on; what a merge has left behind goes in between.
 * To keep 1. there is one writer at a time: the one who holds the pen.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/leveldb.h"

#include "kv/manifest.h"
#include "kv/tuning.h"
#include "util/thread.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DRAIN_MS = 200 };

/* ---- errors ---- */

int mne_level_error(const char *doing, char *text)
{
	int err;

	if (!text)
		return 0;

	/* Invalid argument: reading behind the end of a table that was cut short. */
	if (g_str_has_suffix(text, g_strerror(EINVAL))) {
		err = mne_throw(KV_CORRUPT, "%s: %s", doing, text);
	} else if (g_str_has_prefix(text, "IO error: lock ")) {
		err = mne_throw(STORE_LOCKED, "%s: %s", doing, text);
	} else if (g_str_has_prefix(text, "IO error")) {
		err = mne_err_in_sentence(text);
		g_warning("%s: %s", doing, text);
	} else {
		err = mne_throw(KV_CORRUPT, "%s: %s", doing, text);
	}
	leveldb_free(text);
	return err;
}

/* ---- healing; the caller has the pen ---- */

static bool drain(MneLevelKv *kv)
{
	bool drained;

	MNE_WITH_LOCK(&kv->lock);
	kv->draining = true;
	while (kv->users > 0 && mne_cond_wait_ms(&kv->changed, &kv->lock, DRAIN_MS))
		;
	drained = kv->users == 0;
	if (!drained) {
		kv->draining = false;
		mne_cond_broadcast(&kv->changed);
	}
	return drained;
}

/* Nobody else is in. */
static int reopen(MneLevelKv *kv)
{
	char *error = NULL;
	leveldb_t *db;

	mne_level_lose_snapshots(kv);
	if (kv->db)
		leveldb_close(kv->db);
	(void)mne_manifest_leftovers(kv->path, true);
	mne_wal_reopening(kv->wal, true);
	db = leveldb_open(kv->options, kv->path, &error);
	mne_wal_reopening(kv->wal, false);

	MNE_WITH_LOCK(&kv->lock);
	kv->db = db;
	kv->draining = false;
	mne_cond_broadcast(&kv->changed);
	if (error)
		return mne_level_error("reopen", error);
	kv->broken = 0;
	atomic_fetch_add(&kv->heals, 1);
	return 0;
}

/* Recovery makes tables of the logs: what they name must be durable, and so must they be: of
 * what could not be written some is missing, and not only at the end. */
static int settle(MneLevelKv *kv)
{
	if (kv->outside) {
		mne_memtable_wait(kv->memtable);
		MNE_TRY(kv->outside->settle(kv->outside->user));
	}
	return mne_wal_sync(kv->wal);
}

/* A merge that found no room has filled all there was, and LevelDB leaves what it has
 * made until it is opened anew. */
static int require_room(MneLevelKv *kv, size_t batch_bytes)
{
	int err = mne_wal_require_room(kv->wal, batch_bytes, 0);
	uint64_t leftovers;

	if (err != -ENOSPC)
		return err;
	leftovers = mne_manifest_leftovers(kv->path, false);
	return leftovers > 0 ? mne_wal_require_room(kv->wal, batch_bytes, leftovers)
			     : err;
}

/* Corruption does not heal; everything else may. */
static int heal(MneLevelKv *kv, size_t batch_bytes)
{
	if (kv->db && mne_err_is(kv->broken, MNE_E_KV_CORRUPT))
		return kv->broken;
	MNE_TRY(require_room(kv, batch_bytes));
	MNE_TRY(settle(kv));
	if (!drain(kv))
		return kv->broken;
	MNE_TRY(reopen(kv));
	g_message("%s: reopened after a failed write", kv->path);
	return 0;
}

static void take_pen(MneLevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	while (kv->pen_taken)
		mne_cond_wait(&kv->changed, &kv->lock);
	kv->pen_taken = true;
}

static void give_pen(MneLevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	kv->pen_taken = false;
	mne_cond_broadcast(&kv->changed);
}

static int heal_if_broken(MneLevelKv *kv, size_t batch_bytes)
{
	return kv->broken < 0 ? heal(kv, batch_bytes) : 0;
}

/* ---- who is in ---- */

static bool try_enter(MneLevelKv *kv, leveldb_t **out_db)
{
	MNE_WITH_LOCK(&kv->lock);
	while (kv->draining)
		mne_cond_wait(&kv->changed, &kv->lock);
	if (!kv->db)
		return false;
	kv->users++;
	*out_db = kv->db;
	return true;
}

int mne_level_enter(MneLevelKv *kv, leveldb_t **out_db)
{
	while (!try_enter(kv, out_db)) {
		int err;

		take_pen(kv);
		err = heal_if_broken(kv, 0);
		give_pen(kv);
		MNE_TRY(err);
	}
	return 0;
}

void mne_level_leave(MneLevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	kv->users--;
	if (kv->draining)
		mne_cond_broadcast(&kv->changed);
}

/* ---- writing ---- */

static void translate(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	leveldb_writebatch_t *to = user;

	if (is_delete)
		leveldb_writebatch_delete(to, mne_level_chars(key), key.len);
	else
		leveldb_writebatch_put(to, mne_level_chars(key), key.len,
				       mne_level_chars(value), value.len);
}

/* After any failure: there may be a torn batch in the log. */
static int write_batch(MneLevelKv *kv, const MneKvBatch *batch)
{
	char *error = NULL;
	int err;

	leveldb_writebatch_clear(kv->translated);
	mne_kv_batch_foreach(batch, translate, kv->translated);
	leveldb_write(kv->db, kv->writing, kv->translated, &error);
	err = mne_level_error("apply", error);
	if (err < 0 && kv->memtable)
		mne_memtable_undo(kv->memtable);
	if (err < 0)
		kv->broken = err;
	return err;
}

static int level_apply(MneKv *base, MneKvBatch *batch)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	int err;

	take_pen(kv);
	err = heal_if_broken(kv, mne_kv_batch_bytes(batch));
	if (err == 0 && kv->memtable)
		err = mne_memtable_admit(kv->memtable, batch);
	if (err == 0)
		err = write_batch(kv, batch);
	give_pen(kv);
	return err;
}

/* ---- opening and closing ---- */

static int level_barrier(MneKv *base)
{
	MneLevelKv *kv = (MneLevelKv *)base;

	if (kv->memtable)
		mne_memtable_note_sync(kv->memtable);
	return mne_wal_sync(kv->wal);
}

static void free_all(MneLevelKv *kv)
{
	if (kv->memtable)
		mne_memtable_free(kv->memtable);
	if (kv->db)
		leveldb_close(kv->db);
	leveldb_writebatch_destroy(kv->translated);
	leveldb_options_destroy(kv->options);
	leveldb_cache_destroy(kv->cache);
	if (kv->bloom)
		leveldb_filterpolicy_destroy(kv->bloom);
	leveldb_readoptions_destroy(kv->reading);
	leveldb_writeoptions_destroy(kv->writing);
	mne_wal_close(kv->wal);
	mne_cond_clear(&kv->changed);
	mne_lock_clear(&kv->lock);
	g_free(kv->path);
	g_free(kv);
}

/* leveldb_close() neither empties the memtable nor syncs. */
static void level_close(MneKv *base)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	int err = level_barrier(base);

	g_assert(kv->users == 0 && g_queue_is_empty(&kv->snapshots));
	if (err < 0)
		g_warning("%s: last sync: %s", kv->path, mne_err_text(err));
	free_all(kv);
}

static const MneKvOps level_ops = {
	.name = "leveldb",
	.get = mne_level_get,
	.iter = mne_level_iter,
	.snapshot = mne_level_snapshot,
	.apply = level_apply,
	.barrier = level_barrier,
	.size = mne_level_size,
	.stats = mne_level_stats,
	.close = level_close,
};

/* Checksums: without paranoid, indexes, compactions and repairs look at none. */
static void set_options(MneLevelKv *kv, const MneTuning *it)
{
	leveldb_options_t *options = kv->options = leveldb_options_create();

	kv->cache = leveldb_cache_create_lru(it->block_cache);
	leveldb_options_set_cache(options, kv->cache);
	if (it->bloom_bits > 0)
		kv->bloom = leveldb_filterpolicy_create_bloom(it->bloom_bits);
	leveldb_options_set_filter_policy(options, kv->bloom);
	leveldb_options_set_compression(options, it->compress
							 ? leveldb_snappy_compression
							 : leveldb_no_compression);
	leveldb_options_set_max_open_files(options, it->open_tables);
	leveldb_options_set_block_size(options, it->block_size);
	leveldb_options_set_max_file_size(options, it->table_size);
	leveldb_options_set_paranoid_checks(options, it->paranoid);
	leveldb_options_set_write_buffer_size(
		options, kv->outside ? 2 * it->write_buffer : it->write_buffer);
	kv->reading = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(kv->reading, it->verify);
	kv->writing = leveldb_writeoptions_create();
}

static MneLevelKv *level_new(const char *path, const MneLeveldbOptions *options)
{
	MneTuning tuning = mne_tuning(options->write_buffer, options->block_cache);
	MneLevelKv *kv = g_new0(MneLevelKv, 1);

	kv->base.ops = &level_ops;
	kv->outside = options->outside;
	kv->buffer = tuning.write_buffer;
	kv->path = g_strdup(path);
	kv->translated = leveldb_writebatch_create();
	set_options(kv, &tuning);
	g_queue_init(&kv->snapshots);
	mne_lock_init(&kv->lock, MNE_RANK_ENGINE);
	mne_cond_init(&kv->changed);
	return kv;
}

/* LevelDB takes a directory without CURRENT for an empty one and would delete the
 * tables in it. */
static int require_no_data(const char *path)
{
	g_autoptr(GError) error = NULL;
	g_autoptr(GDir) dir = g_dir_open(path, 0, &error);
	const char *name;

	if (g_error_matches(error, G_FILE_ERROR, G_FILE_ERROR_NOENT))
		return 0;
	if (!dir)
		return mne_err_in_sentence(error->message);
	while ((name = g_dir_read_name(dir)))
		if (g_str_has_suffix(name, ".ldb") || g_str_has_suffix(name, ".sst"))
			return mne_throw(KV_CORRUPT, "%s: %s but no CURRENT", path,
					 name);
	return 0;
}

static int require_current(const char *path, bool create)
{
	g_autofree char *current = g_build_filename(path, "CURRENT", NULL);

	if (access(current, F_OK) == 0)
		return 0;
	if (errno != ENOENT && errno != ENOTDIR)
		return -errno;
	MNE_TRY(require_no_data(path));
	return create ? 0 : -ENOENT;
}

static int sync_parent(const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path);
	int fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err;

	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int make_dir(const char *path)
{
	if (mkdir(path, 0755) < 0)
		return errno == EEXIST ? 0 : -errno;
	return sync_parent(path);
}

/* The way to have LevelDB switch is to compact a range where nothing is.  kv->db stays:
 * who would close it waits for this. */
static void flush_memtable(void *user)
{
	static const char beyond[] = "\xff\xff";

	leveldb_compact_range(((MneLevelKv *)user)->db, beyond, 2, beyond, 2);
}

typedef struct {
	MneLevelKv *kv;
	char *error;
} Opening;

static void *run_open(void *data)
{
	Opening *opening = data;

	mne_thread_stay_behind();
	return leveldb_open(opening->kv->options, opening->kv->path, &opening->error);
}

/* The thread that merges tables may begin here, and becomes as who begins it is. */
static leveldb_t *open_behind(MneLevelKv *kv, char **out_error)
{
	Opening opening = { kv, NULL };
	leveldb_t *db = g_thread_join(g_thread_new("mne-open", run_open, &opening));

	*out_error = opening.error;
	return db;
}

static int open_db(MneLevelKv *kv, const MneLeveldbOptions *options)
{
	char *error = NULL;

	if (options->create)
		MNE_TRY(make_dir(kv->path));
	MNE_TRY(mne_wal_open(kv->path, &kv->wal));
	MNE_TRY(mne_manifest_mend(kv->path));
	MNE_TRY(require_current(kv->path, options->create));
	MNE_TRY(mne_wal_cut(kv->wal, kv->outside));
	(void)mne_manifest_leftovers(kv->path, true); /* room for what the logs hold */
	if (kv->outside)
		MNE_TRY(kv->outside->settle(kv->outside->user));
	leveldb_options_set_create_if_missing(kv->options, options->create);
	kv->db = open_behind(kv, &error);
	leveldb_options_set_create_if_missing(kv->options, false);
	if (kv->db && kv->outside)
		kv->memtable = mne_memtable_new(kv->wal, kv->outside, kv->buffer,
						flush_memtable, kv);
	if (kv->memtable)
		mne_memtable_start(kv->memtable);
	return mne_level_error("open", error);
}

int mne_kv_leveldb_open(const char *path, const MneLeveldbOptions *options,
			MneKv **out_kv)
{
	MneLevelKv *kv = level_new(path, options);
	int err = open_db(kv, options);

	if (err < 0) {
		free_all(kv);
		return err;
	}
	*out_kv = &kv->base;
	return 0;
}

int mne_kv_leveldb_repair(const char *path)
{
	static const MneLeveldbOptions defaults = { 0 };
	MneLevelKv *kv = level_new(path, &defaults);
	char *error = NULL;
	int err = mne_wal_open(path, &kv->wal);

	if (err == 0)
		err = mne_wal_cut(kv->wal, NULL);
	if (err == 0) {
		leveldb_repair_db(kv->options, path, &error);
		err = mne_level_error("repair", error);
	}
	free_all(kv);
	return err;
}
