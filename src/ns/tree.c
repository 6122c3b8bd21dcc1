/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/tree.c - what stands where: lookup, stat, and how long the kernel may believe it
 *
 * What is live changes only through this mount, so the kernel may keep it for a day.
 * Attributes in a checkpoint change when another checkpoint comes to share a version, and
 * a dropped checkpoint must be noticed: they are asked for each time, and that a name is
 * absent is not remembered.  The names in `.checkpoints` appear and vanish through several
 * directories at once: not remembered either.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/attr.h"
#include "ns/ctl.h"
#include "ns/delta.h"
#include "ns/digest.h"
#include "ns/frags.h"
#include "ns/grave.h"
#include "ns/handle.h"
#include "ns/lent.h"
#include "ns/ns.h"
#include "ns/reopen.h"
#include "ns/stream.h"
#include "ns/txdir.h"
#include "ns/visit.h"

#include <time.h>

MneNs *mne_ns_new(MneStore *store, const MneNsOptions *options,
		  const char *const *op_names, unsigned n_ops)
{
	MneNs *ns = g_new0(MneNs, 1);

	ns->store = store;
	ns->options = *options;
	ns->options.shown = g_strdup(options->shown);
	ns->options.mount_point = g_strdup(options->mount_point);
	ns->options.hooks_dir = g_strdup(options->hooks_dir);
	ns->hooks = mne_hooks_new(&(MneHooksOptions){
		.dir = options->hooks_dir,
		.timeout = options->hook_timeout,
		.mount_point = options->mount_point,
		.store = mne_store_path(store),
	});
	ns->inodes = mne_inodes_new(options->ckpt);
	ns->shared = mne_shared_new(store);
	ns->ctl = mne_ctl_new();
	ns->graves = mne_graves_new();
	ns->visits = mne_visits_new();
	ns->lent = mne_lent_new(mne_store_ckpts(store));
	ns->reopens = mne_reopens_new();
	ns->digests = mne_digests_new();
	ns->deltas = mne_deltas_new();
	ns->stats = mne_stats_new(op_names, n_ops);
	ns->txs = mne_ns_txs_new(&options->tx);
	ns->started = time(NULL);
	mne_lock_init(&ns->open_lock, MNE_RANK_HANDLE);
	g_queue_init(&ns->handles);
	g_queue_init(&ns->streams);
	atomic_init(&ns->ckpts_mode, S_ISVTX | 0775);
	atomic_init(&ns->ckpts_gid, UINT32_MAX);
	return ns;
}

void mne_ns_free(MneNs *ns)
{
	mne_ns_txs_end(ns);
	while (!g_queue_is_empty(&ns->handles))
		mne_handle_close(g_queue_peek_head(&ns->handles));
	while (!g_queue_is_empty(&ns->streams))
		mne_stream_close(g_queue_peek_head(&ns->streams));
	mne_inodes_free(ns->inodes);
	mne_shared_free(ns->shared);
	mne_ctl_free(ns->ctl);
	mne_graves_free(ns->graves);
	mne_visits_free(ns->visits);
	mne_lent_free(ns->lent);
	mne_reopens_free(ns->reopens);
	mne_digests_free(ns->digests);
	mne_deltas_free(ns->deltas);
	mne_stats_free(ns->stats);
	mne_ns_txs_free(ns->txs);
	mne_lock_clear(&ns->open_lock);
	g_free(ns->options.shown);
	g_free(ns->options.mount_point);
	g_free(ns->options.hooks_dir);
	mne_hooks_free(ns->hooks);
	g_free(ns);
}

MneStore *mne_ns_store_of(MneNs *ns, const MneIdentity *self)
{
	return self->tx ? mne_ns_tx_store(self->tx) : ns->store;
}

int mne_ns_require_valid(const MneInode *inode)
{
	MneNsTx *tx = mne_inode_identity(inode).tx;
	MneCkpt *ckpt = mne_inode_identity(inode).ckpt;
	g_autofree char *name = NULL, *when = NULL;
	g_autoptr(GDateTime) dropped = NULL;

	if (tx)
		MNE_TRY(mne_ns_tx_require(tx));

	if (!ckpt || mne_ckpt_is_active(ckpt))
		return 0;
	name = mne_ckpt_name(ckpt);
	dropped = g_date_time_new_from_unix_local(atomic_load(&ckpt->dropped));
	when = dropped ? g_date_time_format(dropped, "%H:%M") : NULL;
	return mne_throw(CKPT_GONE,
			 "checkpoint %s was dropped at %s; this directory is no longer "
			 "valid",
			 name, when ? when : "?");
}

