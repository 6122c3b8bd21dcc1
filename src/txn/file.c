/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/file.c - the life of an open file: open, create, close
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/file.h"

#include "record/xattr.h"
#include "txn/attr.h"
#include "txn/entry.h"
#include "txn/filestate.h"
#include "txn/policy.h"
#include "util/log.h"

MneFile *mne_file_ref(MneFile *file)
{
	mne_ref_get(&file->ref);
	return file;
}

static void file_free(MneFile *file)
{
	mne_limit_settle(file);
	mne_node_clear(&file->node);
	g_clear_pointer(&file->name, g_bytes_unref);
	g_clear_pointer(&file->small, g_byte_array_unref);
	mne_file_drop_buffer(file);
	g_clear_pointer(&file->pending, mne_extents_free);
	mne_cond_clear(&file->thawed);
	mne_lock_clear(&file->lock);
	g_free(file);
}

void mne_file_unref(MneFile *file)
{
	if (file && mne_ref_put(&file->ref))
		file_free(file);
}

static MneFile *file_alloc(MneStore *store, uint32_t table, uint64_t rec, uint64_t dir,
			   MneSlice name)
{
	MneFile *file = g_new0(MneFile, 1);

	mne_ref_init(&file->ref);
	mne_lock_init(&file->lock, MNE_RANK_FILE);
	mne_cond_init(&file->thawed);
	file->store = store;
	file->table = table;
	file->rec = rec;
	file->dir = dir;
	file->name = mne_slice_to_bytes(name);
	return file;
}

/* Take the node as committed: its content becomes `small`. */
static void set_node(MneFile *file, const MneNode *node)
{
	MneNode copy;

	mne_node_copy(node, &copy);
	mne_node_clear(&file->node);
	file->node = copy;
	g_clear_pointer(&file->small, g_byte_array_unref);
	if (node->content.len > 0) {
		file->small = g_byte_array_sized_new((guint)node->content.len);
		g_byte_array_append(file->small, node->content.data,
				    (guint)node->content.len);
	}
	file->node.content = MNE_SLICE_EMPTY;
	file->committed_mtime = node->mtime;
}

void mne_file_copy_node(MneFile *file, MneNode *out)
{
	mne_lock_assert_held(&file->lock);
	mne_node_copy(&file->node, out);
	out->content = MNE_SLICE_EMPTY;
	if (out->data == 0)
		out->stored = file->small ? file->small->len : 0;
}

void mne_file_adopt(MneFile *file, const MneNode *node)
{
	mne_lock_assert_held(&file->lock);
	if (!file->dirty) {
		set_node(file, node);
		return;
	}
	/* What is uncommitted stays: bytes, times, mode, owner, attributes.  Its names are
	 * what others commit. */
	file->node.seq = node->seq;
	file->node.version = node->version;
	file->node.nlink = node->nlink;
	file->node.flags |= node->flags & MNE_NODE_LINKED;
	file->node.ctime = node->ctime;
	file->committed_mtime = node->mtime;
}

static int require_regular(const MneNode *node)
{
	if (mne_node_is_dir(node))
		return -EISDIR;
	return mne_node_is_file(node) ? 0 : -EINVAL;
}

/* Caller holds the gate, so that no commit passes between reading and entering. */
static int open_locked(MneStore *store, const MnePlace *place, bool writable,
		       MneFile **out_file)
{
	g_autoptr(MneFile) file = mne_files_open(store->files, place->rec, writable);

	if (!file) {
		g_auto(MneNode) node = { 0 };

		MNE_TRY(mne_view_node(&store->live.base, place, &node));
		MNE_TRY(require_regular(&node));
		file = file_alloc(store, place->table, place->rec, place->dir,
				  place->name);
		file->exists = true;
		file->handles = 1;
		file->writers = writable;
		set_node(file, &node);
		mne_files_add(store->files, file);
	}
	*out_file = g_steal_pointer(&file);
	return 0;
}

int mne_file_open(MneStore *store, const MnePlace *place, bool writable, bool truncate,
		  MneFile **out_file)
{
	MneFile *file = NULL;
	int err;

	if (writable && store->options.read_only)
		return -EROFS;
	mne_lock(&store->gate);
	err = open_locked(store, place, writable, &file);
	mne_unlock(&store->gate);
	MNE_TRY(err);
	if (truncate)
		err = mne_file_truncate(file, 0);
	if (err < 0) {
		mne_file_close(file, writable);
		return err;
	}
	*out_file = file;
	return 0;
}

