/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/leveldb_read.c - the engine on disk: gets, iterators, snapshots
 *
 * Whoever reads is inside the database, so that it is not reopened meanwhile.  A snapshot
 * only is while it is asked: one that stays for minutes must not keep a full disk from
 * healing.  It is lost then, and says so.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/leveldb.h"

typedef struct {
	MneKvIter base;
	MneLevelKv *kv;
	leveldb_iterator_t *iter;
} LevelIter;

typedef struct {
	MneKv base;
	MneLevelKv *kv;
	const leveldb_snapshot_t *at; /* under the lock of kv; NULL: lost */
	leveldb_readoptions_t *reading;
	GList link; /* in kv->snapshots */
} MneLevelSnapshot;

static int get_at(MneLevelKv *kv, const leveldb_readoptions_t *reading, MneSlice key,
		  GBytes **out_value)
{
	char *error = NULL;
	char *value;
	size_t len;

	value = leveldb_get(kv->db, reading, mne_level_chars(key), key.len, &len,
			    &error);
	if (error)
		return mne_level_error("get", error);
	if (!value)
		return -ENOENT;

	*out_value = g_bytes_new_with_free_func(value, len, leveldb_free, value);
	return 0;
}

int mne_level_get(MneKv *base, MneSlice key, GBytes **out_value)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	leveldb_t *db;
	int err;

	MNE_TRY(mne_level_enter(kv, &db));
	err = get_at(kv, kv->reading, key, out_value);
	mne_level_leave(kv);
	return err;
}

uint64_t mne_level_size(MneKv *base, MneSlice first, MneSlice last)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	const char *start = mne_level_chars(first);
	const char *limit = mne_level_chars(last);
	uint64_t size = 0;
	leveldb_t *db;

	if (mne_level_enter(kv, &db) < 0)
		return 0;
	leveldb_approximate_sizes(db, 1, &start, &first.len, &limit, &last.len, &size);
	mne_level_leave(kv);
	return size;
}

char *mne_level_stats(MneKv *base)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	leveldb_t *db;
	char *levels, *memory, *text;

	if (mne_level_enter(kv, &db) < 0)
		return NULL;
	levels = leveldb_property_value(db, "leveldb.stats");
	memory = leveldb_property_value(db, "leveldb.approximate-memory-usage");
	mne_level_leave(kv);
	text = g_strdup_printf("leveldb memory=%s reopened=%u\n%s",
			       memory ? memory : "?", atomic_load(&kv->heals),
			       levels ? levels : "");
	leveldb_free(levels);
	leveldb_free(memory);
	return text;
}

/* ---- iterators ---- */

static void level_iter_seek(MneKvIter *base, MneSlice key)
{
	LevelIter *iter = (LevelIter *)base;

	leveldb_iter_seek(iter->iter, mne_level_chars(key), key.len);
}

static void level_iter_next(MneKvIter *base)
{
	leveldb_iter_next(((LevelIter *)base)->iter);
}

static void level_iter_seek_before(MneKvIter *base, MneSlice key)
{
	leveldb_iterator_t *iter = ((LevelIter *)base)->iter;

	leveldb_iter_seek(iter, mne_level_chars(key), key.len);
	if (leveldb_iter_valid(iter))
		leveldb_iter_prev(iter);
	else
		leveldb_iter_seek_to_last(iter);
}

/* LevelDB passes over a block that it cannot read, and stands at what comes after it. */
static bool level_iter_valid(const MneKvIter *base)
{
	leveldb_iterator_t *iter = ((const LevelIter *)base)->iter;
	char *error = NULL;

	if (!leveldb_iter_valid(iter))
		return false;
	leveldb_iter_get_error(iter, &error);
	if (!error)
		return true;
	leveldb_free(error);
	return false;
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
	return mne_level_error("iterate", error);
}

static void level_iter_free(MneKvIter *base)
{
	LevelIter *iter = (LevelIter *)base;

	leveldb_iter_destroy(iter->iter);
	mne_level_leave(iter->kv);
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

static MneKvIter *iter_new(MneLevelKv *kv, const leveldb_readoptions_t *reading)
{
	LevelIter *iter = g_new0(LevelIter, 1);

	iter->base.ops = &level_iter_ops;
	iter->kv = kv;
	iter->iter = leveldb_create_iterator(kv->db, reading);
	return &iter->base;
}

int mne_level_iter(MneKv *base, MneKvIter **out_iter)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	leveldb_t *db;

	MNE_TRY(mne_level_enter(kv, &db));
	*out_iter = iter_new(kv, kv->reading);
	return 0;
}

