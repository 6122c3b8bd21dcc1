/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/limit.c - how much may be kept for checkpoints, and what gives way
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/limit.h"

#include "ckpt/space.h"
#include "txn/filestate.h"
#include "util/log.h"
#include "util/text.h"

#include <sys/statvfs.h>

#define INODE_BYTES   512 /* of a retained inode with its key, roughly */
#define NODE_MOST     8192 /* an inode with all that can be in it */
#define REAP_WAIT_MS  5
#define REAP_TRIES    200
#define WAIT_MS       20
#define WAIT_MOST_MS  5000 /* for the space of one checkpoint to come back */
#define WAIT_SWEEP_MS 1500 /* … after all of it was given up: segments go last */

void mne_limit_init(MneLimit *limit, const MneStoreOptions *options, const char *path)
{
	struct statvfs vfs;

	limit->bytes = options->history_bytes;
	if (options->history_percent > 0 && statvfs(path, &vfs) == 0)
		limit->bytes = MAX((uint64_t)vfs.f_blocks * vfs.f_frsize / 100 *
					   options->history_percent,
				   1);
}

void mne_limit_clear(MneLimit *limit)
{
	g_clear_pointer(&limit->late, g_hash_table_unref);
}

void mne_limit_orphaned(MneStore *store, uint64_t data, uint64_t bytes)
{
	MneLimit *limit = &store->limit;

	if (limit->bytes == 0 || bytes == 0)
		return;
	mne_limit_reaped(store, data);
	if (!limit->late)
		limit->late = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
						    g_free);
	g_hash_table_insert(limit->late, g_memdup2(&data, sizeof(data)),
			    g_memdup2(&bytes, sizeof(bytes)));
	atomic_fetch_add(&limit->late_bytes, (int64_t)bytes);
}

void mne_limit_orphaned_all(MneStore *store, const GArray *late)
{
	for (guint i = 0; i < late->len; i++) {
		const MneLate *each = &g_array_index(late, MneLate, i);

		mne_limit_orphaned(store, each->data, each->bytes);
	}
}

void mne_limit_reaped(MneStore *store, uint64_t data)
{
	MneLimit *limit = &store->limit;
	const uint64_t *bytes = limit->late ? g_hash_table_lookup(limit->late, &data)
					    : NULL;

	if (!bytes)
		return;
	atomic_fetch_sub(&limit->late_bytes, (int64_t)*bytes);
	g_hash_table_remove(limit->late, &data);
}

uint64_t mne_store_history_limit(const MneStore *store)
{
	return store->limit.bytes;
}

void mne_limit_refresh(MneStore *store)
{
	MneHistorySpace history;

	mne_ckpts_history(store->ckpts, &history);
	store->limit.kept = (int64_t)history.bytes;
}

void mne_limit_add(MneStore *store, int64_t bytes)
{
	atomic_fetch_add(&store->limit.kept, bytes);
}

static bool is_room(MneStore *store, int64_t late, uint64_t bytes)
{
	int64_t taken = store->limit.kept + store->limit.coming + late;

	return MAX(taken, 0) + (int64_t)bytes <= (int64_t)store->limit.bytes;
}

static bool fits(MneStore *store, uint64_t bytes)
{
	return is_room(store, store->limit.late_bytes, bytes);
}

/* What was deleted and is not reaped may be history, or nobody's by now: the reaper tells.
 * It is given a second; what an open file holds, it does not get. */
static bool fits_when_reaped(MneStore *store, uint64_t bytes)
{
	for (unsigned i = 0; i < REAP_TRIES && store->limit.late_bytes > 0; i++) {
		if (fits(store, bytes))
			return true;
		mne_store_wake(store);
		g_usleep(REAP_WAIT_MS * 1000);
	}
	return is_room(store, 0, bytes);
}

static void tell(MneStore *store, const char *name, const char *why)
{
	g_autoptr(GString) members = g_string_new(",\"checkpoint\":");

	mne_text_add_json(members, mne_slice_str(name));
	g_string_append(members, ",\"why\":");
	mne_text_add_json(members, mne_slice_str(why));
	mne_store_tell(store, "checkpoint_gave_way", members->str);
	mne_log_say("checkpoint %s was dropped to make room: %s", name, why);
	mne_store_notify_dropped(store);
}

/* The oldest that can be dropped: false when there is none. */
static bool drop_oldest(MneStore *store, const char *why)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(store->ckpts);

	for (guint i = 0; i < ckpts->len; i++) {
		g_autofree char *name = mne_ckpt_name(ckpts->pdata[i]);
		int err = mne_store_drop(store, mne_slice_str(name));

		if (err == 0) {
			tell(store, name, why);
			return true;
		}
		g_debug("%s does not give way: %s", name, mne_err_sentence(err));
	}
	return false;
}

static int full(MneStore *store)
{
	g_autofree char *limit = g_format_size_full(store->limit.bytes,
						    G_FORMAT_SIZE_IEC_UNITS);
	const char *advice = store->options.full_drops
				     ? "every checkpoint is pinned or held"
				     : "drop checkpoints, or delete records (deleting "
				       "always works)";

	return mne_throw(HISTORY_FULL, "the history is full, its limit is %s: %s",
			 limit, advice);
}

