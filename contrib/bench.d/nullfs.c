/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/nullfs.c - a file system in memory: what FUSE costs when the rest is free
 *
 * Files and directories, nothing else: no links, no attributes, no disk, no promise.
 * It asks the kernel for everything that saves a round trip.  Two savings that a real
 * file system may not be able to afford are switches:
 *
 *   -o noopen       answer the first OPEN with ENOSYS; the kernel never asks again
 *   -o noflush      let the kernel leave out the FLUSH at close
 *   -o threads=N    serve with N threads (default: 2)
 *
 * Requests come through io_uring where the kernel offers it.
 *
 * Locks: `names` for the tree, one stripe of `data` for the bytes and times of a node.
 * They are never held together, and no reply waits for one but that of a read, which
 * sends straight from the file's buffer.
 */
#include "config.h"

#include <errno.h>
#include <pthread.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include <fuse_lowlevel.h>
#include <glib.h>

#include "node.h"
#include "ring.h"

enum { N_STRIPES = 256, MAX_WRITE = 1 << 20 };

typedef struct {
	Node *root;
	_Atomic uint64_t last_number;
	pthread_rwlock_t names;
	pthread_rwlock_t data[N_STRIPES];
	int noopen, noflush;
	unsigned threads;
} NullFs;

static NullFs *fs_of(fuse_req_t req)
{
	return fuse_req_userdata(req);
}

static Node *node_of(fuse_req_t req, fuse_ino_t ino)
{
	return ino == FUSE_ROOT_ID ? fs_of(req)->root : (Node *)(uintptr_t)ino;
}

static pthread_rwlock_t *stripe_of(NullFs *fs, const Node *node)
{
	return &fs->data[node->number % N_STRIPES];
}

static void op_lookup(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	NullFs *fs = fs_of(req);
	struct fuse_entry_param answer = { .entry_timeout = FOREVER };
	Entry *entry;

	pthread_rwlock_rdlock(&fs->names);
	entry = node_find(node_of(req, parent), name);
	if (entry)
		node_entry(entry->node, &answer);
	pthread_rwlock_unlock(&fs->names);

	/* Without a node it says "there is none", and may be remembered. */
	fuse_reply_entry(req, &answer);
}

static int make_node(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		     struct fuse_entry_param *out_entry)
{
	NullFs *fs = fs_of(req);
	Node *dir = node_of(req, parent);
	int err = -EEXIST;

	pthread_rwlock_wrlock(&fs->names);
	if (!node_find(dir, name)) {
		Node *node = node_new(++fs->last_number, mode, fuse_req_ctx(req));

		node_add(dir, name, node);
		node_entry(node, out_entry);
		err = 0;
	}
	pthread_rwlock_unlock(&fs->names);
	return err;
}

static void op_mknod(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		     dev_t device)
{
	struct fuse_entry_param entry;
	int err = make_node(req, parent, name, mode, &entry);

	(void)device;
	if (err < 0)
		fuse_reply_err(req, -err);
	else
		fuse_reply_entry(req, &entry);
}

static void op_mkdir(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode)
{
	op_mknod(req, parent, name, mode | S_IFDIR, 0);
}

static void allow_caching(NullFs *fs, struct fuse_file_info *file)
{
	file->keep_cache = 1;
	file->noflush = fs->noflush;
}

static void op_create(fuse_req_t req, fuse_ino_t parent, const char *name, mode_t mode,
		      struct fuse_file_info *file)
{
	struct fuse_entry_param entry;
	int err = make_node(req, parent, name, mode, &entry);

	allow_caching(fs_of(req), file);
	if (err < 0)
		fuse_reply_err(req, -err);
	else
		fuse_reply_create(req, &entry, file);
}

