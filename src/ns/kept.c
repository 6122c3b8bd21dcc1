/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/kept.c - the listings that the kernel keeps
 *
 * One lock for all: it is held for a few instructions at a time.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/kept.h"

#include "util/lock.h"

#define MEMORY_MOST (16u << 20) /* of listings that nobody has open */
#define FORGOTTEN   16u /* one in so many names may be forgotten */

struct MneKept {
	uint64_t dir; /* first: the key */
	uint32_t table;
	unsigned users; /* that have it open */
	unsigned readers; /* of those, the ones that were answered */
	bool busy; /* one is being answered */
	bool gone; /* goes when the last user does */
	/* What the kernel has is all of it as it was then; or unknown. */
	MneKeptState whole;
	MneKeptState oldest; /* the first state of which something may be in the copy */
	bool is_mixed; /* and something of another may be, too */
	uint64_t clock; /* answers, and their beginnings */
	uint64_t crowded_at; /* when two readers were there last */
	uint64_t names; /* in what it has */
	uint64_t forgotten; /* of these, by the kernel */
	MneShown shown;
	GList link; /* in unused */
};

struct MneKepts {
	MneLock lock;
	MneCond idle;
	GHashTable *by_dir;
	GQueue unused; /* those without users, the latest first */
	size_t memory; /* of these */
};

static bool is_same(MneKeptState a, MneKeptState b)
{
	return a.seq != 0 && a.seq == b.seq && a.named == b.named;
}

static void kept_free(void *data)
{
	MneKept *kept = data;

	mne_shown_free(&kept->shown);
	g_free(kept);
}

MneKepts *mne_kepts_new(void)
{
	MneKepts *kepts = g_new0(MneKepts, 1);

	mne_lock_init(&kepts->lock, MNE_RANK_HANDLE);
	mne_cond_init(&kepts->idle);
	kepts->by_dir = g_hash_table_new_full(g_int64_hash, g_int64_equal, NULL,
					      kept_free);
	g_queue_init(&kepts->unused);
	return kepts;
}

void mne_kepts_free(MneKepts *kepts)
{
	g_hash_table_unref(kepts->by_dir);
	mne_lock_clear(&kepts->lock);
	mne_cond_clear(&kepts->idle);
	g_free(kepts);
}

static size_t memory_of(const MneKept *kept)
{
	return sizeof(*kept) + 128 + mne_shown_size(&kept->shown);
}

/* Caller holds the lock, in what follows. */
static void drop(MneKepts *kepts, MneKept *kept)
{
	if (kept->users > 0) {
		kept->gone = true;
		return;
	}
	g_queue_unlink(&kepts->unused, &kept->link);
	kepts->memory -= memory_of(kept);
	g_hash_table_remove(kepts->by_dir, &kept->dir);
}

static void put_aside(MneKepts *kepts, MneKept *kept)
{
	g_queue_push_head_link(&kepts->unused, &kept->link);
	kepts->memory += memory_of(kept);
	if (kept->gone || mne_shown_is_full(&kept->shown))
		drop(kepts, kept);
	while (kepts->memory > MEMORY_MOST)
		drop(kepts, g_queue_peek_tail(&kepts->unused));
}

static MneKept *take(MneKepts *kepts, uint32_t table, uint64_t dir)
{
	MneKept *kept = g_hash_table_lookup(kepts->by_dir, &dir);

	if (!kept) {
		kept = g_new0(MneKept, 1);
		kept->dir = dir;
		kept->table = table;
		kept->link.data = kept;
		mne_shown_init(&kept->shown);
		g_hash_table_insert(kepts->by_dir, &kept->dir, kept);
	} else if (kept->users == 0) {
		g_queue_unlink(&kepts->unused, &kept->link);
		kepts->memory -= memory_of(kept);
	}
	kept->users++;
	return kept;
}

/* To look up one by one what it forgot would take it longer than to list all. */
static bool is_remembered(const MneKept *kept)
{
	return kept->forgotten <= 1 + kept->names / FORGOTTEN;
}

bool mne_kept_open(MneKepts *kepts, uint32_t table, uint64_t dir, MneKeptState now,
		   MneKeptUse *out_use)
{
	MNE_WITH_LOCK(&kepts->lock);
	MneKept *kept = g_hash_table_lookup(kepts->by_dir, &dir);

	bool is_good = kept && is_same(kept->whole, now) && is_remembered(kept);

	*out_use = (MneKeptUse){ .kepts = kepts };
	if (kept && (kept->gone || mne_shown_is_full(&kept->shown)))
		return true;
	/* One at a time fills it: what another has read may still be on its way to it. */
	if (kept && !is_good && kept->readers > 0)
		return true;
	kept = out_use->kept = take(kepts, table, dir);
	out_use->opened_at = kept->clock;
	out_use->is_fresh = !is_good;
	if (!is_good)
		kept->whole.seq = 0;
	return is_good;
}

