/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/outcome.c - making a checkpoint with its hooks, and what came of it
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/outcome.h"

#include "ns/hooks.h"
#include "util/log.h"
#include "util/text.h"

const char *mne_outcome_of_ckpt(const MneCkpt *ckpt)
{
	return ckpt->flags & MNE_CKPT_RISKY ? "potentiallyDangerousCodeLinks"
					    : "checkpointed";
}

const char *mne_outcome_of_error(int err)
{
	if (mne_err_is(err, ENOSPC))
		return "insufficientDiskSpace";
	if (mne_err_is(err, EBUSY))
		return "transactionsInProgress";
	return NULL;
}

static const MneTableInfo *find_table(const GArray *tables, const char *name)
{
	for (guint i = 0; i < tables->len; i++) {
		const MneTableInfo *info = &g_array_index(tables, MneTableInfo, i);

		if (strcmp(info->name, name) == 0)
			return info;
	}
	return NULL;
}

static bool has_id(const GArray *ids, uint32_t id)
{
	for (guint i = 0; i < ids->len; i++)
		if (g_array_index(ids, uint32_t, i) == id)
			return true;
	return false;
}

/* The tables of spec, and those that hooks asked for: a new array; NULL: all there are. */
static GArray *tables_of(MneNs *ns, const MneCkptSpec *spec, MneHookRound *round)
{
	GArray *ids = spec->tables ? g_array_copy((GArray *)spec->tables) : NULL;
	g_autoptr(GArray) infos = NULL;

	if (round->tables->len == 0 || mne_store_tables(ns->store, &infos) < 0)
		return ids;
	for (guint i = 0; i < round->tables->len; i++) {
		const char *name = round->tables->pdata[i];
		const MneTableInfo *info = find_table(infos, name);

		if (!info) {
			mne_log_say("a hook asked for table %s, which is not there",
				    name);
			round->risky = true;
		} else if (ids && !has_id(ids, info->id)) {
			g_array_append_val(ids, info->id);
		}
	}
	return ids;
}

static int make(MneNs *ns, const MneCkptSpec *spec, MneHookRound *round,
		MneCkpt **out_ckpt)
{
	MneCkptSpec what = *spec;
	g_autoptr(GArray) tables = NULL;

	if (round->refusal)
		return mne_throw(HOOK_REFUSED, "%s", round->refusal);
	if (round->list->len > 0 && mne_hooks_is_stopped(ns->hooks))
		return mne_throw(HOOK_REFUSED, "the mount is ending");
	tables = tables_of(ns, spec, round);
	what.tables = tables;
	if (round->risky)
		what.flags |= MNE_CKPT_RISKY;
	if (round->list->len > 0 && ns->options.settle)
		ns->options.settle(ns->options.settle_user);
	return mne_store_checkpoint(ns->store, &what, out_ckpt);
}

static void tell(MneNs *ns, const char *checkpoint, const char *outcome)
{
	GString *members = g_string_new(",\"checkpoint\":");

	mne_text_add_json(members, mne_slice_str(checkpoint));
	g_string_append(members, ",\"outcome\":");
	mne_text_add_json(members, mne_slice_str(outcome));
	mne_store_tell(ns->store, "outcome", members->str);
	g_string_free(members, TRUE);
	mne_log_say("checkpoint %s: %s", checkpoint, outcome);
}

static int require_free(MneNs *ns, MneSlice name)
{
	g_autoptr(MneCkpt) taken = NULL;

	MNE_TRY(mne_ckpt_check_name(name));
	if (mne_ckpts_find(mne_store_ckpts(ns->store), name, &taken) == 0)
		return mne_throw(CKPT_EXISTS, "a checkpoint %.*s is active",
				 (int)name.len, (const char *)name.data);
	return 0;
}

int mne_ns_checkpoint(MneNs *ns, const MneCkptSpec *spec, MneCkpt **out_ckpt)
{
	g_autofree char *name = g_strndup((const char *)spec->name.data,
					  spec->name.len);
	g_autofree char *sentence = NULL;
	g_auto(MneHookRound) round = { 0 };
	const char *outcome;
	int err;

	MNE_TRY(require_free(ns, spec->name));
	mne_hook_round_begin(&round, ns->hooks, name);
	mne_hook_round_prepare(&round);
	err = make(ns, spec, &round, out_ckpt);
	if (round.list->len == 0)
		return err;

	/* What hooks do afterwards must not change what is said of the failure. */
	sentence = err < 0 ? g_strdup(mne_err_sentence(err)) : NULL;
	mne_hook_round_after(&round, err < 0 ? "failed" : "ok");
	outcome = err < 0 ? mne_outcome_of_error(err) : mne_outcome_of_ckpt(*out_ckpt);
	tell(ns, name, outcome ? outcome : sentence);
	if (mne_err_is(err, MNE_E_HOOK_REFUSED))
		return mne_throw(HOOK_REFUSED, "%s", sentence);
	return err;
}

void mne_ns_tell_rollback(MneNs *ns, const char *checkpoint, int err)
{
	g_auto(MneHookRound) round = { 0 };

	if (mne_err_is(err, EEXIST))
		tell(ns, checkpoint, "overwrittenBcd");
	if (err < 0)
		return;
	mne_hook_round_begin(&round, ns->hooks, checkpoint);
	if (round.list->len == 0)
		return;
	mne_hook_round_after(&round, "rolledback");
	tell(ns, checkpoint, "rolledBack");
}
