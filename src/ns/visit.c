/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/visit.c - who has looked up which checkpoint by its name
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/visit.h"

#include "util/lock.h"

#include <string.h>

#define REMEMBERED 4096u
#define TELL_US    G_USEC_PER_SEC

typedef struct {
	GList link; /* in visits->order */
	pid_t pid;
	uint64_t dir;
	char *name; /* checkpoints' names have no NUL */
	MneCkpt *ckpt; /* reference */
	int64_t told; /* monotonic; 0: nothing was told yet */
} Visit;

struct MneVisits {
	MneLock lock;
	GHashTable *all; /* of Visit, owned */
	GQueue order; /* oldest first */
};

static guint visit_hash(gconstpointer data)
{
	const Visit *visit = data;

	return g_str_hash(visit->name) ^ (guint)visit->pid * 2654435761u ^
	       (guint)visit->dir;
}

static gboolean visit_equal(gconstpointer first, gconstpointer second)
{
	const Visit *a = first, *b = second;

	return a->pid == b->pid && a->dir == b->dir && strcmp(a->name, b->name) == 0;
}

static void visit_free(void *data)
{
	Visit *visit = data;

	g_clear_pointer(&visit->ckpt, mne_ckpt_unref);
	g_free(visit->name);
	g_free(visit);
}

MneVisits *mne_visits_new(void)
{
	MneVisits *visits = g_new0(MneVisits, 1);

	mne_lock_init(&visits->lock, MNE_RANK_QUEUE);
	visits->all = g_hash_table_new_full(visit_hash, visit_equal, visit_free, NULL);
	g_queue_init(&visits->order);
	return visits;
}

void mne_visits_free(MneVisits *visits)
{
	g_hash_table_unref(visits->all);
	mne_lock_clear(&visits->lock);
	g_free(visits);
}

/* Caller holds the lock. */
static void remove_visit(MneVisits *visits, Visit *visit)
{
	g_queue_unlink(&visits->order, &visit->link);
	g_hash_table_remove(visits->all, visit);
}

/* Caller holds the lock. */
static void add(MneVisits *visits, const Visit *model, MneCkpt *ckpt)
{
	Visit *visit = g_memdup2(model, sizeof(*model));

	visit->link = (GList){ .data = visit };
	visit->name = g_strdup(model->name);
	visit->ckpt = mne_ckpt_ref(ckpt);
	g_hash_table_add(visits->all, visit);
	g_queue_push_tail_link(&visits->order, &visit->link);
	if (visits->order.length > REMEMBERED)
		remove_visit(visits, visits->order.head->data);
}

/* Caller holds the lock.  Does it find another, or nothing, where one was that is gone? */
static bool is_to_be_told(Visit *visit, const MneCkpt *ckpt)
{
	int64_t now = g_get_monotonic_time();

	if (!visit || visit->ckpt == ckpt || mne_ckpt_is_active(visit->ckpt))
		return false;
	if (visit->told == 0)
		visit->told = now;
	return now - visit->told < TELL_US;
}

static bool note(MneVisits *visits, const Visit *model, MneCkpt *ckpt)
{
	MNE_WITH_LOCK(&visits->lock);
	Visit *visit = g_hash_table_lookup(visits->all, model);

	if (is_to_be_told(visit, ckpt))
		return true;
	if (visit && visit->ckpt == ckpt)
		return false;
	if (visit)
		remove_visit(visits, visit);
	if (ckpt)
		add(visits, model, ckpt);
	return false;
}

int mne_visit(MneVisits *visits, const MneIdentity *dir, MneSlice name, pid_t pid,
	      MneCkpt *ckpt)
{
	g_autofree char *text = g_strndup((const char *)name.data, name.len);
	const Visit model = { .pid = pid, .dir = dir->rec, .name = text };

	if (pid == 0 || !note(visits, &model, ckpt))
		return 0;
	return mne_throw(CKPT_GONE, "checkpoint %s was dropped while it was read",
			 text);
}

void mne_visits_forget(MneVisits *visits, pid_t pid, const MneCkpt *ckpt)
{
	GHashTableIter iter;
	gpointer each;

	MNE_WITH_LOCK(&visits->lock);
	g_hash_table_iter_init(&iter, visits->all);
	while (g_hash_table_iter_next(&iter, &each, NULL)) {
		Visit *visit = each;

		if (visit->pid != pid || visit->ckpt != ckpt)
			continue;
		g_queue_unlink(&visits->order, &visit->link);
		g_hash_table_iter_remove(&iter);
	}
}
