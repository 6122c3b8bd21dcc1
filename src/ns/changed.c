/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/changed.c - the names in `.mnefs/changed`, and what they say
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/changed.h"

#include "ckpt/differ.h"
#include "ckpt/set.h"
#include "ns/listed.h"
#include "ns/moment.h"
#include "util/log.h"
#include "util/text.h"

void mne_changed_clear(MneChanged *changed)
{
	g_clear_pointer(&changed->from, mne_ckpt_unref);
	g_clear_pointer(&changed->to, mne_ckpt_unref);
}

/* A checkpoint, or a bookmark.  The same name for two moments is refused: a list from the
 * wrong one would leave changes out. */
static int find_moment(MneNs *ns, const char *name, size_t len, MneCkpt **out_ckpt)
{
	MneSlice wanted = mne_slice(name, len);
	g_autoptr(MneCkpt) ckpt = NULL;
	g_autoptr(MneCkpt) mark = NULL;

	if (mne_moment_is(wanted))
		return mne_ns_find_ckpt(ns, wanted, out_ckpt);
	if (mne_ckpts_find(mne_store_ckpts(ns->store), wanted, &ckpt) < 0)
		return mne_ckpts_find(mne_store_bookmarks(ns->store), wanted, out_ckpt);
	if (mne_ckpts_find(mne_store_bookmarks(ns->store), wanted, &mark) < 0)
		mark = mne_ckpt_ref(ckpt);
	if (ckpt->seq != mark->seq)
		return mne_throw(MOMENT_TWICE,
				 "%.*s is a checkpoint, and a bookmark of another "
				 "moment: rename one of them",
				 (int)len, name);
	*out_ckpt = g_steal_pointer(&ckpt);
	return 0;
}

/* name without its form, read as A..B at these dots. */
static int read_pair(MneNs *ns, const char *name, const char *dots, size_t len,
		     MneChanged *out)
{
	const char *to = dots + 2, *end = name + len;

	MNE_TRY(find_moment(ns, name, (size_t)(dots - name), &out->from));
	if (to == end)
		return 0;
	return find_moment(ns, to, (size_t)(end - to), &out->to);
}

static int read_moments(MneNs *ns, const char *name, size_t len, MneChanged *out)
{
	int err = find_moment(ns, name, len, &out->from);

	for (size_t i = 0; i + 1 < len && mne_err_is(err, ENOENT); i++) {
		if (name[i] != '.' || name[i + 1] != '.')
			continue;
		mne_changed_clear(out);
		err = read_pair(ns, name, name + i, len, out);
	}
	return err;
}

int mne_changed_find(MneNs *ns, const char *name, MneChanged *out)
{
	static const char *const forms[] = { [MNE_CHANGED_PATHS] = "",
					     [MNE_CHANGED_JSON] = ".json",
					     [MNE_CHANGED_LISTED] = ".listed",
					     [MNE_CHANGED_TREE] = ".d" };
	size_t len = strlen(name);
	int err = -ENOENT;

	for (unsigned i = 0; i < G_N_ELEMENTS(forms); i++) {
		g_auto(MneChanged) found = { .form = (MneChangedForm)i };

		if (!g_str_has_suffix(name, forms[i]))
			continue;
		err = read_moments(ns, name, len - strlen(forms[i]), &found);
		if (err == 0) {
			found.ns = ns;
			*out = found;
			found = (MneChanged){ 0 };
			return 0;
		}
		if (!mne_err_is(err, ENOENT))
			return err;
	}
	return mne_throw(NO_CKPT, "%s names no two checkpoints or bookmarks", name);
}

/* Who has a copy of a moment before a repair has what that may have taken away. */
static int require_known(const MneChanged *changed)
{
	uint64_t mended = mne_store_mended(changed->ns->store);
	const MneCkpt *ckpts[] = { changed->from, changed->to };

	for (unsigned i = 0; i < G_N_ELEMENTS(ckpts); i++) {
		g_autofree char *name = NULL;

		if (!ckpts[i] || ckpts[i]->seq > mended)
			continue;
		name = mne_ckpt_name((MneCkpt *)ckpts[i]);
		mne_log_say("the store was repaired after %s was made: what changed "
			    "since is not known; copy all of it",
			    name);
		return mne_throw(MENDED, "repaired after %s", name);
	}
	return 0;
}

int mne_changed_require_tree(MneNs *ns, const MneChanged *changed)
{
	MNE_TRY(require_known(changed));
	if (changed->to && changed->to->set == mne_store_ckpts(ns->store))
		return 0;
	return mne_throw(NO_CKPT, "the records that changed can be seen at a "
				  "checkpoint, not at a bookmark or live");
}