static int require_past_writable(const MneInode *inode)
{
	MNE_TRY(mne_ns_require_valid(inode));
	return mne_throw(CKPT_READONLY, "checkpoints are read-only: copy the file out");
}

int mne_ns_require_live(const MneInode *inode)
{
	switch (mne_inode_identity(inode).object) {
	case MNE_OBJECT_LIVE: return 0;
	case MNE_OBJECT_FRAGS:
	case MNE_OBJECT_FRAG:
		if (!mne_inode_identity(inode).ckpt)
			return 0;
		return require_past_writable(inode);
	case MNE_OBJECT_PAST: return require_past_writable(inode);
	case MNE_OBJECT_CKPTS:
		return mne_throw(RESERVED_NAME,
				 ".checkpoints holds nothing but checkpoints");
	case MNE_OBJECT_TXS:
	case MNE_OBJECT_TXCTL:
		return mne_throw(RESERVED_NAME, ".tx holds nothing but transactions");
	case MNE_OBJECT_CTL: break;
	}
	return mne_throw(RESERVED_NAME, ".mnefs is not changed this way");
}

int mne_ns_node(MneNs *ns, MneInode *inode, MneFinding *out_finding, MneNode *out_node)
{
	MneIdentity self = mne_inode_identity(inode);
	int err;

	g_assert(self.object == MNE_OBJECT_LIVE || self.object == MNE_OBJECT_PAST);
	mne_inode_find(ns->inodes, inode, out_finding);
	if (self.ckpt) {
		MNE_TRY(mne_ns_require_valid(inode));
		return mne_view_node(&self.ckpt->view, &out_finding->place, out_node);
	}
	do
		err = mne_live_node(mne_ns_store_of(ns, &self), &out_finding->place,
				    out_node);
	while (mne_inode_retry(ns->inodes, inode, err, out_finding));
	return err;
}

static unsigned sharers_of(MneNs *ns, MneCkpt *ckpt, const MnePlace *place,
			   const MneNode *node)
{
	unsigned count = 1;

	if (!ns->options.cplinks || mne_node_is_dir(node))
		return 1;
	if (mne_ckpt_sharers_of(ckpt, place, node, &count) < 0)
		return 1;
	return MAX(count, 1u);
}

/* How long the attributes of a live record may be believed: a directory of a shared table
 * has an inode for each path. */
static double live_timeout(MneNs *ns, uint32_t table, bool is_dir)
{
	return is_dir && mne_ns_is_shared(ns, table) ? 0 : MNE_LONG_TIMEOUT;
}

void mne_ns_found_live(MneNs *ns, const MneIdentity *parent, uint32_t table,
		       const MneNode *node, MneSlice name, MneFound *out)
{
	MneIdentity self = {
		.object = MNE_OBJECT_LIVE,
		.is_dir = mne_node_is_dir(node),
		.table = table,
		.rec = node->rec,
		.frag = mne_node_is_dir(node) ? parent->frag : 0,
		.tx = parent->tx,
	};
	bool is_table = parent->table == MNE_ROOT_TABLE;

	out->inode = mne_inodes_look_up(ns->inodes, &self, parent->rec, name);
	out->entry_timeout = is_table || !mne_ns_is_shared(ns, table) ? MNE_LONG_TIMEOUT
								      : 0;
	out->attr_timeout = live_timeout(ns, table, self.is_dir);
	mne_attr_of_live(node, &out->attr);
	mne_tx_root_attr(&self, &out->attr);
}

/* Is it the directory by which a checkpoint is reached?  That shows at once what becomes of it. */
static bool is_way_in(const MneIdentity *self)
{
	return self->rec == self->via;
}

/* The way in belongs to who made the checkpoint: `.checkpoints` is sticky, so that he may
 * drop it. */
