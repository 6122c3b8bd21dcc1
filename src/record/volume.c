/* SPDX-License-Identifier: Apache-2.0
 *
 * record/volume.c - a store directory: made, opened, locked, closed
 *
 * Write ordering when a store is made:
 *  1. LOCK, kv/ with a SUPER record, blob/; all durable.
 *  2. MNEFS by rename.  A directory with LOCK but no MNEFS is half made.
 */
#define G_LOG_DOMAIN "mne-record"

#include "config.h"

#include "record/volume.h"

#include "kv/engines.h"
#include "record/extent.h"
#include "record/keys.h"
#include "record/lockfile.h"
#include "record/node.h"
#include "record/salvage.h"
#include "record/super.h"
#include "util/coding.h"
#include "util/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include <glib/gstdio.h>

#define MAGIC    "mnefs store"
#define FIRST_ID 16u /* below: fixed numbers of the root and the like */
#define RESERVE  (UINT64_C(1) << 20)

/* Is nothing in the directory but these, and lost+found? */
static bool directory_has_only(const char *path, const char *const *names)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir)))
		if (strcmp(name, "lost+found") != 0 && !g_strv_contains(names, name))
			return false;
	return true;
}

typedef enum {
	PLACE_ABSENT,
	PLACE_EMPTY,
	PLACE_STORE,
	PLACE_HALF,
	PLACE_FOREIGN
} Place;

static bool has(const char *path, const char *name)
{
	g_autofree char *full = g_build_filename(path, name, NULL);

	return g_file_test(full, G_FILE_TEST_EXISTS);
}

static Place place_of(const char *path)
{
	static const char *const none[] = { NULL };
	static const char *const made[] = { "LOCK", "blob", "kv", NULL };

	if (!g_file_test(path, G_FILE_TEST_EXISTS))
		return PLACE_ABSENT;
	if (!g_file_test(path, G_FILE_TEST_IS_DIR))
		return PLACE_FOREIGN;
	if (has(path, "MNEFS"))
		return PLACE_STORE;
	if (has(path, "LOCK") && (has(path, "kv") || directory_has_only(path, made)))
		return PLACE_HALF;
	return directory_has_only(path, none) ? PLACE_EMPTY : PLACE_FOREIGN;
}

static int sync_dir(const char *path)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int err = fd < 0 || fsync(fd) < 0 ? -errno : 0;

	if (fd >= 0)
		close(fd);
	return err;
}

static int check_marker(const char *path)
{
	g_autofree char *file = g_build_filename(path, "MNEFS", NULL);
	g_autofree char *text = NULL;
	unsigned format = 0;

	if (!g_file_get_contents(file, &text, NULL, NULL))
		return mne_throw(STORE_FOREIGN, "%s cannot be read", file);
	if (!g_str_has_prefix(text, MAGIC "\n") ||
	    sscanf(text + strlen(MAGIC "\n"), "format %u", &format) != 1)
		return mne_throw(STORE_FOREIGN, "%s is not of a mnefs store", file);
	if (format > MNE_FORMAT_VERSION)
		return mne_throw(
			STORE_NEWER,
			"the store at %s has format %u; this mnefs knows up to %u",
			path, format, MNE_FORMAT_VERSION);
	return 0;
}

static int write_marker(const char *path)
{
	g_autofree char *file = g_build_filename(path, "MNEFS", NULL);
	g_autofree char *text = g_strdup_printf(MAGIC "\nformat %u\n",
						MNE_FORMAT_VERSION);
	g_autoptr(GError) error = NULL;

	if (!g_file_set_contents_full(file, text, -1,
				      G_FILE_SET_CONTENTS_CONSISTENT |
					      G_FILE_SET_CONTENTS_DURABLE,
				      0600, &error))
		return mne_throw(STORE_READONLY, "%s", error->message);
	return sync_dir(path);
}

/* What memtables and segments may grow to: a small disk must hold several of them. */
static uint64_t unit_for(const char *path)
{
	const uint64_t most = UINT64_C(64) << 20, least = UINT64_C(1) << 20;
	struct statvfs vfs;
	uint64_t wanted;

	if (mne_debug_has("unit", &wanted))
		return wanted;
	if (statvfs(path, &vfs) < 0)
		return most;
	return CLAMP((uint64_t)vfs.f_blocks * vfs.f_frsize / 64, least, most);
}

/* ---- what the engine asks about the blobs ---- */

