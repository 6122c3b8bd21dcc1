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
 * 4. Then it reopens, and goes on.
 * To keep 1. there is one writer at a time: the one who holds the pen.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/engines.h"
#include "kv/manifest.h"
#include "kv/memtable.h"
#include "kv/wal.h"
#include "util/lock.h"

#include <fcntl.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <unistd.h>

#include <leveldb/c.h>

enum {
	MIB = 1024 * 1024,
	DEFAULT_BUFFER = 64 * MIB,
	DEFAULT_CACHE = 64 * MIB,
	MAX_OPEN_FILES = 1000,
	BLOOM_BITS = 10,
	DRAIN_MS = 200,
};

typedef struct {
	MneKv base;
	char *path;
	MneWal *wal;
	const MneKvOutside *outside; /* or NULL */
	size_t buffer; /* of a memtable */
	leveldb_options_t *options;
	leveldb_cache_t *cache;
	leveldb_filterpolicy_t *bloom;
	leveldb_readoptions_t *reading;
	leveldb_writeoptions_t *writing;

	MneLock lock; /* of all below */
	MneCond changed;
	leveldb_t *db; /* changed by the pen's holder; NULL after a failed reopening */
	unsigned users; /* gets and iterators inside db */
	bool draining; /* nobody new may enter */
	bool pen_taken;
	MneMemtable *memtable; /* the pen's holder's; NULL: LevelDB's own affair */
	int broken; /* why the last apply failed; only the pen's holder asks */
	atomic_uint heals;
} LevelKv;

typedef struct {
	MneKvIter base;
	LevelKv *kv;
	leveldb_iterator_t *iter;
} LevelIter;

G_DEFINE_AUTOPTR_CLEANUP_FUNC(leveldb_writebatch_t, leveldb_writebatch_destroy)

/* ---- errors ---- */

/* LevelDB's errors are sentences that end with what strerror() says. */
static int errno_in(const char *text)
{
	static const int known[] = { ENOSPC, EDQUOT, EROFS,  EACCES, EPERM,
				     EMFILE, ENFILE, ENOMEM, EFBIG };

	for (size_t i = 0; i < G_N_ELEMENTS(known); i++)
		if (g_str_has_suffix(text, g_strerror(known[i])))
			return -known[i];
	return -EIO;
}

/* Takes LevelDB's message; NULL is success. */
static int take_error(const char *doing, char *text)
{
	int err;

	if (!text)
		return 0;

	if (g_str_has_prefix(text, "IO error: lock ")) {
		err = mne_throw(STORE_LOCKED, "%s: %s", doing, text);
	} else if (g_str_has_prefix(text, "IO error")) {
		err = errno_in(text);
		g_warning("%s: %s", doing, text);
	} else {
		err = mne_throw(KV_CORRUPT, "%s: %s", doing, text);
	}
	leveldb_free(text);
	return err;
}

/* LevelDB copies from it even when there is nothing to copy. */
static const char *chars(MneSlice slice)
{
	return slice.data ? (const char *)slice.data : "";
}

/* ---- healing; the caller has the pen ---- */

static bool drain(LevelKv *kv)
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
static int reopen(LevelKv *kv)
{
	char *error = NULL;
	leveldb_t *db;

	if (kv->db)
		leveldb_close(kv->db);
	db = leveldb_open(kv->options, kv->path, &error);

	MNE_WITH_LOCK(&kv->lock);
	kv->db = db;
	kv->draining = false;
	mne_cond_broadcast(&kv->changed);
	if (error)
		return take_error("reopen", error);
	kv->broken = 0;
	atomic_fetch_add(&kv->heals, 1);
	return 0;
}

/* Recovery makes tables of the logs: what they name must be durable. */
static int settle(LevelKv *kv)
{
	if (!kv->outside)
		return 0;
	mne_memtable_wait(kv->memtable);
	return kv->outside->settle(kv->outside->user);
}

static int heal(LevelKv *kv, size_t batch_bytes)
{
	MNE_TRY(mne_wal_require_room(kv->wal, batch_bytes));
	MNE_TRY(settle(kv));
	if (!drain(kv))
		return kv->broken;
	MNE_TRY(reopen(kv));
	g_message("%s: reopened after a failed write", kv->path);
	return 0;
}

static void take_pen(LevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	while (kv->pen_taken)
		mne_cond_wait(&kv->changed, &kv->lock);
	kv->pen_taken = true;
}

static void give_pen(LevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	kv->pen_taken = false;
	mne_cond_broadcast(&kv->changed);
}

static int heal_if_broken(LevelKv *kv, size_t batch_bytes)
{
	return kv->broken < 0 ? heal(kv, batch_bytes) : 0;
}

/* ---- reading ---- */

static bool try_enter(LevelKv *kv, leveldb_t **out_db)
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

