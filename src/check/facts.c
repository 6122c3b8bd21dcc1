/* SPDX-License-Identifier: Apache-2.0
 *
 * check/facts.c - what the scan collects
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"

static guint id_hash(gconstpointer key)
{
	const MneCheckId *id = key;
	uint64_t mixed = (id->id + id->table) * UINT64_C(0x9e3779b97f4a7c15);

	return (guint)(mixed >> 32);
}

static gboolean id_equal(gconstpointer a, gconstpointer b)
{
	const MneCheckId *x = a, *y = b;

	return x->table == y->table && x->id == y->id;
}

static void table_free(gpointer data)
{
	MneTableFact *fact = data;

	g_bytes_unref(fact->name);
	g_free(fact);
}

static void dir_free(gpointer data)
{
	MneDirFact *fact = data;

	g_clear_pointer(&fact->name, g_bytes_unref);
	g_free(fact);
}

void mne_facts_init(MneCheck *check)
{
	check->tables = g_hash_table_new_full(g_direct_hash, g_direct_equal, NULL,
					      table_free);
	check->dirs = g_hash_table_new_full(id_hash, id_equal, NULL, dir_free);
	check->files = g_hash_table_new_full(id_hash, id_equal, NULL, g_free);
	check->data = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
	check->live = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
	check->big = g_hash_table_new_full(id_hash, id_equal, g_free, NULL);
	check->segments = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
						g_free);
	check->marks = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	check->seqs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
}

void mne_facts_clear(MneCheck *check)
{
	g_hash_table_unref(check->tables);
	g_hash_table_unref(check->dirs);
	g_hash_table_unref(check->files);
	g_hash_table_unref(check->data);
	g_hash_table_unref(check->live);
	g_hash_table_unref(check->big);
	g_hash_table_unref(check->segments);
	g_hash_table_unref(check->seqs);
	g_hash_table_unref(check->marks);
}

MneTableFact *mne_fact_table(MneCheck *check, uint32_t table)
{
	return g_hash_table_lookup(check->tables, GUINT_TO_POINTER(table));
}

MneDirFact *mne_fact_dir(MneCheck *check, uint32_t table, uint64_t dir, bool make)
{
	MneCheckId id = { table, dir };
	MneDirFact *fact = g_hash_table_lookup(check->dirs, &id);

	if (!fact && make) {
		fact = g_new0(MneDirFact, 1);
		fact->id = id;
		g_hash_table_insert(check->dirs, &fact->id, fact);
	}
	return fact;
}

MneFileFact *mne_fact_file(MneCheck *check, uint32_t table, uint64_t rec, bool make)
{
	MneCheckId id = { table, rec };
	MneFileFact *fact = g_hash_table_lookup(check->files, &id);

	if (!fact && make) {
		fact = g_new0(MneFileFact, 1);
		fact->id = id;
		g_hash_table_insert(check->files, &fact->id, fact);
	}
	return fact;
}

void mne_fact_add(GHashTable *set, uint32_t table, uint64_t id)
{
	MneCheckId *key = g_new0(MneCheckId, 1);

	*key = (MneCheckId){ table, id };
	g_hash_table_add(set, key);
}

bool mne_fact_has(GHashTable *set, uint32_t table, uint64_t id)
{
	MneCheckId key = { table, id };

	return g_hash_table_contains(set, &key);
}

void mne_fact_add_live(MneCheck *check, uint64_t segment, int64_t bytes)
{
	int64_t *live = g_hash_table_lookup(check->segments, &segment);

	if (!live) {
		live = g_new0(int64_t, 1);
		g_hash_table_insert(check->segments,
				    g_memdup2(&segment, sizeof(segment)), live);
	}
	*live += bytes;
}

void mne_fact_keep_table(MneCheck *check, const MneTable *schema, MneSlice name,
			 bool live)
{
	MneTableFact *fact = g_new0(MneTableFact, 1);

	fact->schema = *schema;
	fact->live = live;
	fact->name = mne_slice_to_bytes(name);
	g_hash_table_replace(check->tables, GUINT_TO_POINTER(schema->id), fact);
}