/* The frame is then to be settled: its own process may not have done so. */
static bool extent_holds(void *user, MneSlice key, MneSlice value)
{
	MneVolume *volume = user;
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	uint64_t seq;
	uint8_t byte;

	(void)key;
	if (value.len == 0 || value.data[0] != MNE_KIND_EXTENT ||
	    mne_value_open(value, &kind, &seq, &payload) < 0 ||
	    mne_extent_decode(payload, 0, &extent) < 0)
		return true; /* not what this is about */
	mne_blob_doubt(volume->blob, extent.ref.segment);
	return mne_blob_read(volume->blob, &extent.ref, extent.from, &byte, 1) == 0;
}

static bool super_vouches(void *user, MneSlice key, MneSlice value,
			  uint64_t *out_behind)
{
	MneSuper super = { 0 };

	(void)user;
	if (key.len != 1 || key.data[0] != MNE_TAG_SUPER ||
	    mne_super_decode(value, &super) < 0 || super.behind == UINT64_MAX)
		return false;
	*out_behind = super.behind;
	return true;
}

static int settle_blobs(void *user)
{
	return mne_volume_settle(user);
}

static int open_blobs(MneVolume *volume, bool create)
{
	g_autofree char *blob = g_build_filename(volume->path, "blob", NULL);
	uint64_t nth;

	MNE_TRY(mne_blob_open(blob, create, &volume->blob));
	mne_blob_set_segment_max(volume->blob, unit_for(volume->path));
	if (mne_debug_has("blob-fail", &nth))
		mne_blob_set_fault(volume->blob, nth, false);
	if (mne_debug_has("blob-kill", &nth))
		mne_blob_set_fault(volume->blob, nth, true);
	volume->outside = (MneKvOutside){ extent_holds, super_vouches, settle_blobs,
					  volume };
	return 0;
}

static int open_leveldb(MneVolume *volume, const MneVolumeOptions *options, bool create)
{
	g_autofree char *kv = g_build_filename(volume->path, "kv", NULL);
	const MneLeveldbOptions leveldb = {
		.outside = &volume->outside,
		.write_buffer = (size_t)unit_for(volume->path),
		.create = create,
	};
	int err = 0;

	if (!options->rebuild)
		err = mne_kv_leveldb_open(kv, &leveldb, &volume->kv);
	if (err == -ENOENT)
		err = mne_throw(KV_CORRUPT, "%s is no database", kv);
	if (!options->rebuild &&
	    (!options->salvage || !mne_err_is(err, MNE_E_KV_CORRUPT)))
		return err;
	MNE_TRY(mne_kv_leveldb_repair(kv));
	volume->rebuilt = true;
	return mne_kv_leveldb_open(kv, &leveldb, &volume->kv);
}

static int open_engines(MneVolume *volume, const MneVolumeOptions *options, bool create)
{
	uint64_t nth;

	MNE_TRY(open_blobs(volume, create));
	if (options->in_memory)
		volume->kv = mne_kv_mem_new();
	else
		MNE_TRY(open_leveldb(volume, options, create));
	if (mne_debug_has("trace-kv", NULL))
		volume->kv = mne_kv_trace_new(volume->kv);
	if (mne_debug_has("kv-fail", &nth))
		volume->kv = mne_kv_fault_new(volume->kv, MNE_FAULT_FAIL, nth, false);
	if (mne_debug_has("kv-fail-from", &nth))
		volume->kv = mne_kv_fault_new(volume->kv, MNE_FAULT_FAIL_FROM, nth,
					      false);
	if (mne_debug_has("kv-kill", &nth))
		volume->kv = mne_kv_fault_new(volume->kv, MNE_FAULT_KILL, nth, false);
	if (mne_debug_has("kv-kill-after", &nth))
		volume->kv = mne_kv_fault_new(volume->kv, MNE_FAULT_KILL_AFTER, nth,
					      false);
	volume->kv = mne_kv_cache_new(volume->kv, mne_key_is_dir);
	return 0;
}

/* The next numbers, after a reserve unless nothing will be handed out any more. */
static MneSuper super_of(const MneVolume *volume, bool clean)
{
	uint64_t ahead = clean ? 0 : RESERVE;

	return (MneSuper){ .features = volume->features,
			   .cookie = volume->cookie,
			   .next_id = volume->next_id + ahead,
			   .seq = volume->seq + ahead,
			   .next_table = volume->next_table,
			   .clean = clean,
			   .behind = volume->applied - volume->settled,
			   .mended = volume->mended };
}