static void set_maker(const MneIdentity *self, struct stat *attr)
{
	if (!is_way_in(self))
		return;
	attr->st_uid = self->ckpt->uid;
	attr->st_gid = self->ckpt->gid;
}

/* Of what the numbers of directories are made. */
static uint64_t cookie_of(const MneIdentity *self)
{
	return self->ckpt->cookie ^ (mne_delta_is(self->via) ? self->via : 0);
}

/* begun: see mne_lent_begin(). */
static void found_past_attr(MneNs *ns, const MneIdentity *self, const MneNode *node,
			    const MnePlace *place, uint64_t begun, MneFound *out)
{
	bool lends = !is_way_in(self) && !self->tx;

	mne_attr_of_past(node, cookie_of(self), sharers_of(ns, self->ckpt, place, node),
			 &out->attr);
	set_maker(self, &out->attr);
	if (lends &&
	    mne_lent_note(ns->lent, begun, mne_inode_number(ns->inodes, out->inode)))
		out->attr_timeout = MNE_PAST_TIMEOUT;
	else
		out->attr_timeout = 0;
}

int mne_ns_found_past(MneNs *ns, const MneIdentity *parent, uint32_t table,
		      const MneNode *node, MneSlice name, MneFound *out)
{
	MneIdentity self = {
		.object = MNE_OBJECT_PAST,
		.is_dir = mne_node_is_dir(node),
		.table = table,
		.rec = node->rec,
		.ckpt = parent->ckpt,
		.via = parent->via,
		.frag = mne_node_is_dir(node) ? parent->frag : 0,
		.tx = parent->tx,
	};
	MnePlace place = {
		.table = table,
		.rec = node->rec,
		.dir = parent->rec,
		.name = name,
		.is_dir = self.is_dir,
	};
	uint64_t begun = mne_lent_begin(ns->lent);

	if (!mne_ckpt_is_active(self.ckpt))
		return mne_throw(CKPT_GONE,
				 "the checkpoint was dropped while it was read");

	out->inode = mne_inodes_look_up(ns->inodes, &self, parent->rec, name);
	out->entry_timeout = MNE_LONG_TIMEOUT;
	found_past_attr(ns, &self, node, &place, begun, out);
	return 0;
}

static void not_there(MneFound *out)
{
	*out = (MneFound){ .entry_timeout = MNE_LONG_TIMEOUT };
}

static int lookup_live(MneNs *ns, const MneIdentity *parent, MneSlice name,
		       MneFound *out)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	int err = mne_live_lookup(mne_ns_store_of(ns, parent), parent->table,
				  parent->rec, name, &table, &node);

	if (err < 0 && mne_err_is(err, ENOENT)) {
		not_there(out);
		if (mne_ns_is_shared(ns, parent->table))
			out->entry_timeout = 0;
		return 0;
	}
	MNE_TRY(err);
	mne_ns_found_live(ns, parent, table, &node, name, out);
	return 0;
}

static int lookup_past(MneNs *ns, const MneIdentity *parent, MneSlice name,
		       MneFound *out)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	MNE_TRY(mne_view_lookup(&parent->ckpt->view, parent->table, parent->rec, name,
				&table, &node));
	if (mne_delta_is(parent->via))
		MNE_TRY(mne_delta_pass(ns->deltas, parent->via, parent->rec, name,
				       &node));
	return mne_ns_found_past(ns, parent, table, &node, name, out);
}

static int lookup_record(MneNs *ns, const MneIdentity *parent, MneSlice name,
			 MneFound *out)
{
	return parent->ckpt ? lookup_past(ns, parent, name, out)
			    : lookup_live(ns, parent, name, out);
}

/* In a directory that may be a table's, and may list fragments. */
static int lookup_spread(MneNs *ns, const MneIdentity *parent, MneSlice name,
			 MneFound *out)
{
	int got = mne_frag_dir_find(ns, parent, name, out);

	MNE_TRY(got);
	return got > 0 ? 0 : lookup_record(ns, parent, name, out);
}

