/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_tables.c - `.mnefs/tables/T/`: how the records of each table are spread
 *
 *	fragments        N, or auto:RECORDS; +N and -N add to what is there or wanted
 *	listing          fragments, or records
 *	hash             the hash module; written only while the table is empty
 *	commit           when files are committed: close, write, or seconds
 *	fragments.json   everything, then a line for each fragment with what is in it
 *	query            takes a query, answers with the names that match (ns/query.h)
 *
 * and `.mnefs/tables.json`, a line for each table.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/ctl_table_commit.h"
#include "ns/frags.h"
#include "ns/query.h"
#include "txn/frags.h"
#include "txn/policy.h"
#include "util/text.h"

#include <inttypes.h>

#define AUTO_DEFAULT 10000u

static bool exists(MneNs *ns, const char *const *args)
{
	MneTable table;

	return mne_table_load(ns->store, mne_slice_str(args[0]), &table) == 0;
}

static void list(MneNs *ns, const char *const *args, GPtrArray *names)
{
	g_autoptr(GArray) tables = NULL;

	(void)args;
	if (mne_store_tables(ns->store, &tables) < 0)
		return;
	for (guint i = 0; i < tables->len; i++)
		g_ptr_array_add(names,
				g_strdup(g_array_index(tables, MneTableInfo, i).name));
}

static int map_of(MneNs *ns, const char *name, MneTable *out_table, MneFragMap **out)
{
	int err = mne_table_load(ns->store, mne_slice_str(name), out_table);

	if (err == -ENOENT)
		return mne_throw(NO_TABLE, "there is no table %s", name);
	MNE_TRY(err);
	*out = mne_frags_now(ns->store, out_table->id, out_table->dir);
	return 0;
}

/* --- fragments --------------------------------------------------------------------- */

static int print_fragments(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneFragMap) map = NULL;
	MneTable table;

	MNE_TRY(map_of(ns, args[0], &table, &map));
	if (map->per_frag > 0)
		g_string_append_printf(to, "auto:%u\n", map->per_frag);
	else
		g_string_append_printf(to, "%u\n", map->goal ? map->goal : map->n);
	return 0;
}

static int number_in(const char *text, uint32_t *out)
{
	char *end = NULL;
	uint64_t value = g_ascii_strtoull(text, &end, 10);

	if (!g_ascii_isdigit(*text) || *end || value > UINT32_MAX)
		return mne_throw(FRAG_ARG,
				 "a number, +N, -N or auto:RECORDS is wanted, not %s",
				 text);
	*out = (uint32_t)value;
	return 0;
}

static int want(MneNs *ns, MneSlice table, const char *word)
{
	bool adds = *word == '+' || *word == '-';
	uint32_t n = AUTO_DEFAULT;

	if (g_str_has_prefix(word, "auto")) {
		if (word[4] == ':')
			MNE_TRY(number_in(word + 5, &n));
		if ((word[4] != ':' && word[4] != '\0') || n == 0)
			return mne_throw(FRAG_ARG,
					 "auto, or auto: and how many records make a "
					 "full fragment");
		return mne_frags_want_auto(ns->store, table, n);
	}
	MNE_TRY(number_in(adds ? word + 1 : word, &n));
	if (!adds)
		return mne_frags_want(ns->store, table, n);
	n = MIN(n, MNE_FRAG_MAX + 1);
	return mne_frags_want_more(ns->store, table, *word == '+' ? (int)n : -(int)n);
}

static int write_fragments(MneNs *ns, const char *const *args, const char *line,
			   GString *answer)
{
	g_autofree char *word = g_strstrip(g_strdup(line));
	MneTable table;

	(void)answer;
	if (mne_table_load(ns->store, mne_slice_str(args[0]), &table) == 0)
		mne_ns_share_begin(ns, table.id, table.dir);
	return want(ns, mne_slice_str(args[0]), word);
}

/* --- listing, hash ----------------------------------------------------------------- */

static const char *const listings[] = { "fragments", "records" };