static void begin_new(MneFile *file, const MneNode *node)
{
	file->node = *node;
	file->named = node->btime;
	file->fresh = true;
	file->handles = file->writers = 1;
	mne_file_dirty(file);
}

static int create_file(MneStore *store, const MneSpot *spot, const MneMake *what,
		       MneFile **out_file, MneNode *out_node)
{
	bool named = spot->name.len > 0;
	g_auto(MneCommit) commit = { 0 };
	g_auto(MneNode) parent = { 0 };
	g_autoptr(MneFile) file = NULL;
	MneNode node;

	if (spot->name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	MNE_TRY(mne_store_admit(store, 512));
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_dir_load(store, spot->table, spot->dir, &parent));
	if (named)
		MNE_TRY(mne_spot_require_free(store, spot));

	mne_node_new(store, &parent, what, commit.now, &node);
	node.nlink = named;
	file = file_alloc(store, spot->table, node.rec, named ? spot->dir : 0,
			  spot->name);
	mne_lock(&file->lock);
	begin_new(file, &node);
	mne_unlock(&file->lock);
	mne_files_add(store->files, file);
	if (named)
		mne_files_add_name(store->files, file);
	*out_node = node;
	*out_file = g_steal_pointer(&file);
	return 0;
}

int mne_file_create(MneStore *store, const MneSpot *spot, const MneMake *what,
		    MneFile **out_file, MneNode *out_node)
{
	MNE_TRY(create_file(store, spot, what, out_file, out_node));
	/* It is there, and open: who writes to it, or closes it, tries again. */
	if (mne_file_written(*out_file) < 0)
		g_debug("a new file is not committed yet");
	return 0;
}

void mne_file_dirty(MneFile *file)
{
	if (file->dirty)
		return;
	file->dirty = true;
	file->dirty_since = g_get_monotonic_time();
}

bool mne_file_freeze(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	file->frozen = !mne_file_is_uncommitted(file);
	return file->frozen;
}

void mne_file_thaw(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	file->frozen = false;
	mne_cond_broadcast(&file->thawed);
}

void mne_file_await_thaw(MneFile *file)
{
	while (file->frozen)
		mne_cond_wait(&file->thawed, &file->lock);
}

void mne_file_mark_unlinked(MneFile *file, struct timespec now)
{
	mne_lock_assert_held(&file->lock);
	if (!file->exists)
		mne_files_remove_name(file->store->files, file);
	file->unlinked = true;
	file->node.nlink = 0;
	file->node.ctime = now;
	if (file->left)
		return;
	if (file->node.data != 0)
		mne_files_hold(file->store->files, file->node.data);
	if (file->old_data != 0)
		mne_files_hold(file->store->files, file->old_data);
}

/* Big attributes are stored at once: those of a file that has no name, or has never been
 * committed, go when it goes. */
void mne_file_forget_xattrs(MneFile *file)
{
	g_auto(MneCommit) commit = { 0 };
	int err = mne_commit_begin(file->store, &commit);

	if (err == 0)
		err = mne_entry_remove_xattrs(&commit, file->table, &file->node);
	if (err == 0 && mne_kv_batch_count(file->store->batch) > 0)
		err = mne_commit_apply(&commit);
	if (err < 0)
		g_warning("record %" G_GUINT64_FORMAT
			  ": attributes are left behind: %s",
			  file->rec, mne_err_sentence(err));
}

/* Nobody has it open any more: forget it, unless a commit failed and must be tried again.
 * Somebody else may have forgotten it already, and a third opened the record anew. */
static void leave(MneFile *file)
{
	MneFiles *files = file->store->files;
	bool gone = false, has_xattrs;
	uint64_t data = 0, old_data = 0;

	mne_lock(&file->lock);
	mne_lock(&files->lock);
	if (file->handles == 0 && !mne_file_is_uncommitted(file) &&
	    g_hash_table_lookup(files->by_rec, &file->rec) == file) {
		gone = g_hash_table_remove(files->by_rec, &file->rec);
		files->open--;
	}
	mne_unlock(&files->lock);
	file->left = file->left || gone;
	if (gone && file->unlinked) {
		data = file->node.data;
		old_data = file->old_data;
	}
	has_xattrs = gone && (file->unlinked || !file->exists) &&
		     (file->node.flags & MNE_NODE_BIG_XATTRS);
	mne_unlock(&file->lock);

	mne_files_unhold(files, data);
	mne_files_unhold(files, old_data);
	if (has_xattrs)
		mne_file_forget_xattrs(file);
	if (data != 0 || old_data != 0)
		mne_store_wake(file->store);
}

