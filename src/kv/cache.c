/* SPDX-License-Identifier: Apache-2.0
 *
 * kv/cache.c - a decorator that keeps some values at hand
 *
 * For keys that are read and written again and again, as are the inodes of directories.
 * Which they are, who makes it says.  Iterators pass by it: what was applied they see.
 *
 * Of the other keys it knows some that were asked for and are absent: who makes a name
 * asks for it first, and so does the kernel before.
 *
 * Invariants
 * 1. A value that is kept is what the next engine has, unless an apply is under way that
 *    changes it: an apply first drops what it will change, and keeps the new values only
 *    when it was done, and no other apply ran beside it.
 * 2. A get keeps what it found only if no apply began or ended meanwhile.
 * 3. The same holds for what is absent.  A tag that does not match says nothing; one that
 *    does is looked at under the lock.
 */
#define G_LOG_DOMAIN "mne-kv"

#include "config.h"

#include "kv/engines.h"
#include "util/lock.h"

enum { MAX_VALUES = 512, MAX_VALUE_SIZE = 1024, ABSENT = 64, ABSENT_KEY_MAX = 120 };

/* A key that is not there; one place for each hash. */
typedef struct {
	_Atomic guint tag; /* the key's hash; 0: nothing */
	uint8_t len;
	uint8_t bytes[ABSENT_KEY_MAX];
} Absent;

typedef struct {
	MneSlice key; /* first: what a lookup gives is one of these */
	GBytes *value; /* owned; NULL: it is being changed, or nothing is known */
	uint8_t bytes[]; /* of the key */
} Kept;

typedef struct {
	MneKv base;
	MneKv *next; /* owned */
	MneKvKeeps keeps;
	MneLock lock;
	GHashTable *kept; /* a set, by key */
	Absent absent[ABSENT];
	_Atomic uint64_t changes; /* applies that began or ended */
	unsigned applying;
} CacheKv;

/* Eight bytes at a time: keys are short, and hashed several times for each request. */
static guint hash_key(gconstpointer data)
{
	const uint64_t factor = G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
	const MneSlice *key = data;
	uint64_t hash = key->len, word;
	size_t at = 0;

	for (; at + sizeof(word) <= key->len; at += sizeof(word)) {
		memcpy(&word, key->data + at, sizeof(word));
		hash = (hash ^ word) * factor;
		hash ^= hash >> 29;
	}
	word = 0;
	for (unsigned shift = 0; at < key->len; at++, shift += 8)
		word |= (uint64_t)key->data[at] << shift;
	hash = (hash ^ word) * factor;
	return (guint)(hash >> 32);
}

static gboolean equal_keys(gconstpointer a, gconstpointer b)
{
	return mne_slice_equal(*(const MneSlice *)a, *(const MneSlice *)b);
}

static void kept_free(void *data)
{
	Kept *kept = data;

	g_clear_pointer(&kept->value, g_bytes_unref);
	g_free(kept);
}

static GBytes *find(CacheKv *cache, MneSlice key, uint64_t *out_changes)
{
	MNE_WITH_LOCK(&cache->lock);
	const Kept *kept = g_hash_table_lookup(cache->kept, &key);

	*out_changes = cache->changes;
	return kept && kept->value ? g_bytes_ref(kept->value) : NULL;
}

/* Caller holds the lock. */
static Kept *entry_for(CacheKv *cache, MneSlice key)
{
	Kept *kept = g_hash_table_lookup(cache->kept, &key);

	if (kept)
		return kept;
	if (g_hash_table_size(cache->kept) >= MAX_VALUES)
		g_hash_table_remove_all(cache->kept);
	kept = g_malloc(sizeof(*kept) + key.len);
	memcpy(kept->bytes, key.data, key.len);
	kept->key = mne_slice(kept->bytes, key.len);
	kept->value = NULL;
	g_hash_table_add(cache->kept, kept);
	return kept;
}

/* Caller holds the lock. */
static void keep(CacheKv *cache, MneSlice key, GBytes *value)
{
	Kept *kept;

	if (g_bytes_get_size(value) > MAX_VALUE_SIZE)
		return;
	kept = entry_for(cache, key);
	g_clear_pointer(&kept->value, g_bytes_unref);
	kept->value = g_bytes_ref(value);
}

static void keep_found(CacheKv *cache, MneSlice key, GBytes *value, uint64_t changes)
{
	MNE_WITH_LOCK(&cache->lock);
	if (cache->changes == changes && cache->applying == 0)
		keep(cache, key, value);
}

/* ---- what is absent ---- */

static guint tag_of(MneSlice key)
{
	return hash_key(&key) | 1;
}

static Absent *place_of(CacheKv *cache, guint tag)
{
	return &cache->absent[(tag >> 1) % ABSENT];
}

static bool is_at(const Absent *absent, guint tag, MneSlice key)
{
	return absent->tag == tag &&
	       mne_slice_equal(mne_slice(absent->bytes, absent->len), key);
}

static bool is_absent(CacheKv *cache, guint tag, MneSlice key)
{
	Absent *absent = place_of(cache, tag);

	if (absent->tag != tag)
		return false;
	MNE_WITH_LOCK(&cache->lock);
	return is_at(absent, tag, key);
}