int mne_volume_apply(MneVolume *volume, MneKvBatch *batch)
{
	int err = mne_kv_apply(volume->kv, batch);

	atomic_fetch_add(&volume->applied, 1);
	return err;
}

int mne_volume_settle(MneVolume *volume)
{
	uint64_t applied = volume->applied;

	MNE_TRY(mne_blob_barrier(volume->blob));
	volume->settled = applied;
	return 0;
}

static int apply_super(MneVolume *volume, bool clean)
{
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();
	MneSuper super = super_of(volume, clean);

	mne_super_put(batch, &super);
	MNE_TRY(mne_volume_apply(volume, batch));
	volume->id_limit = super.next_id;
	volume->seq_limit = super.seq;
	return mne_kv_barrier(volume->kv);
}

static int load_super(MneVolume *volume)
{
	g_autoptr(GBytes) value = NULL;
	MneSuper super = { 0 };
	MneKey key;
	int err;

	mne_key_super(&key);
	err = mne_kv_get(volume->kv, mne_key_slice(&key), &value);
	if (err == -ENOENT)
		return mne_throw(STORE_HALF, "the store at %s has no super record",
				 volume->path);
	MNE_TRY(err);
	MNE_TRY(mne_super_decode(mne_slice_of(value), &super));
	volume->features = super.features;
	volume->cookie = super.cookie;
	volume->next_id = super.next_id;
	volume->next_table = super.next_table;
	volume->seq = super.seq;
	volume->mended = super.mended;
	volume->unclean = !super.clean;
	return 0;
}

/* With those above it, each durable in the one above. */
static int make_dirs(const char *path)
{
	g_autofree char *above = g_path_get_dirname(path);
	int err;

	if (g_file_test(path, G_FILE_TEST_IS_DIR))
		return 0;
	MNE_TRY(make_dirs(above));
	if (mkdir(path, 0700) < 0 && errno != EEXIST)
		return -errno;
	err = sync_dir(above);
	return err == -EACCES ? 0 : err; /* who may make files there need not read it */
}

static int make_store(MneVolume *volume, const MneVolumeOptions *options)
{
	int err = make_dirs(volume->path);

	if (err < 0)
		return mne_throw(STORE_READONLY, "%s: %s", volume->path,
				 g_strerror(-err));
	MNE_TRY(mne_lockfile_take(volume->path, &volume->lock_fd));
	MNE_TRY(open_engines(volume, options, true));
	volume->cookie = ((uint64_t)g_random_int() << 32) | g_random_int();
	volume->features = MNE_FEATURES_NEW;
	volume->next_id = FIRST_ID;
	volume->next_table = 1;
	volume->seq = 1;
	MNE_TRY(apply_super(volume, false));
	return write_marker(volume->path);
}

/* Numbers go on above every one that was given, whatever SUPER says or does not. */
static int recount(MneVolume *volume)
{
	MneSalvage found;
	int err = load_super(volume);

	if (err < 0 && !mne_err_is(err, EIO) && !mne_err_is(err, MNE_E_STORE_HALF))
		return err;
	MNE_TRY(mne_salvage(volume->kv, &found));
	volume->purged = found.purged;
	if (err < 0)
		volume->cookie = ((uint64_t)g_random_int() << 32) | g_random_int();
	volume->next_id = MAX(MAX(volume->next_id, found.id + 1), FIRST_ID);
	volume->next_table = MAX(volume->next_table, found.table + 1);
	volume->seq = MAX(volume->seq, found.seq);
	volume->mended = volume->seq;
	volume->features |= MNE_FEATURE_MENDED;
	volume->unclean = true;
	return 0;
}

static int salvage_store(MneVolume *volume, const MneVolumeOptions *options)
{
	int err = check_marker(volume->path);

	if (err < 0 && (!mne_err_is(err, MNE_E_STORE_FOREIGN) ||
			!has(volume->path, "kv") || !has(volume->path, "blob")))
		return err;
	MNE_TRY(mne_lockfile_take(volume->path, &volume->lock_fd));
	MNE_TRY(open_engines(volume, options, false));
	MNE_TRY(recount(volume));
	MNE_TRY(apply_super(volume, false));
	return err < 0 ? write_marker(volume->path) : 0;
}

static int open_store(MneVolume *volume, const MneVolumeOptions *options)
{
	if (options->salvage)
		return salvage_store(volume, options);
	MNE_TRY(check_marker(volume->path));
	MNE_TRY(mne_lockfile_take(volume->path, &volume->lock_fd));
	MNE_TRY(open_engines(volume, options, false));
	MNE_TRY(load_super(volume));
	return volume->read_only ? 0 : apply_super(volume, false);
}

