/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/changes.c - what differs between two moments, by path
 *
 * A directory is *settled* when it has the same path in both views.  What changed inside
 * settled directories is found by the keys that were touched.  Everything else lies below a
 * directory that was made, moved or replaced: where such a one stands at a name in a settled
 * directory (or below another such one), the two directories that the path leads to are
 * walked side by side, one of them may be missing.  A walk does not enter a directory that
 * is the same one on both sides: it is settled.  So no path comes twice.
 *
 *	touched key            what it says
 *	TABLE name             a name at the root; if the two checkpoints cover different
 *	                       tables, the root is walked instead
 *	NODE dir, name         a name, if dir is settled
 *	NODE dir, no name      a directory's own inode, if it is settled
 *	INODE                  the inode of a hard-linked file: all its names
 *	EXTENT, XATTR          nothing: the inode changed, too
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/changes.h"

#include "ckpt/names.h"
#include "ckpt/pairs.h"
#include "ckpt/paths.h"
#include "ckpt/set.h"
#include "ckpt/side.h"
#include "ckpt/touched.h"

enum { WAS, NOW };

/* Two directories of one path, still to be walked. */
typedef struct {
	char *path;
	MneDirPair dirs;
} Walk;

struct MneChanges {
	MneView *views[2]; /* WAS, NOW */
	MneCkpt *held[2]; /* references, or NULL */
	MnePaths *paths[2];
	MneTouched *touched;
	bool origins;
	bool walks_root; /* TABLE keys say nothing */

	/* With origins, of files whose name leads elsewhere now: record id -> its key in
	 * `from`; and record ids that came to a name in `to`. */
	GHashTable *left, *came;

	GPtrArray *walks; /* of Walk *: a stack */
	Walk *walk; /* the one in hand, or NULL */
	MnePairs *pairs; /* its entries */
	MneLinkNames *links; /* of the inode in hand, or NULL */
	bool links_carried; /* it did not change, but one of its names has moved */
	GHashTable *carried; /* record ids of such */

	MneSide sides[2];
	GString *path, *origin;
};

static void walk_free(Walk *walk)
{
	if (!walk)
		return;
	g_free(walk->path);
	g_free(walk);
}

/* --- what stands where ------------------------------------------------------ */

static int load_both(MneChanges *c, MneSlice key, const MneKeyParts *parts)
{
	for (int i = WAS; i <= NOW; i++) {
		mne_side_clear(&c->sides[i]);
		MNE_TRY(mne_side_load(c->views[i], key, parts, &c->sides[i]));
	}
	return 0;
}

/* 1: the directory has the same path in both views, and it is in c->path. */
static int settled_dir(MneChanges *c, uint32_t table, uint64_t dir)
{
	g_autoptr(MneRefString) was = NULL;
	g_autoptr(MneRefString) now = NULL;
	int err = mne_paths_of(c->paths[WAS], table, dir, &was);

	if (err == 0)
		err = mne_paths_of(c->paths[NOW], table, dir, &now);
	if (mne_is_gone(err))
		return 0;
	MNE_TRY(err);
	g_string_assign(c->path, now);
	return strcmp(was, now) == 0;
}

/* --- where a record was ----------------------------------------------------- */

static bool has_dir(MneChanges *c, int i, uint32_t table, uint64_t dir)
{
	MnePlace place = { .table = table, .rec = dir, .is_dir = true };
	g_auto(MneNode) node = { 0 };

	return mne_view_node(c->views[i], &place, &node) == 0;
}

/* Into c->origin, with the name if it has one: 1, or 0 when the directory was not there. */
static int set_origin(MneChanges *c, uint32_t table, uint64_t dir, MneSlice name)
{
	g_autoptr(MneRefString) path = NULL;
	int err = mne_paths_of(c->paths[WAS], table, dir, &path);

	if (mne_is_gone(err))
		return 0;
	MNE_TRY(err);
	if (name.len > 0)
		mne_path_join(c->origin, path, name);
	else
		g_string_assign(c->origin, path);
	return 1;
}

