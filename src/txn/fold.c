/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/fold.c - what a transaction staged becomes one commit
 *
 * In the gate of the store it is folded into: nothing that counted has changed since the
 * transaction's moment (txn/conflict.c), so what it staged is put as it stands, but for
 * 1. the seq, which is the commit's;
 * 2. version ids and times of files that a checkpoint holds: as any commit does it;
 * 3. inodes of directories: their entries, links and times changed for others, too;
 * 4. extents: what lies there now may have been moved by a sweep; it is given up, or
 *    retained, as it is now;
 * 5. contents that were born and given up inside: nothing ever names them.
 *
 * Files that others have open follow in memory.  One with uncommitted writes conflicts; the
 * others are frozen from the look until the commit was applied.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "table/schema.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "txn/txstate.h"
#include "view/iter.h"

/* A record as it was before the transaction. */
typedef struct {
	uint64_t rec;
	uint64_t seq;
	time_t mtime; /* seconds, of a regular file; else 0 */
} Was;

/* A record as it will be. */
typedef struct {
	MneNode node;
	uint64_t dir; /* 0: under its own key, wherever its names stand */
	GBytes *name;
} Will;

typedef struct {
	MneTx *tx;
	MneStore *to;
	MneCommit commit;
	GArray *changes;
	GHashTable *was; /* &rec -> Was */
	GHashTable *will; /* &node.rec -> Will */
	GHashTable *given_up; /* data ids of staged orphans */
	GPtrArray *frozen; /* MneFile */
	GArray *late; /* MneLate: bytes that the reaper is given */
	bool makes_tables;
	char *by; /* whose it is, for events */
} Fold;

static void will_free(void *data)
{
	Will *will = data;

	mne_node_clear(&will->node);
	g_clear_pointer(&will->name, g_bytes_unref);
	g_free(will);
}

static void thaw(Fold *fold)
{
	for (guint i = 0; i < fold->frozen->len; i++)
		mne_file_thaw(fold->frozen->pdata[i]);
	g_ptr_array_set_size(fold->frozen, 0);
}

static void fold_clear(Fold *fold)
{
	thaw(fold);
	g_ptr_array_unref(fold->frozen);
	g_array_unref(fold->late);
	g_hash_table_unref(fold->was);
	g_hash_table_unref(fold->will);
	g_hash_table_unref(fold->given_up);
	mne_commit_end(&fold->commit);
	g_free(fold->by);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Fold, fold_clear)

static void fold_init(Fold *fold, MneTx *tx, GArray *changes)
{
	*fold = (Fold){ .tx = tx, .to = tx->of, .changes = changes };
	fold->was = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL, g_free);
	fold->will = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
					   will_free);
	fold->given_up = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					       NULL);
	fold->late = g_array_new(FALSE, FALSE, sizeof(MneLate));
	fold->frozen = g_ptr_array_new_with_free_func((GDestroyNotify)mne_file_unref);
}

static MneView *now_of(Fold *fold)
{
	return &fold->to->live.base;
}

/* NULL when there is none. */
static int value_at(MneView *view, MneSlice key, GBytes **out_value)
{
	int err = mne_view_get(view, key, out_value);

	return err == -ENOENT ? 0 : err;
}

static MneKind kind_of(MneSlice value)
{
	return value.len > 0 ? value.data[0] : 0;
}

static void key_set(MneKey *key, MneSlice bytes)
{
	memcpy(key->bytes, bytes.data, bytes.len);
	key->len = (uint16_t)bytes.len;
}

/* ---- what was ---- */

static int note_was(Fold *fold, MneSlice key)
{
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) node = { 0 };
	Was *was;

	MNE_TRY(value_at(fold->tx->below, key, &value));
	if (!value || kind_of(mne_slice_of(value)) != MNE_KIND_INODE)
		return 0;
	MNE_TRY(mne_node_decode(value, &node));
	was = g_new0(Was, 1);
	was->rec = node.rec;
	was->seq = node.seq;
	was->mtime = mne_node_is_file(&node) ? node.mtime.tv_sec : 0;
	g_hash_table_replace(fold->was, &was->rec, was);
	return 0;
}

