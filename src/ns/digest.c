/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/digest.c - the SHA-256 of a file in a checkpoint
 *
 * GLib computes it: one dependency less, at the speed of a disk.  The digests are kept by
 * version id, in two generations: when the younger is full it becomes the older, and that
 * is forgotten; what is asked for again becomes young.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/digest.h"

#include "util/lock.h"

#include <string.h>

#define CHUNK      (1u << 20)
#define GENERATION 200000u

typedef struct {
	uint64_t version; /* the key: g_int64_hash() */
	uint8_t digest[MNE_DIGEST_BYTES];
} Known;

struct MneDigests {
	MneLock lock;
	GHashTable *young, *old; /* of Known, owned */
};

static GHashTable *new_generation(void)
{
	return g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

MneDigests *mne_digests_new(void)
{
	MneDigests *digests = g_new0(MneDigests, 1);

	mne_lock_init(&digests->lock, MNE_RANK_QUEUE);
	digests->young = new_generation();
	digests->old = new_generation();
	return digests;
}

void mne_digests_free(MneDigests *digests)
{
	g_hash_table_unref(digests->young);
	g_hash_table_unref(digests->old);
	mne_lock_clear(&digests->lock);
	g_free(digests);
}

/* Caller holds the lock. */
static void keep(MneDigests *digests, Known *take_known)
{
	if (g_hash_table_size(digests->young) >= GENERATION) {
		g_hash_table_unref(digests->old);
		digests->old = digests->young;
		digests->young = new_generation();
	}
	g_hash_table_replace(digests->young, take_known, take_known);
}

static bool find(MneDigests *digests, uint64_t version, uint8_t *out_digest)
{
	int64_t key = (int64_t)version;
	Known *known;

	MNE_WITH_LOCK(&digests->lock);
	known = g_hash_table_lookup(digests->young, &key);
	if (!known) {
		known = g_hash_table_lookup(digests->old, &key);
		if (!known)
			return false;
		g_hash_table_steal(digests->old, &key);
		keep(digests, known);
	}
	memcpy(out_digest, known->digest, MNE_DIGEST_BYTES);
	return true;
}

static void remember(MneDigests *digests, uint64_t version, const uint8_t *digest)
{
	Known *known = g_new(Known, 1);

	known->version = version;
	memcpy(known->digest, digest, MNE_DIGEST_BYTES);
	MNE_WITH_LOCK(&digests->lock);
	keep(digests, known);
}

/* sum: NULL when only reading matters. */
static int read_all(MneCkpt *ckpt, uint32_t table, const MneNode *node,
		    const _Atomic bool *over, GChecksum *sum)
{
	g_autofree uint8_t *buffer = g_malloc(MIN(MAX(node->size, 1), CHUNK));
	uint64_t at = 0;

	while (at < node->size) {
		ssize_t got;

		if (over && atomic_load(over))
			return -EINTR;
		got = mne_view_read(&ckpt->view, table, node, at, buffer,
				    MIN(node->size - at, CHUNK));
		if (got < 0)
			return (int)got;
		if (got == 0)
			return mne_throw(VALUE_CORRUPT,
					 "a file is shorter than its size");
		if (sum)
			g_checksum_update(sum, buffer, got);
		at += (uint64_t)got;
	}
	return 0;
}

int mne_digest_read(MneCkpt *ckpt, uint32_t table, const MneNode *node,
		    const _Atomic bool *over)
{
	return read_all(ckpt, table, node, over, NULL);
}

int mne_digest_of(MneDigests *digests, MneCkpt *ckpt, uint32_t table,
		  const MneNode *node, const _Atomic bool *over,
		  uint8_t out_digest[MNE_DIGEST_BYTES])
{
	g_autoptr(GChecksum) sum = NULL;
	gsize len = MNE_DIGEST_BYTES;

	if (find(digests, node->version, out_digest))
		return 0;
	sum = g_checksum_new(G_CHECKSUM_SHA256);
	MNE_TRY(read_all(ckpt, table, node, over, sum));
	g_checksum_get_digest(sum, out_digest, &len);
	remember(digests, node->version, out_digest);
	return 0;
}
