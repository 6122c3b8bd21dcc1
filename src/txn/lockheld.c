/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/lockheld.c - what is held at a resource, and by whom
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/lockheld.h"

#include <stdlib.h>
#include <string.h>

unsigned mne_lock_against(unsigned modes)
{
	unsigned all = 0;

	if (modes & MNE_LOCK_READ_IN)
		all |= MNE_LOCK_WRITE;
	if (modes & MNE_LOCK_WRITE_IN)
		all |= MNE_LOCK_READ | MNE_LOCK_WRITE;
	if (modes & MNE_LOCK_READ)
		all |= MNE_LOCK_WRITE_IN | MNE_LOCK_WRITE;
	if (modes & MNE_LOCK_WRITE)
		all |= MNE_LOCK_READ_IN | MNE_LOCK_WRITE_IN | MNE_LOCK_READ |
		       MNE_LOCK_WRITE;
	return all;
}

/* All that who holds these may do as well. */
static unsigned implied_by(unsigned modes)
{
	if (modes & MNE_LOCK_WRITE)
		modes |= MNE_LOCK_WRITE_IN | MNE_LOCK_READ;
	if (modes & (MNE_LOCK_READ | MNE_LOCK_WRITE_IN))
		modes |= MNE_LOCK_READ_IN;
	return modes;
}

bool mne_lock_is_older(const MneLockOwner *a, const MneLockOwner *b)
{
	return a->born != b->born ? a->born < b->born : a->number < b->number;
}

/* ---- the table ---- */

static void resource_free(void *data)
{
	MneLockResource *resource = data;

	g_array_unref(resource->grants);
	g_free(resource->key);
	g_free(resource);
}

MneLockTable *mne_lock_table_new(void)
{
	MneLockTable *table = g_new0(MneLockTable, 1);

	table->resources = g_hash_table_new_full(g_str_hash, g_str_equal, NULL,
						 resource_free);
	g_queue_init(&table->waiting);
	g_queue_init(&table->granted);
	return table;
}

bool mne_lock_table_is_empty(const MneLockTable *table)
{
	return table->n_owners == 0 && table->waiting.length == 0 &&
	       g_hash_table_size(table->resources) == 0;
}

void mne_lock_table_free(MneLockTable *table)
{
	if (!table)
		return;
	g_assert(mne_lock_table_is_empty(table));
	g_queue_clear(&table->granted);
	g_hash_table_unref(table->resources);
	g_free(table);
}

/* ---- resources ---- */

MneLockResource *mne_lock_resource_ref(MneLockTable *table, const char *key)
{
	MneLockResource *resource = g_hash_table_lookup(table->resources, key);

	if (!resource) {
		resource = g_new0(MneLockResource, 1);
		resource->key = g_strdup(key);
		resource->grants = g_array_new(FALSE, FALSE, sizeof(MneLockGrant));
		g_hash_table_insert(table->resources, resource->key, resource);
	}
	resource->refs++;
	return resource;
}

void mne_lock_resource_unref(MneLockTable *table, MneLockResource *resource)
{
	if (--resource->refs == 0)
		g_hash_table_remove(table->resources, resource->key);
}

unsigned mne_lock_held_at(const MneLockOwner *owner, const MneLockResource *resource)
{
	return GPOINTER_TO_UINT(g_hash_table_lookup(owner->held, resource));
}

bool mne_lock_is_held(const MneLockOwner *owner, const char *key, unsigned modes)
{
	const MneLockResource *resource = g_hash_table_lookup(owner->table->resources,
							      key);

	return resource &&
	       (implied_by(mne_lock_held_at(owner, resource)) & modes) == modes;
}

/* G_MAXUINT: it has none. */
static guint grant_of(const MneLockResource *resource, const MneLockOwner *owner)
{
	for (guint i = 0; i < resource->grants->len; i++)
		if (g_array_index(resource->grants, MneLockGrant, i).owner == owner)
			return i;
	return G_MAXUINT;
}

void mne_lock_hold(MneLockOwner *owner, MneLockResource *resource, unsigned modes)
{
	unsigned all = mne_lock_held_at(owner, resource) | modes;
	const MneLockGrant grant = { owner, all };
	guint at = grant_of(resource, owner);

	if (at != G_MAXUINT) {
		g_array_index(resource->grants, MneLockGrant, at) = grant;
	} else {
		g_array_append_val(resource->grants, grant);
		resource->refs++;
	}
	g_hash_table_insert(owner->held, resource, GUINT_TO_POINTER(all));
}

void mne_lock_release_all(MneLockOwner *owner)
{
	GHashTableIter iter;
	gpointer each;

	g_hash_table_iter_init(&iter, owner->held);
	while (g_hash_table_iter_next(&iter, &each, NULL)) {
		MneLockResource *resource = each;

		g_array_remove_index_fast(resource->grants, grant_of(resource, owner));
		g_hash_table_iter_remove(&iter);
		mne_lock_resource_unref(owner->table, resource);
	}
}

/* ---- owners ---- */

MneLockOwner *mne_lock_owner_new(MneLockTable *table, uint64_t born, const char *name)
{
	MneLockOwner *owner = g_new0(MneLockOwner, 1);

	owner->table = table;
	owner->born = born;
	owner->number = table->owners++;
	owner->name = g_strdup(name);
	owner->held = g_hash_table_new(NULL, NULL);
	table->n_owners++;
	return owner;
}

bool mne_lock_owner_holds_any(const MneLockOwner *owner)
{
	return g_hash_table_size(owner->held) > 0;
}

MneLockRequest *mne_lock_owner_request(const MneLockOwner *owner)
{
	return owner->request;
}

/* ---- for people ---- */

void mne_lock_print(const char *key, bool write, GString *to)
{
	g_string_append(to, write ? "write " : "read ");
	if (*key == '/')
		g_string_append_printf(to, "global:%s", key + 1);
	else
		g_string_append(to, key);
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

void mne_lock_owner_print(const MneLockOwner *owner, const char *before, GString *to)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	gpointer key, value;

	g_hash_table_iter_init(&iter, owner->held);
	while (g_hash_table_iter_next(&iter, &key, &value)) {
		unsigned modes = GPOINTER_TO_UINT(value);
		GString *line;

		if (!(modes & (MNE_LOCK_READ | MNE_LOCK_WRITE)))
			continue;
		line = g_string_new(before);
		mne_lock_print(((const MneLockResource *)key)->key,
			       modes & MNE_LOCK_WRITE, line);
		g_ptr_array_add(lines, g_string_free(line, FALSE));
	}
	if (lines->len > 1)
		qsort(lines->pdata, lines->len, sizeof(gpointer), compare_lines);
	for (guint i = 0; i < lines->len; i++)
		g_string_append_printf(to, "%s\n", (const char *)lines->pdata[i]);
}