static int note_key(Fold *fold, MneSlice key)
{
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(key, &parts));
	switch (parts.tag) {
	case MNE_TAG_NODE:
	case MNE_TAG_INODE: return note_was(fold, key);
	case MNE_TAG_ORPHAN:
		g_hash_table_add(fold->given_up,
				 g_memdup2(&parts.id, sizeof(parts.id)));
		return 0;
	case MNE_TAG_TABLE: fold->makes_tables = true; return 0;
	default: return 0;
	}
}

/* ---- inodes ---- */

static void note_change(Fold *fold, MneSlice key, MneSlice was, uint64_t rec)
{
	MneTxChange change = { .rec = rec };
	MneKeyParts parts;
	MneKind kind;
	uint32_t mode;

	if (mne_key_parse(key, &parts) < 0 || parts.tag == MNE_TAG_NAME)
		return;
	if (parts.tag == MNE_TAG_TABLE || parts.name.len > 0) {
		change.dir = parts.tag == MNE_TAG_TABLE ? MNE_ROOT_DIR : parts.id;
		change.name = mne_slice_to_bytes(parts.name);
	}
	change.table = parts.table;
	if (kind_of(was) == MNE_KIND_INODE) {
		g_autoptr(GBytes) value = mne_slice_to_bytes(was);
		g_auto(MneNode) node = { 0 };

		if (mne_node_decode(value, &node) == 0)
			change.was = node.rec;
	} else if (kind_of(was) == MNE_KIND_DIRREF || kind_of(was) == MNE_KIND_LINK) {
		if (mne_ref_decode(was, &kind, &change.was, &mode) < 0)
			change.was = 0;
	}
	g_array_append_val(fold->changes, change);
}

/* What a backup tool must not take for the version that the newest checkpoint holds. */
static void bump(Fold *fold, const MneKey *key, const Was *was, MneSlice now,
		 MneNode *node)
{
	uint32_t table = mne_key_table_of(mne_key_slice(key));
	uint64_t newest = mne_ckpts_newest(fold->to->ckpts, table);
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) there = { 0 };
	bool changed = !was || was->mtime != node->mtime.tv_sec ||
		       was->seq <= fold->tx->base_seq;

	if (newest == 0 || !mne_node_is_file(node) || !changed)
		return;
	if (was && was->seq <= newest)
		(void)mne_mtime_bump(node, was->mtime);
	value = mne_slice_to_bytes(now);
	if (kind_of(now) == MNE_KIND_INODE && mne_node_decode(value, &there) == 0 &&
	    there.rec != node->rec && there.seq <= newest && mne_node_is_file(&there))
		(void)mne_mtime_bump(node, there.mtime.tv_sec);
	else
		(void)mne_mtime_bump_retained(fold->to, key, node);
}

static void keep_will(Fold *fold, const MneKey *key, const MneNode *node)
{
	Will *will = g_new0(Will, 1);
	MneKeyParts parts;

	mne_node_copy(node, &will->node);
	if (mne_key_parse(mne_key_slice(key), &parts) == 0 &&
	    parts.tag == MNE_TAG_NODE && parts.name.len > 0) {
		will->dir = parts.id;
		will->name = mne_slice_to_bytes(parts.name);
	}
	g_hash_table_replace(fold->will, &will->node.rec, will);
}

static struct timespec later(struct timespec a, struct timespec b)
{
	if (a.tv_sec != b.tv_sec)
		return a.tv_sec > b.tv_sec ? a : b;
	return a.tv_nsec > b.tv_nsec ? a : b;
}

