/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/manifest.c - CURRENT and the manifest after a power loss
 *
 * LevelDB syncs the manifest after each edit, and after that deletes what the edit made
 * superfluous.  So when power goes between, the last edit may be torn, or name tables or a
 * log whose names had not come to the disk; LevelDB refuses the former.  The version before the
 * last edit is then complete: its tables and its oldest log are all there, and that is
 * what is asked for before anything is cut off.  So a manifest that was damaged later
 * stays as it is: something of an older version is gone by then.
 *
 * In the same way CURRENT may still name the manifest of the opening before, which is
 * deleted already, or whose log is: LevelDB renames CURRENT and deletes them without a
 * sync between.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/manifest.h"

#include "kv/logfile.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static GBytes *contents_of(const char *path, const char *name)
{
	g_autofree char *full = g_build_filename(path, name, NULL);
	gsize len;
	char *text;

	if (!g_file_get_contents(full, &text, &len, NULL))
		return NULL;
	return g_bytes_new_take(text, len);
}

static int put_contents(const char *path, const char *name, MneSlice contents)
{
	g_autofree char *full = g_build_filename(path, name, NULL);
	g_autoptr(GError) error = NULL;

	if (g_file_set_contents_full(
		    full, (const char *)contents.data, (gssize)contents.len,
		    G_FILE_SET_CONTENTS_CONSISTENT | G_FILE_SET_CONTENTS_DURABLE, 0644,
		    &error))
		return 0;
	return mne_err_in_sentence(error->message);
}

static bool has_file(const char *path, uint64_t number, const char *ending)
{
	g_autofree char *full = g_strdup_printf("%s/%06" G_GINT64_MODIFIER "u.%s", path,
						number, ending);

	return access(full, F_OK) == 0;
}

static bool has_tables(const char *path, const MneManifest *version)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, version->tables);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		uint64_t number = *(const uint64_t *)key;

		if (!has_file(path, number, "ldb") && !has_file(path, number, "sst"))
			return false;
	}
	return true;
}

/* Whole edits, how many bytes those are, and those before the last of them. */
typedef struct {
	size_t all, but_last;
	bool damaged; /* what follows them LevelDB would refuse */
} Edits;

static bool all_zero(MneSlice bytes)
{
	for (size_t i = 0; i < bytes.len; i++)
		if (bytes.data[i] != 0)
			return false;
	return true;
}

static Edits edits_of(MneSlice manifest)
{
	MneLogReader reader = mne_log_reader(manifest);
	Edits edits = { 0 };

	while (mne_log_next(&reader, NULL)) {
		edits.but_last = edits.all;
		edits.all = reader.whole;
	}
	edits.damaged = !reader.torn && !all_zero(mne_slice(manifest.data + edits.all,
							    manifest.len - edits.all));
	return edits;
}

/* strict: its oldest log is there, too. */
static bool is_complete(const char *path, MneSlice manifest, size_t len, bool strict)
{
	g_auto(MneManifest) version = { 0 };

	return mne_manifest_read(mne_slice(manifest.data, len), &version) &&
	       has_tables(path, &version) &&
	       (!strict || has_file(path, version.oldest_log, "log"));
}

/* How much of a manifest can be used; 0: nothing. */
static size_t usable(const char *path, MneSlice manifest, bool strict)
{
	Edits edits = edits_of(manifest);
	size_t all = edits.damaged ? edits.all : manifest.len;

	if (is_complete(path, manifest, edits.all, true))
		return all;
	if (is_complete(path, manifest, edits.but_last, true))
		return edits.but_last;
	if (!strict && !edits.damaged && is_complete(path, manifest, edits.all, false))
		return all;
	return 0;
}

static int cut_manifest(const char *path, const char *name, MneSlice manifest,
			size_t whole)
{
	g_autofree char *lost = g_strdup_printf("%s.lost", name);

	g_warning("%s/%s: cut back to %zu of %zu bytes: the rest was never durable",
		  path, name, whole, manifest.len);
	MNE_TRY(put_contents(path, lost, manifest));
	return put_contents(path, name, mne_slice(manifest.data, whole));
}

/* The manifest that CURRENT names, or NULL. */
static char *current_of(const char *path)
{
	g_autoptr(GBytes) current = contents_of(path, "CURRENT");
	MneSlice text = mne_slice_of(current);

	if (text.len < 2 || text.data[text.len - 1] != '\n' ||
	    memchr(text.data, '/', text.len) || memchr(text.data, '\0', text.len) ||
	    !mne_slice_has_prefix(text, mne_slice_str("MANIFEST-")))
		return NULL;
	return g_strndup((const char *)text.data, text.len - 1);
}

