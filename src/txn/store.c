/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/store.c - an open store: put together, taken apart, asked how it is
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/store.h"

#include "txn/commit.h"
#include "txn/filestate.h"
#include "txn/policy.h"
#include "txn/txstate.h"
#include "util/coding.h"
#include "util/log.h"

#include <sys/statvfs.h>
#include <unistd.h>

#define FEED_BYTES (8u << 20) /* of events that are kept for slow readers */

int mne_store_init(const char *path)
{
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;
	MneStore *store = NULL;

	options.create = true;
	options.no_background = true;
	MNE_TRY(mne_store_open(path, &options, &store));
	mne_store_close(store);
	return 0;
}

/* The root directory of a new store. */
static int make_root(MneStore *store)
{
	const MneMake what = { .mode = S_IFDIR | 0755,
			       .uid = geteuid(),
			       .gid = getegid() };
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) root = { 0 };
	MneKey key;
	int err = mne_dir_load(store, MNE_ROOT_TABLE, MNE_ROOT_DIR, &root);

	if (err != -ENOENT)
		return err;
	MNE_TRY(mne_commit_begin(store, &commit));
	mne_node_new(store, NULL, &what, commit.now, &root);
	root.rec = MNE_ROOT_DIR;
	root.parent = MNE_ROOT_DIR;
	mne_key_node(&key, MNE_ROOT_TABLE, MNE_ROOT_DIR, MNE_SLICE_EMPTY);
	MNE_TRY(mne_commit_node(&commit, &key, &root));
	return mne_commit_apply(&commit);
}

static int load_segments(MneStore *store)
{
	const uint8_t tag = MNE_TAG_SEGMENT;
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice payload;
		MneKeyParts parts;
		MneKind kind;
		uint64_t seq;

		if (mne_kv_iter_key(iter).data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(mne_kv_iter_key(iter), &parts));
		MNE_TRY(mne_value_open(mne_kv_iter_value(iter), &kind, &seq, &payload));
		if (payload.len != 8)
			return mne_throw(VALUE_CORRUPT,
					 "a segment's record does not decode");
		mne_blob_set_live(store->volume->blob, parts.id,
				  (int64_t)mne_get_be64(payload.data));
	}
	return mne_kv_iter_status(iter);
}

static void store_free(MneStore *store)
{
	g_clear_pointer(&store->txs, mne_txs_free);
	mne_files_free(store->files);
	mne_limit_clear(&store->limit);
	mne_feed_free(store->feed);
	mne_served_clear(&store->live);
	g_clear_pointer(&store->ckpts, mne_ckpts_free);
	g_clear_pointer(&store->bookmarks, mne_ckpts_free);
	g_clear_pointer(&store->frags, mne_frags_free);
	g_clear_pointer(&store->policies, mne_policies_free);
	g_clear_pointer(&store->modules, mne_frag_modules_free);
	g_clear_pointer(&store->split.quiet, g_hash_table_unref);
	mne_lock_clear(&store->split.lock);
	g_clear_pointer(&store->batch, mne_kv_batch_free);
	g_queue_clear_full(&store->notices.queue, g_free);
	mne_lock_clear(&store->gate);
	mne_lock_clear(&store->counters);
	mne_lock_clear(&store->barrier.lock);
	mne_cond_clear(&store->barrier.done);
	mne_lock_clear(&store->working);
	mne_lock_clear(&store->worker.lock);
	mne_cond_clear(&store->worker.wake);
	mne_lock_clear(&store->notices.lock);
	mne_cond_clear(&store->notices.came);
	mne_cond_clear(&store->notices.went);
	g_free(store);
}

