/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/replay.c - events of the past, made from what checkpoints keep
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/replay.h"

#include "ckpt/changes.h"
#include "util/text.h"

struct MneReplay {
	MneCkpt *from;
	MneChanges *changes;
	MneFeedFilter filter; /* tables are owned */
	uint64_t since;
};

/* Does it cover all tables of which events are wanted? */
static bool covers(MneCkpt *ckpt, const MneFeedFilter *filter, const GArray *tables)
{
	if (filter->all_tables || ckpt->all_tables)
		return ckpt->all_tables;
	for (unsigned i = 0; i < tables->len; i++) {
		const MneTableInfo *table = &g_array_index(tables, MneTableInfo, i);

		if (g_strv_contains((const char *const *)filter->tables, table->name) &&
		    !mne_ckpt_covers(ckpt, table->id))
			return false;
	}
	return true;
}

/* The newest checkpoint that is not after since; a new reference, or NULL. */
static MneCkpt *find(MneNs *ns, const MneFeedFilter *filter, uint64_t since)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));
	g_autoptr(GArray) tables = NULL;
	MneCkpt *best = NULL;

	if (mne_store_tables(ns->store, &tables) < 0)
		return NULL;
	for (unsigned i = 0; i < ckpts->len; i++) {
		MneCkpt *ckpt = g_ptr_array_index(ckpts, i);

		if (ckpt->seq <= since && (!best || ckpt->seq > best->seq) &&
		    covers(ckpt, filter, tables))
			best = ckpt;
	}
	return best ? mne_ckpt_ref(best) : NULL;
}

MneReplay *mne_replay_new(MneNs *ns, const MneFeedFilter *filter, uint64_t since)
{
	g_autoptr(MneReplay) replay = NULL;
	MneChangesSpec spec = { .origins = false };

	if (!filter->all_tables && !filter->tables)
		return NULL;
	replay = g_new0(MneReplay, 1);
	replay->since = since;
	replay->filter = *filter;
	replay->filter.tables = g_strdupv(filter->tables);
	replay->from = find(ns, filter, since);
	if (!replay->from)
		return NULL;
	spec.from = replay->from;
	if (mne_changes_open(&spec, &replay->changes) < 0)
		return NULL;
	return g_steal_pointer(&replay);
}

void mne_replay_free(MneReplay *replay)
{
	g_clear_pointer(&replay->changes, mne_changes_free);
	g_clear_pointer(&replay->from, mne_ckpt_unref);
	g_strfreev(replay->filter.tables);
	g_free(replay);
}

/* Whether it happened after since is known of what is there; of what is gone it is not. */
static bool is_wanted(const MneReplay *replay, const MneChange *change,
		      const char *table)
{
	if (change->now && change->now->seq <= replay->since)
		return false;
	return strchr(change->path, '/') &&
	       (replay->filter.all_tables ||
		g_strv_contains((const char *const *)replay->filter.tables, table));
}

static void add_event(GString *to, const MneChange *change, const char *table)
{
	const MneNode *node = change->now ? change->now : change->was;

	mne_feed_begin(to, change->now ? "write" : "delete",
		       change->now ? change->now->seq : 0,
		       (double)g_get_real_time() / 1e6);
	g_string_append(to, ",\"table\":");
	mne_text_add_json(to, mne_slice_str(table));
	g_string_append(to, ",\"path\":");
	mne_text_add_json(to, mne_slice_str(change->path));
	g_string_append_printf(to, ",\"record\":%" G_GUINT64_FORMAT,
			       node ? node->rec : 0);
	if (change->now)
		g_string_append_printf(to, ",\"created\":%s",
				       change->was ? "false" : "true");
	g_string_append(to, ",\"replayed\":true}\n");
}

int mne_replay_next(MneReplay *replay, GString *to)
{
	MneChange change;
	int got;

	while ((got = mne_changes_next(replay->changes, &change)) > 0) {
		g_autofree char *table = g_strndup(change.path,
						   strcspn(change.path, "/"));

		if (!is_wanted(replay, &change, table))
			continue;
		add_event(to, &change, table);
		return 1;
	}
	return got;
}
