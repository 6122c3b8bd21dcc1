/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/locktable.c - who gets a lock, who waits, who dies
 *
 * Invariants, which tests rely on:
 * 1. what two owners hold at one resource does not conflict;
 * 2. who waits, and is not parked, waits for younger ones only: those he conflicted with
 *    when he came.  Nobody is granted later what conflicts with his request, except an
 *    owner he waits for already;
 * 3. who is parked holds nothing, and nobody waits for him but those parked after him;
 * 4. every request that waits has a reason to.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/locktable.h"

#include "txn/lockheld.h"

#include <string.h>

typedef struct {
	MneLockResource *resource; /* reference */
	unsigned modes;
} Part;

struct MneLockRequest {
	GList link; /* in table->waiting */
	MneLockOwner *owner; /* borrowed; NULL: it was withdrawn */
	GArray *parts; /* of Part */
	void *user;
	bool parked, granted;
};

static const Part *part_at(const MneLockRequest *request, guint i)
{
	return &g_array_index(request->parts, Part, i);
}

/* ---- who is in whose way ---- */

static bool conflicts_with_held(const MneLockRequest *request,
				const MneLockOwner *owner)
{
	for (guint i = 0; i < request->parts->len; i++) {
		const Part *part = part_at(request, i);

		if (mne_lock_against(part->modes) &
		    mne_lock_held_at(owner, part->resource))
			return true;
	}
	return false;
}

static bool conflicts_at(const Part *part, const MneLockRequest *other)
{
	for (guint i = 0; i < other->parts->len; i++) {
		const Part *its = part_at(other, i);

		if (its->resource == part->resource &&
		    (mne_lock_against(part->modes) & its->modes))
			return true;
	}
	return false;
}

/* Where request conflicts with one that goes first; NULL: it need not wait behind it. */
static const Part *behind(const MneLockRequest *request, const MneLockRequest *first)
{
	if (conflicts_with_held(first, request->owner))
		return NULL;
	for (guint i = 0; i < request->parts->len; i++)
		if (conflicts_at(part_at(request, i), first))
			return part_at(request, i);
	return NULL;
}

typedef struct {
	const MneLockOwner *oldest; /* of those in the way; NULL: there is none */
	const Part *part; /* where */
} Blocked;

static void note(Blocked *blocked, const MneLockOwner *by, const Part *at)
{
	if (at && (!blocked->oldest || mne_lock_is_older(by, blocked->oldest)))
		*blocked = (Blocked){ by, at };
}

static void note_holders_at(const MneLockRequest *request, const Part *part,
			    Blocked *blocked)
{
	const GArray *grants = part->resource->grants;

	for (guint i = 0; i < grants->len; i++) {
		const MneLockGrant *grant = &g_array_index(grants, MneLockGrant, i);

		if (grant->owner != request->owner &&
		    (mne_lock_against(part->modes) & grant->modes))
			note(blocked, grant->owner, part);
	}
}

/* Those that wait for younger ones and came before; for who is parked, all of them. */
static void note_queued(const MneLockRequest *request, Blocked *blocked)
{
	const GList *at = request->owner->table->waiting.head;

	for (; at && (request->parked || at->data != request); at = at->next) {
		const MneLockRequest *first = at->data;

		if (first != request && !first->parked)
			note(blocked, first->owner, behind(request, first));
	}
}

/* Those that were parked before. */
static void note_parked(const MneLockRequest *request, Blocked *blocked)
{
	const GList *at = request->owner->table->waiting.head;

	for (; at && at->data != request; at = at->next) {
		const MneLockRequest *first = at->data;

		if (first->parked)
			note(blocked, first->owner, behind(request, first));
	}
}

static Blocked what_blocks(const MneLockRequest *request)
{
	Blocked blocked = { NULL, NULL };

	for (guint i = 0; i < request->parts->len; i++)
		note_holders_at(request, part_at(request, i), &blocked);
	note_queued(request, &blocked);
	if (request->parked)
		note_parked(request, &blocked);
	return blocked;
}