static MneStore *store_alloc(const MneStoreOptions *options, MneRank gate)
{
	MneStore *store = g_new0(MneStore, 1);

	store->options = *options;
	mne_lock_init(&store->gate, gate);
	mne_lock_init(&store->counters, MNE_RANK_COUNTERS);
	mne_lock_init(&store->barrier.lock, MNE_RANK_BARRIER);
	mne_cond_init(&store->barrier.done);
	mne_lock_init(&store->working, MNE_RANK_WORK);
	mne_lock_init(&store->worker.lock, MNE_RANK_QUEUE);
	mne_cond_init(&store->worker.wake);
	mne_lock_init(&store->notices.lock, MNE_RANK_QUEUE);
	mne_cond_init(&store->notices.came);
	mne_cond_init(&store->notices.went);
	g_queue_init(&store->notices.queue);
	store->batch = mne_kv_batch_new();
	store->files = mne_files_new();
	store->feed = mne_feed_new(FEED_BYTES);
	store->modules = mne_frag_modules_new(options->hash_modules);
	store->options.hash_modules = NULL; /* it was borrowed */
	store->frags = mne_frags_new(store->modules);
	store->policies = mne_policies_new();
	mne_lock_init(&store->split.lock, MNE_RANK_TABLE);
	store->split.quiet = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	store->orphans = 1; /* some may be left from before: the first round looks */
	return store;
}

static int load(MneStore *store)
{
	mne_live_view_init(&store->stored, store->volume->kv, store->frags,
			   store->volume->blob);
	mne_served_init(&store->live, &store->stored.base);
	MNE_TRY(mne_frags_load(store->frags, store->volume->kv));
	mne_space_init(&store->space, store->volume->path);
	store->ckpts = mne_ckpts_new(store->volume->kv, &store->stored.base,
				     &mne_ckpt_tags);
	store->bookmarks = mne_ckpts_new(store->volume->kv, &store->stored.base,
					 &mne_bookmark_tags);
	MNE_TRY(mne_ckpts_load(store->ckpts));
	MNE_TRY(mne_ckpts_load(store->bookmarks));
	if (!store->options.read_only)
		MNE_TRY(mne_store_add_names(store)); /* before they are counted */
	MNE_TRY(mne_store_load_tally(store));
	mne_limit_init(&store->limit, &store->options, store->volume->path);
	mne_limit_refresh(store);
	MNE_TRY(load_segments(store));
	MNE_TRY(mne_rollback_resume(store));
	MNE_TRY(mne_policies_load(store));
	if (store->options.read_only || store->failed)
		return 0;
	return make_root(store);
}

int mne_store_open(const char *path, const MneStoreOptions *options,
		   MneStore **out_store)
{
	const MneVolumeOptions how = { .create = options->create,
				       .read_only = options->read_only,
				       .in_memory = options->in_memory,
				       .salvage = options->salvage,
				       .rebuild = options->rebuild };
	MneStore *store = store_alloc(options, MNE_RANK_GATE);
	int err = mne_volume_open(path, &how, &store->volume);

	store->txs = mne_txs_new();
	if (err == 0)
		err = load(store);
	if (err < 0) {
		if (store->volume)
			mne_volume_close(store->volume, true);
		store_free(store);
		return err;
	}
	if (!options->no_background && !options->read_only)
		mne_worker_start(store);
	*out_store = store;
	return 0;
}

/* Its barriers are its outer store's: what it stages is durable when that one's are. */
MneStore *mne_store_new_staged(MneTx *tx, uint64_t seq)
{
	MneStoreOptions options = tx->of->options;
	MneStore *store;

	options.sync_seconds = MNE_SYNC_OFF;
	options.no_background = true;
	store = store_alloc(&options, MNE_RANK_TXN);
	store->tx = tx;
	store->volume = mne_volume_new_staged(tx->of->volume, seq);
	store->ckpts = mne_ckpts_new(store->volume->kv, &store->live.base,
				     &mne_ckpt_tags);
	store->bookmarks = mne_ckpts_new(store->volume->kv, &store->live.base,
					 &mne_bookmark_tags);
	store->stored.frags = store->frags; /* none: what is staged has logical keys */
	mne_space_init(&store->space, store->volume->path);
	return store;
}

void mne_store_free_staged(MneStore *store)
{
	g_clear_pointer(&store->ckpts, mne_ckpts_free);
	g_clear_pointer(&store->bookmarks, mne_ckpts_free);
	mne_volume_free_staged(store->volume);
	store_free(store);
}

void mne_store_leave(MneStore *store)
{
	mne_volume_leave(store->volume);
}

