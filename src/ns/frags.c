/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/frags.c - fragments as directories
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/frags.h"

#include "frag/set.h"
#include "ns/attr.h"
#include "ns/delta.h"
#include "txn/frags.h"

#define DOMAIN_FRAGS 3u /* of hidden inode numbers: `.frag` */
#define DOMAIN_FRAG  4u /* and fragments */
#define IN_FRAGS     0x4000u /* in the number of a FRAG: it stands in `.frag` */

typedef enum { NOT_SHARED, BEGUN, SHARED } SharedState;

typedef struct {
	uint64_t dir;
	SharedState state;
} Share;

struct MneShared {
	MneLock lock;
	GHashTable *tables; /* id -> Share */
	_Atomic unsigned count;
	_Atomic uint32_t lives; /* rmdirs of fragment directories */
};

/* --- what is shared ---------------------------------------------------------------- */

static void share(MneShared *shared, uint32_t table, uint64_t dir, SharedState state)
{
	MNE_WITH_LOCK(&shared->lock);
	Share *known = g_hash_table_lookup(shared->tables, GUINT_TO_POINTER(table));

	if (!known) {
		known = g_new0(Share, 1);
		g_hash_table_insert(shared->tables, GUINT_TO_POINTER(table), known);
	}
	known->dir = dir;
	known->state = MAX(known->state, state);
	shared->count = g_hash_table_size(shared->tables);
}

static SharedState state_of(MneNs *ns, uint32_t table)
{
	MneShared *shared = ns->shared;
	const Share *known;

	if (shared->count == 0)
		return NOT_SHARED;
	MNE_WITH_LOCK(&shared->lock);
	known = g_hash_table_lookup(shared->tables, GUINT_TO_POINTER(table));
	return known ? known->state : NOT_SHARED;
}

MneShared *mne_shared_new(MneStore *store)
{
	g_autoptr(GPtrArray) maps = mne_frags_list(mne_store_frags(store));
	MneShared *shared = g_new0(MneShared, 1);

	mne_lock_init(&shared->lock, MNE_RANK_HANDLE);
	shared->tables = g_hash_table_new_full(NULL, NULL, NULL, g_free);
	for (guint i = 0; i < maps->len; i++) {
		const MneFragMap *map = maps->pdata[i];

		share(shared, map->table, map->dir, SHARED);
	}
	return shared;
}

void mne_shared_free(MneShared *shared)
{
	g_hash_table_unref(shared->tables);
	mne_lock_clear(&shared->lock);
	g_free(shared);
}

bool mne_ns_is_shared(MneNs *ns, uint32_t table)
{
	return state_of(ns, table) != NOT_SHARED;
}

void mne_ns_share_begin(MneNs *ns, uint32_t table, uint64_t dir)
{
	share(ns->shared, table, dir, BEGUN);
}

void mne_ns_share_end(MneNs *ns, uint32_t table)
{
	MNE_WITH_LOCK(&ns->shared->lock);
	Share *known = g_hash_table_lookup(ns->shared->tables, GUINT_TO_POINTER(table));

	if (known)
		known->state = SHARED;
}

bool mne_ns_share_next(MneNs *ns, MneShare *out)
{
	MNE_WITH_LOCK(&ns->shared->lock);
	GHashTableIter iter;
	gpointer id, share;

	g_hash_table_iter_init(&iter, ns->shared->tables);
	while (g_hash_table_iter_next(&iter, &id, &share)) {
		const Share *known = share;

		if (known->state != BEGUN)
			continue;
		*out = (MneShare){ GPOINTER_TO_UINT(id), known->dir };
		return true;
	}
	return false;
}

bool mne_ns_share_is_due(MneNs *ns, const MneInode *dir)
{
	MneIdentity self = mne_inode_identity(dir);

	return self.object == MNE_OBJECT_FRAGS && !self.ckpt &&
	       state_of(ns, self.table) != SHARED;
}

/* --- names ------------------------------------------------------------------------- */

/* 1 to 9999 for four digits, 0 for all other names. */
static uint32_t number_of(MneSlice name)
{
	uint32_t number = 0;

	if (name.len != 4)
		return 0;
	for (size_t i = 0; i < name.len; i++) {
		if (name.data[i] < '0' || name.data[i] > '9')
			return 0;
		number = number * 10 + name.data[i] - '0';
	}
	return number;
}

uint32_t mne_frag_number(const MneIdentity *self)
{
	return self->object == MNE_OBJECT_FRAG ? self->frag & ~IN_FRAGS : 0;
}

