/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/inode.c - the objects the kernel knows, and how they are found again
 *
 * A hash set of inodes in shards, each with a lock; a thread holds one at a time.  A
 * million inodes are normal, so they are lean: 64 bytes, the name, and a slot.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/inode.h"

#include "record/keys.h"
#include "util/lock.h"

#define SHARDS       16u
#define ROOT_NUMBER  1u
#define MOVE_WAIT_MS 100u
#define MOVE_TRIES   50u

struct MneInode {
	MneCkpt *ckpt; /* reference, or NULL */
	MneNsTx *tx; /* reference, or NULL */
	uint64_t rec, via;
	uint32_t table;
	uint8_t object; /* MneObject */
	bool is_dir;
	uint16_t frag;

	/* What follows changes, under the shard's lock. */
	uint8_t name_len;
	uint8_t *name; /* owned */
	uint64_t dir;
	uint64_t lookups;
};

typedef struct {
	MneLock lock;
	GHashTable *set; /* of MneInode, by identity */
	GHashTable *cached; /* those of checkpoints with bytes in the kernel's cache */
} Shard;

struct MneInodes {
	MneInode root;
	Shard shards[SHARDS];
	MneLock move_lock; /* of the same rank as the shards': never together */
	MneCond moved;
	unsigned moving; /* renames being committed */
	uint64_t moves; /* renames done */
};

static uint64_t mix(uint64_t value)
{
	value ^= value >> 33;
	value *= G_GUINT64_CONSTANT(0xff51afd7ed558ccd);
	value ^= value >> 33;
	value *= G_GUINT64_CONSTANT(0xc4ceb9fe1a85ec53);
	return value ^ value >> 33;
}

static uint64_t hash_of(const MneInode *inode)
{
	uint64_t seen_in = ((uintptr_t)inode->ckpt ^ (uintptr_t)inode->tx) << 3 |
			   inode->object;

	return mix(inode->rec ^ mix(inode->via ^ mix(seen_in ^ inode->frag << 8)));
}

static guint set_hash(gconstpointer inode)
{
	return (guint)hash_of(inode);
}

/* Record ids are unique in the store, whatever the table. */
static gboolean set_equal(gconstpointer first, gconstpointer second)
{
	const MneInode *a = first, *b = second;

	return a->rec == b->rec && a->object == b->object && a->ckpt == b->ckpt &&
	       a->via == b->via && a->frag == b->frag && a->tx == b->tx;
}

static Shard *shard_of(MneInodes *inodes, const MneInode *inode)
{
	return &inodes->shards[hash_of(inode) >> 60];
}

static void inode_free(MneInode *inode)
{
	g_clear_pointer(&inode->ckpt, mne_ckpt_unref);
	g_clear_pointer(&inode->tx, mne_ns_tx_unref);
	g_free(inode->name);
	g_free(inode);
}

MneInodes *mne_inodes_new(MneCkpt *ckpt)
{
	MneInodes *inodes = g_new0(MneInodes, 1);

	G_STATIC_ASSERT(SHARDS == 1u << 4); /* the hash's upper 4 bits */
	inodes->root.object = ckpt ? MNE_OBJECT_PAST : MNE_OBJECT_LIVE;
	inodes->root.ckpt = ckpt ? mne_ckpt_ref(ckpt) : NULL;
	inodes->root.via = ckpt ? MNE_ROOT_DIR : 0;
	inodes->root.table = MNE_ROOT_TABLE;
	inodes->root.rec = MNE_ROOT_DIR;
	inodes->root.is_dir = true;
	for (unsigned i = 0; i < SHARDS; i++) {
		mne_lock_init(&inodes->shards[i].lock, MNE_RANK_INODE);
		inodes->shards[i].set = g_hash_table_new(set_hash, set_equal);
		inodes->shards[i].cached = g_hash_table_new(NULL, NULL);
	}
	mne_lock_init(&inodes->move_lock, MNE_RANK_INODE);
	mne_cond_init(&inodes->moved);
	return inodes;
}

void mne_inodes_free(MneInodes *inodes)
{
	for (unsigned i = 0; i < SHARDS; i++) {
		Shard *shard = &inodes->shards[i];
		GHashTableIter iter;
		gpointer inode;

		g_hash_table_iter_init(&iter, shard->set);
		while (g_hash_table_iter_next(&iter, &inode, NULL))
			inode_free(inode);
		g_hash_table_unref(shard->set);
		g_hash_table_unref(shard->cached);
		mne_lock_clear(&shard->lock);
	}
	mne_lock_clear(&inodes->move_lock);
	mne_cond_clear(&inodes->moved);
	mne_ckpt_unref(inodes->root.ckpt);
	g_free(inodes);
}

