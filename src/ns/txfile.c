/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/txfile.c - the files `.ctl`, `.status` and `.changes` of a transaction
 *
 * `.ctl` takes lines:
 *
 *	commit, commit sync	all of it, as one commit
 *	abort			as rmdir
 *	own			it ends with this open file
 *	lock read|write WHAT	WHAT: TABLE, TABLE/RECORD, global:NAME; several lines of one
 *				write are granted together, or not at all
 *	timeout SECONDS		for its locks; 0: for ever
 *	born N			it is as old as that one, which failed
 *	name TEXT		what is done in it
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/txfile.h"

#include "ns/caller.h"
#include "ns/ctl_text.h"
#include "txn/txlock.h"
#include "util/log.h"

#include <fcntl.h>
#include <unistd.h>

#define LINES_MAX_BYTES 65536u
#define MAX_TIMEOUT_S   604800u
#define MAX_NAME        255u
#define GLOBAL          "global:"

typedef struct {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	MneNsTx *tx; /* reference */
	MneCtlOpen caller;
	MneLock lock; /* of what follows */
	GString *text;
	bool owns;
} TxFile;

static ssize_t file_read(MneCtlFile *base, uint64_t offset, void *buffer, size_t len,
			 const MneCtlWait *wait G_GNUC_UNUSED)
{
	TxFile *file = (TxFile *)base;

	MNE_WITH_LOCK(&file->lock);
	return mne_ctl_text_read(mne_slice(file->text->str, file->text->len), offset,
				 buffer, len);
}

static void set_text(TxFile *file, GString *take_text)
{
	MNE_WITH_LOCK(&file->lock);
	g_string_free(file->text, TRUE);
	file->text = take_text;
}

/* ---- locks ---- */

/* The table, by the live tables: what a transaction looks at, it has read. */
static int find_table(TxFile *file, MneSlice name, MneNode *out, uint32_t *out_id)
{
	int err = mne_live_lookup(file->ns->store, MNE_ROOT_TABLE, MNE_ROOT_DIR, name,
				  out_id, out);

	if (mne_err_is(err, ENOENT))
		err = mne_live_lookup(mne_ns_tx_store(file->tx), MNE_ROOT_TABLE,
				      MNE_ROOT_DIR, name, out_id, out);
	if (mne_err_is(err, ENOENT))
		return mne_throw(NO_TABLE, "there is no table %.*s to lock",
				 (int)name.len, (const char *)name.data);
	return err;
}

typedef struct {
	uint32_t id;
	MneNode node;
} Table;

static bool may_lock_record(TxFile *file, const Table *table, MneSlice name, int mask)
{
	g_auto(MneNode) record = { 0 };
	uint32_t id;

	if (!mne_caller_may(&file->caller, &table->node, X_OK))
		return false;
	if (mne_caller_may(&file->caller, &table->node, mask))
		return true;
	return mne_live_lookup(file->ns->store, table->id, table->node.rec, name, &id,
			       &record) == 0 &&
	       mne_caller_may(&file->caller, &record, mask);
}

/* Who may not change something keeps nobody from doing so. */
static int require_may_lock(TxFile *file, const MneLockWant *want)
{
	int mask = want->write ? W_OK : R_OK;
	Table table = { 0 };
	bool may;

	if (!want->table)
		return 0;
	MNE_TRY(find_table(file, mne_slice_str(want->table), &table.node, &table.id));
	may = want->name
		      ? may_lock_record(file, &table, mne_slice_str(want->name), mask)
		      : mne_caller_may(&file->caller, &table.node, mask);
	mne_node_clear(&table.node);
	return may ? 0 : -EACCES;
}

static int require_name(const char *name)
{
	if (!*name)
		return mne_throw(BAD_CTL, "a lock without a name");
	return mne_name_check(mne_slice_str(name));
}