int mne_tx_merge_dir(MneTx *tx, MneSlice key, GBytes *now, MneNode *node)
{
	g_autoptr(GBytes) value = NULL;
	g_auto(MneNode) before = { 0 };
	g_auto(MneNode) after = { 0 };

	MNE_TRY(value_at(tx->below, key, &value));
	if (!value || !now || mne_value_seq(mne_slice_of(now)) <= tx->base_seq)
		return 0;
	MNE_TRY(mne_node_decode(value, &before));
	MNE_TRY(mne_node_decode(now, &after));
	node->entries += after.entries - before.entries;
	node->nlink += after.nlink - before.nlink;
	node->mtime = later(node->mtime, after.mtime);
	node->ctime = later(node->ctime, after.ctime);
	return 0;
}

/* What stood there may have bytes that are given up now, and that a checkpoint sees. */
static int note_late(Fold *fold, const MneKey *key, GBytes *now)
{
	uint32_t table = mne_key_table_of(mne_key_slice(key));
	g_auto(MneNode) node = { 0 };
	MneLate late;

	if (!now || kind_of(mne_slice_of(now)) != MNE_KIND_INODE)
		return 0;
	MNE_TRY(mne_node_decode(now, &node));
	late = (MneLate){ .data = node.data, .bytes = node.stored };
	if (node.seq <= mne_ckpts_newest(fold->to->ckpts, table) &&
	    g_hash_table_contains(fold->given_up, &node.data))
		g_array_append_val(fold->late, late);
	return 0;
}

static int put_inode(Fold *fold, const MneKey *key, GBytes *staged)
{
	g_autoptr(GBytes) now = NULL;
	g_auto(MneNode) node = { 0 };
	const Was *was;

	MNE_TRY(mne_node_decode(staged, &node));
	MNE_TRY(value_at(now_of(fold), mne_key_slice(key), &now));
	MNE_TRY(note_late(fold, key, now));
	was = g_hash_table_lookup(fold->was, &node.rec);
	if (mne_node_is_dir(&node))
		MNE_TRY(mne_tx_merge_dir(fold->tx, mne_key_slice(key), now, &node));
	else
		bump(fold, key, was, mne_slice_of(now), &node);
	node.seq = was ? was->seq : 0;
	MNE_TRY(mne_commit_node(&fold->commit, key, &node));
	note_change(fold, mne_key_slice(key), mne_slice_of(now), node.rec);
	keep_will(fold, key, &node);
	return 0;
}

/* ---- the other keys ---- */

static int put_table(Fold *fold, const MneKey *key, MneSlice staged)
{
	g_autoptr(GBytes) value = NULL;
	MneTable table;

	MNE_TRY(mne_table_decode(staged, &table));
	table.seq = fold->commit.seq;
	value = mne_table_encode(&table);
	note_change(fold, mne_key_slice(key), MNE_SLICE_EMPTY, table.dir);
	return mne_commit_put(&fold->commit, key, mne_slice_of(value));
}

static int put_ref(Fold *fold, const MneKey *key, MneSlice staged)
{
	g_autoptr(GBytes) now = NULL;
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (key->bytes[0] == MNE_TAG_NAME)
		return 0; /* it goes with the NODE key of the same name */
	MNE_TRY(mne_ref_decode(staged, &kind, &rec, &mode));
	MNE_TRY(value_at(now_of(fold), mne_key_slice(key), &now));
	note_change(fold, mne_key_slice(key), mne_slice_of(now), rec);
	return mne_commit_ref(&fold->commit, key, kind, rec, mode);
}

static int put_xattr(Fold *fold, const MneKey *key, MneSlice staged)
{
	g_autoptr(GByteArray) value = g_byte_array_sized_new((guint)staged.len);
	MneSlice payload;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_value_open(staged, &kind, &seq, &payload));
	mne_value_begin(value, kind, fold->commit.seq);
	g_byte_array_append(value, payload.data, (guint)payload.len);
	mne_value_end(value);
	return mne_commit_put(&fold->commit, key, mne_slice(value->data, value->len));
}

/* The sweeper took the bytes elsewhere: what is left of the segment is going. */
static int require_segment(Fold *fold, const MneKey *key, uint64_t segment)
{
	if (!mne_txs_is_grave(mne_store_root(fold->to), segment))
		return 0;
	mne_tx_add_conflict(fold->tx, mne_key_slice(key));
	return mne_tx_require_no_conflict(fold->tx);
}