static void op_unlink(fuse_req_t req, fuse_ino_t parent, const char *name)
{
	NullFs *fs = fs_of(req);
	Node *dir = node_of(req, parent), *node = NULL;
	Entry *entry;
	int err = 0;

	pthread_rwlock_wrlock(&fs->names);
	entry = node_find(dir, name);
	if (!entry) {
		err = ENOENT;
	} else if (entry->node->by_name && g_hash_table_size(entry->node->by_name)) {
		err = ENOTEMPTY;
	} else {
		node = entry->node;
		node_remove(dir, entry);
	}
	pthread_rwlock_unlock(&fs->names);

	fuse_reply_err(req, err);
	if (node)
		node_unref(node, 1);
}

static void op_rename(fuse_req_t req, fuse_ino_t parent, const char *name,
		      fuse_ino_t new_parent, const char *new_name, unsigned flags)
{
	NullFs *fs = fs_of(req);
	Node *dir = node_of(req, parent), *replaced = NULL;
	Entry *entry;

	if (flags) {
		fuse_reply_err(req, EINVAL);
		return;
	}

	pthread_rwlock_wrlock(&fs->names);
	entry = node_find(dir, name);
	if (entry)
		replaced = node_move(dir, entry, node_of(req, new_parent), new_name);
	pthread_rwlock_unlock(&fs->names);

	fuse_reply_err(req, entry ? 0 : ENOENT);
	if (replaced)
		node_unref(replaced, 1);
}

static void op_forget(fuse_req_t req, fuse_ino_t ino, uint64_t lookups)
{
	node_unref(node_of(req, ino), lookups);
	fuse_reply_none(req);
}

static void op_forget_multi(fuse_req_t req, size_t count,
			    struct fuse_forget_data *forgets)
{
	for (size_t i = 0; i < count; i++)
		node_unref(node_of(req, forgets[i].ino), forgets[i].nlookup);
	fuse_reply_none(req);
}

/* Listing */

typedef struct {
	fuse_req_t req;
	char *buffer;
	size_t used, size;
} Listing;

/* With each entry go its attributes, and the reference that the kernel takes. */
static bool list_entry(Listing *listing, const Entry *entry, off_t next)
{
	struct fuse_entry_param param;
	size_t left = listing->size - listing->used;
	size_t need;

	node_entry(entry->node, &param);
	need = fuse_add_direntry_plus(listing->req, listing->buffer + listing->used,
				      left, entry->name, &param, next);
	if (need > left) {
		entry->node->refs--;
		return false;
	}
	listing->used += need;
	return true;
}

static void op_readdirplus(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
			   struct fuse_file_info *file)
{
	NullFs *fs = fs_of(req);
	GPtrArray *order = node_of(req, ino)->in_order;
	Listing listing = { .req = req, .buffer = g_malloc(size), .size = size };

	(void)file;
	pthread_rwlock_rdlock(&fs->names);
	for (guint i = (guint)offset; i < order->len; i++) {
		const Entry *entry = order->pdata[i];

		if (entry && !list_entry(&listing, entry, (off_t)i + 1))
			break;
	}
	pthread_rwlock_unlock(&fs->names);

	fuse_reply_buf(req, listing.buffer, listing.used);
	g_free(listing.buffer);
}

/* Bytes and attributes */

static void op_getattr(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	Node *node = node_of(req, ino);
	pthread_rwlock_t *lock = stripe_of(fs_of(req), node);
	struct stat st;

	(void)file;
	pthread_rwlock_rdlock(lock);
	node_stat(node, &st);
	pthread_rwlock_unlock(lock);
	fuse_reply_attr(req, &st, FOREVER);
}

static void op_setattr(fuse_req_t req, fuse_ino_t ino, struct stat *wanted, int which,
		       struct fuse_file_info *file)
{
	Node *node = node_of(req, ino);
	pthread_rwlock_t *lock = stripe_of(fs_of(req), node);
	struct stat st;
	int err;

	(void)file;
	pthread_rwlock_wrlock(lock);
	err = node_set(node, wanted, which);
	node_stat(node, &st);
	pthread_rwlock_unlock(lock);

