/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/session.c - one mount, from the first check to the last
 *
 * Order of stopping: the crew finishes while the readers still answer what it may wait
 * for; then the notify thread and the readers end, the mount goes, and last the store,
 * which commits what was still open.
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/session.h"

#include "check/check.h"
#include "fuse/crew.h"
#include "fuse/daemon.h"
#include "fuse/forget.h"
#include "fuse/loop.h"
#include "fuse/mountpoint.h"
#include "fuse/ops.h"
#include "fuse/syncs.h"
#include "fuse/uring.h"
#include "fuse/wire.h"
#include "ns/clock.h"
#include "txn/txlock.h"
#include "util/log.h"
#include "util/text.h"

#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <sys/xattr.h>
#include <unistd.h>

#define MAX_BACKGROUND    1024u
#define CREW_THREADS      16u
#define NOTICE_WAIT_MS    10000u
#define TX_TICK_MS        500u /* while a transaction is open */
#define READY_TRIES       10000u /* milliseconds */
#define READERS           2u
#define READERS_THAT_SYNC 8u

static void say_error(const char *sentence)
{
	fprintf(stderr, "mnefs: %s\n", sentence);
}

static void on_init(void *user, struct fuse_conn_info *connection)
{
	/* Without ASYNC_DIO: the kernel would not drop cached pages after such a write. */
	static const unsigned wanted = FUSE_CAP_ASYNC_READ | FUSE_CAP_ATOMIC_O_TRUNC |
				       FUSE_CAP_READDIRPLUS | FUSE_CAP_PARALLEL_DIROPS |
				       FUSE_CAP_EXPLICIT_INVAL_DATA;

	(void)user;
	connection->want = connection->capable & wanted;
	connection->max_write = MNE_MAX_WRITE;
	connection->max_background = MAX_BACKGROUND;
	connection->congestion_threshold = MAX_BACKGROUND / 4 * 3;
	connection->time_gran = 1;
}

const struct fuse_lowlevel_ops *mne_ops(void)
{
	static const struct fuse_lowlevel_ops ops = {
		.init = on_init,
		.lookup = mne_op_lookup,
		.forget = mne_op_forget,
		.forget_multi = mne_op_forget_multi,
		.getattr = mne_op_getattr,
		.setattr = mne_op_setattr,
		.readlink = mne_op_readlink,
		.mknod = mne_op_mknod,
		.mkdir = mne_op_mkdir,
		.unlink = mne_op_unlink,
		.rmdir = mne_op_rmdir,
		.symlink = mne_op_symlink,
		.rename = mne_op_rename,
		.link = mne_op_link,
		.create = mne_op_create,
		.open = mne_op_open,
		.read = mne_op_read,
		.write = mne_op_write,
		.release = mne_op_release,
		.fsync = mne_op_fsync,
		.fallocate = mne_op_fallocate,
		.lseek = mne_op_lseek,
		.poll = mne_op_poll,
		.opendir = mne_op_opendir,
		.readdir = mne_op_readdir,
		.readdirplus = mne_op_readdirplus,
		.releasedir = mne_op_releasedir,
		.fsyncdir = mne_op_fsyncdir,
		.statfs = mne_op_statfs,
		.setxattr = mne_op_setxattr,
		.getxattr = mne_op_getxattr,
		.listxattr = mne_op_listxattr,
		.removexattr = mne_op_removexattr,
	};

	return &ops;
}

static void add_option(struct fuse_args *args, const char *option)
{
	fuse_opt_add_arg(args, "-o");
	fuse_opt_add_arg(args, option);
}

static struct fuse_session *new_session(const MneFuseOptions *options,
					const char *store, MneMount *mount)
{
	struct fuse_args args = FUSE_ARGS_INIT(0, NULL);
	g_autofree char *source = g_strdup_printf("fsname=%s", store);
	char *escaped = NULL;
	struct fuse_session *session;

	fuse_opt_add_arg(&args, "mnefs");
	fuse_opt_add_opt_escaped(&escaped, source);
	add_option(&args, escaped);
	free(escaped); /* libfuse allocated it */
	/* That the kernel asks for the attributes of a directory on the way through it is
	 * also what makes a dropped checkpoint answer ESTALE there, not ENOENT. */
	add_option(&args, "subtype=mnefs,default_permissions");
	if (options->read_only)
		add_option(&args, "ro");
	if (options->allow_other)
		add_option(&args, "allow_other");
	if (options->mount_options && *options->mount_options)
		add_option(&args, options->mount_options);
	if (options->debug)
		fuse_opt_add_arg(&args, "-d");
	session = fuse_session_new(&args, mne_ops(), sizeof(*mne_ops()), mount);
	fuse_opt_free_args(&args);
	return session;
}