static int put_extent(Fold *fold, const MneKey *key, MneSlice staged)
{
	uint32_t table = mne_key_table_of(mne_key_slice(key));
	g_autoptr(GBytes) now = NULL;
	MneKeyParts parts;
	MneSlice payload;
	MneExtent extent;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_key_parse(mne_key_slice(key), &parts));
	if (g_hash_table_contains(fold->given_up, &parts.id))
		return 0;
	MNE_TRY(value_at(now_of(fold), mne_key_slice(key), &now));
	if (now)
		MNE_TRY(mne_commit_del_extent(
			&fold->commit, key, mne_slice_of(now),
			mne_ckpts_newest(fold->to->ckpts, table)));
	if (staged.len == 0)
		return 0;
	MNE_TRY(mne_value_open(staged, &kind, &seq, &payload));
	MNE_TRY(mne_extent_decode(payload, parts.offset, &extent));
	MNE_TRY(require_segment(fold, key, extent.ref.segment));
	return mne_commit_extent(&fold->commit, table, parts.id, &extent);
}

static int put_orphan(Fold *fold, const MneKey *key)
{
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(mne_key_slice(key), &parts));
	if (parts.id < fold->tx->first_id)
		mne_commit_orphan(&fold->commit, parts.table, parts.id);
	return 0;
}

/* With the root directory of a table goes how it was spread. */
static int drop_frags(Fold *fold, const MneKey *key)
{
	g_autoptr(MneFragMap) map = NULL;
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(mne_key_slice(key), &parts));
	if (parts.tag != MNE_TAG_NODE || parts.name.len > 0)
		return 0;
	map = mne_frags_of_dir(fold->to->frags, parts.table, parts.id);
	return map ? mne_frags_drop(&fold->commit, parts.table) : 0;
}

static int put_removal(Fold *fold, const MneKey *key)
{
	g_autoptr(GBytes) now = NULL;

	MNE_TRY(value_at(now_of(fold), mne_key_slice(key), &now));
	if (!now)
		return 0; /* made and removed inside */
	note_change(fold, mne_key_slice(key), mne_slice_of(now), 0);
	MNE_TRY(note_late(fold, key, now));
	MNE_TRY(drop_frags(fold, key));
	return mne_commit_del(&fold->commit, key);
}

static int put_value(Fold *fold, const MneKey *key, MneSlice staged)
{
	g_autoptr(GBytes) value = NULL;

	switch (staged.data[0]) {
	case MNE_KIND_INODE:
		value = mne_slice_to_bytes(staged);
		return put_inode(fold, key, value);
	case MNE_KIND_DIRREF:
	case MNE_KIND_LINK: return put_ref(fold, key, staged);
	case MNE_KIND_TABLE: return put_table(fold, key, staged);
	case MNE_KIND_XATTR: return put_xattr(fold, key, staged);
	case MNE_KIND_ORPHAN: return put_orphan(fold, key);
	default:
		return mne_throw(VALUE_CORRUPT, "a staged value of kind %u",
				 staged.data[0]);
	}
}

static int put_key(void *user, MneSlice bytes, MneSlice staged)
{
	Fold *fold = user;
	MneKey key;

	key_set(&key, bytes);
	if (bytes.data[0] == MNE_TAG_EXTENT)
		return put_extent(fold, &key, staged);
	return staged.len > 0 ? put_value(fold, &key, staged) : put_removal(fold, &key);
}

/* ---- files that are open ---- */

/* -ECANCELED when it holds what is not committed. */
static int freeze(Fold *fold, uint64_t rec)
{
	g_autoptr(MneFile) file = mne_files_find(fold->to->files, rec);
	const Was *was = g_hash_table_lookup(fold->was, &rec);
	MneKey key;

	if (!file || !was)
		return 0;
	if (mne_file_freeze(file)) {
		g_ptr_array_add(fold->frozen, g_steal_pointer(&file));
		return 0;
	}
	mne_key_node(&key, file->table, file->dir, mne_file_name(file));
	mne_tx_add_conflict(fold->tx, mne_key_slice(&key));
	return 0;
}

