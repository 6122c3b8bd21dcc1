/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/powerloss/shim.c - preloaded into a daemon, it writes down in order what the
 * daemon does to the files below one directory, and what it syncs
 *
 *	POWERLOSS_STORE     the directory, absolute
 *	POWERLOSS_JOURNAL   where to append records; see powerloss.py, which replays them
 *	POWERLOSS_EIO       while this file exists, syncing a path that contains its first
 *	                    line fails with EIO
 *
 * A change and its record are one step: one lock is held over both.  A sync has two
 * records: what was written before the first is durable once the second is there.
 *
 * A way of writing that is not written down here ends the process: a test must not pass
 * because the shim did not see.  What goes through stdio is not seen; LevelDB's LOG does.
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

enum { OPEN = 1, WRITE, TRUNCATE, SYNC, SYNCED, RENAME, LINK, UNLINK, MKDIR, EXTEND };

enum { FDS = 65536, JOURNAL_FD = 800 };

typedef struct {
	uint32_t len; /* of all */
	uint16_t op;
	uint16_t name; /* length of the first of two paths; the rest is the second */
	uint64_t id; /* of the opening */
	uint64_t a, b;
} Record;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static int journal = -1;
static char store[PATH_MAX];
static size_t store_len;
static uint64_t next_id, next_sync;
static struct {
	uint64_t id; /* 0: not ours */
	char *path;
} fds[FDS];

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void die(const char *what)
{
	dprintf(2, "powerloss: %s\n", what);
	abort();
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("POWERLOSS_STORE");
	const char *to = getenv("POWERLOSS_JOURNAL");
	int fd;

	if (!path || !to)
		return;
	fd = NEXT(open)(to, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600);
	if (fd < 0)
		die("cannot open the journal");
	journal = fcntl(fd, F_DUPFD_CLOEXEC, JOURNAL_FD);
	close(fd);
	snprintf(store, sizeof(store), "%s", path);
	store_len = strlen(store);
	next_id = (uint64_t)getpid() << 32;
	next_sync = next_id;
}

/* Caller holds the lock. */
static void put(Record record, const char *name, const void *rest, size_t len)
{
	size_t name_len = name ? strlen(name) : 0;
	struct iovec pieces[3] = { { &record, sizeof(record) },
				   { (void *)name, name_len },
				   { (void *)rest, len } };

	record.name = (uint16_t)name_len;
	record.len = (uint32_t)(sizeof(record) + name_len + len);
	if (NEXT(writev)(journal, pieces, 3) != (ssize_t)record.len)
		die("cannot write the journal");
}

static void put_paths(int op, const char *path, const char *to)
{
	put((Record){ .op = (uint16_t)op }, path, to, to ? strlen(to) : 0);
}

/* LevelDB's, which it writes through stdio. */
static bool is_info_log(const char *path)
{
	const char *name = strrchr(path, '/');

	return name && (strcmp(name, "/LOG") == 0 || strcmp(name, "/LOG.old") == 0);
}

/* The path below the store, "" for the store itself; NULL when it is elsewhere. */
static const char *below(const char *path)
{
	if (journal < 0 || strncmp(path, store, store_len) != 0)
		return NULL;
	path += store_len;
	if (*path != '\0' && *path != '/')
		return NULL;
	while (*path == '/')
		path++;
	return is_info_log(path) ? NULL : path;
}

static bool is_ours(int fd)
{
	return journal >= 0 && fd >= 0 && fd < FDS && fds[fd].id != 0;
}

/* The same for a path seen from a directory; buffer may be used for it. */
static const char *below_at(int dir, const char *path, char buffer[PATH_MAX])
{
	if (journal < 0)
		return NULL;
	if (path[0] == '/')
		return below(path);
	if (dir == AT_FDCWD) {
		char *cwd = getcwd(buffer, PATH_MAX / 2);
		size_t len = cwd ? strlen(cwd) : 0;

		snprintf(buffer + len, PATH_MAX - len, "/%s", path);
		return below(buffer);
	}
	if (!is_ours(dir))
		return NULL;
	snprintf(buffer, PATH_MAX, "%s%s%s", fds[dir].path, fds[dir].path[0] ? "/" : "",
		 path);
	return buffer;
}

