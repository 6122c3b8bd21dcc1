/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/split.c - one fragment more, or one less: records move in the background
 *
 *	begin    FRAGS says what the step is           a commit
 *	move     records go to their new fragment      batches that change no version
 *	end      FRAGS says that the step is done      in the last batch
 *
 * Each under the gate, so that a writer meets no half of it; readers: see frag/live.c.  What
 * moves is looked for before the gate is taken: see txn/moves.h.  A crash between two batches leaves a step that goes on from its beginning at the next
 * start: what has moved is not where it looks any more.
 *
 * Invariants: 1. every record stands in exactly one fragment, the old or the new one;
 * 2. outside a step it is the one its name hashes to; 3. only fragments that the hash
 * module named are read or written.  Values do not change, so that checkpoints, whose
 * images stand under logical keys, do not notice.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/commit.h"
#include "txn/frags.h"
#include "txn/moves.h"
#include "txn/pace.h"
#include "util/log.h"
#include "view/iter.h"

enum { QUIET_SECONDS = 10 };

/* Since when a table has as many entries as it has: it is not merged while somebody
 * removes its records one by one, fragment by fragment. */
typedef struct {
	uint64_t entries;
	int64_t since; /* monotonic microseconds */
} MneFragQuiet;

static bool is_quiet(MneStore *store, uint32_t table, uint64_t entries)
{
	MNE_WITH_LOCK(&store->split.lock);
	gpointer id = GUINT_TO_POINTER(table);
	MneFragQuiet *quiet = g_hash_table_lookup(store->split.quiet, id);
	int64_t now = g_get_monotonic_time();

	if (!quiet) {
		quiet = g_new0(MneFragQuiet, 1);
		g_hash_table_insert(store->split.quiet, id, quiet);
		quiet->since = now;
	}
	if (quiet->entries != entries) {
		quiet->entries = entries;
		quiet->since = now;
	}
	return store->options.no_background ||
	       now - quiet->since >= (int64_t)QUIET_SECONDS * G_USEC_PER_SEC;
}

/* How many fragments its records ask for: as there are, or one more, or one less. */
static uint32_t goal_of_records(MneStore *store, const MneFragMap *map)
{
	g_auto(MneNode) dir = { 0 };
	uint64_t full = (uint64_t)map->per_frag * map->n;

	if (mne_dir_load(store, map->table, map->dir, &dir) < 0)
		return map->n;
	if (dir.entries > full && map->n < MNE_FRAG_MAX)
		return map->n + 1;
	if (map->n > 1 && is_quiet(store, map->table, dir.entries) &&
	    dir.entries < full / 4)
		return map->n - 1;
	return map->n;
}

static uint32_t goal_of(MneStore *store, const MneFragMap *map)
{
	if (map->goal != 0)
		return map->goal;
	return map->per_frag != 0 ? goal_of_records(store, map) : map->n;
}

static bool is_wanted(MneStore *store, const MneFragMap *map)
{
	return map->hash && map->dir != 0 &&
	       (map->move != MNE_FRAG_STAYS || goal_of(store, map) != map->n);
}

/* The next table with something to do; NULL: none. */
static MneFragMap *next_map(MneStore *store)
{
	g_autoptr(GPtrArray) maps = mne_frags_list(store->frags);

	for (guint i = 0; i < maps->len; i++)
		if (is_wanted(store, maps->pdata[i]))
			return mne_frag_map_ref(maps->pdata[i]);
	return NULL;
}

bool mne_split_is_wanted(MneStore *store)
{
	g_autoptr(MneFragMap) map = next_map(store);

	return map != NULL;
}

/* --- begin ------------------------------------------------------------------------- */

static void key_of_fragment(MneKey *out, const MneFragMap *map, uint32_t frag)
{
	mne_key_node(out, map->table, map->dir, MNE_SLICE_EMPTY);
	mne_key_set_fragment(out, frag - 1);
}

static int is_empty(MneStore *store, const MneFragMap *map, const MneFragList *frags)
{
	g_autoptr(MneKvIter) kv = NULL;
	MneKey prefix, from;

	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	for (uint32_t i = 0; i < frags->len; i++) {
		key_of_fragment(&prefix, map, frags->frags[i]);
		from = prefix;
		from.bytes[from.len++] = 1; /* behind the directory's own inode */
		mne_kv_iter_seek(kv, mne_key_slice(&from));
		if (mne_kv_iter_valid(kv) &&
		    mne_slice_has_prefix(mne_kv_iter_key(kv), mne_key_slice(&prefix)))
			return false;
		MNE_TRY(mne_kv_iter_status(kv));
	}
	return true;
}

static void finish_step(MneFragMap *map)
{
	map->n = map->step.n;
	map->state = map->step.state;
	map->move = MNE_FRAG_STAYS;
	if (map->goal == map->n)
		map->goal = 0;
}

/* The step is not taken, and not tried again. */
static int refuse(MneStore *store, MneFragMap *map, int why)
{
	g_auto(MneCommit) commit = { 0 };

	mne_log_say("table %u stays at %u fragments: %s", map->table, map->n,
		    mne_err_sentence(why));
	map->goal = map->per_frag = 0;
	MNE_TRY(mne_commit_begin(store, &commit));
	MNE_TRY(mne_frags_put(&commit, map));
	MNE_TRY(mne_commit_apply(&commit));
	mne_pace_own(store);
	return 1;
}