static int dir_node(MneNs *ns, const MneIdentity *self, MneNode *out)
{
	MnePlace place = { .table = self->table, .rec = self->rec, .is_dir = true };

	return self->ckpt ? mne_view_node(&self->ckpt->view, &place, out)
			  : mne_live_node(ns->store, &place, out);
}

static int map_of(MneNs *ns, const MneIdentity *dir, MneFragMap **out)
{
	if (dir->ckpt)
		return mne_ckpt_frag_map(dir->ckpt, dir->table, dir->rec, out);
	*out = mne_frags_now(ns->store, dir->table, dir->rec);
	return 0;
}

bool mne_frags_are_listed(MneNs *ns, const MneIdentity *dir)
{
	g_autoptr(MneFragMap) map = NULL;

	if ((dir->object != MNE_OBJECT_LIVE && dir->object != MNE_OBJECT_PAST) ||
	    dir->table == MNE_ROOT_TABLE || !dir->is_dir)
		return false;
	if (dir->ckpt ? mne_delta_is(dir->via) : state_of(ns, dir->table) != SHARED)
		return false; /* what changed is shown by path */
	return map_of(ns, dir, &map) == 0 && map->dir == dir->rec &&
	       mne_frag_map_lists_fragments(map);
}

static int table_seq(MneNs *ns, const MneIdentity *dir, const MneNode *node,
		     uint64_t *out_seq)
{
	MneView *view = dir->ckpt ? &dir->ckpt->view : mne_store_live(ns->store);
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	mne_key_table(&key, node->name);
	MNE_TRY(mne_view_get(view, mne_key_slice(&key), &value));
	*out_seq = mne_value_seq(mne_slice_of(value));
	return 0;
}

int mne_frags_listing(MneNs *ns, const MneIdentity *dir, bool *out_fragments,
		      uint64_t *out_since)
{
	g_autoptr(MneFragMap) map = NULL;
	g_auto(MneNode) node = { 0 };

	if (dir->table == MNE_ROOT_TABLE || !dir->is_dir)
		return -ENODATA;
	MNE_TRY(dir_node(ns, dir, &node));
	if (node.parent != MNE_ROOT_DIR)
		return -ENODATA;
	MNE_TRY(table_seq(ns, dir, &node, out_since));
	MNE_TRY(map_of(ns, dir, &map));
	*out_since = MAX(*out_since, map->seq);
	*out_fragments = mne_frags_are_listed(ns, dir);
	return 0;
}

int mne_frags_shown_in(MneNs *ns, const MneIdentity *dir, MneSlice name,
		       char out_name[5])
{
	g_autoptr(MneFragMap) map = NULL;
	uint32_t frag, new;

	MNE_TRY(map_of(ns, dir, &map));
	MNE_TRY(mne_frag_map_place(map, name, &frag, &new));
	g_snprintf(out_name, 5, "%04u", MIN(frag, 9999));
	return 0;
}

static uint64_t hidden_id(const MneIdentity *self)
{
	uint64_t id = self->rec << 15 | self->frag;

	return self->ckpt ? id ^ self->ckpt->cookie : id;
}

int mne_frags_dir_stat(MneNs *ns, const MneIdentity *self, struct stat *out)
{
	bool one = self->object == MNE_OBJECT_FRAG;
	g_auto(MneNode) node = { 0 };
	struct stat like;

	MNE_TRY(dir_node(ns, self, &node));
	mne_attr_of_live(&node, &like);
	mne_attr_of_hidden(&like, one ? DOMAIN_FRAG : DOMAIN_FRAGS, hidden_id(self),
			   node.mode, out);
	out->st_nlink = 1; /* how many directories are in it is not counted */
	return 0;
}