	if (err < 0)
		fuse_reply_err(req, -err);
	else
		fuse_reply_attr(req, &st, FOREVER);
}

static void op_open(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	NullFs *fs = fs_of(req);
	Node *node = node_of(req, ino);
	const struct stat empty = { .st_size = 0 };

	if (fs->noopen) {
		fuse_reply_err(req, ENOSYS);
		return;
	}

	if (file->flags & O_TRUNC) {
		pthread_rwlock_wrlock(stripe_of(fs, node));
		node_set(node, &empty, FUSE_SET_ATTR_SIZE | FUSE_SET_ATTR_MTIME_NOW);
		pthread_rwlock_unlock(stripe_of(fs, node));
	}
	allow_caching(fs, file);
	fuse_reply_open(req, file);
}

static void op_read(fuse_req_t req, fuse_ino_t ino, size_t size, off_t offset,
		    struct fuse_file_info *file)
{
	Node *node = node_of(req, ino);
	pthread_rwlock_t *lock = stripe_of(fs_of(req), node);
	size_t at = (size_t)offset;

	(void)file;
	pthread_rwlock_rdlock(lock);
	if (at >= node->size)
		fuse_reply_buf(req, NULL, 0);
	else
		fuse_reply_buf(req, (const char *)node->bytes + at,
			       MIN(size, node->size - at));
	pthread_rwlock_unlock(lock);
}

static void op_write(fuse_req_t req, fuse_ino_t ino, const char *bytes, size_t size,
		     off_t offset, struct fuse_file_info *file)
{
	Node *node = node_of(req, ino);
	pthread_rwlock_t *lock = stripe_of(fs_of(req), node);
	int err;

	(void)file;
	pthread_rwlock_wrlock(lock);
	err = node_write(node, bytes, size, (size_t)offset);
	pthread_rwlock_unlock(lock);

	if (err < 0)
		fuse_reply_err(req, -err);
	else
		fuse_reply_write(req, size);
}

/* There is nothing to do, but the kernel waits to hear it. */
static void op_release(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	fuse_reply_err(req, 0);
}

static void op_fsync(fuse_req_t req, fuse_ino_t ino, int data_only,
		     struct fuse_file_info *file)
{
	(void)data_only;
	op_release(req, ino, file);
}

/* ENOSYS: never asked again, also where files are not opened either. */
static void op_flush(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	fuse_reply_err(req, fs_of(req)->noflush ? ENOSYS : 0);
}

/* Never asked again after this; nor are attributes asked for before each write. */
static void op_getxattr(fuse_req_t req, fuse_ino_t ino, const char *name, size_t size)
{
	(void)ino;
	(void)name;
	(void)size;
	fuse_reply_err(req, ENOSYS);
}

static void op_opendir(fuse_req_t req, fuse_ino_t ino, struct fuse_file_info *file)
{
	(void)ino;
	(void)file;
	fuse_reply_err(req, ENOSYS);
}

static void op_statfs(fuse_req_t req, fuse_ino_t ino)
{
	struct statvfs answer = { .f_bsize = 4096,
				  .f_frsize = 4096,
				  .f_blocks = 1 << 24,
				  .f_bfree = 1 << 23,
				  .f_bavail = 1 << 23,
				  .f_files = 1 << 30,
				  .f_ffree = 1 << 29,
				  .f_namemax = 255 };

	(void)ino;
	fuse_reply_statfs(req, &answer);
}

static void want(struct fuse_conn_info *conn, unsigned capability, bool wanted)
{
	conn->want &= ~capability;
	if (wanted)
		conn->want |= conn->capable & capability;
}

