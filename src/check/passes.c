/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes.c - the passes over names: tables, directories, links, counters
 *
 * What has lost its name gets one back: its own, or lost-ID at the top of its table.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"

#include <inttypes.h>

/* --- helpers --------------------------------------------------------------- */

static bool is_table_root(MneCheck *check, const MneDirFact *dir)
{
	const MneTableFact *table = mne_fact_table(check, dir->id.table);

	return table && table->schema.dir == dir->id.id;
}

bool mne_check_has_key(MneCheck *check, const MneKey *key)
{
	g_autoptr(GBytes) value = NULL;
	MneKey at = *key;

	mne_check_route(check, &at);
	return mne_kv_get(check->kv, mne_key_slice(&at), &value) == 0;
}

void mne_check_adopt(MneCheck *check, MneCheckId parent, bool is_dir)
{
	MneDirFact *fact = mne_fact_dir(check, parent.table, parent.id, true);

	fact->counted++;
	fact->subdirs += is_dir;
}

static void disown(MneCheck *check, const MneKeyParts *parts, bool is_dir)
{
	MneDirFact *fact = mne_fact_dir(check, parts->table, parts->id, true);

	fact->counted--;
	fact->subdirs -= is_dir;
}

/* Put a name that refers to what; false when nothing was done. */
static bool put_ref(MneCheck *check, const MneKey *key, MneKind kind, MneCheckId what,
		    uint32_t mode)
{
	uint64_t seq = check->store->volume->seq;
	g_autoptr(GBytes) value = mne_ref_encode(kind, seq, what.id, mode);
	MneKey at = *key;

	mne_check_route(check, &at);
	return mne_check_put(check, mne_key_slice(&at), value);
}

/* Rewrite a directory's inode with the name and parent given; made anew when lost. */
bool mne_mend_dir(MneCheck *check, MneDirFact *dir, uint64_t parent, MneSlice name)
{
	g_autoptr(GBytes) old = NULL, value = NULL;
	g_auto(MneNode) node = { 0 };
	MneKey key;

	mne_key_node(&key, dir->id.table, dir->id.id, MNE_SLICE_EMPTY);
	if (mne_kv_get(check->kv, mne_key_slice(&key), &old) < 0 ||
	    mne_node_decode(old, &node) < 0)
		node = (MneNode){
			.rec = dir->id.id,
			.version = dir->id.id,
			.mode = S_IFDIR | 0700,
			.nlink = 2,
			.seq = check->store->volume->seq,
		};
	node.parent = parent;
	node.name = name;
	value = mne_node_encode(&node);
	if (!dir->has_node) { /* the counters pass sets them right */
		dir->entries = node.entries;
		dir->nlink = node.nlink;
		dir->has_node = true;
	}
	dir->parent = parent;
	g_clear_pointer(&dir->name, g_bytes_unref);
	dir->name = mne_slice_to_bytes(name);
	return mne_check_put(check, mne_key_slice(&key), value);
}

/* --- tables ---------------------------------------------------------------- */

/* Directories and files of tables that are not there: counted for each. */
static void count_strays(MneCheck *check, GHashTable *facts, GHashTable *strays)
{
	GHashTableIter iter;
	gpointer key;

	g_hash_table_iter_init(&iter, facts);
	while (g_hash_table_iter_next(&iter, &key, NULL)) {
		uint32_t table = ((const MneCheckId *)key)->table;
		gpointer id = GUINT_TO_POINTER(table);

		if (table == MNE_ROOT_TABLE || mne_fact_table(check, table))
			continue;
		g_hash_table_insert(
			strays, id,
			GUINT_TO_POINTER(
				GPOINTER_TO_UINT(g_hash_table_lookup(strays, id)) + 1));
	}
}

int mne_pass_tables(MneCheck *check)
{
	g_autoptr(GHashTable) strays = g_hash_table_new(g_direct_hash, g_direct_equal);
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, check->tables);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const MneTableFact *table = value;
		MneDirFact *dir;

		dir = mne_fact_dir(check, table->schema.id, table->schema.dir, true);
		if (table->live && !dir->has_node)
			mne_check_say(check,
				      mne_mend_dir(check, dir, MNE_ROOT_DIR,
						   mne_slice_of(table->name)),
				      "table %u has lost its directory %" PRIu64,
				      table->schema.id, table->schema.dir);
	}
	count_strays(check, check->dirs, strays);
	count_strays(check, check->files, strays);
	g_hash_table_iter_init(&iter, strays);
	while (g_hash_table_iter_next(&iter, &key, &value))
		mne_check_say(
			check, mne_rescue_table(check, GPOINTER_TO_UINT(key)),
			"%u directories and linked files belong to table %u, which is not there",
			GPOINTER_TO_UINT(value), GPOINTER_TO_UINT(key));
	return 0;
}

