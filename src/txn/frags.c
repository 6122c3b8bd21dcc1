/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/frags.c - what is wanted of the fragments of a table
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/frags.h"

#include "txn/entry.h"

MneFragMap *mne_frags_now(MneStore *store, uint32_t table, uint64_t dir)
{
	MneFragMap *map = mne_frags_of_table(store->frags, table);

	return map ? map : mne_frag_map_new(table, dir);
}

int mne_frags_put(MneCommit *commit, MneFragMap *map)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	map->seq = commit->seq;
	commit->spreads = true;
	value = mne_frag_map_encode(map);
	mne_key_frags(&key, map->table);
	mne_volume_use(commit->store->volume, MNE_FEATURE_FRAGMENTS,
		       commit->store->batch);
	MNE_TRY(mne_commit_put(commit, &key, mne_slice_of(value)));
	g_clear_pointer(&commit->frags, mne_frag_map_unref);
	commit->frags = mne_frag_map_ref(map);
	return 0;
}

int mne_frags_drop(MneCommit *commit, uint32_t table)
{
	g_autoptr(MneFragMap) map = mne_frags_of_table(commit->store->frags, table);
	bool spreads = commit->spreads;
	MneKey key;
	int err;

	if (!map)
		return 0;
	if (!commit->frags_gone)
		commit->frags_gone = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_array_append_val(commit->frags_gone, table);
	mne_key_frags(&key, table);
	commit->spreads = true;
	err = mne_commit_del(commit, &key);
	commit->spreads = spreads;
	return err;
}

/* What a wish changes in a map, and what it needs for that. */
typedef struct {
	int (*change)(MneStore *store, MneFragMap *map, const void *wish);
	const void *wish;
} Wish;

static int load_map(MneStore *store, MneSlice name, MneFragMap **out_map)
{
	g_autoptr(MneFragMap) map = NULL;
	MneTable table;
	int err = mne_table_load(store, name, &table);

	if (err == -ENOENT)
		return mne_throw(NO_TABLE, "there is no table %.*s", (int)name.len,
				 (const char *)name.data);
	MNE_TRY(err);
	map = mne_frags_now(store, table.id, table.dir);
	if (map->dir == 0)
		return mne_throw(VALUE_CORRUPT,
				 "how table %.*s is spread is not known any more",
				 (int)name.len, (const char *)name.data);
	*out_map = mne_frag_map_copy(map);
	return 0;
}

static int carry_out(MneStore *store, MneSlice name, const Wish *wish)
{
	g_autoptr(MneFragMap) map = NULL;
	g_auto(MneCommit) commit = { 0 };

	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(load_map(store, name, &map));
	MNE_TRY(wish->change(store, map, wish->wish));
	MNE_TRY(mne_frags_put(&commit, map));
	MNE_TRY(mne_commit_apply(&commit));
	MNE_TRY(mne_commit_finish(&commit));
	mne_store_wake(store);
	return 0;
}

static int set_goal(MneStore *store, MneFragMap *map, const void *wish)
{
	uint32_t n = *(const uint32_t *)wish;

	(void)store;
	if (!map->hash)
		return mne_throw(NO_FRAG_HASH, "there is no hash module %s",
				 map->module);
	if (n < 1 || n > MNE_FRAG_MAX)
		return mne_throw(FRAG_ARG, "a table has 1 to %u fragments, not %u",
				 MNE_FRAG_MAX, n);
	map->goal = n;
	map->per_frag = 0;
	return 0;
}

int mne_frags_want(MneStore *store, MneSlice table, uint32_t n)
{
	Wish wish = { set_goal, &n };

	return carry_out(store, table, &wish);
}

static int add_to_goal(MneStore *store, MneFragMap *map, const void *wish)
{
	int64_t n = (int64_t)(map->goal ? map->goal : map->n) + *(const int *)wish;
	uint32_t goal = (uint32_t)CLAMP(n, 0, MNE_FRAG_MAX + 1);

	return set_goal(store, map, &goal);
}

int mne_frags_want_more(MneStore *store, MneSlice table, int more)
{
	Wish wish = { add_to_goal, &more };

	return carry_out(store, table, &wish);
}

static int set_auto(MneStore *store, MneFragMap *map, const void *wish)
{
	(void)store;
	map->per_frag = *(const uint32_t *)wish;
	map->goal = 0;
	return 0;
}

int mne_frags_want_auto(MneStore *store, MneSlice table, uint32_t per_frag)
{
	Wish wish = { set_auto, &per_frag };

	return carry_out(store, table, &wish);
}

static int set_listing(MneStore *store, MneFragMap *map, const void *wish)
{
	(void)store;
	map->listing = *(const MneFragListing *)wish;
	return 0;
}

int mne_frags_list_as(MneStore *store, MneSlice table, MneFragListing listing)
{
	Wish wish = { set_listing, &listing };

	return carry_out(store, table, &wish);
}

/* A table that has none gets the state of one fragment; its goal stays as it was. */
static int set_hash(MneStore *store, MneFragMap *map, const void *wish)
{
	const char *const *words = wish;
	const MneFragHash *hash = mne_frags_hash(store->frags, words[0]);
	g_auto(MneNode) dir = { 0 };

	if (!hash)
		return mne_throw(FRAG_ARG, "there is no hash module %s", words[0]);
	MNE_TRY(mne_dir_load(store, map->table, map->dir, &dir));
	if (mne_dir_require_empty(store, &dir) < 0)
		return mne_throw(FRAG_ARG,
				 "the hash module is chosen while the table is empty");
	MNE_TRY(mne_frag_hash_init(hash, words[1], &map->state));
	if (map->goal == 0 && map->per_frag == 0 && map->n > 1)
		map->goal = map->n;
	g_free(map->module);
	map->module = g_strdup(words[0]);
	map->hash = hash;
	map->n = 1;
	map->move = MNE_FRAG_STAYS;
	return 0;
}

int mne_frags_use_hash(MneStore *store, MneSlice table, const char *module,
		       const char *arg)
{
	const char *const words[] = { module, arg };
	Wish wish = { set_hash, words };

	return carry_out(store, table, &wish);
}

void mne_frags_progress(MneStore *store, const MneFragMap *map, MneFragProgress *out)
{
	*out = (MneFragProgress){ 0 };
	if (map->move == MNE_FRAG_STAYS)
		return;
	out->from = map->n;
	out->to = map->step.n;
	if (store->split.seq != map->seq)
		return;
	out->moved = store->split.moved;
	out->seen = store->split.seen;
}