void mne_kept_close(MneKeptUse *use)
{
	MneKept *kept = use->kept;

	if (!kept)
		return;
	MNE_WITH_LOCK(&use->kepts->lock);
	kept->readers -= use->is_reader;
	if (--kept->users == 0)
		put_aside(use->kepts, kept);
	use->kept = NULL;
}

/* What was answered before it opened the kernel has dropped, and all who could still bring
 * something of it are gone. */
static bool begins_anew(const MneKept *kept, const MneKeptUse *use)
{
	return use->is_fresh && !use->is_reader && kept->readers == 0 &&
	       use->opened_at == kept->clock;
}

static void add_state(MneKept *kept, const MneKeptUse *use, MneKeptState before)
{
	if (begins_anew(kept, use)) {
		kept->oldest.seq = 0;
		kept->is_mixed = false;
	}
	if (kept->oldest.seq == 0 && !kept->is_mixed)
		kept->oldest = before;
	kept->is_mixed |= !is_same(kept->oldest, before);
}

bool mne_kept_wants_state(const MneKeptUse *use, bool at_start)
{
	return at_start || !use->is_begun;
}

MneShown *mne_kept_begin(MneKeptUse *use, bool at_start, const MneKeptState *before)
{
	MneKept *kept = use->kept;

	MNE_WITH_LOCK(&use->kepts->lock);
	while (kept->busy)
		mne_cond_wait(&use->kepts->idle, &use->kepts->lock);
	kept->busy = true;

	if (before)
		add_state(kept, use, *before);
	kept->readers += !use->is_reader;
	use->is_reader = true;
	kept->clock++;
	if (at_start) {
		use->is_begun = true;
		use->is_plain = false;
		use->handed_out = 0;
		use->begun_at = kept->clock;
		if (mne_shown_rewind(&kept->shown) && kept->users == 1)
			mne_shown_clear(&kept->shown);
	}
	if (kept->readers > 1)
		kept->crowded_at = kept->clock;
	return &kept->shown;
}

void mne_kept_hand_out(MneKeptUse *use, bool is_plain)
{
	use->is_plain |= is_plain;
	use->handed_out++;
}

/* It alone was answered since it began: what the kernel has by now has arrived there, and
 * cannot grow any more. */
static bool is_alone(const MneKept *kept, const MneKeptUse *use)
{
	return use->is_begun && use->handed_out > 0 && kept->readers == 1 &&
	       kept->crowded_at < use->begun_at;
}

MneKeptEnd mne_kept_end(MneKeptUse *use, MneKeptState now)
{
	MneKept *kept = use->kept;
	bool alone;

	MNE_WITH_LOCK(&use->kepts->lock);
	alone = is_alone(kept, use);
	use->is_begun = false;
	if (!alone)
		return MNE_KEPT_OPEN;
	if (!kept->is_mixed && is_same(kept->oldest, now) && !use->is_plain) {
		kept->whole = now;
		kept->names = use->handed_out;
		kept->forgotten = 0;
		return MNE_KEPT_WHOLE;
	}
	kept->whole.seq = 0;
	kept->oldest.seq = 0;
	kept->is_mixed = false;
	return MNE_KEPT_DROP;
}

void mne_kept_finish(MneKeptUse *use)
{
	MNE_WITH_LOCK(&use->kepts->lock);
	use->kept->busy = false;
	mne_cond_broadcast(&use->kepts->idle);
}

void mne_kepts_forget(MneKepts *kepts, uint64_t dir)
{
	MNE_WITH_LOCK(&kepts->lock);
	MneKept *kept = g_hash_table_lookup(kepts->by_dir, &dir);

	if (kept)
		drop(kepts, kept);
}

void mne_kepts_forget_in(MneKepts *kepts, uint64_t dir)
{
	MNE_WITH_LOCK(&kepts->lock);
	MneKept *kept = g_hash_table_lookup(kepts->by_dir, &dir);

	if (kept)
		kept->forgotten++;
}

GArray *mne_kepts_of(MneKepts *kepts, uint32_t table)
{
	GArray *dirs = g_array_new(FALSE, FALSE, sizeof(uint64_t));
	GHashTableIter iter;
	gpointer each;

	MNE_WITH_LOCK(&kepts->lock);
	g_hash_table_iter_init(&iter, kepts->by_dir);
	while (g_hash_table_iter_next(&iter, NULL, &each))
		if (((MneKept *)each)->table == table)
			g_array_append_val(dirs, ((MneKept *)each)->dir);
	return dirs;
}
