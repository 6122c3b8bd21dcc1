/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/query.c - the names of a table that match
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/query.h"

#include "txn/frags.h"
#include "util/text.h"

#include <fnmatch.h>
#include <inttypes.h>

typedef struct {
	MneNs *ns;
	const MneQuery *query;
	MneFragMap *map; /* borrowed */
	char *fixed; /* how the pattern begins: all of it if it has no wildcards */
	bool is_whole;
	GPtrArray *lines; /* of what several fragments have: name and number, owned */
	uint64_t found;
	GString *to;
} Run;

static bool is_enough(const Run *run)
{
	return run->query->limit > 0 && run->found >= run->query->limit;
}

static int add_name(Run *run, const char *name)
{
	uint32_t frag, new;

	MNE_TRY(mne_frag_map_place(run->map, mne_slice_str(name), &frag, &new));
	g_string_append(run->to, "{\"name\":");
	mne_text_add_json(run->to, mne_slice_str(name));
	g_string_append_printf(run->to, ",\"fragment\":%u}\n", frag);
	run->found++;
	return 0;
}

static bool matches(const Run *run, const char *name)
{
	const MneQuery *query = run->query;

	if (query->from && strcmp(name, query->from) < 0)
		return false;
	if (query->before && strcmp(name, query->before) >= 0)
		return false;
	return !query->glob || fnmatch(query->glob, name, 0) == 0;
}

/* Names are in order: nothing can match any more. */
static bool is_past(const Run *run, const char *name)
{
	if (run->query->before && strcmp(name, run->query->before) >= 0)
		return true;
	return strncmp(name, run->fixed, strlen(run->fixed)) > 0;
}

/* The name just before the first that can match, as far as there is one: a shorter one with
 * the last byte less by one, filled up.  Into after; its length. */
static size_t before_first(const Run *run, uint8_t after[MNE_NAME_MAX])
{
	const char *from = run->query->from;
	const char *first = from && strcmp(from, run->fixed) > 0 ? from : run->fixed;
	size_t len = MIN(strlen(first), MNE_NAME_MAX);

	if (len == 0)
		return 0;
	memcpy(after, first, len);
	if (after[len - 1] == 1)
		return len - 1;
	after[len - 1]--;
	memset(after + len, 0xff, MNE_NAME_MAX - len);
	return MNE_NAME_MAX;
}

/* The names of one fragment, 0: all.  take: what to do with each that matches. */
static int each_in(Run *run, uint32_t frag, int (*take)(Run *run, const char *name))
{
	MneFragmentOf what = { run->map->table, run->map->dir, frag };
	g_autoptr(MneListing) listing = NULL;
	uint8_t after[MNE_NAME_MAX];
	MneEntry entry;
	int got;

	MNE_TRY(mne_live_list_fragment(run->ns->store, &what,
				       mne_slice(after, before_first(run, after)),
				       &listing));
	while (!is_enough(run) &&
	       (got = mne_listing_next(listing, &entry, NULL)) != 0) {
		g_autofree char *name = NULL;

		MNE_TRY(got);
		name = g_strndup((const char *)entry.name.data, entry.name.len);
		if (is_past(run, name))
			return 0;
		if (matches(run, name))
			MNE_TRY(take(run, name));
	}
	return 0;
}

static int keep_name(Run *run, const char *name)
{
	g_ptr_array_add(run->lines, g_strdup(name));
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

/* A few fragments: what each has is in order, all of it is not. */
static int ask_some(Run *run, const MneFragList *list)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);

	run->lines = names;
	for (uint32_t i = 0; i < list->len; i++)
		MNE_TRY(each_in(run, list->frags[i], keep_name));
	g_ptr_array_sort(names, by_name);
	for (guint i = 0; i < names->len && !is_enough(run); i++)
		MNE_TRY(add_name(run, names->pdata[i]));
	return 0;
}

static int ask_name(Run *run)
{
	g_auto(MneNode) node = { 0 };
	uint32_t table;
	int err = mne_live_lookup(run->ns->store, run->map->table, run->map->dir,
				  mne_slice_str(run->fixed), &table, &node);

	if (err < 0)
		return mne_err_is(err, ENOENT) ? 0 : err;
	return matches(run, run->fixed) ? add_name(run, run->fixed) : 0;
}

static int ask(Run *run)
{
	MneFragMatch match = { .name = (const uint8_t *)run->fixed,
			       .len = strlen(run->fixed),
			       .is_whole = run->is_whole };
	MneFragList list;
	int got;

	if (!run->map->hash) /* nothing can be found by name, but listed */
		return each_in(run, 0, add_name);
	got = mne_frag_hash_match(run->map->hash, &run->map->state, run->map->n, &match,
				  &list);
	MNE_TRY(got);
	g_string_append_printf(run->to, "{\"asked\":%u,\"fragments\":%u}\n",
			       got > 0 ? list.len : run->map->n, run->map->n);
	if (run->is_whole)
		return ask_name(run);
	return got > 0 ? ask_some(run, &list) : each_in(run, 0, add_name);
}

int mne_query_run(MneNs *ns, const char *table, const MneQuery *query, GString *to)
{
	const char *glob = query->glob ? query->glob : "*";
	size_t fixed = strcspn(glob, "*?[\\");
	g_autofree char *begins = g_strndup(glob, fixed);
	g_autoptr(MneFragMap) map = NULL;
	Run run = { .ns = ns, .query = query, .fixed = begins, .to = to };
	MneTable schema;
	int err = mne_table_load(ns->store, mne_slice_str(table), &schema);

	if (err == -ENOENT)
		return mne_throw(NO_TABLE, "there is no table %s", table);
	MNE_TRY(err);
	map = mne_frags_now(ns->store, schema.id, schema.dir);
	run.map = map;
	run.is_whole = glob[fixed] == '\0';
	return ask(&run);
}
