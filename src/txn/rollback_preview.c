/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/rollback_preview.c - what a rollback would do
 *
 * The same list as that of what changed from now to the checkpoint: so it is by path, and what
 * is below a directory that moves is in it.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "ckpt/changes.h"
#include "txn/cut.h"
#include "txn/rolling.h"

#define LINES_MOST 10000u

typedef struct {
	MneRollback rb;
	GString *list; /* borrowed */
	unsigned lines;
} Preview;

static void preview_clear(Preview *preview)
{
	mne_rollback_clear(&preview->rb);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Preview, preview_clear)

static char sign_of(MneChangeOp op)
{
	switch (op) {
	case MNE_CHANGE_CREATED: return '+';
	case MNE_CHANGE_DELETED:
	case MNE_CHANGE_VACATED: return '-';
	case MNE_CHANGE_MODIFIED:
	case MNE_CHANGE_RENAMED:
	case MNE_CHANGE_CARRIED: break;
	}
	return '~';
}

static bool is_concerned(const Preview *preview, const MneChange *change)
{
	uint32_t table = change->now ? change->now_table : change->was_table;

	return mne_plan_has(&preview->rb.plan, table);
}

/* A directory is as before when what is in it is. */
static bool is_worth_a_line(const MneChange *change)
{
	return change->op != MNE_CHANGE_MODIFIED || !change->now ||
	       !mne_node_is_dir(change->now);
}

static void add(Preview *preview, const MneChange *change)
{
	MneRollbackResult *result = &preview->rb.result;
	char sign = sign_of(change->op);

	result->returned += sign == '+';
	result->changed += sign == '~';
	result->removed += sign == '-';
	if (preview->lines++ < LINES_MOST)
		g_string_append_printf(preview->list, "%c %s\n", sign, change->path);
}

static int add_all(Preview *preview)
{
	MneChangesSpec what = { .from = NULL, .to = preview->rb.ckpt };
	g_autoptr(MneChanges) changes = NULL;
	MneChange change;
	int got;

	MNE_TRY(mne_changes_open(&what, &changes));
	while ((got = mne_changes_next(changes, &change)) > 0)
		if (is_concerned(preview, &change) && is_worth_a_line(&change))
			add(preview, &change);
	return got;
}

int mne_store_preview_rollback(MneStore *store, const MneRollbackSpec *spec,
			       MneRollbackResult *out_result, GString *list)
{
	g_auto(Preview) preview = { .rb = { .store = store }, .list = list };

	MNE_TRY(mne_rollback_find(&preview.rb, spec));
	MNE_TRY(mne_rollback_name(&preview.rb));
	MNE_TRY(add_all(&preview));
	preview.rb.result.cut = mne_files_would_cut(store, &preview.rb.plan);
	*out_result = preview.rb.result;
	return 0;
}
