/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/set.c - how all tables are spread, in memory
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/set.h"

#include "record/keys.h"
#include "util/lock.h"

#include <stdatomic.h>

struct MneFrags {
	MneFragModules *modules; /* borrowed */
	MneLock lock;
	GHashTable *maps; /* table id -> MneFragMap, owned */
	_Atomic uint64_t version;
	_Atomic unsigned count;
};

static void map_unref(void *map)
{
	mne_frag_map_unref(map);
}

MneFrags *mne_frags_new(MneFragModules *modules)
{
	MneFrags *frags = g_new0(MneFrags, 1);

	frags->modules = modules;

	mne_lock_init(&frags->lock, MNE_RANK_FRAGS);
	frags->maps = g_hash_table_new_full(NULL, NULL, NULL, map_unref);
	return frags;
}

void mne_frags_free(MneFrags *frags)
{
	g_hash_table_unref(frags->maps);
	mne_lock_clear(&frags->lock);
	g_free(frags);
}

uint64_t mne_frags_version(MneFrags *frags)
{
	return frags->version;
}

const MneFragHash *mne_frags_hash(void *frags, const char *name)
{
	return mne_frag_modules_find(((MneFrags *)frags)->modules, name);
}

void mne_frags_set(MneFrags *frags, MneFragMap *map)
{
	MNE_WITH_LOCK(&frags->lock);
	g_hash_table_replace(frags->maps, GUINT_TO_POINTER(map->table),
			     mne_frag_map_ref(map));
	frags->count = g_hash_table_size(frags->maps);
	frags->version++;
}

void mne_frags_remove(MneFrags *frags, uint32_t table)
{
	MNE_WITH_LOCK(&frags->lock);
	if (!g_hash_table_remove(frags->maps, GUINT_TO_POINTER(table)))
		return;
	frags->count = g_hash_table_size(frags->maps);
	frags->version++;
}

static void forget_all(MneFrags *frags)
{
	MNE_WITH_LOCK(&frags->lock);
	g_hash_table_remove_all(frags->maps);
	frags->count = 0;
	frags->version++;
}

/* A map by which nothing can be found. */
static MneFragMap *damaged(uint32_t table)
{
	MneFragMap *map = mne_frag_map_new(table, 0);

	map->hash = NULL;
	return map;
}

static void load_one(MneFrags *frags, uint32_t table, MneSlice value)
{
	g_autoptr(MneFragMap) map = NULL;
	int err = mne_frag_map_decode(value, table, mne_frags_hash, frags, &map);

	if (err < 0) {
		g_warning("table %u: %s", table, mne_err_sentence(err));
		map = damaged(table);
	} else if (!map->hash) {
		g_warning("table %u: there is no hash module %s", table, map->module);
	}
	mne_frags_set(frags, map);
}

int mne_frags_load(MneFrags *frags, MneKv *kv)
{
	const uint8_t tag = MNE_TAG_FRAGS;
	g_autoptr(MneKvIter) iter = NULL;

	forget_all(frags);
	MNE_TRY(mne_kv_iter(kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		MneKeyParts parts;

		if (key.data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(key, &parts));
		load_one(frags, parts.table, mne_kv_iter_value(iter));
	}
	return mne_kv_iter_status(iter);
}

MneFragMap *mne_frags_of_table(MneFrags *frags, uint32_t table)
{
	MneFragMap *map;

	if (frags->count == 0)
		return NULL;
	MNE_WITH_LOCK(&frags->lock);
	map = g_hash_table_lookup(frags->maps, GUINT_TO_POINTER(table));
	return map ? mne_frag_map_ref(map) : NULL;
}

MneFragMap *mne_frags_of_dir(MneFrags *frags, uint32_t table, uint64_t dir)
{
	MneFragMap *map;

	if (frags->count == 0)
		return NULL;
	MNE_WITH_LOCK(&frags->lock);
	map = g_hash_table_lookup(frags->maps, GUINT_TO_POINTER(table));
	/* Of a damaged one the directory is not known: any could be it. */
	return map && (map->dir == dir || map->dir == 0) ? mne_frag_map_ref(map) : NULL;
}

GPtrArray *mne_frags_list(MneFrags *frags)
{
	GPtrArray *list = g_ptr_array_new_with_free_func(map_unref);
	GHashTableIter iter;
	gpointer map;

	MNE_WITH_LOCK(&frags->lock);
	g_hash_table_iter_init(&iter, frags->maps);
	while (g_hash_table_iter_next(&iter, NULL, &map))
		g_ptr_array_add(list, mne_frag_map_ref(map));
	return list;
}
