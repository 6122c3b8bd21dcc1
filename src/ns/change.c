/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/change.c - changes of names and attributes, by what stands where
 *
 * The root takes only tables.  Nothing is moved into a hidden tree, or out of one.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/attr.h"
#include "ns/ctl.h"
#include "ns/frags.h"
#include "ns/ns.h"
#include "ns/outcome.h"
#include "ns/txdir.h"
#include "txn/file.h"
#include "util/log.h"

#include <linux/fs.h>

#define FULL_TRIES   20u
#define FULL_WAIT_US (50 * G_TIME_SPAN_MILLISECOND)

static bool is_root(const MneIdentity *dir)
{
	return dir->object == MNE_OBJECT_LIVE && dir->table == MNE_ROOT_TABLE;
}

bool mne_ns_is_control(const MneInode *inode)
{
	MneObject object = mne_inode_identity(inode).object;

	return object == MNE_OBJECT_CTL || object == MNE_OBJECT_TXCTL;
}

bool mne_ns_is_slow(const MneInode *parent)
{
	MneObject object = mne_inode_identity(parent).object;

	return object == MNE_OBJECT_CKPTS || object == MNE_OBJECT_TXS;
}

static int make_table(MneNs *ns, const MneIdentity *root, MneSlice name,
		      const MneMake *what, MneFound *out)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	if (!S_ISDIR(what->mode))
		return mne_throw(ROOT_ONLY_TABLES,
				 "only tables can stand at the root: mkdir one, "
				 "and put %.*s into it",
				 (int)name.len, (const char *)name.data);
	MNE_TRY(mne_table_create(mne_ns_store_of(ns, root), name, what, &table, &node));
	mne_ns_found_live(ns, root, table, &node, name, out);
	return 0;
}

static int check_name(const MneIdentity *dir, MneSlice name)
{
	if (mne_tx_has_file(dir, name))
		return mne_throw(RESERVED_NAME, "%.*s is a reserved name",
				 (int)name.len, (const char *)name.data);
	return mne_name_check(name);
}

static int make_live(MneNs *ns, const MneIdentity *dir, MneSlice name,
		     const MneMake *what, MneFound *out)
{
	MneSpot spot = { dir->table, dir->rec, name };
	g_auto(MneNode) node = { 0 };

	MNE_TRY(check_name(dir, name));
	MNE_TRY(mne_frag_check_name(ns, dir, name));
	if (is_root(dir))
		return make_table(ns, dir, name, what, out);
	MNE_TRY(mne_make(mne_ns_store_of(ns, dir), &spot, what, &node));
	mne_ns_found_live(ns, dir, dir->table, &node, name, out);
	return 0;
}

int mne_ns_make(MneNs *ns, MneInode *parent, MneSlice name, const MneMake *what,
		MneFound *out)
{
	MneIdentity dir = mne_inode_identity(parent);

	if (dir.object == MNE_OBJECT_CKPTS && S_ISDIR(what->mode))
		return mne_ckpts_dir_make(ns, &dir, name, what, out);
	if (dir.object == MNE_OBJECT_TXS && S_ISDIR(what->mode))
		return mne_tx_dir_make(ns, &dir, name, what, out);
	MNE_TRY(mne_ns_require_live(parent));
	return make_live(ns, &dir, name, what, out);
}

/* On a full disk the engine may be merging, which takes room for a while and gives back
 * more: so deleting always works, if not at once. */
static int remove_entry(MneStore *store, const MneSpot *spot, bool is_dir)
{
	uint64_t rec;
	int err;

	for (unsigned tries = 0;; tries++) {
		err = is_dir ? mne_rmdir(store, spot, &rec)
			     : mne_unlink(store, spot, &rec);
		if (err != -ENOSPC || tries == FULL_TRIES)
			return err;
		g_usleep(FULL_WAIT_US);
	}
}