static void opened(int fd, const char *path, int flags)
{
	if (fd >= FDS)
		die("too many descriptors");
	free(fds[fd].path);
	fds[fd].path = strdup(path);
	fds[fd].id = ++next_id;
	put((Record){ .op = OPEN,
		      .id = fds[fd].id,
		      .a = (flags & O_ACCMODE) != O_RDONLY && (flags & O_TRUNC),
		      .b = !(flags & O_DIRECTORY) },
	    path, NULL, 0);
}

static int do_open(int dir, const char *path, int flags, mode_t mode)
{
	char buffer[PATH_MAX];
	const char *inside = below_at(dir, path, buffer);
	int fd;

	if (!inside)
		return NEXT(openat)(dir, path, flags, mode);
	if ((flags & O_TMPFILE) == O_TMPFILE)
		die("O_TMPFILE");
	pthread_mutex_lock(&lock);
	fd = NEXT(openat)(dir, path, flags, mode);
	if (fd >= 0)
		opened(fd, inside, flags);
	pthread_mutex_unlock(&lock);
	return fd;
}

#define MODE_OF(flags, mode)                              \
	if ((flags) & (O_CREAT | __O_TMPFILE)) {          \
		va_list args_;                            \
		va_start(args_, flags);                   \
		(mode) = (mode_t)va_arg(args_, unsigned); \
		va_end(args_);                            \
	}

#define OPENER(name)                                         \
	int name(const char *path, int flags, ...)           \
	{                                                    \
		mode_t mode = 0;                             \
		MODE_OF(flags, mode)                         \
		return do_open(AT_FDCWD, path, flags, mode); \
	}
#define OPENER_AT(name)                                     \
	int name(int dir, const char *path, int flags, ...) \
	{                                                   \
		mode_t mode = 0;                            \
		MODE_OF(flags, mode)                        \
		return do_open(dir, path, flags, mode);     \
	}
#define CREATOR(name)                                                               \
	int name(const char *path, mode_t mode)                                     \
	{                                                                           \
		return do_open(AT_FDCWD, path, O_CREAT | O_WRONLY | O_TRUNC, mode); \
	}

OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)
CREATOR(creat)
CREATOR(creat64)

int close(int fd)
{
	int got;

	if (!is_ours(fd))
		return NEXT(close)(fd);
	pthread_mutex_lock(&lock);
	fds[fd].id = 0;
	got = NEXT(close)(fd);
	pthread_mutex_unlock(&lock);
	return got;
}

/* A descriptor of ours must not appear under another number. */
int dup(int fd)
{
	if (is_ours(fd))
		die("dup");
	return NEXT(dup)(fd);
}

int dup2(int fd, int to)
{
	if (is_ours(fd) || is_ours(to))
		die("dup2");
	return NEXT(dup2)(fd, to);
}

/* ---- data ---- */

static void wrote(int fd, off64_t at, const struct iovec *pieces, int n, ssize_t done)
{
	size_t left = done > 0 ? (size_t)done : 0;

	for (int i = 0; i < n && left > 0; i++) {
		size_t len = pieces[i].iov_len < left ? pieces[i].iov_len : left;

		put((Record){ .op = WRITE, .id = fds[fd].id, .a = (uint64_t)at }, NULL,
		    pieces[i].iov_base, len);
		at += (off64_t)len;
		left -= len;
	}
}

static ssize_t do_write(int fd, const struct iovec *pieces, int n, off64_t at)
{
	struct stat st = { 0 };
	ssize_t done;

	pthread_mutex_lock(&lock);
	if (at < 0 && (fcntl(fd, F_GETFL) & O_APPEND)) {
		fstat(fd, &st);
		at = st.st_size;
		done = NEXT(writev)(fd, pieces, n);
	} else if (at < 0) {
		at = lseek(fd, 0, SEEK_CUR);
		done = NEXT(writev)(fd, pieces, n);
	} else {
		done = NEXT(pwritev)(fd, pieces, n, at);
	}
	wrote(fd, at, pieces, n, done);
	pthread_mutex_unlock(&lock);
	return done;
}

ssize_t write(int fd, const void *data, size_t len)
{
	if (!is_ours(fd))
		return NEXT(write)(fd, data, len);
	return do_write(fd, &(struct iovec){ (void *)data, len }, 1, -1);
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
	if (!is_ours(fd))
		return NEXT(writev)(fd, pieces, n);
	return do_write(fd, pieces, n, -1);
}