/* db stays open until leave(). */
static int enter(LevelKv *kv, leveldb_t **out_db)
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

static void leave(LevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	kv->users--;
	if (kv->draining)
		mne_cond_broadcast(&kv->changed);
}

static int level_get(MneKv *base, MneSlice key, GBytes **out_value)
{
	LevelKv *kv = (LevelKv *)base;
	char *error = NULL;
	leveldb_t *db;
	char *value;
	size_t len;

	MNE_TRY(enter(kv, &db));
	value = leveldb_get(db, kv->reading, chars(key), key.len, &len, &error);
	leave(kv);
	if (error)
		return take_error("get", error);
	if (!value)
		return -ENOENT;

	*out_value = g_bytes_new_with_free_func(value, len, leveldb_free, value);
	return 0;
}

static uint64_t level_size(MneKv *base, MneSlice first, MneSlice last)
{
	LevelKv *kv = (LevelKv *)base;
	const char *start = chars(first);
	const char *limit = chars(last);
	uint64_t size = 0;
	leveldb_t *db;

	if (enter(kv, &db) < 0)
		return 0;
	leveldb_approximate_sizes(db, 1, &start, &first.len, &limit, &last.len, &size);
	leave(kv);
	return size;
}

static char *level_stats(MneKv *base)
{
	LevelKv *kv = (LevelKv *)base;
	leveldb_t *db;
	char *levels, *memory, *text;

	if (enter(kv, &db) < 0)
		return NULL;
	levels = leveldb_property_value(db, "leveldb.stats");
	memory = leveldb_property_value(db, "leveldb.approximate-memory-usage");
	leave(kv);
	text = g_strdup_printf("leveldb memory=%s reopened=%u\n%s",
			       memory ? memory : "?", atomic_load(&kv->heals),
			       levels ? levels : "");
	leveldb_free(levels);
	leveldb_free(memory);
	return text;
}

/* ---- writing ---- */

static void translate(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	leveldb_writebatch_t *to = user;

	if (is_delete)
		leveldb_writebatch_delete(to, chars(key), key.len);
	else
		leveldb_writebatch_put(to, chars(key), key.len, chars(value),
				       value.len);
}

/* Corruption does not heal; everything else may. */
static int write_batch(LevelKv *kv, leveldb_writebatch_t *batch)
{
	char *error = NULL;
	int err;

	leveldb_write(kv->db, kv->writing, batch, &error);
	err = take_error("apply", error);
	if (err < 0 && !mne_err_is(err, MNE_E_KV_CORRUPT))
		kv->broken = err;
	return err;
}

static int level_apply(MneKv *base, MneKvBatch *batch)
{
	LevelKv *kv = (LevelKv *)base;
	g_autoptr(leveldb_writebatch_t) translated = leveldb_writebatch_create();
	int err;

	mne_kv_batch_foreach(batch, translate, translated);
	take_pen(kv);
	err = heal_if_broken(kv, mne_kv_batch_bytes(batch));
	if (err == 0 && kv->memtable)
		err = mne_memtable_admit(kv->memtable, batch);
	if (err == 0)
		err = write_batch(kv, translated);
	give_pen(kv);
	return err;
}

/* ---- iterators ---- */

static void level_iter_seek(MneKvIter *base, MneSlice key)
{
	LevelIter *iter = (LevelIter *)base;

	leveldb_iter_seek(iter->iter, chars(key), key.len);
}

static void level_iter_next(MneKvIter *base)
{
	leveldb_iter_next(((LevelIter *)base)->iter);
}

static void level_iter_seek_before(MneKvIter *base, MneSlice key)
{
	leveldb_iterator_t *iter = ((LevelIter *)base)->iter;

	leveldb_iter_seek(iter, chars(key), key.len);
	if (leveldb_iter_valid(iter))
		leveldb_iter_prev(iter);
	else
		leveldb_iter_seek_to_last(iter);
}

static bool level_iter_valid(const MneKvIter *base)
{
	return leveldb_iter_valid(((const LevelIter *)base)->iter);
}

static MneSlice level_iter_key(const MneKvIter *base)
{
	MneSlice key;

	key.data = (const uint8_t *)leveldb_iter_key(((const LevelIter *)base)->iter,
						     &key.len);
	return key;
}

static MneSlice level_iter_value(const MneKvIter *base)
{
	MneSlice value;

	value.data = (const uint8_t *)leveldb_iter_value(
		((const LevelIter *)base)->iter, &value.len);
	return value;
}

static int level_iter_status(const MneKvIter *base)
{
	char *error = NULL;

	leveldb_iter_get_error(((const LevelIter *)base)->iter, &error);
	return take_error("iterate", error);
}