/* path is cut. */
static int parse_path(char *path, MneLockWant *out)
{
	char *slash;

	if (g_str_has_prefix(path, GLOBAL)) {
		out->name = path + strlen(GLOBAL);
		return *out->name ? 0 : mne_throw(BAD_CTL, "a lock without a name");
	}
	slash = strchr(path, '/');
	if (slash) {
		*slash = '\0';
		out->name = slash + 1;
		if (strchr(out->name, '/'))
			return mne_throw(BAD_CTL, "locks are of tables, of records "
						  "(TABLE/RECORD) and global:NAME");
		MNE_TRY(require_name(out->name));
	}
	out->table = path;
	return require_name(path);
}

/* Of what stands behind "lock "; it is cut, and what wants points to. */
static int add_lock(TxFile *file, char *text, GArray *wants)
{
	MneLockWant want = { .write = g_str_has_prefix(text, "write ") };

	if (!want.write && !g_str_has_prefix(text, "read "))
		return mne_throw(BAD_CTL, "usage: lock read|write TABLE[/RECORD], or "
					  "global:NAME");
	MNE_TRY(parse_path(text + strlen(want.write ? "write " : "read "), &want));
	MNE_TRY(require_may_lock(file, &want));
	g_array_append_val(wants, want);
	return 0;
}

static int take_locks(TxFile *file, GArray *wants, const MneCtlWait *wait)
{
	int err = 0;

	if (wants->len > 0)
		err = mne_ns_tx_lock(file->ns, file->tx, wants,
				     wait ? &wait->over : NULL);
	g_array_set_size(wants, 0);
	return err;
}

static int run_timeout(TxFile *file, const char *text)
{
	guint64 seconds;

	if (!g_ascii_string_to_unsigned(text, 10, 0, MAX_TIMEOUT_S, &seconds, NULL))
		return mne_throw(BAD_CTL, "timeout %s: it is a number of seconds",
				 text);
	mne_tx_set_lock_timeout(mne_ns_tx_inside(file->tx), (unsigned)seconds * 1000);
	return 0;
}

static int run_born(TxFile *file, const char *text)
{
	guint64 born;

	if (!g_ascii_string_to_unsigned(text, 10, 1, G_MAXUINT64, &born, NULL))
		return mne_throw(BAD_CTL, "born %s: it is a number", text);
	return mne_tx_set_born(mne_ns_tx_inside(file->tx), born);
}

/* ---- the other lines ---- */

/* What has a name is logged. */
static int run_commit(TxFile *file, bool durable, GString *answer)
{
	g_autofree char *name = mne_tx_activity(mne_ns_tx_inside(file->tx));
	size_t before = answer->len;
	int err = mne_ns_tx_commit(file->ns, file->tx, durable, answer);

	if (name && mne_err_is(err, ECANCELED))
		mne_log_say("%s (transaction %s): %s", name, mne_ns_tx_name(file->tx),
			    mne_err_sentence(err));
	if (name && err == 0)
		mne_log_say("%s (transaction %s): %.*s", name, mne_ns_tx_name(file->tx),
			    (int)strcspn(answer->str + before, "\n"),
			    answer->str + before);
	return err;
}

static int run_own(TxFile *file)
{
	MNE_WITH_LOCK(&file->lock);
	if (!file->owns)
		mne_ns_tx_own(file->tx, 1);
	file->owns = true;
	return 0;
}

/* For events, the log and `.status`. */
static int run_name(TxFile *file, const char *name)
{
	if (!*name || strlen(name) > MAX_NAME || !g_utf8_validate(name, -1, NULL))
		return mne_throw(BAD_CTL,
				 "the name of an activity is UTF-8, of 1 to %u bytes",
				 MAX_NAME);
	mne_tx_set_activity(mne_ns_tx_inside(file->tx), name);
	return 0;
}