#define PWRITER(name)                                                             \
	ssize_t name(int fd, const void *data, size_t len, off64_t at)            \
	{                                                                         \
		if (!is_ours(fd))                                                 \
			return NEXT(name)(fd, data, len, at);                     \
		return do_write(fd, &(struct iovec){ (void *)data, len }, 1, at); \
	}
#define PWRITERV(name)                                                      \
	ssize_t name(int fd, const struct iovec *pieces, int n, off64_t at) \
	{                                                                   \
		if (!is_ours(fd))                                           \
			return NEXT(name)(fd, pieces, n, at);               \
		return do_write(fd, pieces, n, at);                         \
	}

PWRITER(pwrite)
PWRITER(pwrite64)
PWRITERV(pwritev)
PWRITERV(pwritev64)

static int truncated(int fd, uint64_t size, int got)
{
	if (got == 0)
		put((Record){ .op = TRUNCATE, .id = fds[fd].id, .a = size }, NULL, NULL,
		    0);
	return got;
}

static int extended(int fd, off64_t at, off64_t len, int got)
{
	if (got == 0)
		put((Record){ .op = EXTEND,
			      .id = fds[fd].id,
			      .a = (uint64_t)(at + len) },
		    NULL, NULL, 0);
	return got;
}

#define SIZER(name, type, done)              \
	int name type                        \
	{                                    \
		int got;                     \
                                             \
		pthread_mutex_lock(&lock);   \
		got = done;                  \
		pthread_mutex_unlock(&lock); \
		return got;                  \
	}

SIZER(ftruncate, (int fd, off64_t size),
      is_ours(fd) ? truncated(fd, (uint64_t)size, NEXT(ftruncate)(fd, size))
		  : NEXT(ftruncate)(fd, size))
SIZER(ftruncate64, (int fd, off64_t size),
      is_ours(fd) ? truncated(fd, (uint64_t)size, NEXT(ftruncate64)(fd, size))
		  : NEXT(ftruncate64)(fd, size))
SIZER(posix_fallocate, (int fd, off64_t at, off64_t len),
      is_ours(fd) ? extended(fd, at, len, NEXT(posix_fallocate)(fd, at, len))
		  : NEXT(posix_fallocate)(fd, at, len))
SIZER(posix_fallocate64, (int fd, off64_t at, off64_t len),
      is_ours(fd) ? extended(fd, at, len, NEXT(posix_fallocate64)(fd, at, len))
		  : NEXT(posix_fallocate64)(fd, at, len))

/* ---- syncs ---- */

static bool must_fail(const char *path)
{
	const char *file = getenv("POWERLOSS_EIO");
	int fd = file ? NEXT(open)(file, O_RDONLY | O_CLOEXEC) : -1;
	char what[256] = "";

	if (fd < 0)
		return false;
	if (read(fd, what, sizeof(what) - 1) < 0)
		what[0] = '\0';
	NEXT(close)(fd);
	what[strcspn(what, "\n")] = '\0';
	return strstr(path, what) != NULL;
}

static int do_sync(int fd, int (*sync)(int))
{
	uint64_t number;
	int got;

	pthread_mutex_lock(&lock);
	if (must_fail(fds[fd].path)) {
		pthread_mutex_unlock(&lock);
		errno = EIO;
		return -1;
	}
	number = ++next_sync;
	put((Record){ .op = SYNC, .id = fds[fd].id, .a = number }, NULL, NULL, 0);
	pthread_mutex_unlock(&lock);
	got = sync(fd);
	if (got < 0)
		return got;
	pthread_mutex_lock(&lock);
	put((Record){ .op = SYNCED, .a = number }, NULL, NULL, 0);
	pthread_mutex_unlock(&lock);
	return 0;
}

int fsync(int fd)
{
	return is_ours(fd) ? do_sync(fd, NEXT(fsync)) : NEXT(fsync)(fd);
}

int fdatasync(int fd)
{
	return is_ours(fd) ? do_sync(fd, NEXT(fdatasync)) : NEXT(fdatasync)(fd);
}

/* ---- names ---- */

static int done_to(int op, const char *path, const char *to, int got)
{
	if (got == 0)
		put_paths(op, path, to);
	return got;
}

/* Of two paths both or none must be ours. */
static bool both(const char *from, const char *to)
{
	if (!from != !to)
		die("a name crosses the store's border");
	return from != NULL;
}