int mne_changed_require_walk(const MneChanged *changed)
{
	if (!changed->to || changed->to->set == mne_store_ckpts(changed->ns->store))
		return 0;
	return mne_throw(NO_CKPT, "of a bookmark it is not known where records stood");
}

/* --- lines ------------------------------------------------------------------ */

static const char *type_of(uint32_t mode)
{
	switch (mode & S_IFMT) {
	case S_IFREG: return "file";
	case S_IFDIR: return "dir";
	case S_IFLNK: return "symlink";
	case S_IFIFO: return "fifo";
	case S_IFSOCK: return "socket";
	case S_IFCHR: return "char";
	case S_IFBLK: return "block";
	default: return "unknown";
	}
}

static const char *op_of(const MneChange *change)
{
	switch (change->op) {
	case MNE_CHANGE_CREATED: return "created";
	case MNE_CHANGE_MODIFIED: return "modified";
	case MNE_CHANGE_RENAMED: return "renamed";
	case MNE_CHANGE_DELETED: return "deleted";
	case MNE_CHANGE_CARRIED:
	case MNE_CHANGE_VACATED: break; /* a rename above says it */
	}
	return NULL;
}

static void add_state(GString *to, const char *prefix, const MneNode *node)
{
	if (!node)
		return;
	g_string_append_printf(to,
			       ",\"%stype\":\"%s\",\"%ssize\":%" G_GUINT64_FORMAT
			       ",\"%sseq\":%" G_GUINT64_FORMAT,
			       prefix, type_of(node->mode), prefix, node->size, prefix,
			       node->seq);
}

static MneView *view_of(const MneChanged *changed, const MneCkpt *ckpt)
{
	return ckpt ? (MneView *)&ckpt->view : mne_store_live(changed->ns->store);
}

/* Bookmarks know only names. */
static bool knows_contents(const MneChanged *changed)
{
	return mne_ckpts_tags(changed->from->set) == &mne_ckpt_tags &&
	       (!changed->to || mne_ckpts_tags(changed->to->set) == &mne_ckpt_tags);
}

static int add_what(GString *to, const MneChanged *changed, const MneChange *change)
{
	const MneState was = { view_of(changed, changed->from), change->was_table,
			       change->was };
	const MneState now = { view_of(changed, changed->to), change->now_table,
			       change->now };
	const char *comma = "", *word;
	unsigned bits = 0;

	if (!change->was || !change->now)
		return 0;
	MNE_TRY(mne_differ(&was, &now, knows_contents(changed), &bits));
	g_string_append(to, ",\"what\":[");
	for (unsigned i = 0; (word = mne_differ_word(i)); i++) {
		if (!(bits & 1u << i))
			continue;
		g_string_append_printf(to, "%s\"%s\"", comma, word);
		comma = ",";
	}
	g_string_append_c(to, ']');
	return 0;
}

static int add_line(GString *to, const MneChanged *changed, const MneChange *change)
{
	const char *op = op_of(change);

	if (!op)
		return 0;
	g_string_append_printf(to, "{\"op\":\"%s\",\"path\":", op);
	mne_text_add_json(to, mne_slice_str(change->path));
	if (change->origin) {
		g_string_append(to, ",\"from\":");
		mne_text_add_json(to, mne_slice_str(change->origin));
	}
	add_state(to, "", change->now);
	add_state(to, "was_", change->was);
	MNE_TRY(add_what(to, changed, change));
	g_string_append(to, "}\n");
	return 0;
}

static int add_path(GString *to, MneListed *listed, const MneChange *change)
{
	if (!change->listed)
		return 0;
	if (listed)
		MNE_TRY(mne_listed_path(listed, change->path, to));
	else
		g_string_append(to, change->path);
	g_string_append_c(to, 0);
	return 0;
}

int mne_changed_print(const MneChanged *changed, GString *to)
{
	const MneChangesSpec spec = { .from = changed->from,
				      .to = changed->to,
				      .live = mne_store_live(changed->ns->store),
				      .origins = changed->form == MNE_CHANGED_JSON };
	g_autoptr(MneChanges) changes = NULL;
	g_autoptr(MneListed) listed = NULL;
	MneChange change;
	int got;

	MNE_TRY(require_known(changed));
	if (changed->form == MNE_CHANGED_LISTED) {
		MNE_TRY(mne_changed_require_walk(changed));
		listed = mne_listed_new(changed->ns, changed->to);
	}
	MNE_TRY(mne_changes_open(&spec, &changes));
	while ((got = mne_changes_next(changes, &change)) > 0) {
		if (changed->form == MNE_CHANGED_JSON)
			MNE_TRY(add_line(to, changed, &change));
		else
			MNE_TRY(add_path(to, listed, &change));
	}
	return got;
}
