/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/copy.c - copying a record with all that belongs to it
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/copy.h"

#include "util/error.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#define BUFFER_BYTES (1u << 20)

void mne_copier_init(MneCopier *copier)
{
	*copier = (MneCopier){ .links = g_hash_table_new_full(
				       g_int64_hash, g_int64_equal, g_free, g_free) };
}

void mne_copier_clear(MneCopier *copier)
{
	g_hash_table_unref(copier->links);
}

void mne_copier_moved(MneCopier *copier, const char *from, const char *to)
{
	size_t len = strlen(from);
	GHashTableIter iter;
	gpointer path;

	g_hash_table_iter_init(&iter, copier->links);
	while (g_hash_table_iter_next(&iter, NULL, &path)) {
		const char *rest = (const char *)path + len;

		if (strncmp(path, from, len) == 0 && (*rest == 0 || *rest == '/'))
			g_hash_table_iter_replace(&iter, g_strconcat(to, rest, NULL));
	}
}

static int negative_errno(int result)
{
	return result < 0 ? -errno : 0;
}

/* --- attributes ------------------------------------------------------------- */

static int copy_xattr(const char *from, const char *to, const char *name)
{
	g_autofree char *value = NULL;
	ssize_t len = lgetxattr(from, name, NULL, 0);

	if (len < 0)
		return -errno;
	value = g_malloc((gsize)len + 1);
	len = lgetxattr(from, name, value, (size_t)len);
	if (len < 0)
		return -errno;
	return negative_errno(lsetxattr(to, name, value, (size_t)len, 0));
}

static int copy_xattrs(MneCopier *copier, const char *from, const char *to)
{
	g_autofree char *names = NULL;
	ssize_t len = llistxattr(from, NULL, 0);

	if (len <= 0)
		return len < 0 && errno != EOPNOTSUPP ? -errno : 0;
	names = g_malloc((gsize)len);
	len = llistxattr(from, names, (size_t)len);
	if (len < 0)
		return -errno;
	for (const char *name = names; name < names + len; name += strlen(name) + 1) {
		int err = copy_xattr(from, to, name);

		if (err == -EPERM || err == -EOPNOTSUPP)
			copier->left_out++;
		else if (err < 0)
			return err;
	}
	return 0;
}

int mne_copy_attributes(MneCopier *copier, const char *from, const char *to)
{
	struct timespec times[2];
	struct stat st;

	if (lstat(from, &st) < 0)
		return -errno;
	if (lchown(to, st.st_uid, st.st_gid) < 0) {
		if (errno != EPERM)
			return -errno;
		copier->left_out++;
	}
	MNE_TRY(copy_xattrs(copier, from, to));
	if (!S_ISLNK(st.st_mode) && chmod(to, st.st_mode & 07777) < 0)
		return -errno;
	times[0] = st.st_atim;
	times[1] = st.st_mtim;
	return negative_errno(utimensat(AT_FDCWD, to, times, AT_SYMLINK_NOFOLLOW));
}

static bool has_xattr(const char *path, const char *name, const char *value, size_t len)
{
	g_autofree char *there = g_malloc(len + 1);

	return lgetxattr(path, name, there, len + 1) == (ssize_t)len &&
	       memcmp(there, value, len) == 0;
}

/* All attributes of a are those of b. */
static bool has_xattrs_of(const char *a, const char *b)
{
	char names[65536];
	ssize_t len = llistxattr(a, names, sizeof names);

	for (const char *name = names; len > 0 && name < names + len;
	     name += strlen(name) + 1) {
		g_autofree char *value = g_malloc(65536);
		ssize_t size = lgetxattr(a, name, value, 65536);

		if (size < 0 || !has_xattr(b, name, value, (size_t)size))
			return false;
	}
	return len >= 0 || errno == EOPNOTSUPP;
}

bool mne_looks_same(const char *a, const char *b)
{
	struct stat x, y;

	if (lstat(a, &x) < 0 || lstat(b, &y) < 0 || x.st_mode != y.st_mode ||
	    x.st_uid != y.st_uid || x.st_gid != y.st_gid || x.st_size != y.st_size ||
	    x.st_mtim.tv_sec != y.st_mtim.tv_sec ||
	    x.st_mtim.tv_nsec != y.st_mtim.tv_nsec)
		return false;
	return has_xattrs_of(a, b) && has_xattrs_of(b, a);
}

/* --- bytes ------------------------------------------------------------------ */

static int write_all(int fd, const char *bytes, size_t len, off_t offset)
{
	while (len > 0) {
		ssize_t put = pwrite(fd, bytes, len, offset);

		if (put < 0 && errno != EINTR)
			return -errno;
		if (put < 0)
			continue;
		bytes += put;
		offset += put;
		len -= (size_t)put;
	}
	return 0;
}

/* Bytes from offset up to end. */
static int copy_range(int from, int to, off_t offset, off_t end)
{
	g_autofree char *buffer = g_malloc(BUFFER_BYTES);

	while (offset < end) {
		size_t want = (size_t)MIN((off_t)BUFFER_BYTES, end - offset);
		ssize_t got = pread(from, buffer, want, offset);

		if (got < 0 && errno == EINTR)
			continue;
		if (got <= 0)
			return got < 0 ? -errno : -EIO; /* it is shorter than it was */
		MNE_TRY(write_all(to, buffer, (size_t)got, offset));
		offset += got;
	}
	return 0;
}