static bool is_seen(MneStore *store, uint32_t table, uint64_t seq)
{
	return seq != 0 && seq <= mne_ckpts_newest(store->ckpts, table);
}

int mne_limit_make_room(MneStore *store, uint64_t bytes)
{
	if (store->limit.bytes == 0 || bytes == 0 || fits_when_reaped(store, bytes))
		return 0;
	if (store->options.full_drops &&
	    drop_oldest(store, "the history had reached its limit"))
		return 1;
	return full(store);
}

int mne_limit_admit(MneStore *store, uint32_t table, uint64_t seq, uint64_t bytes)
{
	int more = 1;

	if (store->limit.bytes == 0 || fits(store, bytes))
		return 0;
	while (more > 0 && is_seen(store, table, seq))
		more = mne_limit_make_room(store, bytes);
	return more > 0 ? 0 : more;
}

static uint64_t want_locked(const MneFile *file, uint64_t bytes)
{
	uint64_t all = INODE_BYTES + file->node.stored;

	if (!file->exists || file->unlinked)
		return 0;
	/* Inline bytes go with the inode, and what was truncated was asked for then. */
	if (file->node.data == 0 || file->fresh)
		return file->coming > 0
			       ? 0
			       : INODE_BYTES + (file->small ? file->small->len : 0);
	if (file->coming == 0)
		bytes += INODE_BYTES;
	return all > file->coming ? MIN(bytes, all - file->coming) : 0;
}

/* What changing so many bytes of the file retains of its committed version, beyond what is
 * reserved: all of it once, however often it is overwritten. */
static uint64_t want(MneFile *file, uint64_t bytes)
{
	MNE_WITH_LOCK(&file->lock);
	return want_locked(file, bytes);
}

static void reserve(MneFile *file, uint64_t bytes)
{
	MNE_WITH_LOCK(&file->lock);
	file->coming += bytes;
	atomic_fetch_add(&file->store->limit.coming, (int64_t)bytes);
}

static uint64_t seq_of(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	return file->node.seq;
}

int mne_limit_admit_file(MneFile *file, uint64_t bytes)
{
	MneStore *store = file->store;
	uint64_t seq, more;

	if (store->limit.bytes == 0)
		return 0;
	seq = seq_of(file);
	if (seq == 0 || seq > mne_ckpts_newest(store->ckpts, file->table))
		return 0;
	more = want(file, bytes);
	if (more == 0)
		return 0;
	MNE_TRY(mne_limit_admit(store, file->table, seq, more));
	reserve(file, more);
	return 0;
}

void mne_limit_settle(MneFile *file)
{
	atomic_fetch_sub(&file->store->limit.coming, (int64_t)file->coming);
	file->coming = 0;
}

static int admit_node(MneStore *store, uint32_t table, const MneNode *node, bool goes)
{
	uint64_t bytes = INODE_BYTES + node->content.len + node->xattrs.len;

	if (mne_node_is_dir(node))
		return 0;
	return mne_limit_admit(store, table, node->seq,
			       bytes + (goes ? node->stored : 0));
}

int mne_limit_admit_place(MneStore *store, const MnePlace *place)
{
	g_auto(MneNode) node = { 0 };

	if (store->limit.bytes == 0 || fits(store, NODE_MOST) ||
	    mne_view_node(&store->live.base, place, &node) < 0)
		return 0;
	return admit_node(store, place->table, &node, false);
}

int mne_limit_admit_spot(MneStore *store, const MneSpot *spot, bool goes)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	if (store->limit.bytes == 0 ||
	    mne_view_lookup(&store->live.base, spot->table, spot->dir, spot->name,
			    &table, &node) < 0)
		return 0;
	return admit_node(store, table, &node, goes);
}

void mne_limit_enforce(MneStore *store)
{
	if (store->limit.bytes == 0 || !store->options.full_drops)
		return;
	while (store->limit.kept > (int64_t)store->limit.bytes)
		if (!drop_oldest(store, "the history had passed its limit"))
			return;
}

/* Until there is room, or what was dropped has been given back. */
static int wait_for_room(MneStore *store, uint64_t bytes)
{
	int64_t begun = g_get_monotonic_time(), now = begun, idle_since = begun;
	int err;

	do {
		g_usleep(WAIT_MS * 1000);
		err = mne_space_admit(&store->space, bytes);
		now = g_get_monotonic_time();
		if (mne_ckpts_dropping(store->ckpts) > 0)
			idle_since = now;
	} while (mne_err_is(err, MNE_E_STORE_FULL) &&
		 now - begun < WAIT_MOST_MS * 1000 &&
		 now - idle_since < WAIT_SWEEP_MS * 1000);
	return err;
}

int mne_store_admit(MneStore *store, uint64_t bytes)
{
	int err = mne_space_admit(&store->space, bytes);

	while (mne_err_is(err, MNE_E_STORE_FULL) && store->options.full_drops &&
	       drop_oldest(store, "the store was full"))
		err = wait_for_room(store, bytes);
	return err;
}
