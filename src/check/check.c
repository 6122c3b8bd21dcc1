/* SPDX-License-Identifier: Apache-2.0
 *
 * check/check.c - run the passes, keep the findings, apply the repairs
 *
 * Repairs go through the store's one writer, one batch after each pass
 * that found them: a pass reads the store as it was when it began.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/check.h"

#include "check/state.h"
#include "ckpt/retain.h"
#include "txn/internal.h"
#include "util/log.h"

#include <stdarg.h>

typedef enum { ALWAYS, FULL } When;

typedef struct {
	const char *id;
	When when;
	const char *sentence;
	int (*run)(MneCheck *check);
} Pass;

static const Pass passes[] = {
#define MNE_PASS(function, id, when, sentence) \
	{ id, when, sentence, mne_pass_##function },
#include "check/passes.def"
#undef MNE_PASS
};

static void finding_clear(gpointer data)
{
	MneCheckFinding *finding = data;

	g_free(finding->text);
}

void mne_check_report_init(MneCheckReport *report)
{
	*report = (MneCheckReport){ 0 };
	report->findings = g_array_new(FALSE, FALSE, sizeof(MneCheckFinding));
	g_array_set_clear_func(report->findings, finding_clear);
}

void mne_check_report_clear(MneCheckReport *report)
{
	g_clear_pointer(&report->findings, g_array_unref);
}

void mne_check_say(MneCheck *check, bool mended, const char *format, ...)
{
	MneCheckFinding finding = { check->pass, NULL, mended };
	va_list args;

	va_start(args, format);
	finding.text = g_strdup_vprintf(format, args);
	va_end(args);
	check->report->found++;
	check->report->mended += mended;
	g_info("%s: %s%s", check->pass, finding.text, mended ? " (mended)" : "");
	if (check->report->findings->len < MNE_FINDINGS_MAX)
		g_array_append_val(check->report->findings, finding);
	else
		g_free(finding.text);
}

int mne_check_each(MneCheck *check, MneTag tag, MneCheckFunc func)
{
	const uint8_t first = (uint8_t)tag;
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(check->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&first, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		MneKeyParts parts;

		if (key.len == 0 || key.data[0] != first)
			break;
		if (mne_key_parse(key, &parts) == 0)
			MNE_TRY(func(check, key, &parts, mne_kv_iter_value(iter)));
	}
	return mne_kv_iter_status(iter);
}

/* Keys from which tables, checkpoints and lists of changes are made. */
static bool is_shown(MneSlice key)
{
	static const MneTag tags[] = {
		MNE_TAG_TABLE,    MNE_TAG_FRAGS,   MNE_TAG_NODE,     MNE_TAG_INODE,
		MNE_TAG_NAME,     MNE_TAG_EXTENT,  MNE_TAG_XATTR,    MNE_TAG_CKPT,
		MNE_TAG_RETAINED, MNE_TAG_CHANGED, MNE_TAG_BOOKMARK, MNE_TAG_STUB,
		MNE_TAG_SINCE
	};

	for (unsigned i = 0; i < G_N_ELEMENTS(tags); i++)
		if (key.len > 0 && key.data[0] == tags[i])
			return true;
	return false;
}

/* A rollback to the newest checkpoint, or an older one, looks at it. */
static void note_touched(MneCheck *check, MneSlice key)
{
	uint64_t newest;
	MneKey logical, changed;

	check->shows = check->shows || is_shown(key);
	if (key.data[0] < MNE_TAG_NODE || key.data[0] > MNE_TAG_XATTR)
		return;
	newest = mne_ckpts_newest(mne_store_ckpts(check->store), mne_key_table_of(key));
	if (newest == 0)
		return;
	memcpy(logical.bytes, key.data, key.len);
	logical.len = (uint16_t)key.len;
	if (key.data[0] == MNE_TAG_NODE)
		mne_key_set_fragment(&logical, 0);
	mne_key_changed(&changed, newest, mne_key_slice(&logical));
	mne_kv_batch_put(check->batch, mne_key_slice(&changed), MNE_SLICE_EMPTY);
}

bool mne_check_put(MneCheck *check, MneSlice key, GBytes *value)
{
	if (check->repair) {
		note_touched(check, key);
		mne_kv_batch_put(check->batch, key, mne_slice_of(value));
	}
	return check->repair;
}

bool mne_check_del(MneCheck *check, MneSlice key)
{
	if (check->repair) {
		note_touched(check, key);
		mne_kv_batch_del(check->batch, key);
	}
	return check->repair;
}