int renameat(int from_dir, const char *from, int to_dir, const char *to)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *x = below_at(from_dir, from, a), *y = below_at(to_dir, to, b);
	int got;

	if (!both(x, y))
		return NEXT(renameat)(from_dir, from, to_dir, to);
	pthread_mutex_lock(&lock);
	got = done_to(RENAME, x, y, NEXT(renameat)(from_dir, from, to_dir, to));
	pthread_mutex_unlock(&lock);
	return got;
}

int rename(const char *from, const char *to)
{
	return renameat(AT_FDCWD, from, AT_FDCWD, to);
}

int linkat(int from_dir, const char *from, int to_dir, const char *to, int flags)
{
	char a[PATH_MAX], b[PATH_MAX];
	const char *x = below_at(from_dir, from, a), *y = below_at(to_dir, to, b);
	int got;

	if (!both(x, y))
		return NEXT(linkat)(from_dir, from, to_dir, to, flags);
	pthread_mutex_lock(&lock);
	got = done_to(LINK, x, y, NEXT(linkat)(from_dir, from, to_dir, to, flags));
	pthread_mutex_unlock(&lock);
	return got;
}

int link(const char *from, const char *to)
{
	return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
}

int unlinkat(int dir, const char *path, int flags)
{
	char buffer[PATH_MAX];
	const char *inside = below_at(dir, path, buffer);
	int got;

	if (!inside)
		return NEXT(unlinkat)(dir, path, flags);
	if (flags != 0)
		die("rmdir");
	pthread_mutex_lock(&lock);
	got = done_to(UNLINK, inside, NULL, NEXT(unlinkat)(dir, path, flags));
	pthread_mutex_unlock(&lock);
	return got;
}

int unlink(const char *path)
{
	return unlinkat(AT_FDCWD, path, 0);
}

int mkdirat(int dir, const char *path, mode_t mode)
{
	char buffer[PATH_MAX];
	const char *inside = below_at(dir, path, buffer);
	int got;

	if (!inside)
		return NEXT(mkdirat)(dir, path, mode);
	pthread_mutex_lock(&lock);
	got = done_to(MKDIR, inside, NULL, NEXT(mkdirat)(dir, path, mode));
	pthread_mutex_unlock(&lock);
	return got;
}

int mkdir(const char *path, mode_t mode)
{
	return mkdirat(AT_FDCWD, path, mode);
}

/* ---- what nobody below the store may do ---- */

static void require_foreign(int fd, const char *what)
{
	if (is_ours(fd))
		die(what);
}

static void *do_mmap(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	if ((flags & MAP_TYPE) != MAP_PRIVATE && (prot & PROT_WRITE))
		require_foreign(fd, "mmap");
	return NEXT(mmap)(at, len, prot, flags, fd, offset);
}

void *mmap(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return do_mmap(at, len, prot, flags, fd, offset);
}

void *mmap64(void *at, size_t len, int prot, int flags, int fd, off64_t offset)
{
	return do_mmap(at, len, prot, flags, fd, offset);
}

#define FOREIGN(result, name, params, args, fd) \
	result name params                      \
	{                                       \
		require_foreign(fd, #name);     \
		return NEXT(name) args;         \
	}

FOREIGN(ssize_t, pwritev2,
	(int fd, const struct iovec *pieces, int n, off64_t at, int flags),
	(fd, pieces, n, at, flags), fd)
FOREIGN(int, fallocate, (int fd, int mode, off64_t at, off64_t len),
	(fd, mode, at, len), fd)
FOREIGN(int, sync_file_range, (int fd, off64_t at, off64_t len, unsigned flags),
	(fd, at, len, flags), fd)
FOREIGN(ssize_t, sendfile, (int to, int from, off64_t *at, size_t len),
	(to, from, at, len), to)
FOREIGN(ssize_t, copy_file_range,
	(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
	 unsigned flags),
	(from, from_at, to, to_at, len, flags), to)
FOREIGN(ssize_t, splice,
	(int from, off64_t *from_at, int to, off64_t *to_at, size_t len,
	 unsigned flags),
	(from, from_at, to, to_at, len, flags), to)

int truncate(const char *path, off64_t size)
{
	if (below(path))
		die("truncate");
	return NEXT(truncate)(path, size);
}

int renameat2(int from_dir, const char *from, int to_dir, const char *to,
	      unsigned flags)
{
	char buffer[PATH_MAX];

	if (below_at(from_dir, from, buffer) || below_at(to_dir, to, buffer))
		die("renameat2");
	return NEXT(renameat2)(from_dir, from, to_dir, to, flags);
}