/* The old name of a file that came to another; its old node is then the WAS side. */
static int find_left(MneChanges *c, const MneSide *now)
{
	GBytes *key = g_hash_table_lookup(c->left, &now->node.rec);
	MneKeyParts parts;

	if (!key)
		return 0;
	MNE_TRY(mne_key_parse(mne_slice_of(key), &parts));
	mne_side_clear(&c->sides[WAS]);
	MNE_TRY(mne_side_load(c->views[WAS], mne_slice_of(key), &parts,
			      &c->sides[WAS]));
	return set_origin(c, parts.table, parts.id, parts.name);
}

/* The same for a directory. */
static int find_left_dir(MneChanges *c, const MneSide *now)
{
	MnePlace place = { .table = now->table, .rec = now->node.rec, .is_dir = true };
	g_auto(MneNode) node = { 0 };

	if (mne_view_node(c->views[WAS], &place, &node) < 0)
		return 0;
	mne_side_clear(&c->sides[WAS]);
	c->sides[WAS].found = true;
	c->sides[WAS].table = now->table;
	mne_node_copy(&node, &c->sides[WAS].node);
	return set_origin(c, now->table, now->node.rec, MNE_SLICE_EMPTY);
}

/* In a directory that was moved: the same name led to the same record. */
static int find_carried(MneChanges *c, const MneSide *now, MneSlice name)
{
	const Walk *walk = c->walk;
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	if (!walk || walk->dirs.tables[NOW] == MNE_ROOT_TABLE ||
	    mne_view_lookup(c->views[WAS], walk->dirs.tables[NOW], walk->dirs.dirs[NOW],
			    name, &table, &node) < 0 ||
	    node.rec != now->node.rec)
		return 0;
	mne_side_clear(&c->sides[WAS]);
	c->sides[WAS].found = true;
	c->sides[WAS].table = table;
	mne_node_copy(&node, &c->sides[WAS].node);
	return set_origin(c, walk->dirs.tables[NOW], walk->dirs.dirs[NOW], name);
}

/* --- what to say of a name -------------------------------------------------- */

static bool is_same_record(const MneSide *was, const MneSide *now)
{
	return was->found && now->found && was->node.rec == now->node.rec;
}

static void push_walk(MneChanges *c, const MneSide *was, const MneSide *now)
{
	Walk *walk = g_new0(Walk, 1);

	walk->path = g_strdup(c->path->str);
	walk->dirs.tables[NOW] = now->table;
	walk->dirs.dirs[NOW] = now->node.rec;
	if (was->found && mne_node_is_dir(&was->node)) {
		walk->dirs.tables[WAS] = was->table;
		walk->dirs.dirs[WAS] = was->node.rec;
	}
	g_ptr_array_add(c->walks, walk);
}

static int say(MneChanges *c, MneChangeOp op, bool has_origin, MneChange *out)
{
	const MneSide *was = &c->sides[WAS], *now = &c->sides[NOW];

	*out = (MneChange){
		.op = op,
		.listed = true,
		.path = c->path->len > 0 ? c->path->str : ".",
		.origin = has_origin ? c->origin->str : NULL,
		.was = was->found ? &was->node : NULL,
		.now = now->found ? &now->node : NULL,
		.was_table = was->table,
		.now_table = now->table,
	};
	return 1;
}

/* Does the record that stood at this path still stand somewhere? */
static bool was_moved(MneChanges *c, const MneSide *was, MneSlice name)
{
	const Walk *walk = c->walk;
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	if (!c->origins)
		return false;
	if (mne_node_is_dir(&was->node))
		return has_dir(c, NOW, was->table, was->node.rec);
	if (g_hash_table_contains(c->came, &was->node.rec))
		return true;
	return walk && walk->dirs.dirs[WAS] != 0 &&
	       walk->dirs.tables[WAS] != MNE_ROOT_TABLE &&
	       mne_view_lookup(c->views[NOW], walk->dirs.tables[WAS],
			       walk->dirs.dirs[WAS], name, &table, &node) == 0 &&
	       node.rec == was->node.rec;
}