bool mne_check_del_kept(MneCheck *check, MneSlice key, MneSlice value)
{
	MneCkpts *ckpts = mne_store_ckpts(check->store);
	MneKey logical;

	memcpy(logical.bytes, key.data, key.len);
	logical.len = (uint16_t)key.len;
	if (key.data[0] == MNE_TAG_NODE)
		mne_key_set_fragment(&logical, 0);
	if (check->repair)
		mne_retain(mne_ckpts_newest(ckpts, mne_key_table_of(key)),
			   mne_key_slice(&logical), value, check->batch);
	return mne_check_del(check, key);
}

static int apply_repairs(MneCheck *check)
{
	if (mne_kv_batch_count(check->batch) == 0)
		return 0;
	if (check->shows)
		mne_volume_mend(check->store->volume, check->batch);
	check->shows = false;
	MNE_TRY(mne_store_apply_raw(check->store, check->batch));
	mne_kv_batch_clear(check->batch);
	return 0;
}

static int run_passes(MneCheck *check)
{
	for (unsigned i = 0; i < G_N_ELEMENTS(passes); i++) {
		if (passes[i].when == FULL && !check->full)
			continue;
		check->pass = passes[i].id;
		g_debug("%s: %s", passes[i].id, passes[i].sentence);
		MNE_TRY(passes[i].run(check));
		MNE_TRY(apply_repairs(check));
	}
	return check->repair && check->report->mended > 0
		       ? mne_store_barrier(check->store)
		       : 0;
}

/* Background work moves what the passes count: it pauses. */
static bool pause_worker(MneStore *store)
{
	bool was_running = store->worker.running;

	mne_worker_stop(store);
	return was_running;
}

static void resume_worker(MneStore *store)
{
	store->worker.stop = false;
	mne_worker_start(store);
}

/* The passes would take half a rollback for damage. */
static bool is_half(MneStore *store, MneCheckReport *report)
{
	MneCheck check = { .report = report, .pass = "rollback" };

	if (!mne_served_is_rolling(&store->live))
		return false;
	mne_check_say(&check, false,
		      "a rollback was interrupted: mounting the store finishes it");
	return true;
}

static int run(MneStore *store, bool repair, bool full, MneCheckReport *report)
{
	if (is_half(store, report))
		return 0;

	bool was_running = pause_worker(store);
	MneCheck check = {
		.store = store,
		.kv = mne_store_kv(store),
		.blob = mne_store_blob(store),
		.repair = repair,
		.full = full,
		.report = report,
	};
	int err;

	check.batch = mne_kv_batch_new();
	mne_facts_init(&check);
	err = run_passes(&check);
	mne_facts_clear(&check);
	mne_kv_batch_free(check.batch);
	if (was_running)
		resume_worker(store);
	return err;
}

int mne_check_run(MneStore *store, bool repair, MneCheckReport *report)
{
	return run(store, repair, true, report);
}

int mne_check_run_fast(MneStore *store, bool repair, MneCheckReport *report)
{
	return run(store, repair, false, report);
}

bool mne_check_can_salvage(int err)
{
	return mne_err_is(err, MNE_E_KV_CORRUPT) ||
	       mne_err_is(err, MNE_E_VALUE_CORRUPT) ||
	       mne_err_is(err, MNE_E_STORE_FOREIGN) ||
	       mne_err_is(err, MNE_E_STORE_HALF);
}

void mne_check_note_salvage(MneStore *store, MneCheckReport *report)
{
	MneCheck check = { .report = report, .pass = "engine" };

	if (store->volume->rebuilt)
		mne_check_say(
			&check, true,
			"what could be read of kv/ was put together anew: records "
			"may be lost, or back as they once were");
	if (store->volume->purged > 0)
		mne_check_say(&check, true, "%u keys did not decode: removed",
			      store->volume->purged);
}

int mne_check_at_mount(MneStore *store)
{
	g_auto(MneCheckReport) report = { 0 };

	if (!mne_store_was_unclean(store) || mne_store_options(store)->read_only)
		return 0;
	mne_check_report_init(&report);
	MNE_TRY(mne_check_run_fast(store, true, &report));
	for (unsigned i = 0; i < report.findings->len; i++) {
		const MneCheckFinding *f = &g_array_index(report.findings,
							  MneCheckFinding, i);

		mne_log_say("check: %s: %s%s", f->pass, f->text,
			    f->mended ? " (mended)" : "");
	}
	mne_log_say("the last stop was unclean: %" G_GUINT64_FORMAT
		    " keys checked, %" G_GUINT64_FORMAT " findings, %" G_GUINT64_FORMAT
		    " mended",
		    report.keys, report.found, report.mended);
	return 0;
}
