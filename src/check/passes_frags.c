/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes_frags.c - does every record stand in the fragment its name hashes to?
 *
 * One that does not can be listed, but not found: it is moved where it belongs.  Should
 * another stand there already, that one is the record, for it is what was found.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"

static int check_map(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		     MneSlice value)
{
	const MneTableFact *table = mne_fact_table(check, parts->table);
	MneFrags *frags = check->store->frags;
	g_autoptr(MneFragMap) map = NULL;

	if (mne_frag_map_decode(value, parts->table, mne_frags_hash, frags, &map) < 0)
		return 0; /* the scan has said so */
	if (!map->hash)
		mne_check_say(check, false, "table %u needs the hash module %s",
			      parts->table, map->module);
	if (!table || !table->live || table->schema.dir != map->dir)
		mne_check_say(check, mne_check_del(check, key),
			      "the fragments of table %u are of no such table",
			      parts->table);
	return 0;
}

/* The map of a live table whose root the directory is; NULL: nothing to check. */
static MneFragMap *map_of(MneCheck *check, const MneKeyParts *parts)
{
	const MneTableFact *table = mne_fact_table(check, parts->table);
	MneFragMap *map;

	if (parts->name.len == 0 || !table || table->schema.dir != parts->id)
		return NULL;
	map = mne_frags_of_table(check->store->frags, parts->table);
	if (map && map->dir != 0 && !map->hash)
		g_clear_pointer(&map, mne_frag_map_unref);
	else if (!map || map->dir == 0)
		map = mne_frag_map_new(parts->table, parts->id);
	return map;
}

static void forget_entry(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneDirFact *dir = mne_fact_dir(check, parts->table, parts->id, true);
	MneKind kind;
	uint64_t rec;
	uint32_t mode;

	dir->counted--;
	if (value.len == 0 || value.data[0] == MNE_KIND_INODE ||
	    mne_ref_decode(value, &kind, &rec, &mode) < 0)
		return;
	if (kind == MNE_KIND_LINK) {
		mne_fact_file(check, parts->table, rec, true)->names--;
		return;
	}
	mne_fact_dir(check, parts->table, rec, true)->refs--;
	dir->subdirs--;
}

static bool move(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		 MneSlice value, uint32_t to)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);
	g_autoptr(GBytes) other = NULL;
	MneKey at;

	mne_key_node(&at, parts->table, parts->id, parts->name);
	mne_key_set_fragment(&at, to - 1);
	if (mne_kv_get(check->kv, mne_key_slice(&at), &other) == 0)
		forget_entry(check, parts, value);
	else if (!mne_check_put(check, mne_key_slice(&at), bytes))
		return false;
	return mne_check_del(check, key);
}

static int check_place(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		       MneSlice value)
{
	g_autoptr(MneFragMap) map = map_of(check, parts);
	uint32_t old, new, here = parts->fragment + 1;
	g_autofree char *text = NULL;

	if (!map)
		return 0;
	MNE_TRY(mne_frag_map_place(map, parts->name, &old, &new));
	if (here == old || here == new)
		return 0;
	text = mne_path_of_name(check, parts->table, parts->id, parts->name);
	mne_check_say(check, move(check, key, parts, value, old),
		      "%s stands in fragment %u, belongs into %u", text, here, old);
	return 0;
}

/* Only the records of a table are spread. */
static int check_deep(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		      MneSlice value)
{
	const MneTableFact *table = mne_fact_table(check, parts->table);

	if (parts->fragment != 0 &&
	    (!table || table->schema.dir != parts->id || parts->name.len == 0)) {
		g_autofree char *text = mne_key_to_text(key);

		forget_entry(check, parts, value);
		mne_check_say(check, mne_check_del(check, key),
			      "%s: only the records of a table have fragments", text);
		return 0;
	}
	return check_place(check, key, parts, value);
}

int mne_pass_fragments(MneCheck *check)
{
	MNE_TRY(mne_check_each(check, MNE_TAG_FRAGS, check_map));
	/* As the store has them, after what the scan has mended. */
	if (check->repair)
		MNE_TRY(mne_frags_load(check->store->frags, check->kv));
	return mne_check_each(check, MNE_TAG_NODE, check_deep);
}

void mne_check_route(MneCheck *check, MneKey *key)
{
	g_autoptr(MneFragMap) map = NULL;
	uint32_t old, new;
	MneKeyParts parts;

	if (mne_key_parse(mne_key_slice(key), &parts) < 0 ||
	    parts.tag != MNE_TAG_NODE || parts.name.len == 0)
		return;
	map = map_of(check, &parts);
	if (map && mne_frag_map_place(map, parts.name, &old, &new) == 0)
		mne_key_set_fragment(key, new - 1);
}