int mne_ns_remove(MneNs *ns, MneInode *parent, MneSlice name, bool is_dir, pid_t pid)
{
	MneIdentity dir = mne_inode_identity(parent);
	MneSpot spot = { dir.table, dir.rec, name };
	MneStore *store = mne_ns_store_of(ns, &dir);
	uint64_t rec;
	int got;

	if (dir.object == MNE_OBJECT_CKPTS && is_dir)
		return mne_ckpts_dir_remove(ns, &dir, name, pid);
	if (dir.object == MNE_OBJECT_TXS && is_dir)
		return mne_tx_dir_remove(ns, &dir, name);
	MNE_TRY(mne_ns_require_live(parent));
	MNE_TRY(check_name(&dir, name));
	got = is_dir && !dir.tx ? mne_frag_dir_remove(ns, &dir, name) : 0;
	if (got != 0)
		return MIN(got, 0);
	MNE_TRY(mne_frag_check_name(ns, &dir, name));
	if (is_root(&dir))
		return is_dir ? mne_table_drop(store, name, &rec) : -ENOENT;
	return remove_entry(store, &spot, is_dir);
}

/* Inside one table.  The inodes follow. */
static int move(MneNs *ns, MneNsTx *tx, const MneSpot *from, const MneSpot *to,
		unsigned flags)
{
	MneStore *store = tx ? mne_ns_tx_store(tx) : ns->store;
	uint64_t moved = 0, other = 0;
	int err;

	mne_inodes_move_begin(ns->inodes);
	err = mne_rename(store, from, to, flags, &moved, &other);
	if (err == 0 && moved != 0)
		mne_inodes_moved(ns->inodes, tx, moved, to->dir, to->name);
	if (err == 0 && other != 0 && flags & RENAME_EXCHANGE)
		mne_inodes_moved(ns->inodes, tx, other, from->dir, from->name);
	mne_inodes_move_end(ns->inodes);
	return err;
}

static int move_inodes(MneNs *ns, MneWritten *written)
{
	MneNotice notice;
	int got;

	while ((got = mne_written_next(written, &notice)) > 0)
		if (notice.now != 0)
			mne_inodes_moved(ns->inodes, NULL, notice.now, notice.dir,
					 mne_slice(notice.name, notice.name_len));
	return got;
}

/* The kernel may hold a directory's lock as long as a request in it lasts: so nothing may
 * wait for us meanwhile. */
static int tell_kernel(MneNs *ns, MneWritten *written)
{
	MneNotice notice;
	int got;

	while ((got = mne_written_next(written, &notice)) > 0)
		mne_store_notify_patiently(ns->store, &notice);
	mne_store_await_notices(ns->store);
	return got;
}

/* Who does not find a record where it was looks again when it stands elsewhere. */
int mne_ns_rollback(MneNs *ns, const MneRollbackSpec *spec,
		    MneRollbackResult *out_result)
{
	g_autofree char *name = g_strndup((const char *)spec->name.data,
					  spec->name.len);
	g_autoptr(MneWritten) written = NULL;
	int err;

	mne_inodes_move_begin(ns->inodes);
	err = mne_store_rollback(ns->store, spec, out_result, &written);
	if (err == 0)
		err = move_inodes(ns, written);
	mne_inodes_move_end(ns->inodes);
	if (err == 0)
		err = tell_kernel(ns, written);
	/* Of a name that is absent, or taken, the log says nothing else. */
	if (mne_err_is(err, ENOENT) || mne_err_is(err, EEXIST)) {
		g_autofree char *sentence = g_strdup(mne_err_sentence(err));

		mne_ns_tell_rollback(ns, name, err);
		mne_log_say("rollback: %s", sentence);
	}
	MNE_TRY(err);
	MNE_TRY(mne_store_barrier(ns->store));
	mne_log_say(
		"rolled back to %s: %" G_GUINT64_FORMAT
		" names are back, %" G_GUINT64_FORMAT " as before, %" G_GUINT64_FORMAT
		" gone; %u open files cut off; what was left behind is checkpoint %s",
		name, out_result->returned, out_result->changed, out_result->removed,
		out_result->cut, out_result->before);
	mne_ns_tell_rollback(ns, name, 0);
	return 0;
}

static int rename_live(MneNs *ns, MneNsTx *tx, const MneSpot *from, const MneSpot *to,
		       unsigned flags)
{
	bool from_root = from->table == MNE_ROOT_TABLE;
	bool to_root = to->table == MNE_ROOT_TABLE;

	if (flags & ~(unsigned)(RENAME_NOREPLACE | RENAME_EXCHANGE))
		return -EINVAL;
	if (from_root && to_root)
		return mne_table_rename(tx ? mne_ns_tx_store(tx) : ns->store,
					from->name, to->name, flags);
	if (from->table != to->table)
		return mne_throw(OTHER_TABLE, "rename stays inside one table");
	return move(ns, tx, from, to, flags);
}