/* Attributes that the store changed on its own: one thread, that holds no lock. */
typedef struct {
	MneMount *mount;
	pthread_t thread;
	_Atomic bool stop;
} Notifier;

static uint64_t number_of(MneMount *mount, uint64_t rec)
{
	return mne_inodes_number_of(mount->ns->inodes, NULL, rec);
}

/* A name stands for another record, or for none. */
static void pass_on_name(MneMount *mount, const MneNotice *notice)
{
	uint64_t number = number_of(mount, notice->dir);

	if (number != 0)
		mne_forget_name(mount, number,
				mne_slice(notice->name, notice->name_len));
}

static void pass_on(MneMount *mount, const MneNotice *notice)
{
	uint64_t number = number_of(mount, notice->rec);

	if (notice->dropped)
		mne_crew_invalidate_gone(mount);
	if (notice->dir != 0)
		pass_on_name(mount, notice);
	if (number != 0)
		mne_forget_inode(mount, number, notice->bytes);
}

static void *notify(void *data)
{
	Notifier *notifier = data;
	MneMount *mount = notifier->mount;
	MneNotice notice;

	mne_store_serve_notices(mount->store, true);
	while (!atomic_load(&notifier->stop)) {
		mne_ns_tx_tick(mount->ns);
		mne_crew_forget_stale(mount);
		mne_crew_forget_lent(mount);
		if (mne_store_next_notice(mount->store,
					  mne_ns_tx_count(mount->ns) > 0
						  ? TX_TICK_MS
						  : NOTICE_WAIT_MS,
					  &notice))
			pass_on(mount, &notice);
	}
	mne_store_serve_notices(mount->store, false);
	return NULL;
}

static unsigned n_readers(const MneFuseOptions *options)
{
	if (options->readers > 0)
		return options->readers;
	/* A release that waits for the disk must not keep others from being read. */
	if (options->store_options.sync_seconds == MNE_SYNC_COMMIT)
		return READERS_THAT_SYNC;
	return MIN(READERS, g_get_num_processors());
}

static bool wait_until_ready(MneMount *mount)
{
	for (unsigned i = 0; i < READY_TRIES; i++) {
		if (atomic_load(&mount->is_ready))
			return true;
		/* Perhaps after all that it had to do. */
		if (fuse_session_exited(mount->session))
			return atomic_load(&mount->is_ready);
		g_usleep(1000);
	}
	return false;
}

static void block_signals(sigset_t *out_awaited)
{
	signal(SIGHUP, SIG_IGN);
	signal(SIGPIPE, SIG_IGN);
	signal(SIGXFSZ, SIG_IGN); /* a file at its limit: EFBIG will do */
	sigemptyset(out_awaited);
	sigaddset(out_awaited, SIGTERM);
	sigaddset(out_awaited, SIGINT);
	pthread_sigmask(SIG_BLOCK, out_awaited, NULL);
}

/* Mounted: until a signal comes, of somebody or of the last reader. */
static int serve(MneMount *mount, const MneFuseOptions *options, MneDaemon *daemon)
{
	Notifier notifier = { .mount = mount };
	MneClock *clock;
	sigset_t awaited;
	int result = 0, number;

	block_signals(&awaited);
	mne_store_tell(mount->store, "mount", "");
	mount->crew = mne_crew_new(mount, CREW_THREADS);
	mount->syncs = mne_syncs_new(mount);
	mne_loop_new(mount, n_readers(options));
	if (pthread_create(&notifier.thread, NULL, notify, &notifier) != 0)
		g_error("cannot start a thread");
	clock = mne_clock_new(mount->ns);

	if (wait_until_ready(mount)) {
		mne_daemon_ready(daemon);
		sigwait(&awaited, &number);
		mne_daemon_stopping();
		mne_store_leave(mount->store);
		mne_store_tell(mount->store, "umount", "");
	} else {
		say_error("the kernel did not begin to talk to us");
		result = 1;
	}

	mne_hooks_stop(mount->ns->hooks); /* while what they wait for is answered */
	mne_clock_free(clock);
	mne_store_end_events(mount->store);
	mne_crew_stop(mount->crew);
	atomic_store(&notifier.stop, true);
	mne_store_wake_notices(mount->store);
	pthread_join(notifier.thread, NULL);
	mne_uring_free(atomic_exchange(&mount->uring, NULL));
	mne_loop_free(mount->loop);
	mne_crew_free(mount->crew);
	mne_syncs_free(mount->syncs);
	return result;
}