static bool is_last_writer(MneFile *file)
{
	MNE_WITH_LOCK(&file->store->files->lock);
	return --file->writers == 0;
}

static bool is_last_handle(MneFile *file)
{
	MNE_WITH_LOCK(&file->store->files->lock);
	return --file->handles == 0;
}

/* Whether it was the last writer, and the commit, are decided in one passage of the gate:
 * who opens the file for writing meanwhile must not get his first writes into it. */
static int close_writer(MneFile *file)
{
	g_auto(MneCommit) commit = { 0 };
	int begun = mne_commit_begin(file->store, &commit);
	bool is_last = is_last_writer(file), done = false;

	if (begun < 0 || !is_last)
		return is_last ? begun : 0;
	MNE_TRY(mne_file_commit_held(file, &commit, &done));
	return done ? mne_commit_finish(&commit) : 0;
}

int mne_file_close(MneFile *file, bool writable)
{
	int err = writable ? mne_file_flush_early(file) : 0;
	int closed = writable ? close_writer(file) : 0;

	err = err < 0 ? err : closed;
	if (err < 0 && !file->store->tx) { /* of a transaction its commit says so */
		g_warning("record %" G_GUINT64_FORMAT ": its last changes could not be "
			  "committed at close (%s); they are kept and tried again",
			  file->rec, mne_err_sentence(err));
		file->store->files->stuck = true;
	}
	if (is_last_handle(file))
		leave(file);
	mne_file_unref(file);
	return err;
}

int mne_files_commit_old(MneStore *store, int64_t milliseconds)
{
	g_autoptr(GPtrArray) all = mne_files_all(store->files);
	int64_t now = g_get_monotonic_time();
	int first = 0;

	for (guint i = 0; i < all->len; i++) {
		MneFile *file = all->pdata[i];
		int64_t before = now - mne_file_patience(file, milliseconds) * 1000;
		bool due, unlinked;

		mne_lock(&file->lock);
		due = mne_file_is_uncommitted(file) && file->dirty_since <= before;
		unlinked = file->unlinked;
		mne_unlock(&file->lock);

		int err = due ? mne_file_commit(file) : 0;

		/* Unlinked after a commit failed at its last close: it is still here. */
		if (err == 0 && (due || unlinked))
			leave(file);
		first = first < 0 ? first : err;
	}
	return first;
}

static bool is_written(MneFile *file)
{
	MNE_WITH_LOCK(&file->store->files->lock);
	return file->writers > 0;
}

bool mne_file_is_written(MneStore *store, uint64_t rec)
{
	g_autoptr(MneFile) file = mne_files_find(store->files, rec);

	return file && is_written(file);
}

int mne_files_commit_closed(MneStore *store)
{
	g_autoptr(GPtrArray) all = NULL;
	int first = 0;

	if (!atomic_exchange(&store->files->stuck, false))
		return 0;
	all = mne_files_all(store->files);
	for (guint i = 0; i < all->len; i++) {
		int err = is_written(all->pdata[i]) ? 0
						    : mne_file_commit(all->pdata[i]);

		first = first < 0 ? first : err;
		if (err == 0)
			leave(all->pdata[i]);
	}
	if (first < 0)
		store->files->stuck = true;
	return first;
}

int mne_file_node(MneFile *file, MneNode *out_node)
{
	MNE_WITH_LOCK(&file->lock);
	mne_file_copy_node(file, out_node);
	return 0;
}

uint64_t mne_file_rec(const MneFile *file)
{
	return file->rec;
}

bool mne_file_has_suid(MneFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	return file->node.mode & (S_ISUID | S_ISGID);
}

bool mne_file_may_have_xattr(MneFile *file, MneSlice name)
{
	MneSlice value;

	MNE_WITH_LOCK(&file->lock);
	return (file->node.flags & MNE_NODE_BIG_XATTRS) ||
	       mne_xattrs_get(file->node.xattrs, name, &value) != -ENODATA;
}