static int run_line(TxFile *file, const char *line, GString *answer)
{
	MNE_TRY(mne_ns_tx_require(file->tx));
	if (strcmp(line, "commit") == 0)
		return run_commit(file, false, answer);
	if (strcmp(line, "commit sync") == 0)
		return run_commit(file, true, answer);
	if (strcmp(line, "own") == 0)
		return run_own(file);
	if (g_str_has_prefix(line, "name "))
		return run_name(file, line + strlen("name "));
	if (g_str_has_prefix(line, "timeout "))
		return run_timeout(file, line + strlen("timeout "));
	if (g_str_has_prefix(line, "born "))
		return run_born(file, line + strlen("born "));
	if (strcmp(line, "abort") == 0) {
		mne_ns_tx_abort(file->ns, file->tx);
		return 0;
	}
	return mne_throw(BAD_CTL,
			 "%.64s: a transaction takes commit, commit sync, abort, own, "
			 "lock, timeout, born, name",
			 line);
}

/* Locks are gathered until something else comes. */
static int run_lines(TxFile *file, char **lines, const MneCtlWait *wait,
		     GString *answer)
{
	g_autoptr(GArray) wants = g_array_new(FALSE, FALSE, sizeof(MneLockWant));

	for (; *lines; lines++) {
		if (g_str_has_prefix(*lines, "lock ")) {
			MNE_TRY(add_lock(file, *lines + strlen("lock "), wants));
			continue;
		}
		if (!**lines)
			continue;
		MNE_TRY(take_locks(file, wants, wait));
		MNE_TRY(run_line(file, g_strstrip(*lines), answer));
	}
	return take_locks(file, wants, wait);
}

static int file_write(MneCtlFile *base, MneSlice bytes, const MneCtlWait *wait)
{
	TxFile *file = (TxFile *)base;
	g_autofree char *text = NULL;
	g_auto(GStrv) lines = NULL;
	GString *answer;
	int err;

	if (bytes.len > LINES_MAX_BYTES)
		return mne_throw(BAD_CTL, "more than %u bytes at once",
				 LINES_MAX_BYTES);
	text = g_strndup((const char *)bytes.data, bytes.len);
	lines = g_strsplit(text, "\n", -1);
	answer = g_string_new(NULL);
	err = run_lines(file, lines, wait, answer);
	if (err < 0)
		g_string_assign(answer, mne_err_sentence(err));
	set_text(file, answer);
	return err;
}

static void file_wake(MneCtlFile *base)
{
	mne_tx_lock_wake(mne_ns_tx_inside(((TxFile *)base)->tx));
}

/* With who owned it, it goes. */
static void file_close(MneCtlFile *base)
{
	TxFile *file = (TxFile *)base;

	if (file->owns) {
		mne_ns_tx_own(file->tx, -1);
		if (!mne_ns_tx_is_owned(file->tx))
			mne_ns_tx_abort(file->ns, file->tx);
	}
	mne_ns_tx_unref(file->tx);
	g_string_free(file->text, TRUE);
	mne_lock_clear(&file->lock);
	g_free(file);
}

static const MneCtlFileOps ctl_ops = {
	.read = file_read, .write = file_write, .close = file_close, .wake = file_wake
};
static const MneCtlFileOps status_ops = { .read = file_read, .close = file_close };

int mne_tx_file_open(MneNs *ns, const MneIdentity *self, const MneCtlOpen *how,
		     MneCtlFile **out_file)
{
	bool writes = (how->flags & O_ACCMODE) != O_RDONLY;
	g_autoptr(GString) text = g_string_new(NULL);
	TxFile *file;

	if (self->rec != MNE_TX_FILE_CTL && writes)
		return -EACCES;
	if (how->uid != 0 && how->uid != mne_ns_tx_uid(self->tx))
		return -EACCES;
	if (self->rec == MNE_TX_FILE_STATUS)
		mne_ns_tx_print(self->tx, text);
	if (self->rec == MNE_TX_FILE_CHANGES)
		MNE_TRY(mne_ns_tx_print_changes(self->tx, text));
	file = g_new0(TxFile, 1);
	file->base.ops = self->rec == MNE_TX_FILE_CTL ? &ctl_ops : &status_ops;
	file->ns = ns;
	file->tx = mne_ns_tx_ref(self->tx);
	file->caller = *how;
	mne_lock_init(&file->lock, MNE_RANK_HANDLE);
	file->text = g_steal_pointer(&text);
	*out_file = &file->base;
	return 0;
}
