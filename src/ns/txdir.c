/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/txdir.c - `.tx`, and which files stand in a transaction
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/txdir.h"

#include "ns/attr.h"
#include "ns/txfile.h"

#define DOMAIN_DIR  3u /* of hidden inode numbers: these kinds */
#define DOMAIN_ROOT 4u
#define DOMAIN_FILE 5u

static const char *const file_names[] = {
	[MNE_TX_FILE_CTL] = ".ctl",
	[MNE_TX_FILE_STATUS] = ".status",
	[MNE_TX_FILE_CHANGES] = ".changes",
};

static int like_root(MneNs *ns, struct stat *out)
{
	MnePlace root = { .table = MNE_ROOT_TABLE,
			  .rec = MNE_ROOT_DIR,
			  .is_dir = true };
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_live_node(ns->store, &root, &node));
	mne_attr_of_live(&node, out);
	return 0;
}

static uint64_t id_of(const MneNsTx *tx)
{
	return tx ? mne_ns_tx_id(tx) : 0;
}

/* Anybody may begin one; nobody ends another's. */
static int stat_dir(MneNs *ns, const MneIdentity *dir, struct stat *out)
{
	struct stat like;

	MNE_TRY(like_root(ns, &like));
	mne_attr_of_hidden(&like, DOMAIN_DIR, id_of(dir->tx), S_IFDIR | S_ISVTX | 0777,
			   out);
	if (dir->tx) {
		out->st_uid = mne_ns_tx_uid(dir->tx);
		out->st_mode = S_IFDIR | 0700;
	}
	return 0;
}

static int stat_file(MneNs *ns, const MneIdentity *file, struct stat *out)
{
	uint32_t mode = file->rec == MNE_TX_FILE_CTL ? 0600 : 0400;
	struct stat like;

	MNE_TRY(like_root(ns, &like));
	mne_attr_of_hidden(&like, DOMAIN_FILE, id_of(file->tx) * 4 + file->rec,
			   S_IFREG | mode, out);
	out->st_uid = mne_ns_tx_uid(file->tx);
	return 0;
}

int mne_tx_dir_stat(MneNs *ns, const MneIdentity *self, struct stat *out)
{
	if (self->tx)
		MNE_TRY(mne_ns_tx_require(self->tx));
	return self->object == MNE_OBJECT_TXS ? stat_dir(ns, self, out)
					      : stat_file(ns, self, out);
}

void mne_tx_root_attr(const MneIdentity *self, struct stat *io)
{
	if (!self->tx || self->rec != MNE_ROOT_DIR)
		return;
	mne_attr_of_hidden(io, DOMAIN_ROOT, mne_ns_tx_id(self->tx), S_IFDIR | 0700, io);
	io->st_uid = mne_ns_tx_uid(self->tx);
}

static void found_root(MneNs *ns, MneNsTx *tx, const MneNode *node, MneSlice name,
		       MneFound *out)
{
	const MneIdentity in = { .rec = MNE_ROOT_DIR, .tx = tx };

	mne_ns_found_live(ns, &in, MNE_ROOT_TABLE, node, name, out);
	out->entry_timeout = 0; /* it ends, and the next may have its name */
}

/* One that has lost what it looked at must still be found by who gives it up. */
static int lookup_root(MneNs *ns, MneNsTx *tx, MneSlice name, MneFound *out)
{
	MnePlace root = { .table = MNE_ROOT_TABLE,
			  .rec = MNE_ROOT_DIR,
			  .is_dir = true };
	g_auto(MneNode) node = { 0 };
	int err = mne_live_node(mne_ns_tx_store(tx), &root, &node);

	if (mne_err_is(err, MNE_E_KV_SNAPSHOT))
		err = mne_live_node(ns->store, &root, &node);
	MNE_TRY(err);
	found_root(ns, tx, &node, name, out);
	return 0;
}

int mne_tx_dir_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
{
	g_autoptr(MneNsTx) tx = NULL;
	int err = mne_ns_tx_find(ns, dir->tx, name, &tx);

	if (err < 0)
		return err;
	return lookup_root(ns, tx, name, out);
}

int mne_tx_dir_make(MneNs *ns, const MneIdentity *dir, MneSlice name,
		    const MneMake *what, MneFound *out)
{
	g_autoptr(MneNsTx) tx = NULL;

	if (name.len > 0 && name.data[0] == '.')
		return mne_throw(RESERVED_NAME,
				 "the name of a transaction does not begin with a dot");
	MNE_TRY(mne_ns_tx_begin(ns, dir->tx, name, what->uid, &tx));
	mne_store_wake_notices(ns->store); /* who looks after idle ones */
	return lookup_root(ns, tx, name, out);
}

int mne_tx_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name)
{
	g_autoptr(MneNsTx) tx = NULL;

	MNE_TRY(mne_ns_tx_find(ns, dir->tx, name, &tx));
	mne_ns_tx_abort(ns, tx);
	return 0;
}

static uint64_t file_called(MneSlice name)
{
	for (unsigned i = MNE_TX_FILE_CTL; i <= MNE_TX_FILE_CHANGES; i++)
		if (mne_slice_equal(name, mne_slice_str(file_names[i])))
			return i;
	return 0;
}

bool mne_tx_is_root(const MneIdentity *dir)
{
	return dir->tx && dir->object == MNE_OBJECT_LIVE && dir->rec == MNE_ROOT_DIR;
}

bool mne_tx_has_file(const MneIdentity *dir, MneSlice name)
{
	return mne_tx_is_root(dir) && file_called(name) != 0;
}

int mne_tx_file_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
{
	MneIdentity self = { .object = MNE_OBJECT_TXCTL,
			     .rec = file_called(name),
			     .tx = dir->tx };

	*out = (MneFound){ .entry_timeout = MNE_LONG_TIMEOUT };
	MNE_TRY(mne_tx_dir_stat(ns, &self, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, MNE_ROOT_DIR, name);
	return 0;
}

int mne_tx_dir_found(MneNs *ns, const MneIdentity *parent, MneSlice name, MneFound *out)
{
	MneIdentity self = { .object = MNE_OBJECT_TXS,
			     .is_dir = true,
			     .rec = MNE_ROOT_DIR,
			     .tx = parent->tx };

	*out = (MneFound){ .entry_timeout = MNE_LONG_TIMEOUT };
	MNE_TRY(mne_tx_dir_stat(ns, &self, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, MNE_ROOT_DIR, name);
	return 0;
}
