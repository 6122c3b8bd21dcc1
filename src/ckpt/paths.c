/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/paths.c - where directories stand in a view
 *
 * Directories know their name and their parent.  From the one asked for, up to one that is
 * remembered, names are collected; only the first is remembered, so that what is remembered
 * of a deep tree stays small.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/paths.h"

#define REMEMBERED_BYTES (4u << 20)
#define DEPTH_MAX        1000000u

struct MnePaths {
	MneView *view; /* borrowed */
	GHashTable *known; /* dir id -> ref string; NULL: not there */
	size_t bytes;
};

static void release(gpointer path)
{
	if (path)
		g_ref_string_release(path);
}

MnePaths *mne_paths_new(MneView *view)
{
	MnePaths *paths = g_new0(MnePaths, 1);

	paths->view = view;
	paths->known = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					     release);
	return paths;
}

void mne_paths_free(MnePaths *paths)
{
	g_hash_table_unref(paths->known);
	g_free(paths);
}

void mne_path_join(GString *to, const char *dir, MneSlice name)
{
	g_string_assign(to, dir);
	if (to->len > 0)
		g_string_append_c(to, '/');
	g_string_append_len(to, (const char *)name.data, (gssize)name.len);
}

static void remember(MnePaths *paths, uint64_t dir, char *path)
{
	if (paths->bytes > REMEMBERED_BYTES) {
		g_hash_table_remove_all(paths->known);
		paths->bytes = 0;
	}
	paths->bytes += 64 + (path ? strlen(path) : 0);
	g_hash_table_replace(paths->known, g_memdup2(&dir, sizeof(dir)),
			     path ? g_ref_string_acquire(path) : NULL);
}

/* Names from dir upward, until one whose path is known: that is *out_top (borrowed). */
static int climb(MnePaths *paths, uint32_t table, uint64_t dir, GPtrArray *names,
		 const char **out_top)
{
	while (dir != MNE_ROOT_DIR) {
		MnePlace place = { .table = table, .rec = dir, .is_dir = true };
		g_auto(MneNode) node = { 0 };
		gpointer known;
		int err;

		if (g_hash_table_lookup_extended(paths->known, &dir, NULL, &known)) {
			*out_top = known;
			return known ? 0 : -ENOENT;
		}
		err = mne_view_node(paths->view, &place, &node);
		if (err == -ESTALE)
			return -ENOENT;
		MNE_TRY(err);
		if (names->len >= DEPTH_MAX)
			return -ELOOP;
		g_ptr_array_add(names, mne_slice_to_bytes(node.name));
		dir = node.parent;
	}
	*out_top = "";
	return 0;
}

int mne_paths_of(MnePaths *paths, uint32_t table, uint64_t dir, char **out_path)
{
	g_autoptr(GPtrArray) names =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);
	g_autoptr(GString) text = g_string_new(NULL);
	const char *top = "";
	int err = climb(paths, table, dir, names, &top);

	if (err == -ENOENT)
		remember(paths, dir, NULL);
	MNE_TRY(err);
	g_string_assign(text, top);
	for (guint i = names->len; i-- > 0;) {
		MneSlice name = mne_slice_of(names->pdata[i]);

		if (text->len > 0)
			g_string_append_c(text, '/');
		g_string_append_len(text, (const char *)name.data, (gssize)name.len);
	}
	*out_path = g_ref_string_new_len(text->str, (gssize)text->len);
	if (names->len > 0)
		remember(paths, dir, *out_path);
	return 0;
}
