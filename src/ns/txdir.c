/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/txdir.c - `.tx`, and the files `.ctl` and `.status` of a transaction
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/txdir.h"

#include "ns/attr.h"
#include "ns/ctl_text.h"

#include <fcntl.h>

#define DOMAIN_DIR  3u /* of hidden inode numbers: these kinds */
#define DOMAIN_ROOT 4u
#define DOMAIN_FILE 5u

enum { FILE_CTL = 1, FILE_STATUS = 2, FILE_CHANGES = 3 };

static const char *const file_names[] = {
	[FILE_CTL] = ".ctl",
	[FILE_STATUS] = ".status",
	[FILE_CHANGES] = ".changes",
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
	uint32_t mode = file->rec == FILE_CTL ? 0600 : 0400;
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

static int lookup_root(MneNs *ns, MneNsTx *tx, MneSlice name, MneFound *out)
{
	MnePlace root = { .table = MNE_ROOT_TABLE,
			  .rec = MNE_ROOT_DIR,
			  .is_dir = true };
	g_auto(MneNode) node = { 0 };

	MNE_TRY(mne_live_node(mne_ns_tx_store(tx), &root, &node));
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
	for (unsigned i = FILE_CTL; i <= FILE_CHANGES; i++)
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

/* ---- the files ---- */

typedef struct {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	MneNsTx *tx; /* reference */
	MneLock lock;
	GString *text;
	bool owns;
} TxFile;

static ssize_t file_read(MneCtlFile *base, uint64_t offset, void *buffer, size_t len,
			 const MneCtlWait *wait G_GNUC_UNUSED)
{
	TxFile *file = (TxFile *)base;

	MNE_WITH_LOCK(&file->lock);
	return mne_ctl_text_read(mne_slice(file->text->str, file->text->len), offset,
				 buffer, len);
}

static void set_text(TxFile *file, GString *take_text)
{
	MNE_WITH_LOCK(&file->lock);
	g_string_free(file->text, TRUE);
	file->text = take_text;
}

static int run_own(TxFile *file)
{
	if (!file->owns)
		mne_ns_tx_own(file->tx, 1);
	file->owns = true;
	return 0;
}

static int run_line(TxFile *file, const char *line, GString *answer)
{
	MNE_TRY(mne_ns_tx_require(file->tx));
	if (strcmp(line, "commit") == 0)
		return mne_ns_tx_commit(file->ns, file->tx, false, answer);
	if (strcmp(line, "commit sync") == 0)
		return mne_ns_tx_commit(file->ns, file->tx, true, answer);
	if (strcmp(line, "own") == 0)
		return run_own(file);
	if (strcmp(line, "abort") == 0) {
		mne_ns_tx_abort(file->ns, file->tx);
		return 0;
	}
	return mne_throw(BAD_CTL,
			 "%s: a transaction takes commit, commit sync, abort, own",
			 line);
}

static int file_write(MneCtlFile *base, MneSlice bytes)
{
	g_autofree char *text = g_strndup((const char *)bytes.data, bytes.len);
	g_auto(GStrv) lines = g_strsplit(text, "\n", -1);
	TxFile *file = (TxFile *)base;
	GString *answer = g_string_new(NULL);
	int err = 0;

	for (char **line = lines; *line && err == 0; line++)
		if (**line)
			err = run_line(file, g_strstrip(*line), answer);
	if (err < 0)
		g_string_assign(answer, mne_err_sentence(err));
	set_text(file, answer);
	return err;
}

/* With who owned it, it goes. */
static void file_close(MneCtlFile *base)
{
	TxFile *file = (TxFile *)base;

	if (file->owns) {
		mne_ns_tx_own(file->tx, -1);
		if (!mne_ns_tx_is_owned(file->tx))
			mne_ns_tx_abort(file->ns, file->tx);
	}
	mne_ns_tx_unref(file->tx);
	g_string_free(file->text, TRUE);
	mne_lock_clear(&file->lock);
	g_free(file);
}

static const MneCtlFileOps ctl_ops = { .read = file_read,
				       .write = file_write,
				       .close = file_close };
static const MneCtlFileOps status_ops = { .read = file_read, .close = file_close };

int mne_tx_file_open(MneNs *ns, const MneIdentity *self, const MneCtlOpen *how,
		     MneCtlFile **out_file)
{
	bool writes = (how->flags & O_ACCMODE) != O_RDONLY;
	g_autoptr(GString) text = g_string_new(NULL);
	TxFile *file;

	if (self->rec != FILE_CTL && writes)
		return -EACCES;
	if (how->uid != 0 && how->uid != mne_ns_tx_uid(self->tx))
		return -EACCES;
	if (self->rec == FILE_STATUS)
		mne_ns_tx_print(self->tx, text);
	if (self->rec == FILE_CHANGES)
		MNE_TRY(mne_ns_tx_print_changes(self->tx, text));
	file = g_new0(TxFile, 1);
	file->base.ops = self->rec == FILE_CTL ? &ctl_ops : &status_ops;
	file->ns = ns;
	file->tx = mne_ns_tx_ref(self->tx);
	mne_lock_init(&file->lock, MNE_RANK_HANDLE);
	file->text = g_steal_pointer(&text);
	*out_file = &file->base;
	return 0;
}
