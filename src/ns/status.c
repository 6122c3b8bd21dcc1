/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/status.c - what the files in `.mnefs` say
 *
 * One table of figures makes status, status.json and metrics.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/status.h"

#include "ckpt/hold.h"
#include "ckpt/space.h"
#include "ns/outcome.h"
#include "util/log.h"
#include "util/text.h"

#include <stddef.h>
#include <time.h>

typedef enum { FIGURE_COUNT, FIGURE_BYTES, FIGURE_TOTAL, FIGURE_BOOL } FigureKind;

typedef struct {
	MneStoreStats store;
	MneHistorySpace history;
	uint64_t uptime, checkpoints, inodes;
	bool read_only, unclean;
} Figures;

static const struct {
	const char *name;
	FigureKind kind;
	size_t offset;
	const char *help;
} figures[] = {
#define STORE(field) offsetof(Figures, store.field)
	{ "uptime", FIGURE_COUNT, offsetof(Figures, uptime),
	  "Seconds since mounting." },
	{ "seq", FIGURE_COUNT, STORE(seq), "Sequence number of the last commit." },
	{ "last_barrier_seq", FIGURE_COUNT, STORE(last_barrier_seq),
	  "Commits up to this are durable." },
	{ "commits", FIGURE_TOTAL, STORE(commits), "Commits since mounting." },
	{ "barriers", FIGURE_TOTAL, STORE(barriers),
	  "Durable barriers since mounting." },
	{ "tables", FIGURE_COUNT, STORE(tables), "Tables." },
	{ "records", FIGURE_COUNT, STORE(records), "Records of all tables." },
	{ "checkpoints", FIGURE_COUNT, offsetof(Figures, checkpoints),
	  "Active checkpoints." },
	{ "open_files", FIGURE_COUNT, STORE(open_files), "Open files." },
	{ "uncommitted", FIGURE_COUNT, STORE(uncommitted),
	  "Files with changes that are not committed yet." },
	{ "inodes", FIGURE_COUNT, offsetof(Figures, inodes),
	  "Inodes the kernel knows." },
	{ "reclaim_backlog", FIGURE_COUNT, STORE(reclaim_backlog),
	  "Dropped checkpoints and files whose space is still to come back." },
	{ "moving_tables", FIGURE_COUNT, STORE(moving_tables),
	  "Tables that get or lose a fragment." },
	{ "moved_records", FIGURE_TOTAL, STORE(moved_records),
	  "Records moved between fragments since mounting." },
	{ "live_bytes", FIGURE_BYTES, STORE(live_bytes),
	  "Bytes of files, in segments." },
	{ "blob_bytes", FIGURE_BYTES, STORE(blob_bytes), "Size of all segments." },
	{ "kv_bytes", FIGURE_BYTES, STORE(kv_bytes), "Size of the key-value store." },
	{ "history_bytes", FIGURE_BYTES, offsetof(Figures, history.bytes),
	  "Bytes retained for checkpoints." },
	{ "history_limit", FIGURE_BYTES, STORE(history_limit),
	  "Bytes that may be retained for checkpoints; 0: no limit." },
	{ "history_pending_bytes", FIGURE_BYTES, offsetof(Figures, history.pending),
	  "Bytes of dropped checkpoints that are still to come back." },
	{ "free_bytes", FIGURE_BYTES, STORE(free_bytes), "Bytes until writes fail." },
	{ "read_only", FIGURE_BOOL, offsetof(Figures, read_only),
	  "Mounted read-only." },
	{ "unclean", FIGURE_BOOL, offsetof(Figures, unclean),
	  "The last stop was unclean." },
	{ "failed", FIGURE_BOOL, STORE(failed), "Read-only after a failed write." },
#undef STORE
};

static Figures read_figures(MneNs *ns)
{
	Figures now = { .uptime = (uint64_t)MAX(time(NULL) - ns->started, 0) };

	mne_store_stats(ns->store, &now.store);
	mne_ckpts_history(mne_store_ckpts(ns->store), &now.history);
	now.checkpoints = mne_ckpts_count(mne_store_ckpts(ns->store));
	now.inodes = mne_inodes_count(ns->inodes);
	now.read_only = ns->options.read_only;
	now.unclean = mne_store_was_unclean(ns->store);
	return now;
}