/* The newest one that lacks nothing, or NULL. */
static char *find_manifest(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	g_autofree char *best = NULL;
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autoptr(GBytes) manifest = NULL;

		if (!g_str_has_prefix(name, "MANIFEST-") || strchr(name, '.') ||
		    (best && strcmp(name, best) <= 0))
			continue;
		manifest = contents_of(path, name);
		if (!manifest || usable(path, mne_slice_of(manifest), true) == 0)
			continue;
		g_free(best);
		best = g_strdup(name);
	}
	return g_steal_pointer(&best);
}

static int point_to(const char *path, const char *name)
{
	g_autofree char *line = g_strdup_printf("%s\n", name);

	g_warning("%s/CURRENT names no whole manifest: %s is one", path, name);
	return put_contents(path, "CURRENT", mne_slice_str(line));
}

/* The manifest to go by: what CURRENT names, unless that lacks something and another does
 * not; NULL: none. */
static GBytes *choose(const char *path, char **out_name)
{
	g_autofree char *name = current_of(path);
	g_autoptr(GBytes) manifest = name ? contents_of(path, name) : NULL;
	g_autofree char *better = NULL;

	if (!manifest || usable(path, mne_slice_of(manifest), true) == 0)
		better = find_manifest(path);
	if (better && point_to(path, better) == 0) {
		g_clear_pointer(&manifest, g_bytes_unref);
		manifest = contents_of(path, better);
		g_free(name);
		name = g_steal_pointer(&better);
	}
	*out_name = g_steal_pointer(&name);
	return g_steal_pointer(&manifest);
}

/* LevelDB would take a log that is missing for one that is empty. */
static int require_log(const char *path, MneSlice manifest)
{
	g_auto(MneManifest) version = { 0 };

	if (!mne_manifest_read(manifest, &version) ||
	    has_file(path, version.oldest_log, "log"))
		return 0;
	return mne_throw(KV_CORRUPT, "%s: log %06" G_GINT64_MODIFIER "u is missing",
			 path, version.oldest_log);
}

int mne_manifest_mend(const char *path)
{
	g_autofree char *name = NULL;
	g_autoptr(GBytes) manifest = choose(path, &name);
	MneSlice bytes = mne_slice_of(manifest);
	size_t whole = manifest ? usable(path, bytes, false) : 0;

	if (whole > 0 && whole < bytes.len)
		MNE_TRY(cut_manifest(path, name, bytes, whole));
	else
		whole = bytes.len;
	return require_log(path, mne_slice(bytes.data, whole));
}

/* ---- what a merge has left ---- */

/* Two versions: a power loss may take the last edit back. */
typedef struct {
	MneManifest now, before;
} Named;

static void named_clear(Named *named)
{
	mne_manifest_clear(&named->now);
	mne_manifest_clear(&named->before);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Named, named_clear)

static bool read_named(const char *path, Named *out)
{
	g_autofree char *name = current_of(path);
	g_autoptr(GBytes) manifest = name ? contents_of(path, name) : NULL;
	MneSlice bytes = mne_slice_of(manifest);
	Edits edits;

	if (!manifest)
		return false;
	edits = edits_of(bytes);
	return !edits.damaged &&
	       mne_manifest_read(mne_slice(bytes.data, edits.all), &out->now) &&
	       mne_manifest_read(mne_slice(bytes.data, edits.but_last), &out->before);
}

static bool is_leftover(const Named *named, const char *name)
{
	char *end;
	uint64_t number = g_ascii_strtoull(name, &end, 10);

	return end > name && g_ascii_isdigit(*name) && strcmp(end, ".ldb") == 0 &&
	       !g_hash_table_contains(named->now.tables, &number) &&
	       !g_hash_table_contains(named->before.tables, &number);
}

uint64_t mne_manifest_leftovers(const char *path, bool remove)
{
	g_auto(Named) named = { 0 };
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	uint64_t bytes = 0;
	const char *name;

	if (!dir || !read_named(path, &named))
		return 0;
	while ((name = g_dir_read_name(dir))) {
		g_autofree char *full = g_build_filename(path, name, NULL);
		struct stat st;

		if (!is_leftover(&named, name) || stat(full, &st) < 0)
			continue;
		bytes += (uint64_t)st.st_size;
		if (remove)
			unlink(full);
	}
	return bytes;
}