static int print_listing(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneFragMap) map = NULL;
	MneTable table;

	MNE_TRY(map_of(ns, args[0], &table, &map));
	g_string_append_printf(to, "%s\n", listings[map->listing]);
	return 0;
}

static int write_listing(MneNs *ns, const char *const *args, const char *line,
			 GString *answer)
{
	g_autofree char *word = g_strstrip(g_strdup(line));
	MneTable table;

	(void)answer;
	for (unsigned i = 0; i < G_N_ELEMENTS(listings); i++) {
		if (strcmp(word, listings[i]) != 0)
			continue;
		if (mne_table_load(ns->store, mne_slice_str(args[0]), &table) == 0)
			mne_ns_share_begin(ns, table.id, table.dir);
		return mne_frags_list_as(ns->store, mne_slice_str(args[0]),
					 (MneFragListing)i);
	}
	return mne_throw(FRAG_ARG, "listing is fragments or records, not %s", word);
}

static int print_hash(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneFragMap) map = NULL;
	MneTable table;

	MNE_TRY(map_of(ns, args[0], &table, &map));
	g_string_append_printf(to, "%s\n", map->module);
	return 0;
}

static int write_hash(MneNs *ns, const char *const *args, const char *line,
		      GString *answer)
{
	g_autofree char *words = g_strstrip(g_strdup(line));
	char *arg = strchr(words, ' ');
	MneTable table;

	(void)answer;
	if (arg)
		*arg++ = '\0';
	if (mne_table_load(ns->store, mne_slice_str(args[0]), &table) == 0)
		mne_ns_share_begin(ns, table.id, table.dir);
	return mne_frags_use_hash(ns->store, mne_slice_str(args[0]), words,
				  arg ? g_strstrip(arg) : "");
}

/* --- fragments.json ---------------------------------------------------------------- */

typedef struct {
	uint64_t records, bytes;
} Count;

static int count_fragment(MneNs *ns, const MneFragmentOf *what, Count *out)
{
	g_autoptr(MneListing) listing = NULL;
	g_auto(MneNode) node = { 0 };
	MneEntry entry;
	int got;

	*out = (Count){ 0 };
	MNE_TRY(mne_live_list_fragment(ns->store, what, MNE_SLICE_EMPTY, &listing));
	while ((got = mne_listing_next(listing, &entry, &node)) > 0) {
		out->records++;
		out->bytes += mne_node_is_dir(&node) ? 0 : node.size;
		mne_node_clear(&node);
	}
	return got;
}

/* The fragments, and what they come to. */
static int add_counts(MneNs *ns, const MneFragMap *map, GString *to)
{
	MneFragmentOf what = { map->table, map->dir, 0 };
	g_autoptr(GString) each = g_string_new(NULL);
	Count sum = { 0 };
	uint64_t most = 0;

	for (uint32_t i = 1; i <= map->n; i++) {
		Count count;

		what.fragment = i;
		MNE_TRY(count_fragment(ns, &what, &count));
		sum.records += count.records;
		sum.bytes += count.bytes;
		most = MAX(most, count.records);
		g_string_append_printf(each,
				       "{\"fragment\":%u,\"records\":%" PRIu64
				       ",\"bytes\":%" PRIu64 "}\n",
				       i, count.records, count.bytes);
	}
	/* How much fuller the fullest is than all of them on the average. */
	g_string_append_printf(to, ",\"records\":%" PRIu64 ",\"bytes\":%" PRIu64,
			       sum.records, sum.bytes);
	g_string_append_printf(
		to, ",\"spread\":%.3f",
		sum.records == 0 ? 1.0 : (double)most * map->n / (double)sum.records);
	g_string_append_printf(to, "}\n%s", each->str);
	return 0;
}

static void add_text(GString *to, const char *key, const char *value)
{
	g_string_append_printf(to, ",\"%s\":", key);
	mne_text_add_json(to, mne_slice_str(value));
}

