/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_hooks.c - `.mnefs/hooks/`: join, list, run
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/hook_process.h"
#include "ns/hooks.h"
#include "util/text.h"

static int open_join(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		     MneCtlFile **out_file)
{
	(void)args;
	return mne_hook_join(ns->hooks, how, out_file);
}

static void add_member(GString *to, const char *name, const char *value)
{
	g_string_append_printf(to, "%c\"%s\":",
			       to->len > 0 && to->str[to->len - 1] != '\n' ? ',' : '{',
			       name);
	mne_text_add_json(to, mne_slice_str(value));
}

/* An object on each line, in order of registration. */
static int print_list(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GPtrArray) list = mne_hooks_list(ns->hooks);

	(void)args;
	for (guint i = 0; i < list->len; i++) {
		MneHook *hook = list->pdata[i];
		g_autofree char *last = mne_hooks_last(ns->hooks, hook->name);

		add_member(to, "name", hook->name);
		add_member(to, "kind", hook->ops->kind);
		g_string_append_printf(to, ",\"required\":%s",
				       hook->required ? "true" : "false");
		add_member(to, "last", last ? last : "");
		g_string_append(to, "}\n");
	}
	return 0;
}

static void call_one(MneNs *ns, MneHook *hook, char **words, GString *answer)
{
	g_auto(MneHookAnswer) got = { 0 };

	mne_hooks_call(ns->hooks, hook, words[0], words[2], words[3], &got);
	g_string_append_printf(answer, "%s\t%s\t%s\t%" G_GINT64_FORMAT "\t%s\n",
			       hook->name, words[0], mne_hook_end_name(got.end),
			       got.took, got.reason ? got.reason : "");
	for (guint i = 0; i < got.tables->len; i++)
		g_string_append_printf(answer, "%s\tadd\t%s\n", hook->name,
				       (const char *)got.tables->pdata[i]);
}

/* prepare in reverse, after in order; of all hooks, or of the one of that name. */
static int call_all(MneNs *ns, char **words, GString *answer)
{
	g_autoptr(GPtrArray) list = mne_hooks_list(ns->hooks);
	bool backwards = strcmp(words[0], "prepare") == 0;
	unsigned called = 0;

	for (guint i = 0; i < list->len; i++) {
		MneHook *hook = list->pdata[backwards ? list->len - 1 - i : i];

		if (*words[1] && strcmp(words[1], hook->name) != 0)
			continue;
		call_one(ns, hook, words, answer);
		called++;
	}
	if (called == 0 && *words[1])
		return mne_throw(NO_HOOK, "there is no hook %s", words[1]);
	return 0;
}

static bool is_call(char **words)
{
	static const char *const results[] = { "ok", "failed", "rolledback", NULL };
	unsigned n = g_strv_length(words);

	if (n == 3)
		return strcmp(words[0], "prepare") == 0 && *words[2];
	return n == 4 && strcmp(words[0], "after") == 0 && *words[2] &&
	       g_strv_contains(results, words[3]);
}

/* "prepare", hook or nothing, name; "after", hook or nothing, name, result: with tabs. */
static int run_line(MneNs *ns, const char *const *args, const char *line,
		    GString *answer)
{
	g_auto(GStrv) words = g_strsplit(line, "\t", -1);

	(void)args;
	if (!is_call(words))
		return mne_throw(BAD_CTL,
				 "usage, with tabs: prepare HOOK NAME, or after HOOK "
				 "NAME ok|failed|rolledback; an empty HOOK is all");
	return call_all(ns, words, answer);
}

const MneCtlKind mne_ctl_hooks[] = {
	{ .path = "hooks", .mode = S_IFDIR | 0755 },
	{ .path = "hooks/join", .mode = S_IFREG | 0600, .open = open_join },
	{ .path = "hooks/list", .mode = S_IFREG | 0444, .print = print_list },
	{ .path = "hooks/run", .mode = S_IFREG | 0600, .line = run_line },
	{ 0 },
};