static void op_init(void *data, struct fuse_conn_info *conn)
{
	NullFs *fs = data;

	want(conn, FUSE_CAP_ASYNC_READ, true);
	want(conn, FUSE_CAP_PARALLEL_DIROPS, true);
	want(conn, FUSE_CAP_READDIRPLUS, true);
	want(conn, FUSE_CAP_READDIRPLUS_AUTO, false);
	want(conn, FUSE_CAP_ATOMIC_O_TRUNC, !fs->noopen);
	want(conn, FUSE_CAP_HANDLE_KILLPRIV, true);
	want(conn, FUSE_CAP_NO_OPENDIR_SUPPORT, true);
	want(conn, FUSE_CAP_NO_OPEN_SUPPORT, fs->noopen);
	want(conn, FUSE_CAP_AUTO_INVAL_DATA, false);
	want(conn, FUSE_CAP_EXPLICIT_INVAL_DATA, true);
	want(conn, FUSE_CAP_WRITEBACK_CACHE, false);
	want(conn, FUSE_CAP_SPLICE_READ, false);
	want(conn, FUSE_CAP_SPLICE_WRITE, false);
	conn->max_write = MAX_WRITE;
	conn->time_gran = 1;
}

static const struct fuse_lowlevel_ops operations = {
	.init = op_init,
	.lookup = op_lookup,
	.forget = op_forget,
	.forget_multi = op_forget_multi,
	.getattr = op_getattr,
	.setattr = op_setattr,
	.mknod = op_mknod,
	.mkdir = op_mkdir,
	.unlink = op_unlink,
	.rmdir = op_unlink,
	.rename = op_rename,
	.create = op_create,
	.open = op_open,
	.read = op_read,
	.write = op_write,
	.flush = op_flush,
	.release = op_release,
	.fsync = op_fsync,
	.opendir = op_opendir,
	.readdirplus = op_readdirplus,
	.getxattr = op_getxattr,
	.statfs = op_statfs,
};

static const struct fuse_opt options[] = {
	{ "noopen", offsetof(NullFs, noopen), 1 },
	{ "noflush", offsetof(NullFs, noflush), 1 },
	{ "threads=%u", offsetof(NullFs, threads), 0 },
	FUSE_OPT_END,
};

static int loop(struct fuse_session *session, unsigned threads)
{
	struct fuse_loop_config *config = fuse_loop_cfg_create();
	int result;

	fuse_loop_cfg_set_max_threads(config, threads);
	fuse_loop_cfg_set_idle_threads(config, threads);
	result = fuse_session_loop_mt(session, config);
	fuse_loop_cfg_destroy(config);
	return result;
}

static int serve(NullFs *fs, struct fuse_args *args, const char *mountpoint)
{
	struct fuse_session *session = fuse_session_new(args, &operations,
							sizeof(operations), fs);
	int result = 1;

	if (!session)
		return 1;

	if (fuse_set_signal_handlers(session) == 0 &&
	    fuse_session_mount(session, mountpoint) == 0) {
		if (ring_attach(session) == 0)
			result = loop(session, fs->threads);
		ring_detach();
		fuse_session_unmount(session);
	}
	fuse_remove_signal_handlers(session);
	fuse_session_destroy(session);
	return result != 0;
}

/* Stays in the foreground: who starts it knows its process. */
int main(int argc, char **argv)
{
	struct fuse_args args = FUSE_ARGS_INIT(argc, argv);
	struct fuse_cmdline_opts command = { .mountpoint = NULL };
	NullFs *fs = g_new0(NullFs, 1);
	int result = 2;

	fs->threads = 2;
	fs->root = node_new(++fs->last_number, S_IFDIR | 0755, NULL);
	fs->root->refs++; /* never forgotten */
	pthread_rwlock_init(&fs->names, NULL);
	for (size_t i = 0; i < N_STRIPES; i++)
		pthread_rwlock_init(&fs->data[i], NULL);

	if (fuse_opt_parse(&args, fs, options, NULL) == 0 &&
	    fuse_parse_cmdline(&args, &command) == 0 && command.mountpoint)
		result = serve(fs, &args, command.mountpoint);
	free(command.mountpoint);
	fuse_opt_free_args(&args);
	node_unref(fs->root, 2);
	g_free(fs);
	return result;
}