int mne_frags_dir_find(MneNs *ns, const MneIdentity *of, MneSlice name, MneFound *out)
{
	MneIdentity self = {
		.object = MNE_OBJECT_FRAGS,
		.is_dir = true,
		.table = of->table,
		.rec = of->rec,
		.ckpt = of->ckpt,
		.via = of->via,
	};
	g_auto(MneNode) node = { 0 };

	*out = (MneFound){ 0 };
	if (of->table == MNE_ROOT_TABLE)
		return 0;
	MNE_TRY(dir_node(ns, of, &node));
	if (node.parent != MNE_ROOT_DIR)
		return 0;
	MNE_TRY(mne_frags_dir_stat(ns, &self, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, of->rec, name);
	return 0;
}

/* Which fragment directory of dir the name means; 0: none. */
static int frag_in(MneNs *ns, const MneIdentity *dir, MneSlice name, uint32_t *out)
{
	g_autoptr(MneFragMap) map = NULL;

	*out = number_of(name);
	if (*out == 0)
		return 0;
	if (dir->object == MNE_OBJECT_FRAGS) {
		MNE_TRY(map_of(ns, dir, &map));
		*out = *out <= map->n ? *out : 0;
	} else if (!mne_frags_are_listed(ns, dir)) {
		*out = 0;
	}
	return 0;
}

int mne_frag_dir_find(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
{
	bool in_frags = dir->object == MNE_OBJECT_FRAGS;
	MneIdentity self = {
		.object = MNE_OBJECT_FRAG,
		.is_dir = true,
		.table = dir->table,
		.rec = dir->rec,
		.ckpt = dir->ckpt,
		/* The kernel does not take back a directory that it saw removed. */
		.via = dir->ckpt ? dir->via : ns->shared->lives,
	};
	uint32_t frag;

	MNE_TRY(frag_in(ns, dir, name, &frag));
	if (frag == 0)
		return 0;
	self.frag = (uint16_t)(frag | (in_frags ? IN_FRAGS : 0));
	*out = (MneFound){ 0 };
	MNE_TRY(mne_frags_dir_stat(ns, &self, &out->attr));
	out->inode = mne_inodes_look_up(ns->inodes, &self, dir->rec, name);
	return 1;
}

static int list_of(MneNs *ns, const MneIdentity *dir, uint32_t frag,
		   MneListing **out_listing)
{
	MneFragmentOf what = { dir->table, dir->rec, frag };

	if (dir->ckpt)
		return mne_view_list_fragment(&dir->ckpt->view, &what, MNE_SLICE_EMPTY,
					      out_listing);
	return mne_live_list_fragment(ns->store, &what, MNE_SLICE_EMPTY, out_listing);
}

static int is_empty(MneNs *ns, const MneIdentity *dir, uint32_t frag)
{
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;
	int got;

	MNE_TRY(list_of(ns, dir, frag, &listing));
	got = mne_listing_next(listing, &entry, NULL);
	return got < 0 ? got : got == 0;
}

int mne_frag_dir_list(MneNs *ns, const MneIdentity *dir, GPtrArray **out_names)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(MneFragMap) map = NULL;

	MNE_TRY(map_of(ns, dir, &map));
	for (uint32_t i = 1; i <= map->n; i++) {
		int empty = dir->object == MNE_OBJECT_FRAGS ? 0 : is_empty(ns, dir, i);

		MNE_TRY(empty);
		if (!empty)
			g_ptr_array_add(names, g_strdup_printf("%04u", i));
	}
	*out_names = g_steal_pointer(&names);
	return 0;
}

/* --- changes ----------------------------------------------------------------------- */

int mne_frag_check_name(MneNs *ns, const MneIdentity *dir, MneSlice name)
{
	uint32_t frag;

	if (dir->object == MNE_OBJECT_FRAGS)
		return mne_throw(RESERVED_NAME,
				 "fragments come and go with the file fragments of the "
				 "table in .mnefs/tables");
	if (dir->object != MNE_OBJECT_LIVE)
		return 0;
	MNE_TRY(frag_in(ns, dir, name, &frag));
	if (frag == 0)
		return 0;
	return mne_throw(RESERVED_NAME,
			 "four digits name a fragment in a table that lists fragments");
}

int mne_frag_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name)
{
	uint32_t frag;
	int empty;

	if (dir->object != MNE_OBJECT_LIVE)
		return 0;
	MNE_TRY(frag_in(ns, dir, name, &frag));
	if (frag == 0)
		return 0;
	empty = is_empty(ns, dir, frag);
	MNE_TRY(empty);
	if (!empty)
		return -ENOTEMPTY;
	ns->shared->lives++;
	return 1;
}

int mne_frag_of_place(MneNs *ns, const MneIdentity *self, const MnePlace *place,
		      uint32_t *out_frag)
{
	MneIdentity dir = { .table = place->table,
			    .rec = place->dir,
			    .ckpt = self->ckpt };
	g_autoptr(MneFragMap) map = NULL;
	g_auto(MneNode) node = { 0 };
	uint32_t new;

	if (place->table == MNE_ROOT_TABLE || place->dir == MNE_ROOT_DIR)
		return -ENODATA;
	MNE_TRY(dir_node(ns, &dir, &node));
	if (node.parent != MNE_ROOT_DIR)
		return -ENODATA;
	MNE_TRY(map_of(ns, &dir, &map));
	return mne_frag_map_place(map, place->name, out_frag, &new);
}
