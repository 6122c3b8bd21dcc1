/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/faults/shim.c - preloaded into a daemon, it lets the n-th system call fail that
 * changes, or syncs, a file below one directory
 *
 *	FAULT_STORE   the directory, absolute
 *	FAULT_WHAT    space  the n-th call that takes space fails with ENOSPC
 *	              full   so does every later one
 *	              sync   the n-th fsync or fdatasync fails with EIO
 *	              kill   the process dies before the n-th call
 *	              torn   … after half of it, if it is a write
 *	FAULT_NTH     n, from 1; 0: none
 *	FAULT_COUNT   a file where the end of the process, or the fault, leaves the number of
 *	              calls so far
 *
 * What goes through stdio is not seen; LevelDB's LOG does.
 */
#define _GNU_SOURCE
#undef _FILE_OFFSET_BITS

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

typedef enum { SPACE = 1, SYNC = 2, NAME = 4 } Kind;

static char store[PATH_MAX];
static size_t store_len;
static unsigned counted; /* of which kinds */
static bool kills, tears, stays;
static unsigned long nth;
static atomic_ulong calls;

#define NEXT(name) ((__typeof__(name) *)dlsym(RTLD_NEXT, #name))

static void note_count(void)
{
	const char *path = getenv("FAULT_COUNT");
	char text[32];
	int len, fd;

	if (!path || store_len == 0)
		return;
	len = snprintf(text, sizeof(text), "%lu\n", atomic_load(&calls));
	fd = NEXT(open)(path, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	if (fd < 0 || NEXT(write)(fd, text, (size_t)len) != len)
		abort();
	NEXT(close)(fd);
}

__attribute__((constructor)) static void start(void)
{
	const char *path = getenv("FAULT_STORE");
	const char *what = getenv("FAULT_WHAT");

	if (!path || !what)
		return;
	snprintf(store, sizeof(store), "%s/", path);
	store_len = strlen(store);
	nth = strtoul(getenv("FAULT_NTH"), NULL, 10);
	tears = strcmp(what, "torn") == 0;
	kills = tears || strcmp(what, "kill") == 0;
	stays = strcmp(what, "full") == 0;
	counted = kills                       ? SPACE | SYNC | NAME
		  : strcmp(what, "sync") == 0 ? SYNC
					      : SPACE;
}

__attribute__((destructor)) static void end(void)
{
	note_count();
}

static bool is_below(const char *path)
{
	return store_len > 0 && strncmp(path, store, store_len) == 0;
}

static bool fd_is_below(int fd)
{
	char link[64], path[PATH_MAX];
	ssize_t len;

	if (store_len == 0)
		return false;
	snprintf(link, sizeof(link), "/proc/self/fd/%d", fd);
	len = readlink(link, path, sizeof(path) - 2);
	if (len < 0)
		return false;
	path[len] = '/'; /* the directory itself counts */
	path[len + 1] = '\0';
	return is_below(path);
}

static bool at_is_below(int dir, const char *path)
{
	return path[0] == '/' || dir == AT_FDCWD ? is_below(path) : fd_is_below(dir);
}

static void die(void)
{
	note_count();
	raise(SIGKILL);
}

/* Does the fault strike this call? */
static bool is_due(Kind kind)
{
	unsigned long number;

	if (!(counted & kind))
		return false;
	number = atomic_fetch_add(&calls, 1) + 1;
	return nth != 0 && (stays ? number >= nth : number == nth);
}

/* The call fails, with errno set; or does not return. */
static bool strike(Kind kind)
{
	if (kills)
		die();
	errno = kind == SYNC ? EIO : ENOSPC;
	return true;
}

static bool fails(Kind kind)
{
	return is_due(kind) && strike(kind);
}

/* ---- data ---- */

static bool write_fails(int fd, const void *data, size_t len, off64_t at)
{
	if (!fd_is_below(fd) || !is_due(SPACE))
		return false;
	if (tears) {
		ssize_t got = at < 0 ? NEXT(write)(fd, data, len / 2)
				     : NEXT(pwrite64)(fd, data, len / 2, at);

		(void)got;
	}
	return strike(SPACE);
}

ssize_t write(int fd, const void *data, size_t len)
{
	return write_fails(fd, data, len, -1) ? -1 : NEXT(write)(fd, data, len);
}

ssize_t writev(int fd, const struct iovec *pieces, int n)
{
	return write_fails(fd, pieces[0].iov_base, pieces[0].iov_len, -1)
		       ? -1
		       : NEXT(writev)(fd, pieces, n);
}

#define PWRITER(name)                                                                  \
	ssize_t name(int fd, const void *data, size_t len, off64_t at)                 \
	{                                                                              \
		return write_fails(fd, data, len, at) ? -1                             \
						      : NEXT(name)(fd, data, len, at); \
	}
#define PWRITERV(name)                                                            \
	ssize_t name(int fd, const struct iovec *pieces, int n, off64_t at)       \
	{                                                                         \
		return write_fails(fd, pieces[0].iov_base, pieces[0].iov_len, at) \
			       ? -1                                               \
			       : NEXT(name)(fd, pieces, n, at);                   \
	}

PWRITER(pwrite)
PWRITER(pwrite64)
PWRITERV(pwritev)
PWRITERV(pwritev64)

#define SIZER(name)                                                                \
	int name(int fd, off64_t size)                                             \
	{                                                                          \
		return fd_is_below(fd) && fails(NAME) ? -1 : NEXT(name)(fd, size); \
	}
#define TAKER(name)                                                               \
	int name(int fd, off64_t at, off64_t len)                                 \
	{                                                                         \
		return fd_is_below(fd) && fails(SPACE) ? errno                    \
						       : NEXT(name)(fd, at, len); \
	}

SIZER(ftruncate)
SIZER(ftruncate64)
TAKER(posix_fallocate)
TAKER(posix_fallocate64)

#define SYNCER(name)                                                         \
	int name(int fd)                                                     \
	{                                                                    \
		return fd_is_below(fd) && fails(SYNC) ? -1 : NEXT(name)(fd); \
	}

SYNCER(fsync)
SYNCER(fdatasync)

/* ---- names ---- */

static bool open_fails(int dir, const char *path, int flags)
{
	struct stat st;

	return (flags & O_CREAT) && at_is_below(dir, path) &&
	       fstatat(dir, path, &st, 0) < 0 && fails(SPACE);
}

#define MODE_OF(flags, mode)                              \
	if ((flags) & (O_CREAT | __O_TMPFILE)) {          \
		va_list args_;                            \
		va_start(args_, flags);                   \
		(mode) = (mode_t)va_arg(args_, unsigned); \
		va_end(args_);                            \
	}

#define OPENER(name)                                            \
	int name(const char *path, int flags, ...)              \
	{                                                       \
		mode_t mode = 0;                                \
		MODE_OF(flags, mode)                            \
		return open_fails(AT_FDCWD, path, flags)        \
			       ? -1                             \
			       : NEXT(name)(path, flags, mode); \
	}
#define OPENER_AT(name)                                              \
	int name(int dir, const char *path, int flags, ...)          \
	{                                                            \
		mode_t mode = 0;                                     \
		MODE_OF(flags, mode)                                 \
		return open_fails(dir, path, flags)                  \
			       ? -1                                  \
			       : NEXT(name)(dir, path, flags, mode); \
	}

OPENER(open)
OPENER(open64)
OPENER_AT(openat)
OPENER_AT(openat64)

int rename(const char *from, const char *to)
{
	return is_below(to) && fails(NAME) ? -1 : NEXT(rename)(from, to);
}

int link(const char *from, const char *to)
{
	return is_below(to) && fails(NAME) ? -1 : NEXT(link)(from, to);
}

int unlink(const char *path)
{
	return is_below(path) && fails(NAME) ? -1 : NEXT(unlink)(path);
}

int unlinkat(int dir, const char *path, int flags)
{
	return at_is_below(dir, path) && fails(NAME) ? -1
						     : NEXT(unlinkat)(dir, path, flags);
}

int mkdir(const char *path, mode_t mode)
{
	return is_below(path) && fails(SPACE) ? -1 : NEXT(mkdir)(path, mode);
}