static void add_map(MneNs *ns, const char *name, const MneFragMap *map, GString *to)
{
	g_autofree char *state = NULL;
	g_autoptr(GString) commit = g_string_new(NULL);
	MneFragProgress progress;

	mne_frags_progress(ns->store, map, &progress);
	state = map->hash ? mne_frag_hash_text(map->hash, &map->state) : g_strdup("");
	g_string_append(to, "{\"table\":");
	mne_text_add_json(to, mne_slice_str(name));
	g_string_append_printf(to, ",\"fragments\":%u,\"goal\":%u,\"auto\":%u", map->n,
			       map->goal ? map->goal : map->n, map->per_frag);
	add_text(to, "listing", listings[map->listing]);
	add_text(to, "hash", map->module);
	mne_commit_policy_text(mne_policy_of(ns->store, map->table), commit);
	add_text(to, "commit", commit->str);
	add_text(to, "state", state);
	g_string_append_printf(
		to,
		",\"step_from\":%u,\"step_to\":%u,\"step_moved\":%" PRIu64
		",\"step_seen\":%" PRIu64,
		progress.from, progress.to, progress.moved, progress.seen);
}

static int print_json(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneFragMap) map = NULL;
	MneTable table;

	MNE_TRY(map_of(ns, args[0], &table, &map));
	add_map(ns, args[0], map, to);
	return add_counts(ns, map, to);
}

static int print_tables(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GArray) tables = NULL;

	(void)args;
	MNE_TRY(mne_store_tables(ns->store, &tables));
	for (guint i = 0; i < tables->len; i++) {
		const MneTableInfo *info = &g_array_index(tables, MneTableInfo, i);
		g_autoptr(MneFragMap) map = mne_frags_now(ns->store, info->id,
							  info->dir);

		add_map(ns, info->name, map, to);
		g_string_append_printf(to, ",\"records\":%" PRIu64 "}\n",
				       info->records);
	}
	return 0;
}

/* --- query ------------------------------------------------------------------------- */

/* Words with tabs between them: name GLOB, from NAME, before NAME, limit N. */
static int parse_query(char **words, MneQuery *out)
{
	for (; words[0] && words[1]; words += 2) {
		if (strcmp(words[0], "name") == 0)
			out->glob = words[1];
		else if (strcmp(words[0], "from") == 0)
			out->from = words[1];
		else if (strcmp(words[0], "before") == 0)
			out->before = words[1];
		else if (strcmp(words[0], "limit") == 0)
			out->limit = g_ascii_strtoull(words[1], NULL, 10);
		else
			return mne_throw(BAD_CTL, "a query has no %s", words[0]);
	}
	if (words[0])
		return mne_throw(BAD_CTL, "%s wants a value behind a tab", words[0]);
	return 0;
}

static int write_query(MneNs *ns, const char *const *args, const char *line,
		       GString *answer)
{
	g_auto(GStrv) words = g_strsplit(line, "\t", -1);
	MneQuery query = { 0 };

	MNE_TRY(parse_query(words, &query));
	return mne_query_run(ns, args[0], &query, answer);
}

const MneCtlKind mne_ctl_tables[] = {
	{ .path = "tables", .mode = S_IFDIR | 0755, .list = list },
	{ .path = "tables/*", .mode = S_IFDIR | 0755, .exists = exists },
	{ .path = "tables/*/fragments",
	  .mode = S_IFREG | 0644,
	  .print = print_fragments,
	  .line = write_fragments },
	{ .path = "tables/*/listing",
	  .mode = S_IFREG | 0644,
	  .print = print_listing,
	  .line = write_listing },
	{ .path = "tables/*/hash",
	  .mode = S_IFREG | 0644,
	  .print = print_hash,
	  .line = write_hash },
	{ .path = "tables/*/commit",
	  .mode = S_IFREG | 0644,
	  .print = mne_ctl_print_table_commit,
	  .line = mne_ctl_write_table_commit },
	{ .path = "tables/*/fragments.json",
	  .mode = S_IFREG | 0444,
	  .print = print_json },
	{ .path = "tables/*/query", .mode = S_IFREG | 0600, .line = write_query },
	{ .path = "tables.json", .mode = S_IFREG | 0444, .print = print_tables },
	{ 0 },
};
