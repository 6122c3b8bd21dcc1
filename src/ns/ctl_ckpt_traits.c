/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_ckpt_traits.c - `.mnefs/checkpoints/C/`: what its maker says of it, and its end
 *
 * These files belong to who made the checkpoint, as its directory in `.checkpoints` does.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ckpt/hold.h"
#include "ns/ctl.h"
#include "ns/moment.h"

#include <string.h>

#define SECOND G_GINT64_CONSTANT(1000000000)

/* A checkpoint and its name proper, which may not be what was asked for. */
typedef struct {
	MneCkpt *ckpt;
	char *name;
	MneCkptTraits traits;
} Found;

static void found_clear(Found *found)
{
	mne_ckpt_unref(found->ckpt);
	g_free(found->name);
	mne_ckpt_traits_clear(&found->traits);
}
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(Found, found_clear)

static int look_up(MneNs *ns, const char *const *args, Found *out)
{
	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &out->ckpt));
	out->name = mne_ckpt_name(out->ckpt);
	mne_ckpt_traits(out->ckpt, &out->traits);
	return 0;
}

static int change(MneNs *ns, const char *const *args, unsigned set,
		  const MneCkptTraits *traits)
{
	MneCkptChange change = { set, *traits };
	g_auto(Found) found = { 0 };

	MNE_TRY(look_up(ns, args, &found));
	return mne_store_change_ckpt(ns->store, mne_slice_str(found.name), &change);
}

static int print_pinned(MneNs *ns, const char *const *args, GString *to)
{
	g_auto(Found) found = { 0 };

	MNE_TRY(look_up(ns, args, &found));
	g_string_append(to, found.traits.pinned ? "yes\n" : "no\n");
	return 0;
}

static int take_pinned(MneNs *ns, const char *const *args, const char *line,
		       GString *answer)
{
	MneCkptTraits traits = { .pinned = strcmp(line, "yes") == 0 };

	(void)answer;
	if (!traits.pinned && strcmp(line, "no") != 0)
		return mne_throw(BAD_CTL, "pinned is yes or no, not %.64s", line);
	return change(ns, args, MNE_CKPT_SET_PINNED, &traits);
}

static int print_note(MneNs *ns, const char *const *args, GString *to)
{
	g_auto(Found) found = { 0 };

	MNE_TRY(look_up(ns, args, &found));
	if (found.traits.note)
		g_string_append_printf(to, "%s\n", found.traits.note);
	return 0;
}

/* A line of blanks alone takes the note away. */
static int take_note(MneNs *ns, const char *const *args, const char *line,
		     GString *answer)
{
	g_autofree char *note = g_strstrip(g_strdup(line));
	MneCkptTraits traits = { .note = *note ? note : NULL };

	(void)answer;
	return change(ns, args, MNE_CKPT_SET_NOTE, &traits);
}

static int print_expires(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GDateTime) when = NULL;
	g_autofree char *text = NULL;
	g_auto(Found) found = { 0 };

	MNE_TRY(look_up(ns, args, &found));
	if (found.traits.expires_ns > 0)
		when = g_date_time_new_from_unix_utc(found.traits.expires_ns / SECOND);
	text = when ? g_date_time_format(when, "%Y-%m-%dT%H:%M:%SZ") : NULL;
	g_string_append_printf(to, "%s\n", text ? text : "never");
	return 0;
}

int mne_ctl_parse_expiry(const char *text, int64_t *out_ns)
{
	g_autofree char *moment = g_strconcat("@", text, NULL);
	int64_t now_ns = g_get_real_time() * 1000, seconds;

	if (strcmp(text, "never") == 0)
		*out_ns = 0;
	else if (mne_moment_parse_span(text, &seconds))
		*out_ns = now_ns + seconds * SECOND;
	else if (!mne_moment_parse(mne_slice_str(moment), now_ns, out_ns) ||
		 *out_ns == INT64_MAX)
		return mne_throw(BAD_CTL,
				 "%.64s is no expiry: 7d, 2026-12-31, "
				 "2026-12-31T03:00 or never",
				 text);
	*out_ns -= *out_ns % SECOND;
	return 0;
}

static int take_expires(MneNs *ns, const char *const *args, const char *line,
			GString *answer)
{
	MneCkptTraits traits = { 0 };

	(void)answer;
	MNE_TRY(mne_ctl_parse_expiry(line, &traits.expires_ns));
	return change(ns, args, MNE_CKPT_SET_EXPIRES, &traits);
}

static int print_holders(MneNs *ns, const char *const *args, GString *to)
{
	g_autoptr(GArray) holders = NULL;
	g_auto(Found) found = { 0 };

	MNE_TRY(look_up(ns, args, &found));
	holders = mne_ckpt_holders(found.ckpt);
	for (unsigned i = 0; i < holders->len; i++) {
		g_autofree char *who =
			mne_process_text(&g_array_index(holders, MneProcess, i));

		g_string_append_printf(to, "%s\n", who);
	}
	return 0;
}

static int take_drop(MneNs *ns, const char *const *args, const char *line,
		     GString *answer)
{
	g_auto(Found) found = { 0 };

	(void)answer;
	if (mne_moment_is(mne_slice_str(args[0])))
		return mne_throw(CKPT_NAME, "%.64s is a time, not a name: say which",
				 args[0]);
	MNE_TRY(look_up(ns, args, &found));
	if (strcmp(line, "force") == 0)
		return mne_store_drop_by_force(ns->store, mne_slice_str(found.name));
	if (strcmp(line, "drop") == 0)
		return mne_store_drop(ns->store, mne_slice_str(found.name));
	return mne_throw(BAD_CTL, "write drop or force, not %.64s", line);
}

const MneCtlKind mne_ctl_ckpt_traits[] = {
	{ .path = "checkpoints/*/drop",
	  .mode = S_IFREG | 0200,
	  .own = mne_ctl_ckpt_own,
	  .line = take_drop },
	{ .path = "checkpoints/*/expires",
	  .mode = S_IFREG | 0644,
	  .own = mne_ctl_ckpt_own,
	  .print = print_expires,
	  .line = take_expires },
	{ .path = "checkpoints/*/holders",
	  .mode = S_IFREG | 0444,
	  .own = mne_ctl_ckpt_own,
	  .print = print_holders },
	{ .path = "checkpoints/*/note",
	  .mode = S_IFREG | 0644,
	  .own = mne_ctl_ckpt_own,
	  .print = print_note,
	  .line = take_note },
	{ .path = "checkpoints/*/pinned",
	  .mode = S_IFREG | 0644,
	  .own = mne_ctl_ckpt_own,
	  .print = print_pinned,
	  .line = take_pinned },
	{ 0 },
};
