/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/inode.c - the objects the kernel knows, and how they are found again
 *
 * A hash set of inodes in shards, each with a lock; a thread holds one at a time.  A
 * million inodes are normal, so they are lean: with a name of up to 14 bytes 64 of memory,
 * malloc's own included, and a slot of 12 to 24.
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

/* What inodes of the live tables have none of. */
typedef struct {
	MneCkpt *ckpt; /* reference, or NULL */
	MneNsTx *tx; /* reference, or NULL */
	uint64_t via;
} Seen;

struct MneInode {
	const Seen *seen; /* owned, or nowhere */
	uint64_t rec;
	uint32_t table;
	uint16_t frag;
	uint8_t object; /* MneObject */
	bool is_dir;

	/* What follows changes, under the shard's lock. */
	uint64_t dir;
	uint64_t lookups;
	uint8_t name_len;
	uint8_t room; /* of bytes */
	uint8_t bytes
		[]; /* the name; if it is longer than that, a pointer to it (owned) */
};

/* So that an inode fills what malloc gives. */
#define ROOM_LEAST (56u - offsetof(MneInode, bytes))

static const Seen nowhere = { 0 };

typedef struct {
	MneLock lock;
	GHashTable *set; /* of MneInode, by identity */
	GHashTable *cached; /* those of checkpoints with bytes in the kernel's cache */
} Shard;

struct MneInodes {
	MneInode *root; /* owned */
	Shard shards[SHARDS];
	MneKepts *kepts; /* owned */
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
	const Seen *seen = inode->seen;
	uint64_t seen_in = ((uintptr_t)seen->ckpt ^ (uintptr_t)seen->tx) << 3 |
			   inode->object;

	return mix(inode->rec ^ mix(seen->via ^ mix(seen_in ^ inode->frag << 8)));
}

static guint set_hash(gconstpointer inode)
{
	return (guint)hash_of(inode);
}

/* Record ids are unique in the store, whatever the table. */
static gboolean set_equal(gconstpointer first, gconstpointer second)
{
	const MneInode *a = first, *b = second;

	return a->rec == b->rec && a->object == b->object && a->frag == b->frag &&
	       a->seen->ckpt == b->seen->ckpt && a->seen->via == b->seen->via &&
	       a->seen->tx == b->seen->tx;
}

static Shard *shard_of(MneInodes *inodes, const MneInode *inode)
{
	return &inodes->shards[hash_of(inode) >> 60];
}

static const Seen *seen_copy(const Seen *from)
{
	if (!from->ckpt && !from->tx && from->via == 0)
		return &nowhere;
	if (from->ckpt)
		mne_ckpt_ref(from->ckpt);
	if (from->tx)
		mne_ns_tx_ref(from->tx);
	return g_memdup2(from, sizeof(*from));
}

static void seen_free(const Seen *seen)
{
	if (seen == &nowhere)
		return;
	if (seen->ckpt)
		mne_ckpt_unref(seen->ckpt);
	if (seen->tx)
		mne_ns_tx_unref(seen->tx);
	g_free((Seen *)seen);
}

/* ---- names; of those in the set the caller holds the shard's lock ---- */

static uint8_t *name_of(const MneInode *inode)
{
	uint8_t *outside;

	if (inode->name_len <= inode->room)
		return (uint8_t *)inode->bytes;
	memcpy(&outside, inode->bytes, sizeof(outside));
	return outside;
}

static MneSlice name_slice(const MneInode *inode)
{
	return mne_slice(name_of(inode), inode->name_len);
}

static void drop_name(MneInode *inode)
{
	if (inode->name_len > inode->room)
		g_free(name_of(inode));
	inode->name_len = 0;
}

static void set_name(MneInode *inode, MneSlice name)
{
	drop_name(inode);
	if (name.len > inode->room) {
		uint8_t *outside = g_memdup2(name.data, name.len);

		memcpy(inode->bytes, &outside, sizeof(outside));
	} else if (name.len > 0) {
		memcpy(inode->bytes, name.data, name.len);
	}
	inode->name_len = (uint8_t)name.len;
}

static void set_place(MneInode *inode, uint64_t dir, MneSlice name)
{
	inode->dir = dir;
	if (!mne_slice_equal(name_slice(inode), name))
		set_name(inode, name);
}

/* ---- making ---- */

static MneInode model_of(const MneIdentity *identity, Seen *to_see)
{
	*to_see = (Seen){ identity->ckpt, identity->tx, identity->via };
	return (MneInode){
		.seen = to_see,
		.rec = identity->rec,
		.table = identity->table,
		.object = (uint8_t)identity->object,
		.is_dir = identity->is_dir,
		.frag = identity->frag,
	};
}

/* With room for the name. */
static MneInode *inode_new(const MneInode *model, MneSlice name)
{
	size_t room = MAX(name.len, ROOM_LEAST);
	MneInode *inode = g_malloc(offsetof(MneInode, bytes) + room);

	memcpy(inode, model, offsetof(MneInode, bytes));
	inode->seen = seen_copy(model->seen);
	inode->room = (uint8_t)room;
	return inode;
}

