/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/moves.c - the next records that go to another fragment
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/moves.h"

#include "txn/pace.h"

enum {
	/* Names that are looked at, if few of them move. */
	SEEN_MOST = 8 * MNE_PACE_KEYS,
	BYTES_MOST = 128 * 1024,
};

typedef struct {
	GBytes *from, *value; /* its key in the store, and what stands there */
	uint32_t to; /* fragment */
} Move;

static void move_free(void *data)
{
	Move *move = data;

	g_bytes_unref(move->from);
	g_bytes_unref(move->value);
	g_free(move);
}

static MneSlice name_in(MneSlice key)
{
	return mne_slice(key.data + MNE_KEY_NODE_PREFIX, key.len - MNE_KEY_NODE_PREFIX);
}

/* --- finding ----------------------------------------------------------------------- */

typedef struct {
	const MneFragMap *map;
	MneKvIter *kv;
	MneMoves *out;
	size_t bytes;
} Search;

/* Behind the directory's own inode, in the fragment that at says; none left: as it was. */
static void start_fragment(MneSplitAt *at, const MneFragMap *map)
{
	if (at->index >= map->step.iterate.len)
		return;
	mne_key_node(&at->from, map->table, map->dir, MNE_SLICE_EMPTY);
	mne_key_set_fragment(&at->from, map->step.iterate.frags[at->index] - 1);
	at->from.bytes[at->from.len++] = 1;
}

MneSplitAt mne_moves_start(const MneFragMap *map)
{
	MneSplitAt at = { 0 };

	start_fragment(&at, map);
	return at;
}

static bool is_full(const Search *search)
{
	return search->out->seen >= SEEN_MOST ||
	       search->out->found->len >= MNE_PACE_KEYS || search->bytes >= BYTES_MOST;
}

/* The record the iterator stands at: it moves, or stays. */
static int look_at(Search *search, uint32_t here)
{
	MneSlice key = mne_kv_iter_key(search->kv);
	uint32_t old, new;
	Move *move;

	MNE_TRY(mne_frag_map_place(search->map, name_in(key), &old, &new));
	search->out->seen++;
	if (new == here)
		return 0;
	move = g_new(Move, 1);
	*move = (Move){ mne_slice_to_bytes(key),
			mne_slice_to_bytes(mne_kv_iter_value(search->kv)), new };
	g_ptr_array_add(search->out->found, move);
	search->bytes += key.len + mne_kv_iter_value(search->kv).len;
	return 0;
}

/* One fragment, or as much of it as fits: 1 when it was gone through. */
static int look_through(Search *search, MneKey *from)
{
	uint32_t here = mne_key_fragment(mne_key_slice(from)) + 1;
	MneKey prefix = *from;

	prefix.len = MNE_KEY_NODE_PREFIX;
	mne_kv_iter_seek(search->kv, mne_key_slice(from));
	while (mne_kv_iter_valid(search->kv)) {
		MneSlice key = mne_kv_iter_key(search->kv);

		if (!mne_slice_has_prefix(key, mne_key_slice(&prefix)))
			return 1;
		if (is_full(search)) {
			memcpy(from->bytes, key.data, key.len);
			from->len = (uint16_t)key.len;
			return 0;
		}
		MNE_TRY(look_at(search, here));
		mne_kv_iter_next(search->kv);
	}
	MNE_TRY(mne_kv_iter_status(search->kv));
	return 1;
}

static int look_on(Search *search, MneSplitAt *at)
{
	while (at->index < search->map->step.iterate.len) {
		int got = look_through(search, &at->from);

		if (got <= 0)
			return got;
		at->index++;
		start_fragment(at, search->map);
	}
	search->out->is_last = true;
	return 0;
}

int mne_moves_find(MneStore *store, const MneFragMap *map, const MneSplitAt *at,
		   MneMoves *out)
{
	g_autoptr(MneKvIter) kv = NULL;
	Search search = { .map = map, .out = out };

	*out = (MneMoves){ .found = g_ptr_array_new_with_free_func(move_free),
			   .applied = store->volume->applied,
			   .next = *at };
	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	search.kv = kv;
	return look_on(&search, &out->next);
}

/* --- moving ------------------------------------------------------------------------ */

static void put(MneKvBatch *batch, const Move *move, MneSlice value)
{
	MneSlice from = mne_slice_of(move->from);
	MneKey to;

	memcpy(to.bytes, from.data, from.len);
	to.len = (uint16_t)from.len;
	mne_key_set_fragment(&to, move->to - 1);
	mne_kv_batch_put(batch, mne_key_slice(&to), value);
	mne_kv_batch_del(batch, from);
}

/* Those that no writer has taken from their old fragment. */
static int put_what_is_left(const MneMoves *moves, MneStore *store)
{
	g_autoptr(MneKvIter) iter = NULL;
	int moved = 0;

	MNE_TRY(mne_kv_iter(store->volume->kv, &iter));
	for (guint i = 0; i < moves->found->len; i++) {
		const Move *move = moves->found->pdata[i];

		mne_kv_iter_seek(iter, mne_slice_of(move->from));
		MNE_TRY(mne_kv_iter_status(iter));
		if (!mne_kv_iter_valid(iter) ||
		    !mne_slice_equal(mne_kv_iter_key(iter), mne_slice_of(move->from)))
			continue;
		put(store->batch, move, mne_kv_iter_value(iter));
		moved++;
	}
	return moved;
}

int mne_moves_put(const MneMoves *moves, MneCommit *commit)
{
	MneStore *store = commit->store;

	if (store->volume->applied != moves->applied)
		return put_what_is_left(moves, store);
	for (guint i = 0; i < moves->found->len; i++) {
		const Move *move = moves->found->pdata[i];

		put(store->batch, move, mne_slice_of(move->value));
	}
	return (int)moves->found->len;
}

void mne_moves_clear(MneMoves *moves)
{
	g_clear_pointer(&moves->found, g_ptr_array_unref);
}
