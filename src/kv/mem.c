/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/mem.c - a sorted map in memory
 *
 * A persistent treap: nodes are never changed once they can be seen, a change
 * copies the path from the root and shares the rest.  So an iterator is a
 * reference to a root, taken in O(1), and a batch is applied by replacing the root.
 *
 * Invariants
 * 1. Keys sort from left to right.
 * 2. No node's priority is above its parent's.  A priority is a hash of the key,
 *    so equal keys have equal priorities and the shape depends on the keys alone.
 * 3. kv->root is only read and replaced with kv->lock held.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/engines.h"
#include "util/lock.h"
#include "util/ref.h"

typedef struct {
	MneRef refs;
	uint32_t priority;
	size_t key_len;
	size_t value_len;
	uint8_t bytes[]; /* key, then value */
} Entry;

typedef struct Node Node;
struct Node {
	MneRef refs;
	Entry *entry;
	Node *left;
	Node *right;
};

typedef struct {
	MneKv base;
	MneLock lock;
	Node *root;
} MemKv;

typedef struct {
	MneKvIter base;
	Node *root; /* owned */
	const Node *at; /* in root; NULL: not at an entry */
} MemIter;

/* ---- entries and nodes ---- */

/* FNV-1a, and a last round, for its high bits follow the last byte too little. */
static uint32_t priority_of(MneSlice key)
{
	uint32_t hash = 2166136261u;

	for (size_t i = 0; i < key.len; i++)
		hash = (hash ^ key.data[i]) * 16777619u;
	hash = (hash ^ (hash >> 16)) * 0x7feb352du;
	return hash ^ (hash >> 15);
}

static Entry *entry_new(MneSlice key, MneSlice value)
{
	Entry *entry = g_malloc(sizeof(*entry) + key.len + value.len);

	mne_ref_init(&entry->refs);
	entry->priority = priority_of(key);
	entry->key_len = key.len;
	entry->value_len = value.len;
	if (key.len > 0)
		memcpy(entry->bytes, key.data, key.len);
	if (value.len > 0)
		memcpy(entry->bytes + key.len, value.data, value.len);
	return entry;
}

static MneSlice key_of(const Node *node)
{
	return mne_slice(node->entry->bytes, node->entry->key_len);
}

static MneSlice value_of(const Node *node)
{
	const Entry *entry = node->entry;

	return mne_slice(entry->bytes + entry->key_len, entry->value_len);
}

static Entry *entry_ref(Entry *entry)
{
	mne_ref_get(&entry->refs);
	return entry;
}

static Node *node_ref(Node *node)
{
	if (node)
		mne_ref_get(&node->refs);
	return node;
}

/* As deep as the tree: some tens of calls. */
static void node_unref(Node *node)
{
	if (!node || !mne_ref_put(&node->refs))
		return;

	node_unref(node->left);
	node_unref(node->right);
	if (mne_ref_put(&node->entry->refs))
		g_free(node->entry);
	g_free(node);
}

static Node *node_new(Entry *take_entry, Node *take_left, Node *take_right)
{
	Node *node = g_new(Node, 1);

	mne_ref_init(&node->refs);
	node->entry = take_entry;
	node->left = take_left;
	node->right = take_right;
	return node;
}

/* ---- trees: arguments are borrowed, results are new references ---- */

/* The part below key and the part above it; key itself is not in node. */
static void split(Node *node, MneSlice key, Node **out_below, Node **out_above)
{
	Node *inner;

	if (!node) {
		*out_below = NULL;
		*out_above = NULL;
	} else if (mne_slice_compare(key_of(node), key) < 0) {
		split(node->right, key, &inner, out_above);
		*out_below = node_new(entry_ref(node->entry), node_ref(node->left),
				      inner);
	} else {
		split(node->left, key, out_below, &inner);
		*out_above = node_new(entry_ref(node->entry), inner,
				      node_ref(node->right));
	}
}

/* Every key of below sorts before every key of above. */
static Node *join(Node *below, Node *above)
{
	if (!below || !above)
		return node_ref(below ? below : above);

	if (below->entry->priority >= above->entry->priority)
		return node_new(entry_ref(below->entry), node_ref(below->left),
				join(below->right, above));

	return node_new(entry_ref(above->entry), join(below, above->left),
			node_ref(above->right));
}

static Node *insert(Node *node, Entry *take_entry)
{
	MneSlice key = mne_slice(take_entry->bytes, take_entry->key_len);
	Node *left, *right;
	int order;

	if (!node)
		return node_new(take_entry, NULL, NULL);

	if (take_entry->priority > node->entry->priority) {
		split(node, key, &left, &right);
		return node_new(take_entry, left, right);
	}
	order = mne_slice_compare(key, key_of(node));
	if (order == 0)
		return node_new(take_entry, node_ref(node->left),
				node_ref(node->right));
	if (order < 0)
		return node_new(entry_ref(node->entry), insert(node->left, take_entry),
				node_ref(node->right));

	return node_new(entry_ref(node->entry), node_ref(node->left),
			insert(node->right, take_entry));
}

static Node *without(Node *node, MneSlice key)
{
	int order;

	if (!node)
		return NULL;

	order = mne_slice_compare(key, key_of(node));
	if (order == 0)
		return join(node->left, node->right);
	if (order < 0)
		return node_new(entry_ref(node->entry), without(node->left, key),
				node_ref(node->right));

	return node_new(entry_ref(node->entry), node_ref(node->left),
			without(node->right, key));
}