/* A path that leads to a record it did not lead to. */
static int say_arrived(MneChanges *c, MneSlice name, MneChange *out)
{
	bool replaced = c->sides[WAS].found;
	const MneSide *now = &c->sides[NOW], *was = &c->sides[WAS];
	int got = 0;

	if (c->origins) {
		got = find_carried(c, now, name);
		MNE_TRY(got);
		if (got > 0)
			return say(c,
				   was->node.seq == now->node.seq ? MNE_CHANGE_CARRIED
								  : MNE_CHANGE_MODIFIED,
				   true, out);
		got = mne_node_is_dir(&now->node) ? find_left_dir(c, now)
						  : find_left(c, now);
		MNE_TRY(got);
	}
	if (got > 0)
		return say(c, MNE_CHANGE_RENAMED, true, out);
	return say(c, replaced ? MNE_CHANGE_MODIFIED : MNE_CHANGE_CREATED, false, out);
}

/* Both sides are loaded, the path is set: 1 when there is something to say. */
static int compare(MneChanges *c, MneSlice name, MneChange *out)
{
	const MneSide *was = &c->sides[WAS], *now = &c->sides[NOW];

	if (!now->found) {
		if (!was->found)
			return 0;
		return say(c,
			   was_moved(c, was, name) ? MNE_CHANGE_VACATED
						   : MNE_CHANGE_DELETED,
			   false, out);
	}
	if (is_same_record(was, now)) {
		/* Of a directory its own key tells. */
		if (mne_node_is_dir(&now->node) || was->node.seq == now->node.seq)
			return 0;
		return say(c, MNE_CHANGE_MODIFIED, false, out);
	}
	if (mne_node_is_dir(&now->node))
		push_walk(c, was, now);
	return say_arrived(c, name, out);
}

/* --- the touched keys ------------------------------------------------------- */

/* A name went inside a directory that was moved: a copy loses it with the old path. */
static int say_deleted_in_moved(MneChanges *c, const MneKeyParts *parts, MneSlice key,
				MneChange *out)
{
	int got;

	if (!c->origins || !has_dir(c, NOW, parts->table, parts->id))
		return 0;
	MNE_TRY(load_both(c, key, parts));
	if (!c->sides[WAS].found || c->sides[NOW].found ||
	    was_moved(c, &c->sides[WAS], parts->name))
		return 0;
	got = set_origin(c, parts->table, parts->id, parts->name);
	if (got <= 0)
		return got;
	g_string_assign(c->path, c->origin->str);
	say(c, MNE_CHANGE_DELETED, false, out);
	out->listed = false;
	return 1;
}

static int handle_name(MneChanges *c, MneSlice key, const MneKeyParts *parts,
		       MneChange *out)
{
	uint64_t dir = parts->tag == MNE_TAG_TABLE ? MNE_ROOT_DIR : parts->id;
	g_autofree char *in = NULL;
	int got;

	if (parts->tag == MNE_TAG_TABLE && c->walks_root)
		return 0;
	got = settled_dir(c, parts->table, dir);
	MNE_TRY(got);
	if (got == 0)
		return parts->tag == MNE_TAG_TABLE
			       ? 0
			       : say_deleted_in_moved(c, parts, key, out);
	MNE_TRY(load_both(c, key, parts));
	/* The name itself did not change: of what it leads to another key tells. */
	if (c->sides[WAS].seq == c->sides[NOW].seq &&
	    c->sides[WAS].found == c->sides[NOW].found)
		return 0;
	in = g_strdup(c->path->str);
	mne_path_join(c->path, in, parts->name);
	return compare(c, parts->name, out);
}

static int handle_dir(MneChanges *c, const MneKeyParts *parts, MneChange *out)
{
	MnePlace place = { .table = parts->table, .rec = parts->id, .is_dir = true };
	int got = settled_dir(c, parts->table, parts->id);

	if (got <= 0)
		return got;
	for (int i = WAS; i <= NOW; i++) {
		int err;

		mne_side_clear(&c->sides[i]);
		err = mne_view_node(c->views[i], &place, &c->sides[i].node);
		if (mne_is_gone(err))
			return 0;
		MNE_TRY(err);
		c->sides[i].found = true;
		c->sides[i].table = parts->table;
	}
	if (c->sides[WAS].node.seq == c->sides[NOW].node.seq)
		return 0;
	return say(c, MNE_CHANGE_MODIFIED, false, out);
}

