/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_counter.c - `.mnefs/counter`: add to a record that is a number
 *
 * A line is `TABLE/RECORD STEP`, with STEP such as +1 or -5, or `TABLE/RECORD STEP signed`
 * when it may become negative.  The new value is read from the handle it was written to.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/caller.h"
#include "ns/ctl.h"
#include "ns/ctl_text.h"
#include "txn/counter.h"

#include <unistd.h>

#define LINE_MAX_BYTES 4096u

typedef struct {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	MneCtlOpen caller;
	MneLock lock;
	char answer[256]; /* a number, or why not */
} Counter;

/* Where the last word begins, with the blanks before it made NUL; NULL when there is only
 * one word. */
static char *cut_last_word(char *line)
{
	char *blank = MAX(strrchr(line, ' '), strrchr(line, '\t'));

	if (!blank || blank == line)
		return NULL;
	*blank = '\0';
	return blank + 1;
}

/* line becomes the path. */
static int parse_line(char *line, MneCounterStep *out)
{
	char *word = cut_last_word(g_strchomp(line));

	*out = (MneCounterStep){ 0 };
	if (word && strcmp(word, "signed") == 0) {
		out->is_signed = true;
		word = cut_last_word(g_strchomp(line));
	}
	if (!word || (*word != '+' && *word != '-') ||
	    !g_ascii_string_to_signed(word + (*word == '+'), 10, G_MININT64, G_MAXINT64,
				      &out->by, NULL))
		return mne_throw(BAD_CTL,
				 "usage: TABLE/RECORD +N|-N [signed], not %.64s",
				 word ? word : line);
	g_strchomp(line);
	return 0;
}

static int require_may(const MneCtlOpen *caller, const MneNode *node, int mask)
{
	return mne_caller_may(caller, node, mask) ? 0 : -EACCES;
}

/* Into the table, and what stands there may be written, or made. */
static int check_rights(const Counter *counter, const MneSpot *spot,
			const MneNode *table)
{
	MneStore *store = counter->ns->store;
	g_auto(MneNode) root = { 0 }, record = { 0 };
	MnePlace at = { .rec = MNE_ROOT_DIR, .is_dir = true };
	uint32_t id;
	int err;

	MNE_TRY(mne_live_node(store, &at, &root));
	MNE_TRY(require_may(&counter->caller, &root, X_OK));
	MNE_TRY(require_may(&counter->caller, table, X_OK));
	err = mne_live_lookup(store, spot->table, spot->dir, spot->name, &id, &record);
	if (err < 0 && mne_err_is(err, ENOENT))
		return require_may(&counter->caller, table, W_OK | X_OK);
	MNE_TRY(err);
	return require_may(&counter->caller, &record, R_OK | W_OK);
}

static int find_spot(MneNs *ns, const char *path, MneSpot *out, MneNode *out_table)
{
	const char *slash = strchr(path, '/');

	if (!slash || !slash[1] || strchr(slash + 1, '/'))
		return mne_throw(BAD_CTL, "a counter is TABLE/RECORD, not %.64s", path);
	out->name = mne_slice_str(slash + 1);
	MNE_TRY(mne_name_check(out->name));
	MNE_TRY(mne_live_lookup(ns->store, MNE_ROOT_TABLE, MNE_ROOT_DIR,
				mne_slice(path, (size_t)(slash - path)), &out->table,
				out_table));
	out->dir = out_table->rec;
	return 0;
}

static int run(const Counter *counter, char *line, int64_t *out_value)
{
	MneMake make = { .mode = S_IFREG | 0644,
			 .uid = counter->caller.uid,
			 .gid = counter->caller.gid };
	g_auto(MneNode) table = { 0 };
	MneCounterStep step;
	MneSpot spot;

	MNE_TRY(parse_line(line, &step));
	MNE_TRY(find_spot(counter->ns, line, &spot, &table));
	MNE_TRY(check_rights(counter, &spot, &table));
	return mne_counter_add(counter->ns->store, &spot, &make, &step, out_value);
}

static int counter_write(MneCtlFile *file, MneSlice bytes,
			 const MneCtlWait *wait G_GNUC_UNUSED)
{
	Counter *counter = (Counter *)file;
	g_autofree char *line = g_strndup((const char *)bytes.data, bytes.len);
	int64_t value = 0;
	int err;

	if (bytes.len > LINE_MAX_BYTES)
		return mne_throw(BAD_CTL, "more than %u bytes at once", LINE_MAX_BYTES);
	if (memchr(line, '\n', bytes.len - (bytes.len > 0)))
		return mne_throw(BAD_CTL, "one line at a time");
	err = run(counter, line, &value);
	MNE_WITH_LOCK(&counter->lock);
	if (err < 0)
		g_strlcpy(counter->answer, mne_err_sentence(err),
			  sizeof(counter->answer));
	else
		g_snprintf(counter->answer, sizeof(counter->answer),
			   "%" G_GINT64_FORMAT "\n", value);
	return err;
}

static ssize_t counter_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			    const MneCtlWait *wait)
{
	Counter *counter = (Counter *)file;

	(void)wait;
	MNE_WITH_LOCK(&counter->lock);
	return mne_ctl_text_read(mne_slice_str(counter->answer), offset, buffer, len);
}

static void counter_close(MneCtlFile *file)
{
	Counter *counter = (Counter *)file;

	mne_lock_clear(&counter->lock);
	g_free(counter);
}

static int counter_open(MneNs *ns, const char *const *args, const MneCtlOpen *how,
			MneCtlFile **out_file)
{
	static const MneCtlFileOps ops = { .read = counter_read,
					   .write = counter_write,
					   .close = counter_close };
	Counter *counter = g_new0(Counter, 1);

	(void)args;
	counter->base.ops = &ops;
	counter->ns = ns;
	counter->caller = *how;
	mne_lock_init(&counter->lock, MNE_RANK_HANDLE);
	*out_file = &counter->base;
	return 0;
}

/* Anybody may write to it: rights to the record are checked. */
const MneCtlKind mne_ctl_counter[] = {
	{ .path = "counter", .mode = S_IFREG | 0666, .open = counter_open },
	{ 0 },
};
