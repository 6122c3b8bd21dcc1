/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/modules.c - hash modules by name
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/modules.h"

#include "util/lock.h"

#include <dlfcn.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <glib.h>

#define NAME_LEN_MAX 64u

struct MneFragModules {
	char *dir; /* NULL: none */
	MneLock lock; /* of what follows */
	GHashTable *loaded; /* name -> what dlopen(3) gave, owned */
};

static void unload(void *handle)
{
	dlclose(handle);
}

MneFragModules *mne_frag_modules_new(const char *dir)
{
	MneFragModules *modules = g_new0(MneFragModules, 1);

	modules->dir = dir && *dir ? g_strdup(dir) : NULL;
	mne_lock_init(&modules->lock, MNE_RANK_FRAGS);
	modules->loaded = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						unload);
	return modules;
}

void mne_frag_modules_free(MneFragModules *modules)
{
	if (!modules)
		return;
	g_hash_table_unref(modules->loaded);
	mne_lock_clear(&modules->lock);
	g_free(modules->dir);
	g_free(modules);
}

/* It becomes part of a path. */
static bool is_name(const char *name)
{
	size_t len = strlen(name);

	for (size_t i = 0; i < len; i++)
		if (!g_ascii_isalnum(name[i]) && name[i] != '-' && name[i] != '_')
			return false;
	return len > 0 && len <= NAME_LEN_MAX;
}

static bool is_trusted(int fd, const char *path, bool is_dir)
{
	struct stat st;

	if (fstat(fd, &st) < 0 || S_ISDIR(st.st_mode) != is_dir)
		return false;
	if ((st.st_uid == 0 || st.st_uid == geteuid()) &&
	    (st.st_mode & (S_IWGRP | S_IWOTH)) == 0)
		return true;
	g_warning("%s is not loaded from: others may write to it", path);
	return false;
}

/* The file as it was looked at, whatever becomes of its name. */
static int open_file(const char *dir, const char *name)
{
	g_autofree char *file = g_strconcat(name, ".so", NULL);
	g_autofree char *path = g_build_filename(dir, file, NULL);
	int dir_fd = open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	int fd = -1;

	if (dir_fd >= 0)
		fd = openat(dir_fd, file, O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
	if (fd >= 0 &&
	    (!is_trusted(dir_fd, dir, true) || !is_trusted(fd, path, false))) {
		close(fd);
		fd = -1;
	}
	if (dir_fd >= 0)
		close(dir_fd);
	return fd;
}

static const MneFragHash *hash_in(void *handle, const char *name)
{
	const MneFragHash *hash = dlsym(handle, "mnefs_frag_hash");

	if (hash && hash->abi == MNEFS_FRAG_HASH_ABI && hash->name &&
	    strcmp(hash->name, name) == 0 && hash->init_state && hash->add_frag &&
	    hash->del_frag && hash->key_to_frag_number)
		return hash;
	return NULL;
}

static void *load(const char *dir, const char *name)
{
	g_autofree char *path = NULL;
	int fd = open_file(dir, name);
	void *handle;

	if (fd < 0)
		return NULL;
	path = g_strdup_printf("/proc/self/fd/%d", fd);
	handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
	close(fd);
	if (!handle) {
		g_warning("hash module %s: %s", name, dlerror());
		return NULL;
	}
	if (hash_in(handle, name))
		return handle;
	g_warning("hash module %s: it exports no mnefs_frag_hash of that name for "
		  "version %u",
		  name, MNEFS_FRAG_HASH_ABI);
	dlclose(handle);
	return NULL;
}

const MneFragHash *mne_frag_modules_find(MneFragModules *modules, const char *name)
{
	const MneFragHash *hash = mne_frag_hash_builtin(name);
	void *handle;

	if (hash || !modules || !modules->dir || !is_name(name))
		return hash;
	MNE_WITH_LOCK(&modules->lock);
	handle = g_hash_table_lookup(modules->loaded, name);
	if (!handle) {
		handle = load(modules->dir, name);
		if (handle)
			g_hash_table_insert(modules->loaded, g_strdup(name), handle);
	}
	return handle ? hash_in(handle, name) : NULL;
}