/* Holes stay holes. */
static int copy_data(int from, int to, off_t size)
{
	off_t offset = 0;

	if (ftruncate(to, size) < 0)
		return -errno;
	while (offset < size) {
		off_t data = lseek(from, offset, SEEK_DATA), hole;

		if (data < 0 && errno == ENXIO)
			return 0;
		if (data < 0)
			return -errno;
		hole = lseek(from, data, SEEK_HOLE);
		if (hole < 0)
			return -errno;
		MNE_TRY(copy_range(from, to, data, hole));
		offset = hole;
	}
	return 0;
}

static int copy_file(const char *from, const char *to, const struct stat *st)
{
	int in = open(from, O_RDONLY | O_NOFOLLOW | O_CLOEXEC), out, err;

	if (in < 0)
		return -errno;
	out = open(to, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
	err = out < 0 ? -errno : copy_data(in, out, st->st_size);
	close(in);
	if (out >= 0 && close(out) < 0 && err == 0)
		err = -errno;
	return err;
}

/* --- one thing, whatever it is ---------------------------------------------- */

/* name NULL: the end.  A negative errno when reading failed, for ever after. */
static int next_name(DIR *dir, const char **out_name)
{
	struct dirent *entry;

	do {
		errno = 0;
		entry = readdir(dir); /* NOLINT(concurrency-mt-unsafe): our own */
		if (!entry && errno)
			return -errno;
	} while (entry &&
		 (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0));
	*out_name = entry ? entry->d_name : NULL;
	return 0;
}

/* For each name in path, called with its full path and user. */
static int each_in(const char *path,
		   int (*func)(const char *full, const char *name, void *user),
		   void *user)
{
	DIR *dir = opendir(path);
	const char *name = NULL;
	int err;

	if (!dir)
		return -errno;
	for (;;) {
		g_autofree char *full = NULL;

		err = next_name(dir, &name);
		if (err < 0 || !name)
			break;
		full = g_build_filename(path, name, NULL);
		err = func(full, name, user);
		if (err < 0)
			break;
	}
	closedir(dir);
	return err;
}

typedef struct {
	MneCopier *copier;
	const char *to;
} Into;

static int copy_into(const char *full, const char *name, void *user)
{
	const Into *into = user;
	g_autofree char *to = g_build_filename(into->to, name, NULL);

	return mne_copy(into->copier, full, to);
}

static int copy_dir(MneCopier *copier, const char *from, const char *to)
{
	Into into = { copier, to };

	if (mkdir(to, 0700) < 0)
		return -errno;
	return each_in(from, copy_into, &into);
}

static int copy_symlink(const char *from, const char *to)
{
	char target[PATH_MAX];
	ssize_t len = readlink(from, target, sizeof target - 1);

	if (len < 0)
		return -errno;
	target[len] = 0;
	return negative_errno(symlink(target, to));
}

static int copy_contents(MneCopier *copier, const char *from, const char *to,
			 const struct stat *st)
{
	switch (st->st_mode & S_IFMT) {
	case S_IFREG: return copy_file(from, to, st);
	case S_IFDIR: return copy_dir(copier, from, to);
	case S_IFLNK: return copy_symlink(from, to);
	default: return negative_errno(mknod(to, st->st_mode & S_IFMT, st->st_rdev));
	}
}

/* 1: another name of a file that was copied before. */
static int link_again(MneCopier *copier, const char *to, const struct stat *st)
{
	int64_t number = (int64_t)st->st_ino;
	const char *copy = g_hash_table_lookup(copier->links, &number);

	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return 0;
	if (copy && link(copy, to) == 0)
		return 1;
	if (copy && errno != EXDEV && errno != EPERM && errno != EMLINK)
		return -errno;
	g_hash_table_insert(copier->links, g_memdup2(&number, sizeof(number)),
			    g_strdup(to));
	return 0;
}

int mne_copy(MneCopier *copier, const char *from, const char *to)
{
	struct stat st;
	int got;

	if (lstat(from, &st) < 0)
		return -errno;
	got = link_again(copier, to, &st);
	if (got != 0)
		return MIN(got, 0);
	MNE_TRY(copy_contents(copier, from, to, &st));
	return mne_copy_attributes(copier, from, to);
}

static int remove_one(const char *full, const char *name, void *user)
{
	(void)name;
	(void)user;
	return mne_remove_tree(full);
}

int mne_remove_tree(const char *path)
{
	struct stat st;

	if (lstat(path, &st) < 0)
		return -errno;
	if (!S_ISDIR(st.st_mode))
		return negative_errno(unlink(path));
	/* What cannot be opened for its mode may be ours all the same. */
	(void)chmod(path, (st.st_mode & 07777) | 0700);
	MNE_TRY(each_in(path, remove_one, NULL));
	return negative_errno(rmdir(path));
}