/* --- directories ----------------------------------------------------------- */

static bool points_back(const MneDirFact *dir, const MneKeyParts *name)
{
	return dir->parent == name->id &&
	       mne_slice_equal(mne_slice_of(dir->name), name->name);
}

static void check_dirref(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			 MneDirFact *dir, MneSlice value)
{
	g_autofree char *text = mne_path_of_name(check, parts->table, parts->id,
						 parts->name);

	if (!dir->has_node && dir->counted == 0) {
		disown(check, parts, true);
		dir->refs--;
		mne_check_say(check, mne_check_del_kept(check, key, value),
			      "%s: the name leads to no directory", text);
	} else if (!dir->has_node) {
		mne_check_say(check, mne_mend_dir(check, dir, parts->id, parts->name),
			      "%s: the inode of a directory with %" PRIu64
			      " entries is lost",
			      text, dir->counted);
	} else if (!points_back(dir, parts) && dir->refs > 1) {
		disown(check, parts, true);
		dir->refs--;
		mne_check_say(check, mne_check_del_kept(check, key, value),
			      "%s: a second name of directory %" PRIu64, text,
			      dir->id.id);
	} else if (!points_back(dir, parts)) {
		mne_check_say(check, mne_mend_dir(check, dir, parts->id, parts->name),
			      "%s: the directory believes to be elsewhere", text);
	}
}

static int check_entry(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		       MneSlice value)
{
	MneDirFact *dir;
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (parts->name.len == 0 || value.len == 0 || value.data[0] != MNE_KIND_DIRREF)
		return 0;
	if (mne_ref_decode(value, &kind, &rec, &mode) < 0)
		return 0; /* the scan has said so */
	dir = mne_fact_dir(check, parts->table, rec, true);
	check_dirref(check, key, parts, dir, value);
	return 0;
}

/* A directory without a name: give it its own, or lost-ID. */
static bool rename_lost_dir(MneCheck *check, MneDirFact *dir)
{
	const MneTableFact *table = mne_fact_table(check, dir->id.table);
	g_autofree char *lost = g_strdup_printf("lost-%" PRIu64, dir->id.id);
	const MneDirFact *parent = mne_fact_dir(check, dir->id.table, dir->parent,
						false);
	MneCheckId at = { dir->id.table, dir->parent };
	g_autoptr(GBytes) own = dir->name ? g_bytes_ref(dir->name) : NULL;
	MneSlice name = mne_slice_of(own);
	MneKey key;

	if (!table || !table->live)
		return false;
	mne_key_node(&key, at.table, at.id, name);
	if (!dir->has_node || !parent || !parent->has_node || name.len == 0 ||
	    mne_check_has_key(check, &key)) {
		at.id = table->schema.dir;
		name = mne_slice_str(lost);
		mne_key_node(&key, at.table, at.id, name);
		if (mne_check_has_key(check, &key))
			return false;
	}
	mne_check_adopt(check, at, true);
	return mne_mend_dir(check, dir, at.id, name) &&
	       put_ref(check, &key, MNE_KIND_DIRREF, dir->id, S_IFDIR);
}

int mne_pass_directories(MneCheck *check)
{
	g_autoptr(GList) all = NULL;

	MNE_TRY(mne_check_each(check, MNE_TAG_NODE, check_entry));
	all = g_hash_table_get_values(check->dirs); /* which may grow */
	for (GList *at = all; at; at = at->next) {
		MneDirFact *dir = at->data;

		if (dir->refs > 0 || is_table_root(check, dir) ||
		    dir->id.table == MNE_ROOT_TABLE ||
		    !mne_fact_table(check, dir->id.table) ||
		    (!dir->has_node && dir->counted == 0))
			continue;
		mne_check_say(check, rename_lost_dir(check, dir),
			      "directory %" PRIu64 " of table %u (%" PRIu64
			      " entries) has no name",
			      dir->id.id, dir->id.table, dir->counted);
	}
	return 0;
}