/* A name that somebody created and has not closed, or a directory with one in it. */
static int check_waiting(void *user, MneSlice bytes, MneSlice staged)
{
	Fold *fold = user;
	g_autoptr(MneFile) waiting = NULL;
	struct timespec mtime;
	MneKeyParts parts;
	unsigned count;

	MNE_TRY(mne_key_parse(bytes, &parts));
	if (parts.tag != MNE_TAG_NODE)
		return 0;
	if (parts.name.len > 0)
		waiting = mne_files_find_name(fold->to->files, parts.table, parts.id,
					      parts.name);
	if (waiting || (parts.name.len == 0 && staged.len == 0 &&
			mne_files_dir(fold->to->files, parts.id, &count, &mtime)))
		mne_tx_add_conflict(fold->tx, bytes);
	return 0;
}

static int freeze_all(Fold *fold)
{
	GHashTableIter iter;
	gpointer each;

	if (fold->to->files->open == 0)
		return 0;
	g_hash_table_iter_init(&iter, fold->was);
	while (g_hash_table_iter_next(&iter, NULL, &each))
		MNE_TRY(freeze(fold, ((const Was *)each)->rec));
	return mne_tx_require_no_conflict(fold->tx);
}

/* It was applied: what is open follows. */
static void follow(Fold *fold)
{
	for (guint i = 0; i < fold->frozen->len; i++) {
		MneFile *file = fold->frozen->pdata[i];
		const Will *will = g_hash_table_lookup(fold->will, &file->rec);

		MNE_WITH_LOCK(&file->lock);
		if (!will) {
			mne_file_mark_unlinked(file, fold->commit.now);
			continue;
		}
		if (will->dir != 0) {
			file->dir = will->dir;
			g_bytes_unref(file->name);
			file->name = g_bytes_ref(will->name);
		}
		mne_file_adopt(file, &will->node);
	}
	thaw(fold);
}

/* ---- all of it ---- */

static int note_staged(void *user, MneSlice key, MneSlice staged G_GNUC_UNUSED)
{
	return note_key(user, key);
}

static int build(Fold *fold)
{
	MNE_TRY(mne_tx_foreach_staged(fold->tx, note_staged, fold));
	MNE_TRY(freeze_all(fold));
	if (fold->to->files->pending > 0)
		MNE_TRY(mne_tx_foreach_staged(fold->tx, check_waiting, fold));
	MNE_TRY(mne_tx_require_no_conflict(fold->tx));
	MNE_TRY(mne_tx_foreach_staged(fold->tx, put_key, fold));
	if (fold->makes_tables && !fold->to->tx)
		mne_volume_tell(fold->to->volume, fold->to->batch);
	return 0;
}

static bool gives_up_data(const Fold *fold)
{
	return g_hash_table_size(fold->given_up) > 0;
}

int mne_tx_fold(MneTx *tx, const MneReads *reads, GArray *changes)
{
	g_auto(Fold) fold;

	fold_init(&fold, tx, changes);
	if (tx->writes == 0) /* what it read was so, all of it, at its moment */
		return mne_tx_require_no_conflict(tx);
	MNE_TRY(mne_tx_admit(tx));
	MNE_TRY(mne_tx_prevalidate(tx, reads));
	MNE_TRY(mne_commit_begin(tx->of, &fold.commit));
	fold.by = mne_tx_members(tx);
	fold.commit.by = fold.by;
	MNE_TRY(mne_tx_validate(tx, reads));
	MNE_TRY(build(&fold));
	if (mne_kv_batch_count(tx->of->batch) == 0)
		return 0; /* all it changed it took back */
	MNE_TRY(mne_commit_apply(&fold.commit));
	tx->seq = fold.commit.seq;
	mne_limit_orphaned_all(tx->of, fold.late);
	follow(&fold);
	if (gives_up_data(&fold))
		mne_store_wake(tx->of);
	return mne_commit_finish(&fold.commit);
}