void mne_store_close(MneStore *store)
{
	mne_worker_stop(store);
	if (!store->options.read_only) {
		int err = mne_files_commit_old(store, 0);

		if (err < 0)
			g_warning("the last changes of a file are lost: %s",
				  mne_err_sentence(err));
		if (mne_store_barrier(store) < 0)
			g_warning("the store was closed after a failed sync");
	}
	mne_volume_close(store->volume, store->failed);
	store_free(store);
}

MneView *mne_store_live(MneStore *store)
{
	return &store->live.base;
}

MneCkpts *mne_store_bookmarks(MneStore *store)
{
	return store->bookmarks;
}

MneCkpts *mne_store_ckpts(MneStore *store)
{
	return store->ckpts;
}

MneFrags *mne_store_frags(MneStore *store)
{
	return store->frags;
}

MneKv *mne_store_kv(MneStore *store)
{
	return store->volume->kv;
}

MneBlobStore *mne_store_blob(MneStore *store)
{
	return store->volume->blob;
}

int mne_store_apply_raw(MneStore *store, MneKvBatch *batch)
{
	MNE_WITH_LOCK(&store->gate);
	return mne_volume_apply(store->volume, batch);
}

bool mne_store_was_unclean(const MneStore *store)
{
	return store->volume->unclean;
}

int mne_store_sync(MneStore *store)
{
	int err = mne_files_commit_old(store, 0);

	MNE_TRY(mne_store_barrier(store));
	return err;
}

uint64_t mne_store_mended(const MneStore *store)
{
	return store->volume->mended;
}

const char *mne_store_path(const MneStore *store)
{
	return store->volume->path;
}

const MneStoreOptions *mne_store_options(const MneStore *store)
{
	return &store->options;
}

uint64_t mne_store_cookie(const MneStore *store)
{
	return store->volume->cookie;
}

char *mne_store_engine_stats(MneStore *store)
{
	return mne_kv_stats(store->volume->kv);
}

static void add_tables(MneStore *store, MneStoreStats *out)
{
	g_autoptr(GArray) tables = NULL;

	if (mne_store_tables(store, &tables) < 0)
		return;
	out->tables = tables->len;
	for (guint i = 0; i < tables->len; i++)
		out->records += g_array_index(tables, MneTableInfo, i).records;
}

static void add_segments(MneStore *store, MneStoreStats *out)
{
	g_autoptr(GArray) segments = mne_blob_segments(store->volume->blob);

	for (guint i = 0; i < segments->len; i++)
		out->live_bytes += (uint64_t)MAX(
			g_array_index(segments, MneBlobSegmentInfo, i).live, 0);
	out->blob_bytes = mne_blob_total(store->volume->blob);
}

static unsigned moving_tables(MneStore *store)
{
	g_autoptr(GPtrArray) maps = mne_frags_list(store->frags);
	unsigned count = 0;

	for (guint i = 0; i < maps->len; i++) {
		const MneFragMap *map = maps->pdata[i];

		count += map->move != MNE_FRAG_STAYS ||
			 (map->goal != 0 && map->goal != map->n);
	}
	return count;
}

void mne_store_stats(MneStore *store, MneStoreStats *out)
{
	const uint8_t first = 0, last = 0xff;

	*out = (MneStoreStats){
		.seq = store->volume->seq,
		.commits = store->commits,
		.barriers = store->barrier.count,
		.open_files = store->files->open,
		.uncommitted = store->files->pending,
		.reclaim_backlog = mne_ckpts_dropping(store->ckpts) + store->orphans,
		.history_limit = store->limit.bytes,
		.moving_tables = moving_tables(store),
		.moved_records = store->split.all_moved,
		.last_barrier_seq = store->barrier.seq,
		.failed = store->failed,
	};
	add_tables(store, out);
	add_segments(store, out);
	out->kv_bytes = mne_kv_size(store->volume->kv, mne_slice(&first, 1),
				    mne_slice(&last, 1));
	out->free_bytes = mne_space_left(&store->space);
}

int mne_store_statvfs(MneStore *store, struct statvfs *out)
{
	uint64_t left = mne_space_left(&store->space);

	if (statvfs(store->volume->path, out) < 0)
		return -errno;
	out->f_bavail = left / out->f_frsize;
	out->f_bfree = MAX(out->f_bfree, out->f_bavail);
	out->f_namemax = MNE_NAME_MAX;
	return 0;
}
