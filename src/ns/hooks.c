/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/hooks.c - the set of hooks, and how a checkpoint goes through it
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/hooks.h"

#include "util/log.h"

struct MneHooks {
	MneHooksOptions options; /* strings owned */
	MneLock lock;
	MneCond turn;
	bool busy; /* a round is under way */
	_Atomic bool stop;
	GPtrArray *joined; /* MneHook *, a reference each, in order */
	GHashTable *last; /* name -> char *: how the last call ended */
};

void mne_hook_answer_clear(MneHookAnswer *answer)
{
	g_clear_pointer(&answer->reason, g_free);
	g_clear_pointer(&answer->tables, g_ptr_array_unref);
}

const char *mne_hook_end_name(MneHookEnd end)
{
	switch (end) {
	case MNE_HOOK_READY: return "ready";
	case MNE_HOOK_REFUSED: return "refused";
	case MNE_HOOK_LATE: return "late";
	case MNE_HOOK_BROKEN: return "broken";
	}
	return "?";
}

char *mne_hook_answer_text(const MneHookAnswer *answer)
{
	const char *name = mne_hook_end_name(answer->end);

	if (answer->reason && *answer->reason)
		return g_strdup_printf("%s: %s", name, answer->reason);
	return g_strdup(name);
}

MneHook *mne_hook_ref(MneHook *hook)
{
	mne_ref_get(&hook->ref);
	return hook;
}

void mne_hook_unref(MneHook *hook)
{
	if (hook && mne_ref_put(&hook->ref))
		hook->ops->free(hook);
}

MneHooks *mne_hooks_new(const MneHooksOptions *options)
{
	MneHooks *hooks = g_new0(MneHooks, 1);

	hooks->options = *options;
	hooks->options.dir = g_strdup(options->dir);
	hooks->options.mount_point = g_strdup(options->mount_point);
	hooks->options.store = g_strdup(options->store);
	mne_lock_init(&hooks->lock, MNE_RANK_HANDLE);
	mne_cond_init(&hooks->turn);
	hooks->joined = g_ptr_array_new_with_free_func((GDestroyNotify)mne_hook_unref);
	hooks->last = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	return hooks;
}

void mne_hooks_free(MneHooks *hooks)
{
	g_ptr_array_unref(hooks->joined);
	g_hash_table_unref(hooks->last);
	mne_cond_clear(&hooks->turn);
	mne_lock_clear(&hooks->lock);
	g_free((char *)hooks->options.dir);
	g_free((char *)hooks->options.mount_point);
	g_free((char *)hooks->options.store);
	g_free(hooks);
}

void mne_hooks_stop(MneHooks *hooks)
{
	atomic_store(&hooks->stop, true);
	MNE_WITH_LOCK(&hooks->lock);
	while (hooks->busy)
		mne_cond_wait(&hooks->turn, &hooks->lock);
}

bool mne_hooks_is_stopped(const MneHooks *hooks)
{
	return atomic_load(&hooks->stop);
}

const MneHooksOptions *mne_hooks_options(const MneHooks *hooks)
{
	return &hooks->options;
}

void mne_hooks_join(MneHooks *hooks, MneHook *hook)
{
	MNE_WITH_LOCK(&hooks->lock);
	g_ptr_array_add(hooks->joined, mne_hook_ref(hook));
}

void mne_hooks_leave(MneHooks *hooks, MneHook *hook)
{
	MNE_WITH_LOCK(&hooks->lock);
	g_ptr_array_remove(hooks->joined, hook);
}

static void add_joined(MneHooks *hooks, GPtrArray *list)
{
	MNE_WITH_LOCK(&hooks->lock);
	for (guint i = 0; i < hooks->joined->len; i++)
		g_ptr_array_add(list, mne_hook_ref(hooks->joined->pdata[i]));
}

GPtrArray *mne_hooks_list(MneHooks *hooks)
{
	GPtrArray *list =
		g_ptr_array_new_with_free_func((GDestroyNotify)mne_hook_unref);

	mne_hook_files(&hooks->options, list);
	add_joined(hooks, list);
	return list;
}