static void level_iter_free(MneKvIter *base)
{
	LevelIter *iter = (LevelIter *)base;

	leveldb_iter_destroy(iter->iter);
	leave(iter->kv);
	g_free(iter);
}

static const MneKvIterOps level_iter_ops = {
	.seek = level_iter_seek,
	.next = level_iter_next,
	.seek_before = level_iter_seek_before,
	.valid = level_iter_valid,
	.key = level_iter_key,
	.value = level_iter_value,
	.status = level_iter_status,
	.free = level_iter_free,
};

static int level_iter(MneKv *base, MneKvIter **out_iter)
{
	LevelKv *kv = (LevelKv *)base;
	LevelIter *iter;
	leveldb_t *db;

	MNE_TRY(enter(kv, &db));
	iter = g_new0(LevelIter, 1);
	iter->base.ops = &level_iter_ops;
	iter->kv = kv;
	iter->iter = leveldb_create_iterator(db, kv->reading);
	*out_iter = &iter->base;
	return 0;
}

/* ---- opening and closing ---- */

static int level_barrier(MneKv *kv)
{
	return mne_wal_sync(((LevelKv *)kv)->wal);
}

static void free_all(LevelKv *kv)
{
	if (kv->memtable)
		mne_memtable_free(kv->memtable);
	if (kv->db)
		leveldb_close(kv->db);
	leveldb_options_destroy(kv->options);
	leveldb_cache_destroy(kv->cache);
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
	LevelKv *kv = (LevelKv *)base;
	int err = level_barrier(base);

	g_assert(kv->users == 0);
	if (err < 0)
		g_warning("%s: last sync: %s", kv->path, mne_err_text(err));
	free_all(kv);
}

static const MneKvOps level_ops = {
	.name = "leveldb",
	.get = level_get,
	.iter = level_iter,
	.apply = level_apply,
	.barrier = level_barrier,
	.size = level_size,
	.stats = level_stats,
	.close = level_close,
};

static LevelKv *level_new(const char *path, const MneLeveldbOptions *options)
{
	size_t buffer = options->write_buffer ? options->write_buffer : DEFAULT_BUFFER;
	LevelKv *kv = g_new0(LevelKv, 1);

	kv->base.ops = &level_ops;
	kv->outside = options->outside;
	kv->buffer = buffer;
	kv->path = g_strdup(path);
	kv->cache = leveldb_cache_create_lru(options->block_cache ? options->block_cache
								  : DEFAULT_CACHE);
	kv->bloom = leveldb_filterpolicy_create_bloom(BLOOM_BITS);
	kv->reading = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(kv->reading, true);
	kv->writing = leveldb_writeoptions_create();
	kv->options = leveldb_options_create();
	leveldb_options_set_cache(kv->options, kv->cache);
	leveldb_options_set_filter_policy(kv->options, kv->bloom);
	leveldb_options_set_compression(kv->options, leveldb_no_compression);
	leveldb_options_set_max_open_files(kv->options, MAX_OPEN_FILES);
	leveldb_options_set_write_buffer_size(kv->options,
					      kv->outside ? 2 * buffer : buffer);
	mne_lock_init(&kv->lock, MNE_RANK_ENGINE);
	mne_cond_init(&kv->changed);
	return kv;
}

/* LevelDB takes a directory without CURRENT for an empty one and would delete the
 * tables in it. */
static int require_no_data(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
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

	leveldb_compact_range(((LevelKv *)user)->db, beyond, 2, beyond, 2);
}

static int open_db(LevelKv *kv, const MneLeveldbOptions *options)
{
	char *error = NULL;

	if (options->create)
		MNE_TRY(make_dir(kv->path));
	MNE_TRY(mne_wal_open(kv->path, &kv->wal));
	MNE_TRY(mne_manifest_mend(kv->path));
	MNE_TRY(require_current(kv->path, options->create));
	MNE_TRY(mne_wal_cut(kv->wal, kv->outside));
	if (kv->outside)
		MNE_TRY(kv->outside->settle(kv->outside->user));
	leveldb_options_set_create_if_missing(kv->options, options->create);
	kv->db = leveldb_open(kv->options, kv->path, &error);
	leveldb_options_set_create_if_missing(kv->options, false);
	if (kv->db && kv->outside)
		kv->memtable = mne_memtable_new(kv->wal, kv->outside, kv->buffer,
						flush_memtable, kv);
	return take_error("open", error);
}

int mne_kv_leveldb_open(const char *path, const MneLeveldbOptions *options,
			MneKv **out_kv)
{
	LevelKv *kv = level_new(path, options);
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
	LevelKv *kv = level_new(path, &defaults);
	char *error = NULL;
	int err = mne_wal_open(path, &kv->wal);

	if (err == 0) {
		leveldb_repair_db(kv->options, path, &error);
		err = take_error("repair", error);
	}
	free_all(kv);
	return err;
}