static uint64_t value_of(const Figures *now, unsigned i)
{
	const char *at = (const char *)now + figures[i].offset;
	uint64_t value;

	if (figures[i].kind == FIGURE_BOOL)
		return *(const bool *)at;
	memcpy(&value, at, sizeof(value));
	return value;
}

static const char *shown_options(MneNs *ns)
{
	if (ns->options.shown && *ns->options.shown)
		return ns->options.shown;
	return ns->options.read_only ? "ro" : "rw";
}

static const char *transport(MneNs *ns)
{
	return ns->over_uring ? "io_uring" : "/dev/fuse";
}

int mne_status_version(MneNs *ns, const char *const *args, GString *to)
{
	(void)args;
	(void)ns;
	g_string_append(to, PACKAGE_VERSION "\n");
	return 0;
}

int mne_status_text(MneNs *ns, const char *const *args, GString *to)
{
	Figures now = read_figures(ns);

	(void)args;
	g_string_append_printf(
		to, "version %s\nstore %s\nmount %s\noptions %s\ntransport %s\n",
		PACKAGE_VERSION, mne_store_path(ns->store), ns->options.mount_point,
		shown_options(ns), transport(ns));
	for (unsigned i = 0; i < G_N_ELEMENTS(figures); i++)
		g_string_append_printf(to, "%s %" G_GUINT64_FORMAT "\n",
				       figures[i].name, value_of(&now, i));
	return 0;
}

int mne_status_json(MneNs *ns, const char *const *args, GString *to)
{
	Figures now = read_figures(ns);

	(void)args;
	g_string_append(to, "{\"version\":\"" PACKAGE_VERSION "\",\"store\":");
	mne_text_add_json(to, mne_slice_str(mne_store_path(ns->store)));
	g_string_append(to, ",\"mount\":");
	mne_text_add_json(to, mne_slice_str(ns->options.mount_point));
	g_string_append(to, ",\"options\":");
	mne_text_add_json(to, mne_slice_str(shown_options(ns)));
	g_string_append_printf(to, ",\"transport\":\"%s\"", transport(ns));
	for (unsigned i = 0; i < G_N_ELEMENTS(figures); i++) {
		uint64_t value = value_of(&now, i);

		g_string_append_printf(to, ",\"%s\":", figures[i].name);
		if (figures[i].kind == FIGURE_BOOL)
			g_string_append(to, value ? "true" : "false");
		else
			g_string_append_printf(to, "%" G_GUINT64_FORMAT, value);
	}
	g_string_append(to, "}\n");
	return 0;
}

int mne_status_log(MneNs *ns, const char *const *args, GString *to)
{
	g_autofree char *log = mne_log_recent();
	g_autofree char *text = g_utf8_make_valid(log, -1); /* names are bytes */

	(void)args;
	(void)ns;
	g_string_append(to, text);
	return 0;
}

int mne_status_stats(MneNs *ns, const char *const *args, GString *to)
{
	g_autofree char *engine = mne_store_engine_stats(ns->store);
	const char *name;
	uint64_t count;

	(void)args;
	mne_stats_add_text(ns->stats, to);
	g_string_append_printf(to, "\n%-18s %12s\n", "failure", "thrown");
	for (unsigned i = 0; mne_err_counter(i, &name, &count); i++)
		if (count > 0)
			g_string_append_printf(to, "%-18s %12" G_GUINT64_FORMAT "\n",
					       name, count);
	g_string_append_printf(to, "\n%s\n", engine ? engine : "");
	return 0;
}

int mne_status_metrics(MneNs *ns, const char *const *args, GString *to)
{
	Figures now = read_figures(ns);

	(void)args;
	for (unsigned i = 0; i < G_N_ELEMENTS(figures); i++) {
		const char *suffix = figures[i].kind == FIGURE_TOTAL ? "_total" : "";
		const char *type = figures[i].kind == FIGURE_TOTAL ? "counter"
								   : "gauge";

		g_string_append_printf(to,
				       "# HELP mnefs_%s%s %s\n# TYPE mnefs_%s%s %s\n"
				       "mnefs_%s%s %" G_GUINT64_FORMAT "\n",
				       figures[i].name, suffix, figures[i].help,
				       figures[i].name, suffix, type, figures[i].name,
				       suffix, value_of(&now, i));
	}
	mne_stats_add_metrics(ns->stats, to);
	return 0;
}