static int open_or_make(MneVolume *volume, const MneVolumeOptions *options)
{
	const char *path = volume->path;

	switch (place_of(path)) {
	case PLACE_STORE: return open_store(volume, options);
	case PLACE_HALF:
		return mne_throw(STORE_HALF,
				 "the store at %s was never finished being made; "
				 "remove it and make it again",
				 path);
	case PLACE_FOREIGN:
		return mne_throw(STORE_FOREIGN, "%s is no mnefs store", path);
	case PLACE_ABSENT:
	case PLACE_EMPTY:
		if (options->create && !options->read_only)
			return make_store(volume, options);
		return mne_throw(STORE_ABSENT,
				 "there is no store at %s (make one: mnefs init %s, "
				 "or mount with -o create)",
				 path, path);
	}
	return -EINVAL;
}

static void volume_free(MneVolume *volume)
{
	g_clear_pointer(&volume->kv, mne_kv_close);
	g_clear_pointer(&volume->blob, mne_blob_close);
	if (volume->lock_fd >= 0)
		close(volume->lock_fd);
	g_free(volume->path);
	g_free(volume);
}

int mne_volume_open(const char *path, const MneVolumeOptions *options,
		    MneVolume **out_volume)
{
	MneVolume *volume = g_new0(MneVolume, 1);
	int err;

	volume->path = g_strdup(path);
	volume->lock_fd = -1;
	volume->read_only = options->read_only;
	err = open_or_make(volume, options);
	if (err < 0) {
		volume_free(volume);
		return err;
	}
	*out_volume = volume;
	return 0;
}

void mne_volume_leave(MneVolume *volume)
{
	if (volume->lock_fd >= 0)
		mne_lockfile_leave(volume->lock_fd);
}

void mne_volume_close(MneVolume *volume, bool dirty)
{
	if (!volume->read_only && !dirty &&
	    (mne_volume_settle(volume) < 0 || apply_super(volume, true) < 0))
		g_warning("the store could not be marked clean");
	volume_free(volume);
}

int mne_volume_add_feature(MneVolume *volume, uint64_t feature)
{
	volume->features |= feature;
	return apply_super(volume, false);
}

uint64_t mne_volume_new_id(MneVolume *volume)
{
	while (volume->of)
		volume = volume->of;
	return atomic_fetch_add(&volume->next_id, 1);
}

uint32_t mne_volume_new_table(MneVolume *volume, MneKvBatch *batch)
{
	MneVolume *root = volume;
	uint32_t id;

	while (root->of)
		root = root->of;
	id = root->next_table++;
	if (root == volume)
		mne_volume_tell(volume, batch);
	return id;
}

void mne_volume_tell(MneVolume *volume, MneKvBatch *batch)
{
	MneSuper super = super_of(volume, false);

	mne_super_put(batch, &super);
}

void mne_volume_mend(MneVolume *volume, MneKvBatch *batch)
{
	volume->mended = volume->seq;
	volume->features |= MNE_FEATURE_MENDED;
	mne_volume_tell(volume, batch);
}

uint64_t mne_volume_next_id(MneVolume *volume)
{
	while (volume->of)
		volume = volume->of;
	return volume->next_id;
}

MneVolume *mne_volume_new_staged(MneVolume *of, uint64_t seq)
{
	MneVolume *volume = g_new0(MneVolume, 1);

	volume->path = g_strdup(of->path);
	volume->kv = mne_kv_mem_new();
	volume->blob = of->blob;
	volume->lock_fd = -1;
	volume->cookie = of->cookie;
	volume->seq = seq;
	volume->of = of;
	return volume;
}

void mne_volume_free_staged(MneVolume *volume)
{
	volume->blob = NULL;
	volume_free(volume);
}

void mne_volume_use(MneVolume *volume, uint64_t feature, MneKvBatch *batch)
{
	if (!(volume->features & feature)) {
		volume->features |= feature;
		mne_volume_tell(volume, batch);
	}
}

void mne_volume_reserve(MneVolume *volume, MneKvBatch *batch)
{
	MneSuper super = super_of(volume, false);

	if (volume->told == volume->settled &&
	    volume->next_id + RESERVE / 2 < volume->id_limit &&
	    volume->seq + RESERVE / 2 < volume->seq_limit)
		return;
	mne_super_put(batch, &super);
	volume->id_limit = super.next_id;
	volume->seq_limit = super.seq;
	volume->told = volume->settled;
}