/* Every name stands where the module says, and goes where it may. */
static int verify_one(const MneFragMap *map, MneSlice key)
{
	MneSlice name = mne_slice(key.data + MNE_KEY_NODE_PREFIX,
				  key.len - MNE_KEY_NODE_PREFIX);
	uint32_t old, new, here = mne_key_fragment(key) + 1;

	if (name.len == 0)
		return 0;
	MNE_TRY(mne_frag_map_place(map, name, &old, &new));
	if (old == here)
		return 0;
	return mne_throw(FRAG_HASH,
			 "hash module %s looks in fragment %u for a name in %u",
			 map->module, old, here);
}

static int verify(MneStore *store, const MneFragMap *map)
{
	g_autoptr(MneKvIter) kv = NULL;
	MneKey prefix;

	mne_key_node(&prefix, map->table, map->dir, MNE_SLICE_EMPTY);
	prefix.len -= 4; /* all fragments */
	MNE_TRY(mne_kv_iter(store->volume->kv, &kv));
	mne_kv_iter_seek(kv, mne_key_slice(&prefix));
	for (; mne_kv_iter_valid(kv); mne_kv_iter_next(kv)) {
		MneSlice key = mne_kv_iter_key(kv);

		if (!mne_slice_has_prefix(key, mne_key_slice(&prefix)))
			break;
		MNE_TRY(verify_one(map, key));
	}
	return mne_kv_iter_status(kv);
}

/* map: a copy.  Nothing was moved when this fails. */
static int plan(MneStore *store, MneFragMap *map, bool add)
{
	MNE_TRY(mne_frag_hash_step(map->hash, &map->state, map->n, add, &map->step));
	map->move = add ? MNE_FRAG_GROWS : MNE_FRAG_SHRINKS;
	if (map->hash == mne_frag_hash_builtin(map->hash->name))
		return 0;
	return verify(store, map);
}

static int begin_gated(MneStore *store, MneFragMap *was, MneFragMap *map)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneFragMap) now = NULL;
	int empty, err;

	MNE_TRY(mne_commit_begin(store, &commit));
	now = mne_frags_of_table(store->frags, map->table);
	if (now != was)
		return 1; /* changed since: look again */
	empty = is_empty(store, map, &map->step.iterate);
	MNE_TRY(empty);
	if (empty)
		finish_step(map);
	MNE_TRY(mne_frags_put(&commit, map));
	/* From now on who looks for a record looks in both places. */
	if (!empty)
		mne_frags_set(store->frags, map);
	err = mne_commit_apply(&commit);
	if (err < 0) {
		mne_frags_set(store->frags, was);
		return err;
	}
	mne_pace_own(store);
	return 1;
}

static int begin(MneStore *store, MneFragMap *was)
{
	g_autoptr(MneFragMap) map = mne_frag_map_copy(was);
	uint32_t goal = goal_of(store, was);
	int err;

	if (goal == was->n)
		return 0;
	err = plan(store, map, goal > was->n);
	if (err < 0) {
		g_clear_pointer(&map, mne_frag_map_unref);
		map = mne_frag_map_copy(was);
		return refuse(store, map, err);
	}
	return begin_gated(store, was, map);
}

/* --- move -------------------------------------------------------------------------- */

/* The same step goes on where it was; another begins at its beginning. */
static void follow(MneSplit *split, const MneFragMap *map)
{
	if (split->seq == map->seq)
		return;
	split->seq = map->seq;
	split->moved = split->seen = 0;
	split->at = mne_moves_start(map);
}

static int end(MneCommit *commit, const MneFragMap *map)
{
	g_autoptr(MneFragMap) done = mne_frag_map_copy(map);

	commit->moves_only = false;
	finish_step(done);
	return mne_frags_put(commit, done);
}

static int carry_out(MneStore *store, MneFragMap *map, const MneMoves *moves)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(MneFragMap) now = NULL;
	int moved;

	MNE_TRY(mne_commit_begin(store, &commit));
	now = mne_frags_of_table(store->frags, map->table);
	if (now != map)
		return -EAGAIN; /* changed since: what was found says nothing */
	commit.moves_only = true;
	moved = mne_moves_put(moves, &commit);
	MNE_TRY(moved);
	if (moves->is_last)
		MNE_TRY(end(&commit, map));
	MNE_TRY(mne_commit_apply(&commit));
	if (moves->is_last)
		mne_pace_own(store);
	return moved;
}

static int move(MneStore *store, MneFragMap *map)
{
	MneSplit *split = &store->split;
	g_auto(MneMoves) moves = { 0 };
	int moved = 0;

	follow(split, map);
	MNE_TRY(mne_moves_find(store, map, &split->at, &moves));
	if (moves.found->len > 0 || moves.is_last)
		moved = carry_out(store, map, &moves);
	if (moved == -EAGAIN)
		return 1;
	MNE_TRY(moved);
	split->at = moves.next;
	split->seen += moves.seen;
	split->moved += (unsigned)moved;
	split->all_moved += (unsigned)moved;
	return 1;
}

int mne_split_step(MneStore *store)
{
	g_autoptr(MneFragMap) map = store->failed ? NULL : next_map(store);
	int64_t began = g_get_monotonic_time();
	int got;

	if (!map)
		return 0;
	got = map->move == MNE_FRAG_STAYS ? begin(store, map) : move(store, map);
	mne_pace_rest(store, began);
	return got;
}