MneInode *mne_inodes_root(MneInodes *inodes)
{
	return &inodes->root;
}

uint64_t mne_inodes_count(MneInodes *inodes)
{
	uint64_t count = 1;

	for (unsigned i = 0; i < SHARDS; i++) {
		MNE_WITH_LOCK(&inodes->shards[i].lock);
		count += g_hash_table_size(inodes->shards[i].set);
	}
	return count;
}

uint64_t mne_inode_number(MneInodes *inodes, const MneInode *inode)
{
	return inode == &inodes->root ? ROOT_NUMBER : (uintptr_t)inode;
}

MneInode *mne_inode_of_number(MneInodes *inodes, uint64_t number)
{
	if (number == ROOT_NUMBER)
		return &inodes->root;
	return (MneInode *)(uintptr_t)number; /* NOLINT: it came from an address */
}

static MneInode model_of(const MneIdentity *identity)
{
	return (MneInode){
		.ckpt = identity->ckpt,
		.tx = identity->tx,
		.rec = identity->rec,
		.via = identity->via,
		.table = identity->table,
		.object = (uint8_t)identity->object,
		.is_dir = identity->is_dir,
		.frag = identity->frag,
	};
}

/* Caller holds the shard's lock. */
static void set_place(MneInode *inode, uint64_t dir, MneSlice name)
{
	inode->dir = dir;
	if (mne_slice_equal(mne_slice(inode->name, inode->name_len), name))
		return;
	g_free(inode->name);
	inode->name = g_memdup2(name.data, name.len);
	inode->name_len = (uint8_t)name.len;
}

static MneInode *inode_new(const MneInode *model)
{
	MneInode *inode = g_new(MneInode, 1);

	*inode = *model;
	if (inode->ckpt)
		mne_ckpt_ref(inode->ckpt);
	if (inode->tx)
		mne_ns_tx_ref(inode->tx);
	return inode;
}

MneInode *mne_inodes_look_up(MneInodes *inodes, const MneIdentity *identity,
			     uint64_t dir, MneSlice name)
{
	MneInode model = model_of(identity);
	Shard *shard = shard_of(inodes, &model);
	MneInode *inode;

	g_assert(name.len <= MNE_NAME_MAX);
	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	if (!inode) {
		inode = inode_new(&model);
		g_hash_table_add(shard->set, inode);
	}
	inode->lookups++;
	set_place(inode, dir, name);
	return inode;
}

/* The inode, when nobody looks at it any more. */
static MneInode *give_up(Shard *shard, MneInode *inode, uint64_t lookups)
{
	MNE_WITH_LOCK(&shard->lock);

	g_assert(inode->lookups >= lookups);
	inode->lookups -= lookups;
	if (inode->lookups > 0)
		return NULL;
	g_hash_table_remove(shard->set, inode);
	if (inode->ckpt)
		g_hash_table_remove(shard->cached, inode);
	return inode;
}

void mne_inodes_forget(MneInodes *inodes, MneInode *inode, uint64_t lookups)
{
	MneInode *dead;

	if (inode == &inodes->root)
		return;
	dead = give_up(shard_of(inodes, inode), inode, lookups);
	if (dead)
		inode_free(dead);
}

MneIdentity mne_inode_identity(const MneInode *inode)
{
	return (MneIdentity){
		.object = inode->object,
		.is_dir = inode->is_dir,
		.table = inode->table,
		.rec = inode->rec,
		.ckpt = inode->ckpt,
		.via = inode->via,
		.frag = inode->frag,
		.tx = inode->tx,
	};
}

static void copy_place(MneInodes *inodes, MneInode *inode, MneFinding *finding)
{
	MNE_WITH_LOCK(&shard_of(inodes, inode)->lock);

	finding->place.dir = inode->dir;
	if (inode->name_len > 0)
		memcpy(finding->name, inode->name, inode->name_len);
	finding->place.name = mne_slice(finding->name, inode->name_len);
}

void mne_inode_find(MneInodes *inodes, MneInode *inode, MneFinding *out_finding)
{
	out_finding->tries = 0;
	out_finding->place.table = inode->table;
	out_finding->place.rec = inode->rec;
	out_finding->place.is_dir = inode->is_dir;
	copy_place(inodes, inode, out_finding);
}