int mne_ns_rename(MneNs *ns, MneInode *parent, MneSlice name, MneInode *new_parent,
		  MneSlice new_name, unsigned flags)
{
	MneIdentity dir = mne_inode_identity(parent);
	MneIdentity new_dir = mne_inode_identity(new_parent);

	if (dir.object == MNE_OBJECT_CKPTS && new_dir.object == MNE_OBJECT_CKPTS)
		return mne_ckpts_dir_rename(ns, &dir, name, &new_dir, new_name, flags);
	MNE_TRY(mne_ns_require_live(parent));
	MNE_TRY(mne_ns_require_live(new_parent));
	MNE_TRY(mne_frag_check_name(ns, &dir, name));
	MNE_TRY(mne_frag_check_name(ns, &new_dir, new_name));

	MneSpot from = { dir.table, dir.rec, name };
	MneSpot to = { new_dir.table, new_dir.rec, new_name };

	if (dir.tx != new_dir.tx)
		return -EXDEV;
	MNE_TRY(check_name(&dir, name));
	MNE_TRY(check_name(&new_dir, new_name));
	return rename_live(ns, dir.tx, &from, &to, flags);
}

int mne_ns_link(MneNs *ns, MneInode *inode, MneInode *parent, MneSlice name,
		MneFound *out)
{
	MneIdentity self = mne_inode_identity(inode), dir = mne_inode_identity(parent);
	g_auto(MneNode) node = { 0 };
	MneSpot spot = { dir.table, dir.rec, name };
	MneFinding finding;
	int err;

	MNE_TRY(mne_ns_require_live(parent));
	if (self.object != MNE_OBJECT_LIVE || self.tx != dir.tx)
		return -EXDEV;
	MNE_TRY(check_name(&dir, name));
	MNE_TRY(mne_frag_check_name(ns, &dir, name));
	if (self.table != dir.table)
		return mne_throw(OTHER_TABLE, "link stays inside one table");

	mne_inode_find(ns->inodes, inode, &finding);
	do
		err = mne_link(mne_ns_store_of(ns, &dir), &finding.place, &spot, &node);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	MNE_TRY(err);
	mne_ns_found_live(ns, &dir, dir.table, &node, name, out);
	return 0;
}

static int change_live(MneNs *ns, MneInode *inode, const MneAttrChange *change,
		       const uint64_t *size, MneNode *out_node)
{
	MneIdentity self = mne_inode_identity(inode);
	MneStore *store = mne_ns_store_of(ns, &self);
	MneFinding finding;
	int err;

	mne_inode_find(ns->inodes, inode, &finding);
	if (size) {
		do
			err = mne_truncate(store, &finding.place, *size, out_node);
		while (mne_inode_retry(ns->inodes, inode, err, &finding));
		MNE_TRY(err);
	}
	if (size && change->set == 0)
		return 0;
	mne_node_clear(out_node);
	do
		err = mne_setattr(store, &finding.place, change, out_node);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	return err;
}

int mne_ns_setattr(MneNs *ns, MneInode *inode, const MneAttrChange *change,
		   const uint64_t *size, MneFound *out)
{
	MneIdentity self = mne_inode_identity(inode);
	g_auto(MneNode) node = { 0 };

	if (self.object == MNE_OBJECT_CKPTS) {
		MNE_TRY(mne_ckpts_dir_setattr(ns, &self, change));
		return mne_ns_stat(ns, inode, out);
	}
	if (self.object == MNE_OBJECT_TXCTL && size)
		return mne_ns_stat(ns, inode, out);
	if (self.object == MNE_OBJECT_CTL && size && mne_ctl_is_writable(ns, self.rec))
		return mne_ns_stat(ns, inode, out); /* what `>` does before it writes */
	MNE_TRY(mne_ns_require_live(inode));
	/* A view has nothing of its own: what copies trees sets times and modes, too. */
	if (self.object != MNE_OBJECT_LIVE)
		return mne_ns_stat(ns, inode, out);
	MNE_TRY(change_live(ns, inode, change, size, &node));
	*out = (MneFound){ .inode = inode };
	if (!self.is_dir || !mne_ns_is_shared(ns, self.table))
		out->attr_timeout = MNE_LONG_TIMEOUT;
	mne_attr_of_live(&node, &out->attr);
	mne_tx_root_attr(&self, &out->attr);
	return 0;
}