/* The first node >= key, or > key when strictly. */
static const Node *first_from(const Node *node, MneSlice key, bool strictly)
{
	const Node *found = NULL;

	while (node) {
		int order = mne_slice_compare(key_of(node), key);

		if (order > 0 || (order == 0 && !strictly)) {
			found = node;
			node = node->left;
		} else {
			node = node->right;
		}
	}
	return found;
}

static const Node *last_before(const Node *node, MneSlice key)
{
	const Node *found = NULL;

	while (node) {
		if (mne_slice_compare(key_of(node), key) < 0) {
			found = node;
			node = node->right;
		} else {
			node = node->left;
		}
	}
	return found;
}

/* ---- the engine ---- */

static Node *root_of(MneKv *base)
{
	MemKv *kv = (MemKv *)base;

	MNE_WITH_LOCK(&kv->lock);
	return node_ref(kv->root);
}

static int mem_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	Node *root = root_of(kv);
	const Node *node = first_from(root, key, false);
	bool found = node && mne_slice_equal(key_of(node), key);

	if (found)
		*out_value = mne_slice_to_bytes(value_of(node));
	node_unref(root);
	return found ? 0 : -ENOENT;
}

static void change_root(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	Node **root = user;
	Node *was = *root;

	*root = is_delete ? without(was, key) : insert(was, entry_new(key, value));
	node_unref(was);
}

static int mem_apply(MneKv *base, MneKvBatch *batch)
{
	MemKv *kv = (MemKv *)base;

	MNE_WITH_LOCK(&kv->lock);
	mne_kv_batch_foreach(batch, change_root, &kv->root);
	return 0;
}

static int mem_barrier(MneKv *kv G_GNUC_UNUSED)
{
	return 0;
}

static uint64_t mem_size(MneKv *kv, MneSlice first, MneSlice last)
{
	Node *root = root_of(kv);
	const Node *node = first_from(root, first, false);
	uint64_t size = 0;

	while (node && mne_slice_compare(key_of(node), last) < 0) {
		size += node->entry->key_len + node->entry->value_len;
		node = first_from(root, key_of(node), true);
	}
	node_unref(root);
	return size;
}

static char *mem_stats(MneKv *kv G_GNUC_UNUSED)
{
	return NULL;
}

static void mem_close(MneKv *base)
{
	MemKv *kv = (MemKv *)base;

	node_unref(kv->root);
	mne_lock_clear(&kv->lock);
	g_free(kv);
}

/* ---- iterators ---- */

static void mem_iter_seek(MneKvIter *base, MneSlice key)
{
	MemIter *iter = (MemIter *)base;

	iter->at = first_from(iter->root, key, false);
}

static void mem_iter_next(MneKvIter *base)
{
	MemIter *iter = (MemIter *)base;

	g_assert(iter->at);
	iter->at = first_from(iter->root, key_of(iter->at), true);
}

static void mem_iter_seek_before(MneKvIter *base, MneSlice key)
{
	MemIter *iter = (MemIter *)base;

	iter->at = last_before(iter->root, key);
}

static bool mem_iter_valid(const MneKvIter *iter)
{
	return ((const MemIter *)iter)->at;
}

static MneSlice mem_iter_key(const MneKvIter *iter)
{
	return key_of(((const MemIter *)iter)->at);
}

static MneSlice mem_iter_value(const MneKvIter *iter)
{
	return value_of(((const MemIter *)iter)->at);
}

static int mem_iter_status(const MneKvIter *iter G_GNUC_UNUSED)
{
	return 0;
}

static void mem_iter_free(MneKvIter *base)
{
	MemIter *iter = (MemIter *)base;

	node_unref(iter->root);
	g_free(iter);
}

static const MneKvIterOps mem_iter_ops = {
	.seek = mem_iter_seek,
	.next = mem_iter_next,
	.seek_before = mem_iter_seek_before,
	.valid = mem_iter_valid,
	.key = mem_iter_key,
	.value = mem_iter_value,
	.status = mem_iter_status,
	.free = mem_iter_free,
};

static int mem_iter(MneKv *kv, MneKvIter **out_iter)
{
	MemIter *iter = g_new0(MemIter, 1);

	iter->base.ops = &mem_iter_ops;
	iter->root = root_of(kv);
	*out_iter = &iter->base;
	return 0;
}

static int mem_snapshot(MneKv *kv, MneKv **out_snapshot);

static const MneKvOps mem_ops = {
	.name = "mem",
	.get = mem_get,
	.iter = mem_iter,
	.snapshot = mem_snapshot,
	.apply = mem_apply,
	.barrier = mem_barrier,
	.size = mem_size,
	.stats = mem_stats,
	.close = mem_close,
};

MneKv *mne_kv_mem_new(void)
{
	MemKv *kv = g_new0(MemKv, 1);

	kv->base.ops = &mem_ops;
	mne_lock_init(&kv->lock, MNE_RANK_ENGINE);
	return &kv->base;
}

/* Another map with the same root: what is applied to one, the other does not see. */
static int mem_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	MemKv *copy = (MemKv *)mne_kv_mem_new();

	copy->root = root_of(kv);
	*out_snapshot = &copy->base;
	return 0;
}