static int handle_key(MneChanges *c, MneSlice key, MneChange *out)
{
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(key, &parts));
	if (parts.tag == MNE_TAG_FRAGS)
		return 0; /* where records stand is not what they are */
	if (parts.tag == MNE_TAG_INODE) {
		c->links_carried = false;
		return mne_link_names_open(c->views[NOW], parts.table, parts.id,
					   &c->links);
	}
	if (parts.tag == MNE_TAG_NODE && parts.name.len == 0)
		return handle_dir(c, &parts, out);
	return handle_name(c, key, &parts, out);
}

/* One more name of the inode in hand: it is said here if the name itself did not change. */
static int step_links(MneChanges *c, MneChange *out)
{
	g_autofree char *in = NULL;
	MneKeyParts parts;
	MneKey key;
	int got = mne_link_names_next(c->links, &key);

	MNE_TRY(got);
	if (got == 0) {
		g_clear_pointer(&c->links, mne_link_names_free);
		return 0;
	}
	MNE_TRY(mne_key_parse(mne_key_slice(&key), &parts));
	got = settled_dir(c, parts.table, parts.id);
	if (got <= 0)
		return got;
	MNE_TRY(load_both(c, mne_key_slice(&key), &parts));
	if (!is_same_record(&c->sides[WAS], &c->sides[NOW]) ||
	    c->sides[WAS].seq != c->sides[NOW].seq ||
	    (c->sides[WAS].node.seq == c->sides[NOW].node.seq) != c->links_carried)
		return 0;
	in = g_strdup(c->path->str);
	mne_path_join(c->path, in, parts.name);
	return say(c, c->links_carried ? MNE_CHANGE_CARRIED : MNE_CHANGE_MODIFIED,
		   false, out);
}

/* A copy that keeps hard links must be told of all names of a file, if one of them lies
 * below a directory that was moved, though the file did not change. */
static int say_other_names(MneChanges *c)
{
	const MneSide *now = &c->sides[NOW];

	if (!now->found || !(now->node.flags & MNE_NODE_LINKED) ||
	    !g_hash_table_add(c->carried, g_memdup2(&now->node.rec, sizeof(uint64_t))))
		return 0;
	c->links_carried = true;
	return mne_link_names_open(c->views[NOW], now->table, now->node.rec, &c->links);
}

/* --- walks ------------------------------------------------------------------ */

static void end_walk(MneChanges *c)
{
	g_clear_pointer(&c->pairs, mne_pairs_free);
	g_clear_pointer(&c->walk, walk_free);
}

static int begin_walk(MneChanges *c)
{
	c->walk = g_ptr_array_steal_index(c->walks, c->walks->len - 1);
	return mne_pairs_open(c->views, &c->walk->dirs, &c->pairs);
}

static void set_side(MneSide *side, const MnePair *pair, int i)
{
	mne_side_clear(side);
	side->found = pair->found[i];
	side->table = pair->tables[i];
	if (side->found)
		mne_node_copy(pair->nodes[i], &side->node);
}

static int step_walk(MneChanges *c, MneChange *out)
{
	MnePair pair;
	int got;

	if (!c->walk)
		MNE_TRY(begin_walk(c));
	got = mne_pairs_next(c->pairs, &pair);
	MNE_TRY(got);
	if (got == 0) {
		end_walk(c);
		return 0;
	}
	set_side(&c->sides[WAS], &pair, WAS);
	set_side(&c->sides[NOW], &pair, NOW);
	mne_path_join(c->path, c->walk->path, pair.name);
	MNE_TRY(say_other_names(c));
	return compare(c, pair.name, out);
}

/* --- from outside ----------------------------------------------------------- */

int mne_changes_next(MneChanges *c, MneChange *out_change)
{
	int got = 0;

	while (got == 0) {
		MneSlice key;

		if (c->links) {
			got = step_links(c, out_change);
		} else if (c->walk || c->walks->len > 0) {
			got = step_walk(c, out_change);
		} else {
			got = mne_touched_next(c->touched, &key);
			if (got <= 0)
				return got;
			got = handle_key(c, key, out_change);
		}
	}
	return got;
}