static int mount_and_serve(MneMount *mount, const MneFuseOptions *options,
			   const char *mount_point, MneDaemon *daemon)
{
	int result = 1;

	mount->session = new_session(options, mne_store_path(mount->store), mount);
	if (!mount->session) {
		say_error("the mount options were not understood");
		return 1;
	}
	if (fuse_session_mount(mount->session, mount_point) < 0) {
		g_autofree char *sentence = g_strdup_printf("mounting at %s failed",
							    mount_point);

		say_error(sentence);
	} else {
		if (mne_wire_attach(mount) == 0)
			result = serve(mount, options, daemon);
		fuse_session_unmount(mount->session);
	}
	fuse_session_destroy(mount->session);
	return result;
}

static void tell_message(void *user, GLogLevelFlags level, const char *text)
{
	GString *members = g_string_new(",\"text\":");

	mne_text_add_json(members, mne_slice_str(text));
	mne_store_tell(user, level & G_LOG_LEVEL_MESSAGE ? "info" : "error",
		       members->str);
	g_string_free(members, TRUE);
}

/* A request of our own passes behind all that was closed before, so that when it is answered
 * all that has been read, and after the fence carried out. */
static void settle(void *user)
{
	MneMount *mount = user;

	(void)getxattr(mount->ns->options.mount_point, "user.mnefs.settle", NULL, 0);
	mne_loop_fence(mount->loop);
}

static int with_store(const MneFuseOptions *options, MneStore *store, MneCkpt *ckpt,
		      const char *mount_point, MneDaemon *daemon)
{
	MneNsOptions ns_options = {
		.ctl = options->ctl,
		.cplinks = !options->no_cplinks,
		.read_only = options->read_only,
		.ckpt = ckpt,
		.automatic = options->automatic,
		.shown = (char *)options->shown_options,
		.mount_point = (char *)mount_point,
		.hooks_dir = (char *)options->hooks_dir,
		.hook_timeout = options->hook_timeout,
		.settle = settle,
		.tx = options->tx,
	};
	g_autoptr(MneNs) ns = mne_ns_new(store, &ns_options, mne_wire_names(),
					 MNE_N_OPS);
	MneMount mount = {
		.store = store,
		.ns = ns,
		.read_only = options->read_only,
		.may_use_uring = !options->no_uring && mne_uring_is_built(),
	};
	int result;

	ns->options.settle_user = &mount;
	mne_store_set_tx_mem(store, options->tx.mem);
	mne_store_set_tx_lock_timeout(store, options->tx.lock_seconds * 1000);
	mne_log_set_tap(tell_message, store);
	result = mount_and_serve(&mount, options, mount_point, daemon);
	mne_log_set_tap(NULL, NULL);
	return result;
}

static int find_ckpt(const MneFuseOptions *options, MneStore *store, MneCkpt **out_ckpt)
{
	int err = mne_ckpts_by_name_or_time(store, mne_slice_str(options->ckpt),
					    out_ckpt);

	if (err < 0) {
		g_autofree char *sentence =
			g_strdup_printf("there is no checkpoint %s in %s",
					options->ckpt, options->store);

		say_error(sentence);
	}
	return err;
}

static int run(const MneFuseOptions *options, const char *mount_point,
	       MneDaemon *daemon)
{
	g_autofree char *path = g_canonicalize_filename(options->store, NULL);
	MneStoreOptions store_options = options->store_options;
	MneStore *store = NULL;
	MneCkpt *ckpt = NULL;
	sigset_t awaited;
	int err = mne_mountpoint_prepare(mount_point), result;

	if (err < 0)
		return err;
	block_signals(&awaited); /* for the store's threads, too */
	store_options.read_only |= options->read_only;
	err = mne_store_open(path, &store_options, &store);
	if (err < 0) {
		say_error(mne_err_sentence(err));
		return err;
	}
	err = mne_check_at_mount(store);
	if (err < 0) {
		say_error(mne_err_sentence(err));
		mne_store_close(store);
		return err;
	}
	if (options->ckpt)
		err = find_ckpt(options, store, &ckpt);
	result = err < 0 ? err : with_store(options, store, ckpt, mount_point, daemon);
	g_clear_pointer(&ckpt, mne_ckpt_unref);
	mne_store_close(store);
	return result;
}

int mne_fuse_run(const MneFuseOptions *options)
{
	g_autofree char *mount_point = g_canonicalize_filename(options->mount_point,
							       NULL);
	MneDaemon daemon;
	int result;

	if (options->debug)
		mne_log_set_level(MNE_LOG_DEBUG);
	if (mne_daemon_fork(&daemon, options->foreground, &result))
		return result;
	return run(options, mount_point, &daemon);
}