static void remember_absent(CacheKv *cache, guint tag, MneSlice key, uint64_t changes)
{
	Absent *absent = place_of(cache, tag);

	if (key.len > ABSENT_KEY_MAX)
		return;
	MNE_WITH_LOCK(&cache->lock);
	if (cache->changes != changes || cache->applying > 0)
		return;
	absent->tag = tag;
	absent->len = (uint8_t)key.len;
	memcpy(absent->bytes, key.data, key.len);
}

/* It is about to come.  Caller holds the lock. */
static void forget_absent(CacheKv *cache, MneSlice key)
{
	guint tag = tag_of(key);
	Absent *absent = place_of(cache, tag);

	if (is_at(absent, tag, key))
		absent->tag = 0;
}

static int get_other(CacheKv *cache, MneSlice key, GBytes **out_value)
{
	guint tag = tag_of(key);
	uint64_t changes = cache->changes;
	int err;

	if (is_absent(cache, tag, key))
		return -ENOENT;
	err = mne_kv_get(cache->next, key, out_value);
	if (err == -ENOENT)
		remember_absent(cache, tag, key, changes);
	return err;
}

/* ---- getting and applying ---- */

static int cache_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	CacheKv *cache = (CacheKv *)kv;
	uint64_t changes;

	if (!cache->keeps(key))
		return get_other(cache, key, out_value);

	GBytes *value = find(cache, key, &changes);

	if (!value) {
		MNE_TRY(mne_kv_get(cache->next, key, &value));
		keep_found(cache, key, value, changes);
	}
	*out_value = value;
	return 0;
}

static int cache_iter(MneKv *kv, MneKvIter **out_iter)
{
	return mne_kv_iter(((CacheKv *)kv)->next, out_iter);
}

static int cache_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	return mne_kv_snapshot(((CacheKv *)kv)->next, out_snapshot);
}

/* What is kept stays in its place, for the value that comes. */
static void drop_entry(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	CacheKv *cache = user;
	Kept *kept;

	(void)value;
	if (!cache->keeps(key)) {
		if (!is_delete)
			forget_absent(cache, key);
		return;
	}
	kept = g_hash_table_lookup(cache->kept, &key);
	if (kept)
		g_clear_pointer(&kept->value, g_bytes_unref);
}

static void keep_entry(void *user, MneSlice key, MneSlice value, bool is_delete)
{
	CacheKv *cache = user;
	g_autoptr(GBytes) copy = NULL;

	if (!cache->keeps(key))
		return;
	if (is_delete) { /* after it was put in the same batch */
		g_hash_table_remove(cache->kept, &key);
		return;
	}
	copy = g_bytes_new(value.data, value.len);
	keep(cache, key, copy);
}

/* Returns the number of changes after this one, or 0 when it is not alone. */
static uint64_t begin(CacheKv *cache, const MneKvBatch *batch)
{
	MNE_WITH_LOCK(&cache->lock);
	cache->changes++;
	cache->applying++;
	mne_kv_batch_foreach(batch, drop_entry, cache);
	return cache->applying == 1 ? cache->changes : 0;
}

static void end(CacheKv *cache, const MneKvBatch *batch, uint64_t begun)
{
	MNE_WITH_LOCK(&cache->lock);
	cache->applying--;
	if (cache->changes++ == begun)
		mne_kv_batch_foreach(batch, keep_entry, cache);
}

static int cache_apply(MneKv *kv, MneKvBatch *batch)
{
	CacheKv *cache = (CacheKv *)kv;
	uint64_t begun = begin(cache, batch);
	int err = mne_kv_apply(cache->next, batch);

	end(cache, batch, err < 0 ? 0 : begun);
	return err;
}

static int cache_barrier(MneKv *kv)
{
	return mne_kv_barrier(((CacheKv *)kv)->next);
}

static uint64_t cache_size(MneKv *kv, MneSlice first, MneSlice last)
{
	return mne_kv_size(((CacheKv *)kv)->next, first, last);
}

static char *cache_stats(MneKv *kv)
{
	return mne_kv_stats(((CacheKv *)kv)->next);
}

static void cache_close(MneKv *kv)
{
	CacheKv *cache = (CacheKv *)kv;

	mne_kv_close(cache->next);
	g_hash_table_unref(cache->kept);
	mne_lock_clear(&cache->lock);
	g_free(cache);
}

static const MneKvOps cache_ops = {
	.name = "cache",
	.get = cache_get,
	.iter = cache_iter,
	.snapshot = cache_snapshot,
	.apply = cache_apply,
	.barrier = cache_barrier,
	.size = cache_size,
	.stats = cache_stats,
	.close = cache_close,
};

MneKv *mne_kv_cache_new(MneKv *take_next, MneKvKeeps keeps)
{
	CacheKv *cache = g_new0(CacheKv, 1);

	cache->base.ops = &cache_ops;
	cache->next = take_next;
	cache->keeps = keeps;
	cache->kept = g_hash_table_new_full(hash_key, equal_keys, NULL, kept_free);
	mne_lock_init(&cache->lock, MNE_RANK_ENGINE);
	return &cache->base;
}