/* ---- snapshots ---- */

static int enter_snapshot(MneLevelSnapshot *snapshot)
{
	leveldb_t *db;

	MNE_TRY(mne_level_enter(snapshot->kv, &db));
	if (snapshot->at)
		return 0;
	mne_level_leave(snapshot->kv);
	return mne_throw(KV_SNAPSHOT, "the database was reopened since");
}

static int snapshot_get(MneKv *base, MneSlice key, GBytes **out_value)
{
	MneLevelSnapshot *snapshot = (MneLevelSnapshot *)base;
	int err;

	MNE_TRY(enter_snapshot(snapshot));
	err = get_at(snapshot->kv, snapshot->reading, key, out_value);
	mne_level_leave(snapshot->kv);
	return err;
}

static int snapshot_iter(MneKv *base, MneKvIter **out_iter)
{
	MneLevelSnapshot *snapshot = (MneLevelSnapshot *)base;

	MNE_TRY(enter_snapshot(snapshot));
	*out_iter = iter_new(snapshot->kv, snapshot->reading);
	return 0;
}

static int snapshot_apply(MneKv *kv G_GNUC_UNUSED, MneKvBatch *batch G_GNUC_UNUSED)
{
	return -EROFS;
}

static int snapshot_barrier(MneKv *kv G_GNUC_UNUSED)
{
	return 0;
}

static uint64_t snapshot_size(MneKv *kv, MneSlice first, MneSlice last)
{
	return mne_level_size(&((MneLevelSnapshot *)kv)->kv->base, first, last);
}

static char *snapshot_stats(MneKv *kv G_GNUC_UNUSED)
{
	return NULL;
}

static int snapshot_again(MneKv *kv G_GNUC_UNUSED, MneKv **out_snapshot G_GNUC_UNUSED)
{
	return -EOPNOTSUPP;
}

/* Caller holds the lock of the engine. */
static void let_go(MneLevelSnapshot *snapshot)
{
	if (snapshot->at)
		leveldb_release_snapshot(snapshot->kv->db, snapshot->at);
	snapshot->at = NULL;
}

static void snapshot_close(MneKv *base)
{
	MneLevelSnapshot *snapshot = (MneLevelSnapshot *)base;

	mne_lock(&snapshot->kv->lock);
	g_queue_unlink(&snapshot->kv->snapshots, &snapshot->link);
	let_go(snapshot);
	mne_unlock(&snapshot->kv->lock);
	leveldb_readoptions_destroy(snapshot->reading);
	g_free(snapshot);
}

void mne_level_lose_snapshots(MneLevelKv *kv)
{
	MNE_WITH_LOCK(&kv->lock);
	for (GList *link = kv->snapshots.head; link; link = link->next)
		let_go(link->data);
}

static const MneKvOps snapshot_ops = {
	.name = "leveldb-snapshot",
	.get = snapshot_get,
	.iter = snapshot_iter,
	.snapshot = snapshot_again,
	.apply = snapshot_apply,
	.barrier = snapshot_barrier,
	.size = snapshot_size,
	.stats = snapshot_stats,
	.close = snapshot_close,
};

int mne_level_snapshot(MneKv *base, MneKv **out_snapshot)
{
	MneLevelKv *kv = (MneLevelKv *)base;
	MneLevelSnapshot *snapshot;
	leveldb_t *db;

	MNE_TRY(mne_level_enter(kv, &db));
	snapshot = g_new0(MneLevelSnapshot, 1);
	snapshot->base.ops = &snapshot_ops;
	snapshot->kv = kv;
	snapshot->at = leveldb_create_snapshot(db);
	snapshot->reading = leveldb_readoptions_create();
	leveldb_readoptions_set_verify_checksums(snapshot->reading, true);
	leveldb_readoptions_set_snapshot(snapshot->reading, snapshot->at);
	snapshot->link.data = snapshot;
	mne_lock(&kv->lock);
	g_queue_push_tail_link(&kv->snapshots, &snapshot->link);
	mne_unlock(&kv->lock);
	mne_level_leave(kv);
	*out_snapshot = &snapshot->base;
	return 0;
}