/* Names of the tables a checkpoint covers, as it saw them: strings. */
static GPtrArray *tables_of(MneCkpt *ckpt)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	g_autoptr(MneListing) listing = NULL;
	MneEntry entry;

	if (mne_view_list(&ckpt->view, MNE_ROOT_TABLE, MNE_ROOT_DIR, MNE_SLICE_EMPTY,
			  &listing) < 0)
		return names;
	while (mne_listing_next(listing, &entry, NULL) > 0)
		g_ptr_array_add(names, g_strndup((const char *)entry.name.data,
						 entry.name.len));
	return names;
}

static void add_traits_json(MneCkpt *ckpt, GString *to)
{
	g_auto(MneCkptTraits) traits = { 0 };

	mne_ckpt_traits(ckpt, &traits);
	g_string_append_printf(to, ",\"pinned\":%s", traits.pinned ? "true" : "false");
	if (traits.expires_ns > 0)
		g_string_append_printf(to, ",\"expires\":%.3f",
				       (double)traits.expires_ns / 1e9);
	g_string_append_printf(to, ",\"of_dump\":%s,\"local_only\":%s",
			       ckpt->flags & MNE_CKPT_OF_DUMP ? "true" : "false",
			       ckpt->flags & MNE_CKPT_LOCAL_ONLY ? "true" : "false");
	if (traits.note) {
		g_string_append(to, ",\"note\":");
		mne_text_add_json(to, mne_slice_str(traits.note));
	}
}

static void add_holders_json(MneCkpt *ckpt, GString *to)
{
	g_autoptr(GArray) holders = mne_ckpt_holders(ckpt);

	g_string_append(to, ",\"held_by\":[");
	for (unsigned i = 0; i < holders->len; i++) {
		g_autofree char *who =
			mne_process_text(&g_array_index(holders, MneProcess, i));

		g_string_append(to, i > 0 ? "," : "");
		mne_text_add_json(to, mne_slice_str(who));
	}
	g_string_append_c(to, ']');
}

static void add_space_json(const MneCkptSpace *space, GString *to)
{
	g_string_append_printf(to,
			       ",\"used\":%" G_GUINT64_FORMAT
			       ",\"frees\":%" G_GUINT64_FORMAT
			       ",\"retained\":%" G_GUINT64_FORMAT,
			       space->used, space->frees, space->used_images);
}

static void print_checkpoint_json(MneCkpt *ckpt, const MneCkptSpace *space, GString *to)
{
	g_autofree char *name = mne_ckpt_name(ckpt);
	g_autoptr(GPtrArray) tables = tables_of(ckpt);

	g_string_append(to, "{\"name\":");
	mne_text_add_json(to, mne_slice_str(name));
	g_string_append_printf(to,
			       ",\"seq\":%" G_GUINT64_FORMAT
			       ",\"time\":%.3f,\"cookie\":"
			       "\"%016" G_GINT64_MODIFIER "x\",\"all\":%s,\"tables\":[",
			       ckpt->seq, (double)ckpt->time_ns / 1e9, ckpt->cookie,
			       ckpt->all_tables ? "true" : "false");
	for (unsigned i = 0; i < tables->len; i++) {
		g_string_append(to, i > 0 ? "," : "");
		mne_text_add_json(to, mne_slice_str(g_ptr_array_index(tables, i)));
	}
	g_string_append_printf(to, "],\"dropping\":false,\"outcome\":\"%s\"",
			       mne_outcome_of_ckpt(ckpt));
	add_space_json(space, to);
	add_traits_json(ckpt, to);
	add_holders_json(ckpt, to);
	g_string_append(to, "}\n");
}

int mne_status_checkpoint_json(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(MneCkpt) ckpt = NULL;
	MneCkptSpace space;

	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt));
	mne_ckpt_space(ckpt, NULL, &space);
	print_checkpoint_json(ckpt, &space, to);
	return 0;
}

int mne_status_checkpoints_json(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GPtrArray) ckpts = mne_ckpts_list(mne_store_ckpts(ns->store));
	g_autofree MneCkptSpace *spaces = mne_ckpts_spaces(ckpts);

	(void)args;
	for (unsigned i = 0; i < ckpts->len; i++)
		print_checkpoint_json(g_ptr_array_index(ckpts, i), &spaces[i], to);
	return 0;
}