static void remember(MneHooks *hooks, const char *name, const char *phase,
		     const MneHookAnswer *answer)
{
	g_autofree char *text = mne_hook_answer_text(answer);

	MNE_WITH_LOCK(&hooks->lock);
	g_hash_table_insert(hooks->last, g_strdup(name),
			    g_strdup_printf("%s %s", phase, text));
}

char *mne_hooks_last(MneHooks *hooks, const char *name)
{
	MNE_WITH_LOCK(&hooks->lock);
	return g_strdup(g_hash_table_lookup(hooks->last, name));
}

void mne_hooks_call(MneHooks *hooks, MneHook *hook, const char *phase,
		    const char *checkpoint, const char *result, MneHookAnswer *out)
{
	MneHookCall call = { phase, checkpoint, result, hooks->options.timeout,
			     &hooks->stop };
	int64_t began = g_get_monotonic_time();

	mne_lock_assert_none_held();
	*out = (MneHookAnswer){ .tables = g_ptr_array_new_with_free_func(g_free) };
	if (atomic_load(&hooks->stop)) {
		out->end = MNE_HOOK_BROKEN;
		out->reason = g_strdup("the mount is ending");
	} else {
		hook->ops->call(hook, &call, out);
	}
	out->took = (g_get_monotonic_time() - began) / 1000;
	remember(hooks, hook->name, phase, out);
}

static void take_turn(MneHooks *hooks)
{
	MNE_WITH_LOCK(&hooks->lock);
	while (hooks->busy)
		mne_cond_wait(&hooks->turn, &hooks->lock);
	hooks->busy = true;
}

void mne_hook_round_begin(MneHookRound *round, MneHooks *hooks, const char *checkpoint)
{
	*round = (MneHookRound){ .hooks = hooks, .checkpoint = checkpoint };
	round->tables = g_ptr_array_new_with_free_func(g_free);
	round->list = mne_hooks_list(hooks);
	if (round->list->len > 0)
		take_turn(hooks);
}

void mne_hook_round_end(MneHookRound *round)
{
	MneHooks *hooks = round->hooks;

	if (!hooks)
		return;
	if (round->list->len > 0) {
		MNE_WITH_LOCK(&hooks->lock);
		hooks->busy = false;
		mne_cond_broadcast(&hooks->turn);
	}
	g_ptr_array_unref(round->list);
	g_ptr_array_unref(round->tables);
	g_free(round->refusal);
	round->hooks = NULL;
}

static void prepare(MneHookRound *round, MneHook *hook)
{
	g_auto(MneHookAnswer) answer = { 0 };
	g_autofree char *text = NULL;

	mne_hooks_call(round->hooks, hook, "prepare", round->checkpoint, NULL, &answer);
	if (answer.end == MNE_HOOK_READY) {
		for (guint i = 0; i < answer.tables->len; i++)
			g_ptr_array_add(round->tables,
					g_strdup(answer.tables->pdata[i]));
		return;
	}
	text = mne_hook_answer_text(&answer);
	mne_log_say("hook %s %s, before checkpoint %s", hook->name, text,
		    round->checkpoint);
	round->risky = true;
	if (hook->required)
		round->refusal = g_strdup_printf("hook %s %s; checkpoint %s was not "
						 "made",
						 hook->name, text, round->checkpoint);
}

void mne_hook_round_prepare(MneHookRound *round)
{
	for (guint i = round->list->len; i-- > 0 && !round->refusal;)
		prepare(round, round->list->pdata[i]);
}

void mne_hook_round_after(MneHookRound *round, const char *result)
{
	for (guint i = 0; i < round->list->len; i++) {
		MneHook *hook = round->list->pdata[i];
		g_auto(MneHookAnswer) answer = { 0 };
		g_autofree char *text = NULL;

		mne_hooks_call(round->hooks, hook, "after", round->checkpoint, result,
			       &answer);
		if (answer.end == MNE_HOOK_READY)
			continue;
		text = mne_hook_answer_text(&answer);
		mne_log_say("hook %s %s, after checkpoint %s (%s)", hook->name, text,
			    round->checkpoint, result);
	}
}