/* ---- requests ---- */

static void add_part(MneLockRequest *request, const char *key, unsigned modes)
{
	MneLockTable *table = request->owner->table;
	Part fresh = { NULL, modes };

	if (mne_lock_is_held(request->owner, key, modes))
		return;
	fresh.resource = mne_lock_resource_ref(table, key);
	for (guint i = 0; i < request->parts->len; i++) {
		Part *part = &g_array_index(request->parts, Part, i);

		if (part->resource != fresh.resource)
			continue;
		part->modes |= modes;
		mne_lock_resource_unref(table, fresh.resource);
		return;
	}
	g_array_append_val(request->parts, fresh);
}

/* What is held already need not be asked for. */
static void add_want(MneLockRequest *request, const MneLockWant *want)
{
	unsigned modes = want->write ? MNE_LOCK_WRITE : MNE_LOCK_READ;
	unsigned within = want->write ? MNE_LOCK_WRITE_IN : MNE_LOCK_READ_IN;
	g_autofree char *key = NULL;

	if (want->table && !want->name) {
		add_part(request, want->table, modes);
		return;
	}
	if (want->table && mne_lock_is_held(request->owner, want->table, modes))
		return;
	if (want->table)
		add_part(request, want->table, within);
	key = g_strdup_printf("%s/%s", want->table ? want->table : "", want->name);
	add_part(request, key, modes);
}

static void drop_parts(MneLockRequest *request)
{
	for (guint i = 0; i < request->parts->len; i++)
		mne_lock_resource_unref(request->owner->table,
					part_at(request, i)->resource);
	g_array_set_size(request->parts, 0);
}

static void take_all(MneLockRequest *request)
{
	for (guint i = 0; i < request->parts->len; i++)
		mne_lock_hold(request->owner, part_at(request, i)->resource,
			      part_at(request, i)->modes);
	drop_parts(request);
}

static void enqueue(MneLockRequest *request)
{
	g_queue_push_tail_link(&request->owner->table->waiting, &request->link);
	request->owner->request = request;
}

static void leave_queue(MneLockRequest *request)
{
	g_queue_unlink(&request->owner->table->waiting, &request->link);
	request->owner->request = NULL;
}

static void withdraw(MneLockRequest *request)
{
	leave_queue(request);
	drop_parts(request);
	request->owner = NULL;
}

/* Who can go, goes, in the order they came. */
static void settle_those(MneLockTable *table, bool parked)
{
	GList *next;

	for (GList *at = table->waiting.head; at; at = next) {
		MneLockRequest *request = at->data;

		next = at->next;
		if (request->parked != parked || what_blocks(request).oldest)
			continue;
		leave_queue(request);
		take_all(request);
		request->granted = true;
		g_queue_push_tail(&table->granted, request->user);
	}
}

static void settle(MneLockTable *table)
{
	settle_those(table, false);
	settle_those(table, true);
}

void *mne_lock_table_take_granted(MneLockTable *table)
{
	return g_queue_pop_head(&table->granted);
}

/* ---- asking ---- */

/* For people: instead of the table of a record that record. */
static const Part *part_to_tell(const MneLockRequest *request, const Part *part)
{
	size_t len = strlen(part->resource->key);

	if (part->modes & (MNE_LOCK_READ | MNE_LOCK_WRITE))
		return part;
	for (guint i = 0; i < request->parts->len; i++) {
		const char *key = part_at(request, i)->resource->key;

		if (strncmp(key, part->resource->key, len) == 0 && key[len] == '/')
			return part_at(request, i);
	}
	return part;
}

static void say_why(const MneLockRequest *request, const Blocked *blocked,
		    MneLockAnswer *out)
{
	const Part *part = part_to_tell(request, blocked->part);
	GString *lost = g_string_new(NULL);

	mne_lock_print(part->resource->key,
		       part->modes & (MNE_LOCK_WRITE | MNE_LOCK_WRITE_IN), lost);
	out->lost = g_string_free(lost, FALSE);
	out->culprit = g_strdup(blocked->oldest->name);
}