/* --- counters -------------------------------------------------------------- */

static bool put_counters(MneCheck *check, const MneDirFact *dir)
{
	g_autoptr(GBytes) old = NULL, value = NULL;
	g_auto(MneNode) node = { 0 };
	MneKey key;

	mne_key_node(&key, dir->id.table, dir->id.id, MNE_SLICE_EMPTY);
	if (mne_kv_get(check->kv, mne_key_slice(&key), &old) < 0 ||
	    mne_node_decode(old, &node) < 0)
		return false;
	node.entries = dir->counted;
	node.nlink = (uint32_t)(2 + dir->subdirs);
	value = mne_node_encode(&node);
	return mne_check_put(check, mne_key_slice(&key), value);
}

int mne_pass_counters(MneCheck *check)
{
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, check->dirs);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const MneDirFact *dir = value;
		g_autofree char *path = NULL;

		if (!dir->has_node ||
		    (dir->entries == dir->counted && dir->nlink == 2 + dir->subdirs))
			continue;
		path = mne_path_of_dir(check, dir->id.table, dir->id.id);
		mne_check_say(check, put_counters(check, dir),
			      "%s says %" PRIu64 " entries and %u links, has %" PRIu64
			      " and %" PRIu64,
			      path, dir->entries, dir->nlink, dir->counted,
			      dir->subdirs + 2);
	}
	return 0;
}

/* --- links ----------------------------------------------------------------- */

/* A name of a linked file whose inode is not there. */
static int check_link(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		      MneSlice value)
{
	g_autofree char *text = NULL;
	const MneFileFact *file;
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	if (parts->name.len == 0 || value.len == 0 || value.data[0] != MNE_KIND_LINK ||
	    mne_ref_decode(value, &kind, &rec, &mode) < 0)
		return 0;
	file = mne_fact_file(check, parts->table, rec, false);
	if (file && file->has_node)
		return 0;
	text = mne_path_of_name(check, parts->table, parts->id, parts->name);
	disown(check, parts, false);
	mne_check_say(check, mne_check_del_kept(check, key, value),
		      "%s: the name leads to no file", text);
	return 0;
}

static bool put_nlink(MneCheck *check, const MneFileFact *file, uint32_t nlink)
{
	g_autoptr(GBytes) old = NULL, value = NULL;
	g_auto(MneNode) node = { 0 };
	MneKey key;

	mne_key_inode(&key, file->id.table, file->id.id);
	if (mne_kv_get(check->kv, mne_key_slice(&key), &old) < 0 ||
	    mne_node_decode(old, &node) < 0)
		return false;
	node.nlink = nlink;
	value = mne_node_encode(&node);
	return mne_check_put(check, mne_key_slice(&key), value);
}

static bool rename_lost_file(MneCheck *check, const MneFileFact *file)
{
	const MneTableFact *table = mne_fact_table(check, file->id.table);
	g_autofree char *lost = g_strdup_printf("lost-%" PRIu64, file->id.id);
	MneKey key;

	if (!table || !table->live)
		return false;
	mne_key_node(&key, file->id.table, table->schema.dir, mne_slice_str(lost));
	if (mne_check_has_key(check, &key))
		return false;
	mne_check_adopt(check, (MneCheckId){ file->id.table, table->schema.dir },
			false);
	return put_nlink(check, file, 1) &&
	       put_ref(check, &key, MNE_KIND_LINK, file->id, S_IFREG);
}

int mne_pass_links(MneCheck *check)
{
	GHashTableIter iter;
	gpointer value;

	MNE_TRY(mne_check_each(check, MNE_TAG_NODE, check_link));
	g_hash_table_iter_init(&iter, check->files);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		const MneFileFact *file = value;

		if (!file->has_node || file->nlink == file->names)
			continue;
		if (file->names == 0)
			mne_check_say(check, rename_lost_file(check, file),
				      "linked file %" PRIu64 " of table %u has no name",
				      file->id.id, file->id.table);
		else
			mne_check_say(check, put_nlink(check, file, file->names),
				      "linked file %" PRIu64
				      " of table %u says %u names, has %u",
				      file->id.id, file->id.table, file->nlink,
				      file->names);
	}
	return 0;
}