/* Wait while a rename is under way; false when none is. */
static bool wait_for_a_move(MneInodes *inodes)
{
	uint64_t before;

	MNE_WITH_LOCK(&inodes->move_lock);
	if (inodes->moving == 0)
		return false;
	before = inodes->moves;
	while (inodes->moves == before)
		if (!mne_cond_wait_ms(&inodes->moved, &inodes->move_lock, MOVE_WAIT_MS))
			break;
	return true;
}

bool mne_inode_retry(MneInodes *inodes, MneInode *inode, int err,
		     MneFinding *io_finding)
{
	MneFinding before;
	bool waited;

	if (err >= 0 || !(mne_err_is(err, ESTALE) || mne_err_is(err, ENOENT)))
		return false;
	if (inode->object != MNE_OBJECT_LIVE || inode->is_dir ||
	    ++io_finding->tries > MOVE_TRIES)
		return false;

	before = *io_finding;
	waited = wait_for_a_move(inodes);
	copy_place(inodes, inode, io_finding);
	return waited || before.place.dir != io_finding->place.dir ||
	       !mne_slice_equal(mne_slice(before.name, before.place.name.len),
				io_finding->place.name);
}

void mne_inodes_move_begin(MneInodes *inodes)
{
	MNE_WITH_LOCK(&inodes->move_lock);
	inodes->moving++;
}

void mne_inodes_move_end(MneInodes *inodes)
{
	MNE_WITH_LOCK(&inodes->move_lock);
	inodes->moving--;
	inodes->moves++;
	mne_cond_broadcast(&inodes->moved);
}

static MneInode live_model(MneNsTx *tx, uint64_t rec)
{
	return (MneInode){ .object = MNE_OBJECT_LIVE, .tx = tx, .rec = rec };
}

void mne_inodes_moved(MneInodes *inodes, MneNsTx *tx, uint64_t rec, uint64_t dir,
		      MneSlice name)
{
	MneInode model = live_model(tx, rec);
	Shard *shard = shard_of(inodes, &model);
	MneInode *inode;

	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	if (inode)
		set_place(inode, dir, name);
}

GBytes *mne_inodes_name_of(MneInodes *inodes, uint64_t rec)
{
	MneInode model = live_model(NULL, rec);
	Shard *shard = shard_of(inodes, &model);
	const MneInode *inode;

	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	return inode ? g_bytes_new(inode->name, inode->name_len) : NULL;
}

uint64_t mne_inodes_number_of(MneInodes *inodes, MneNsTx *tx, uint64_t rec)
{
	MneInode model = live_model(tx, rec);
	Shard *shard = shard_of(inodes, &model);

	if (!tx && rec == MNE_ROOT_DIR)
		return ROOT_NUMBER;
	MNE_WITH_LOCK(&shard->lock);
	return (uintptr_t)g_hash_table_lookup(shard->set, &model);
}

static void add_names_in(Shard *shard, uint64_t dir, GPtrArray *names)
{
	GHashTableIter iter;
	gpointer each;

	MNE_WITH_LOCK(&shard->lock);
	g_hash_table_iter_init(&iter, shard->set);
	while (g_hash_table_iter_next(&iter, &each, NULL)) {
		const MneInode *inode = each;

		if (inode->object == MNE_OBJECT_LIVE && inode->dir == dir)
			g_ptr_array_add(names,
					g_bytes_new(inode->name, inode->name_len));
	}
}

GPtrArray *mne_inodes_names_in(MneInodes *inodes, uint64_t dir)
{
	GPtrArray *names =
		g_ptr_array_new_with_free_func((GDestroyNotify)g_bytes_unref);

	for (unsigned i = 0; i < SHARDS; i++)
		add_names_in(&inodes->shards[i], dir, names);
	return names;
}

void mne_inode_set_cached(MneInodes *inodes, MneInode *inode)
{
	MNE_WITH_LOCK(&shard_of(inodes, inode)->lock);
	if (inode->ckpt)
		g_hash_table_add(shard_of(inodes, inode)->cached, inode);
}

static void take_gone_of(Shard *shard, GArray *gone)
{
	GHashTableIter iter;
	gpointer each;

	MNE_WITH_LOCK(&shard->lock);
	g_hash_table_iter_init(&iter, shard->cached);
	while (g_hash_table_iter_next(&iter, &each, NULL)) {
		MneInode *inode = each;
		uint64_t number = (uintptr_t)inode;

		if (mne_ckpt_is_active(inode->ckpt))
			continue;
		g_hash_table_iter_remove(&iter);
		g_array_append_val(gone, number);
	}
}

GArray *mne_inodes_take_gone(MneInodes *inodes)
{
	GArray *gone = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	for (unsigned i = 0; i < SHARDS; i++)
		take_gone_of(&inodes->shards[i], gone);
	return gone;
}