static void inode_free(MneInode *inode)
{
	seen_free(inode->seen);
	drop_name(inode);
	g_free(inode);
}

static MneInode *root_new(MneCkpt *ckpt)
{
	const MneIdentity identity = {
		.object = ckpt ? MNE_OBJECT_PAST : MNE_OBJECT_LIVE,
		.ckpt = ckpt,
		.via = ckpt ? MNE_ROOT_DIR : 0,
		.table = MNE_ROOT_TABLE,
		.rec = MNE_ROOT_DIR,
		.is_dir = true,
	};
	Seen seen;
	MneInode model = model_of(&identity, &seen);

	return inode_new(&model, MNE_SLICE_EMPTY);
}

MneInodes *mne_inodes_new(MneCkpt *ckpt)
{
	MneInodes *inodes = g_new0(MneInodes, 1);

	G_STATIC_ASSERT(SHARDS == 1u << 4); /* the hash's upper 4 bits */
	inodes->root = root_new(ckpt);
	inodes->kepts = mne_kepts_new();
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
	mne_kepts_free(inodes->kepts);
	mne_lock_clear(&inodes->move_lock);
	mne_cond_clear(&inodes->moved);
	inode_free(inodes->root);
	g_free(inodes);
}

MneInode *mne_inodes_root(MneInodes *inodes)
{
	return inodes->root;
}

MneKepts *mne_inodes_kepts(MneInodes *inodes)
{
	return inodes->kepts;
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
	return inode == inodes->root ? ROOT_NUMBER : (uintptr_t)inode;
}

MneInode *mne_inode_of_number(MneInodes *inodes, uint64_t number)
{
	if (number == ROOT_NUMBER)
		return inodes->root;
	return (MneInode *)(uintptr_t)number; /* NOLINT: it came from an address */
}

MneInode *mne_inodes_look_up(MneInodes *inodes, const MneIdentity *identity,
			     uint64_t dir, MneSlice name)
{
	Seen seen;
	MneInode model = model_of(identity, &seen);
	Shard *shard = shard_of(inodes, &model);
	MneInode *inode;

	g_assert(name.len <= MNE_NAME_MAX);
	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	if (!inode) {
		inode = inode_new(&model, name);
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
	if (inode->seen->ckpt)
		g_hash_table_remove(shard->cached, inode);
	return inode;
}

void mne_inodes_forget(MneInodes *inodes, MneInode *inode, uint64_t lookups)
{
	MneInode *dead;

	if (inode == inodes->root)
		return;
	dead = give_up(shard_of(inodes, inode), inode, lookups);
	if (!dead)
		return;
	if (dead->object == MNE_OBJECT_LIVE && !dead->seen->tx) {
		mne_kepts_forget_in(inodes->kepts, dead->dir);
		if (dead->is_dir)
			mne_kepts_forget(inodes->kepts, dead->rec);
	}
	inode_free(dead);
}

MneIdentity mne_inode_identity(const MneInode *inode)
{
	return (MneIdentity){
		.object = inode->object,
		.is_dir = inode->is_dir,
		.table = inode->table,
		.rec = inode->rec,
		.ckpt = inode->seen->ckpt,
		.via = inode->seen->via,
		.frag = inode->frag,
		.tx = inode->seen->tx,
	};
}

static void copy_place(MneInodes *inodes, MneInode *inode, MneFinding *finding)
{
	MNE_WITH_LOCK(&shard_of(inodes, inode)->lock);

	finding->place.dir = inode->dir;
	if (inode->name_len > 0)
		memcpy(finding->name, name_of(inode), inode->name_len);
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

static MneInode live_model(MneNsTx *tx, uint64_t rec, Seen *to_see)
{
	const MneIdentity identity = { .object = MNE_OBJECT_LIVE,
				       .tx = tx,
				       .rec = rec };

	return model_of(&identity, to_see);
}

void mne_inodes_moved(MneInodes *inodes, MneNsTx *tx, uint64_t rec, uint64_t dir,
		      MneSlice name)
{
	Seen seen;
	MneInode model = live_model(tx, rec, &seen);
	Shard *shard = shard_of(inodes, &model);
	MneInode *inode;

	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	if (inode)
		set_place(inode, dir, name);
}

GBytes *mne_inodes_name_of(MneInodes *inodes, uint64_t rec)
{
	Seen seen;
	MneInode model = live_model(NULL, rec, &seen);
	Shard *shard = shard_of(inodes, &model);
	const MneInode *inode;

	MNE_WITH_LOCK(&shard->lock);
	inode = g_hash_table_lookup(shard->set, &model);
	return inode ? mne_slice_to_bytes(name_slice(inode)) : NULL;
}

uint64_t mne_inodes_number_of(MneInodes *inodes, MneNsTx *tx, uint64_t rec)
{
	Seen seen;
	MneInode model = live_model(tx, rec, &seen);
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
			g_ptr_array_add(names, mne_slice_to_bytes(name_slice(inode)));
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
	if (inode->seen->ckpt)
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

		if (mne_ckpt_is_active(inode->seen->ckpt))
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