/* The `.checkpoints` of directory `of`. */
static int found_ckpts_dir(MneNs *ns, const MneIdentity *of, MneSlice name,
			   MneFound *out)
{
	MneIdentity self = {
		.object = MNE_OBJECT_CKPTS,
		.is_dir = true,
		.table = of->table,
		.rec = of->rec,
		.tx = of->tx,
	};

	MNE_TRY(mne_ckpts_dir_stat(ns, &self, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, of->rec, name);
	out->entry_timeout = MNE_LONG_TIMEOUT;
	out->attr_timeout = 0;
	return 0;
}

/* parent: `.mnefs` stands there, or it is in `.mnefs`. */
static int found_ctl(MneNs *ns, const MneIdentity *parent, uint64_t number,
		     MneSlice name, MneFound *out)
{
	uint64_t dir = parent->object == MNE_OBJECT_CTL ? parent->rec : MNE_ROOT_DIR;
	MneIdentity self = {
		.object = MNE_OBJECT_CTL,
		.is_dir = mne_ctl_is_dir(ns, number),
		.rec = number,
		.tx = parent->tx,
	};

	MNE_TRY(mne_ctl_stat(ns, number, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, dir, name);
	out->entry_timeout = 0;
	out->attr_timeout = 0;
	return 0;
}

static int lookup_reserved(MneNs *ns, const MneIdentity *parent, MneNameKind kind,
			   MneSlice name, MneFound *out)
{
	if (ns->options.ctl == MNE_CTL_OFF) {
		not_there(out);
		return 0;
	}
	if (parent->tx && kind == MNE_NAME_FRAG) { /* all records, flat */
		not_there(out);
		return 0;
	}
	switch (kind) {
	case MNE_NAME_CHECKPOINTS: return found_ckpts_dir(ns, parent, name, out);
	case MNE_NAME_CTL:
		if (parent->table == MNE_ROOT_TABLE)
			return found_ctl(ns, parent, MNE_CTL_ROOT, name, out);
		break;
	case MNE_NAME_TX:
		if (parent->table == MNE_ROOT_TABLE)
			return mne_tx_dir_found(ns, parent, name, out);
		break;
	case MNE_NAME_FRAG: return mne_frags_dir_find(ns, parent, name, out);
	case MNE_NAME_ORDINARY:
	case MNE_NAME_BY: break;
	}
	not_there(out);
	return 0;
}

/* `.mnefs/changed/A..B.d`: B's root, seen through a sieve. */
static int found_delta(MneNs *ns, MneNsTx *tx, MneSlice name, MneFound *out)
{
	g_autofree char *text = g_strndup((const char *)name.data, name.len);
	MneIdentity parent = { .rec = MNE_ROOT_DIR, .tx = tx };
	g_auto(MneChanged) changed = { 0 };
	MnePlace root = { .rec = MNE_ROOT_DIR, .is_dir = true };
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_changed_find(ns, text, &changed));
	if (changed.form != MNE_CHANGED_TREE)
		return -ENOENT;
	MNE_TRY(mne_changed_require_tree(ns, &changed));
	MNE_TRY(mne_deltas_find(ns->deltas, &changed, &parent.via));
	MNE_TRY(mne_view_node(&changed.to->view, &root, &node));
	parent.ckpt = changed.to;
	MNE_TRY(mne_ns_found_past(ns, &parent, MNE_ROOT_TABLE, &node, name, out));
	out->entry_timeout = 0;
	return 0;
}

static bool is_dir_of_changes(MneNs *ns, uint64_t dir)
{
	uint64_t number;

	return mne_ctl_find(ns, MNE_CTL_ROOT, mne_slice_str("changed"), &number) == 0 &&
	       number == dir;
}

static int lookup_ctl(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
{
	uint64_t number;
	int err = mne_ctl_find(ns, dir->rec, name, &number);

	if (err == -ENOENT && is_dir_of_changes(ns, dir->rec))
		return found_delta(ns, dir->tx, name, out);
	MNE_TRY(err);
	return found_ctl(ns, dir, number, name, out);
}

int mne_ns_lookup(MneNs *ns, MneInode *parent, MneSlice name, MneFound *out)
{
	MneIdentity in = mne_inode_identity(parent);
	MneNameKind kind;
	int got;

	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	switch (in.object) {
	case MNE_OBJECT_LIVE:
		kind = mne_name_kind(name);
		if (kind != MNE_NAME_ORDINARY)
			return lookup_reserved(ns, &in, kind, name, out);
		if (mne_tx_has_file(&in, name))
			return mne_tx_file_lookup(ns, &in, name, out);
		return in.tx ? lookup_live(ns, &in, name, out)
			     : lookup_spread(ns, &in, name, out);
	case MNE_OBJECT_PAST:
		MNE_TRY(mne_ns_require_valid(parent));
		if (parent == mne_inodes_root(ns->inodes) &&
		    mne_name_kind(name) == MNE_NAME_CTL)
			return lookup_reserved(ns, &in, MNE_NAME_CTL, name, out);
		if (mne_name_kind(name) == MNE_NAME_FRAG)
			return lookup_reserved(ns, &in, MNE_NAME_FRAG, name, out);
		return lookup_spread(ns, &in, name, out);
	case MNE_OBJECT_FRAG:
		MNE_TRY(mne_ns_require_valid(parent));
		return lookup_record(ns, &in, name, out);
	case MNE_OBJECT_FRAGS:
		MNE_TRY(mne_ns_require_valid(parent));
		got = mne_frag_dir_find(ns, &in, name, out);
		return got == 0 ? -ENOENT : MIN(got, 0);
	case MNE_OBJECT_CKPTS: return mne_ckpts_dir_lookup(ns, &in, name, out);
	case MNE_OBJECT_TXS: return mne_tx_dir_lookup(ns, &in, name, out);
	case MNE_OBJECT_TXCTL: return -ENOTDIR;
	case MNE_OBJECT_CTL: break;
	}
	return lookup_ctl(ns, &in, name, out);
}

/* A directory that was removed, but that somebody still stands in. */
static void stat_removed(const MneIdentity *self, MneFound *out)
{
	out->attr = (struct stat){ .st_ino = self->rec, .st_mode = S_IFDIR | 0755 };
}

static int stat_record(MneNs *ns, MneInode *inode, MneFound *out)
{
	MneIdentity self = mne_inode_identity(inode);
	uint64_t begun = mne_lent_begin(ns->lent);
	g_auto(MneNode) node = { 0 };
	MneFinding finding;
	int err = mne_ns_node(ns, inode, &finding, &node);

	if (self.tx)
		MNE_TRY(mne_ns_require_valid(inode));
	if (!self.ckpt && self.is_dir && err < 0 && mne_err_is(err, ESTALE)) {
		stat_removed(&self, out);
		return 0;
	}
	MNE_TRY(err);
	if (!self.ckpt) {
		out->attr_timeout = live_timeout(ns, self.table, self.is_dir);
		mne_attr_of_live(&node, &out->attr);
		mne_tx_root_attr(&self, &out->attr);
		return 0;
	}
	found_past_attr(ns, &self, &node, &finding.place, begun, out);
	return mne_ns_require_valid(inode);
}

int mne_ns_stat(MneNs *ns, MneInode *inode, MneFound *out)
{
	MneIdentity self = mne_inode_identity(inode);

	*out = (MneFound){ .inode = inode };
	switch (self.object) {
	case MNE_OBJECT_LIVE:
	case MNE_OBJECT_PAST: return stat_record(ns, inode, out);
	case MNE_OBJECT_FRAGS:
	case MNE_OBJECT_FRAG:
		MNE_TRY(mne_ns_require_valid(inode));
		return mne_frags_dir_stat(ns, &self, &out->attr);
	case MNE_OBJECT_CKPTS: return mne_ckpts_dir_stat(ns, &self, &out->attr);
	case MNE_OBJECT_TXS:
	case MNE_OBJECT_TXCTL: return mne_tx_dir_stat(ns, &self, &out->attr);
	case MNE_OBJECT_CTL: break;
	}
	return mne_ctl_stat(ns, self.rec, &out->attr);
}

int mne_ns_readlink(MneNs *ns, MneInode *inode, char **out_target)
{
	g_auto(MneNode) node = { 0 };
	MneFinding finding;

	MNE_TRY(mne_ns_require_valid(inode));
	if (mne_inode_identity(inode).object > MNE_OBJECT_PAST)
		return -EINVAL;
	MNE_TRY(mne_ns_node(ns, inode, &finding, &node));
	if (!S_ISLNK(node.mode))
		return -EINVAL;
	*out_target = g_strndup((const char *)node.content.data, node.content.len);
	return 0;
}