/* See the header.  Who holds nothing lets those go first that were parked before him. */
static MneLockVerdict judge(MneLockRequest *request, Blocked *out_blocked)
{
	bool holds_any = mne_lock_owner_holds_any(request->owner);
	Blocked parked = { NULL, NULL };

	*out_blocked = what_blocks(request);
	if (!holds_any)
		note_parked(request, &parked);
	if (!out_blocked->oldest && !parked.oldest)
		return MNE_LOCK_GRANTED;
	if (out_blocked->oldest &&
	    mne_lock_is_older(request->owner, out_blocked->oldest))
		return MNE_LOCK_WAITS;
	request->parked = !holds_any;
	return holds_any ? MNE_LOCK_DIES : MNE_LOCK_WAITS;
}

MneLockVerdict mne_lock_ask(MneLockOwner *owner, const MneLockWant *wants, unsigned n,
			    void *user, MneLockAnswer *out)
{
	MneLockRequest *request = g_new0(MneLockRequest, 1);
	MneLockVerdict verdict;
	Blocked blocked;

	g_assert(!owner->request);
	*out = (MneLockAnswer){ 0 };
	request->link.data = request;
	request->owner = owner;
	request->user = user;
	request->parts = g_array_new(FALSE, FALSE, sizeof(Part));
	for (unsigned i = 0; i < n; i++)
		add_want(request, &wants[i]);
	verdict = judge(request, &blocked);
	switch (verdict) {
	case MNE_LOCK_GRANTED: take_all(request); break;
	case MNE_LOCK_DIES:
		say_why(request, &blocked, out);
		drop_parts(request);
		break;
	case MNE_LOCK_WAITS:
		enqueue(request);
		out->request = request;
		return verdict;
	}
	request->owner = NULL;
	mne_lock_request_free(request);
	return verdict;
}

bool mne_lock_request_is_granted(const MneLockRequest *request)
{
	return request->granted;
}

bool mne_lock_request_is_parked(const MneLockRequest *request)
{
	return request->parked;
}

void mne_lock_request_free(MneLockRequest *request)
{
	MneLockTable *table = request->owner && !request->granted
				      ? request->owner->table
				      : NULL;

	if (table)
		withdraw(request);
	g_array_unref(request->parts);
	g_free(request);
	if (table)
		settle(table);
}

void mne_lock_owner_free(MneLockOwner *owner)
{
	MneLockTable *table = owner->table;

	if (owner->request)
		withdraw(owner->request);
	mne_lock_release_all(owner);
	g_hash_table_unref(owner->held);
	g_free(owner->name);
	g_free(owner);
	table->n_owners--;
	settle(table);
}

const char *mne_lock_request_print(const MneLockRequest *request, const char *before,
				   GString *to)
{
	Blocked blocked = what_blocks(request);

	for (guint i = 0; i < request->parts->len; i++) {
		const Part *part = part_at(request, i);

		if (!(part->modes & (MNE_LOCK_READ | MNE_LOCK_WRITE)))
			continue;
		g_string_append(to, before);
		mne_lock_print(part->resource->key, part->modes & MNE_LOCK_WRITE, to);
		g_string_append_c(to, '\n');
	}
	return blocked.oldest ? blocked.oldest->name : NULL;
}

/* ---- for tests ---- */

bool mne_lock_waits_for(const MneLockOwner *waiter, const MneLockOwner *other)
{
	const MneLockRequest *request = waiter->request, *its = other->request;
	bool came_before = false;

	if (!request || waiter == other)
		return false;
	if (conflicts_with_held(request, other))
		return true;
	if (!its || !behind(request, its))
		return false;
	for (const GList *at = its->link.next; at; at = at->next)
		came_before = came_before || at->data == request;
	return its->parked ? request->parked && came_before
			   : request->parked || came_before;
}