void mne_changes_free(MneChanges *c)
{
	if (!c)
		return;
	end_walk(c);
	for (int i = WAS; i <= NOW; i++) {
		mne_side_clear(&c->sides[i]);
		g_clear_pointer(&c->paths[i], mne_paths_free);
		mne_ckpt_unref(c->held[i]);
	}
	g_clear_pointer(&c->links, mne_link_names_free);
	g_clear_pointer(&c->touched, mne_touched_free);
	g_ptr_array_unref(c->walks);
	g_hash_table_unref(c->left);
	g_hash_table_unref(c->came);
	g_hash_table_unref(c->carried);
	g_string_free(c->path, TRUE);
	g_string_free(c->origin, TRUE);
	g_free(c);
}

/* The older of the two, whose set knows what changed since, and when that ends. */
static MneCkpt *older(const MneChanges *c, uint64_t *out_end)
{
	MneCkpt *was = c->held[WAS], *now = c->held[NOW];

	*out_end = UINT64_MAX;
	if (!was || !now)
		return was ? was : now;
	*out_end = MAX(was->seq, now->seq);
	return was->seq <= now->seq ? was : now;
}

static int open_touched(MneChanges *c, MneTouched **out_touched)
{
	uint64_t end;
	MneCkpt *first = older(c, &end);

	return mne_touched_open(first->set, first->seq, end, MNE_TAG_INODE,
				out_touched);
}

/* A file's name, if it leads elsewhere in the two views. */
static int note_name(MneChanges *c, MneSlice key)
{
	const MneSide *was = &c->sides[WAS], *now = &c->sides[NOW];
	MneKeyParts parts;

	MNE_TRY(mne_key_parse(key, &parts));
	if (parts.tag != MNE_TAG_NODE || parts.name.len == 0)
		return 0;
	MNE_TRY(load_both(c, key, &parts));
	if (is_same_record(was, now))
		return 0;
	if (was->found && !mne_node_is_dir(&was->node))
		g_hash_table_insert(c->left,
				    g_memdup2(&was->node.rec, sizeof(uint64_t)),
				    mne_slice_to_bytes(key));
	if (now->found && !mne_node_is_dir(&now->node))
		g_hash_table_add(c->came, g_memdup2(&now->node.rec, sizeof(uint64_t)));
	return 0;
}

static int note_names(MneChanges *c)
{
	g_autoptr(MneTouched) touched = NULL;
	MneSlice key;
	int got;

	MNE_TRY(open_touched(c, &touched));
	while ((got = mne_touched_next(touched, &key)) > 0)
		MNE_TRY(note_name(c, key));
	return got;
}

/* Do both show the same tables, but for those that were made, dropped or renamed? */
static bool covers_alike(const MneCkpt *a, const MneCkpt *b)
{
	bool all_a = !a || a->all_tables, all_b = !b || b->all_tables;

	return all_a && all_b;
}

static MneChanges *changes_alloc(const MneChangesSpec *spec, MneView *live)
{
	MneChanges *c = g_new0(MneChanges, 1);
	MneCkpt *ckpts[2] = { spec->from, spec->to };

	for (int i = WAS; i <= NOW; i++) {
		c->held[i] = ckpts[i] ? mne_ckpt_ref(ckpts[i]) : NULL;
		c->views[i] = ckpts[i] ? &ckpts[i]->view : live;
		c->paths[i] = mne_paths_new(c->views[i]);
	}
	c->origins = spec->origins;
	c->walks_root = !covers_alike(spec->from, spec->to);
	c->left = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					(GDestroyNotify)g_bytes_unref);
	c->came = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	c->carried = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	c->walks = g_ptr_array_new_with_free_func((GDestroyNotify)walk_free);
	c->path = g_string_new(NULL);
	c->origin = g_string_new(NULL);
	return c;
}

int mne_changes_open(const MneChangesSpec *spec, MneChanges **out_changes)
{
	const MneCkpt *either = spec->from ? spec->from : spec->to;
	g_autoptr(MneChanges) c = changes_alloc(
		spec, spec->live ? spec->live : mne_ckpts_live(either->set));

	MNE_TRY(open_touched(c, &c->touched));
	if (c->origins)
		MNE_TRY(note_names(c));
	if (c->walks_root) {
		Walk *walk = g_new0(Walk, 1);

		walk->path = g_strdup("");
		walk->dirs = (MneDirPair){ .dirs = { MNE_ROOT_DIR, MNE_ROOT_DIR } };
		g_ptr_array_add(c->walks, walk);
	}
	*out_changes = g_steal_pointer(&c);
	return 0;
}
