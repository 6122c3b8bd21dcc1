/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/counter.c - a record that is a number, added to as one step
 *
 * Steps take turns by a lock of their own; the bytes go through the file, so that readers,
 * other writers and checkpoints see a write like any other.  What is written is padded to
 * the old length, so that a reader in between sees a number, too.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/counter.h"

#include "txn/attr.h"
#include "txn/file.h"
#include "txn/internal.h"

enum { DIGITS_MAX = 32 };

static int parse(const char *text, size_t len, int64_t *out)
{
	g_autofree char *copy = g_strndup(text, len);

	g_strstrip(copy);
	if (strlen(copy) == 0 || len > DIGITS_MAX ||
	    !g_ascii_string_to_signed(copy, 10, G_MININT64, G_MAXINT64, out, NULL))
		return mne_throw(COUNTER_NO_NUMBER, "the record is no number");
	return 0;
}

static int read_value(MneFile *file, int64_t *out, size_t *out_len)
{
	char text[DIGITS_MAX + 1];
	ssize_t got = mne_file_read(file, 0, text, sizeof(text));

	MNE_TRY((int)got);
	*out_len = (size_t)got;
	return parse(text, (size_t)got, out);
}

static int add(int64_t value, const MneCounterStep *step, int64_t *out)
{
	if (__builtin_add_overflow(value, step->by, out))
		return -ERANGE;
	if (!step->is_signed && *out < 0)
		*out = 0;
	return 0;
}

static int write_value(MneFile *file, int64_t value, size_t old_len)
{
	char text[2 * DIGITS_MAX];
	int len = g_snprintf(text, sizeof(text), "%" G_GINT64_FORMAT "\n", value);
	size_t padded = MAX((size_t)len, old_len);
	ssize_t put;

	memset(text + len, '\n', padded - (size_t)len);
	put = mne_file_write(file, 0, text, padded, false, true);
	MNE_TRY((int)put);
	return padded > (size_t)len ? mne_file_truncate(file, (uint64_t)len) : 0;
}

static int step_file(MneFile *file, bool is_new, const MneCounterStep *step,
		     int64_t *out_value)
{
	int64_t value = 0;
	size_t len = 0;

	if (!is_new)
		MNE_TRY(read_value(file, &value, &len));
	MNE_TRY(add(value, step, out_value));
	return write_value(file, *out_value, len);
}

static int open_counter(MneStore *store, const MneSpot *spot, MneFile **out_file)
{
	g_auto(MneNode) node = { 0 };
	MnePlace place = { .dir = spot->dir, .name = spot->name };

	MNE_TRY(mne_live_lookup(store, spot->table, spot->dir, spot->name, &place.table,
				&node));
	if (mne_node_is_dir(&node))
		return -EISDIR;
	if (!mne_node_is_file(&node))
		return -EINVAL;
	place.rec = node.rec;
	return mne_file_open(store, &place, true, false, out_file);
}

/* One step at a time; *out_notice is what the kernel has to be told. */
static int add_locked(MneStore *store, const MneSpot *spot, const MneMake *make,
		      const MneCounterStep *step, int64_t *out_value,
		      MneNotice *out_notice)
{
	g_auto(MneNode) node = { 0 };
	MneFile *file;
	uint64_t gone;
	bool is_new;
	int err, closed;

	MNE_WITH_LOCK(&store->counters);
	err = open_counter(store, spot, &file);
	is_new = err < 0 && mne_err_is(err, ENOENT);
	if (is_new)
		err = mne_file_create(store, spot, make, &file, &node);
	MNE_TRY(err);
	*out_notice = (MneNotice){ .rec = mne_file_rec(file), .bytes = true };
	if (is_new) {
		out_notice->dir = spot->dir;
		out_notice->name_len = (uint8_t)spot->name.len;
		memcpy(out_notice->name, spot->name.data, spot->name.len);
	}
	err = step_file(file, is_new, step, out_value);
	if (is_new && err < 0 && mne_unlink(store, spot, &gone) < 0)
		g_warning("a counter that could not be made stays, empty");
	closed = mne_file_close(file, true);
	return err < 0 ? err : closed;
}

int mne_counter_add(MneStore *store, const MneSpot *spot, const MneMake *make,
		    const MneCounterStep *step, int64_t *out_value)
{
	MneNotice notice = { 0 };
	int err = add_locked(store, spot, make, step, out_value, &notice);

	if (notice.rec != 0)
		mne_store_notify_patiently(store, &notice);
	if (notice.dir != 0) { /* its times and size; its listing */
		MneNotice dir = { .rec = notice.dir, .bytes = true };

		mne_store_notify_patiently(store, &dir);
	}
	mne_store_await_notices(store);
	return err;
}
