/* SPDX-License-Identifier: Apache-2.0
 *
 * check/passes_data.c - the passes over bytes and history: the engine's logs, attributes,
 * extents, frames, retained values, segments
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"
#include "util/coding.h"

#include <inttypes.h>
#include <stdio.h>

/* --- engine ---------------------------------------------------------------- */

/* Set aside by a full repair: it has been seen. */
static bool set_aside(MneCheck *check, const char *path)
{
	g_autofree char *seen = g_strdup_printf("%s.seen", path);

	return check->repair && check->full && rename(path, seen) == 0;
}

/* When a log is damaged, what follows is not used, and the log is kept as *.lost. */
int mne_pass_engine(MneCheck *check)
{
	const char *store = mne_store_path(check->store);
	g_autofree char *kv = g_build_filename(store, "kv", NULL);
	g_autoptr(GDir) dir = g_dir_open(kv, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *path = g_build_filename(kv, name, NULL);

		if (g_str_has_suffix(name, ".lost"))
			mne_check_say(
				check, set_aside(check, path),
				"a log was damaged; the last changes may be lost: %s",
				path);
	}
	return 0;
}

/* --- xattrs ---------------------------------------------------------------- */

static int check_xattr(MneCheck *check, MneSlice key, const MneKeyParts *parts,
		       MneSlice value)
{
	g_autofree char *text = NULL;

	if (mne_fact_has(check->big, parts->table, parts->id))
		return 0;
	text = mne_key_to_text(key);
	mne_check_say(check, mne_check_del_kept(check, key, value),
		      "%s: an attribute of no record", text);
	return 0;
}

int mne_pass_xattrs(MneCheck *check)
{
	return mne_check_each(check, MNE_TAG_XATTR, check_xattr);
}

/* --- extents --------------------------------------------------------------- */

static int open_extent(MneSlice value, uint64_t offset, MneExtent *out)
{
	MneSlice payload;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	if (kind != MNE_KIND_EXTENT)
		return -EINVAL;
	return mne_extent_decode(payload, offset, out);
}

/* The extents of one data id: they come in order. */
typedef struct {
	MneCheckId data;
	uint64_t end; /* of the last one */
	uint64_t stored;
} Run;

static void check_overlap(MneCheck *check, const MneExtent *extent, const Run *run)
{
	g_autofree char *path = NULL;
	bool history = false;

	if (run->end <= extent->offset)
		return;
	path = mne_path_of_data(check, run->data.table, run->data.id, &history);
	mne_check_say(check, false, "%s: two extents for byte %" PRIu64, path,
		      extent->offset);
}

static void end_run(MneCheck *check, const Run *run)
{
	if (run->stored > 0 &&
	    !mne_fact_has(check->data, run->data.table, run->data.id))
		mne_check_say(check,
			      mne_rescue_data(check, run->data, run->end, run->stored),
			      "data %" PRIu64 " of table %u belongs to no file",
			      run->data.id, run->data.table);
}

static void run_on(MneCheck *check, const MneKeyParts *parts, MneSlice value, Run *run)
{
	MneExtent extent;

	if (open_extent(value, parts->offset, &extent) < 0)
		return;
	if (run->data.table != parts->table || run->data.id != parts->id) {
		end_run(check, run);
		*run = (Run){ { parts->table, parts->id }, 0, 0 };
	}
	check_overlap(check, &extent, run);
	run->end = mne_extent_end(&extent);
	run->stored += extent.len;
}

/* So it is when an older inode came back, after a repair of the engine: reaping would take
 * its bytes away. */
static int check_orphan(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			MneSlice value)
{
	g_autofree char *path = NULL;
	bool history = false;

	(void)value;
	if (!mne_fact_has(check->live, parts->table, parts->id))
		return 0;
	path = mne_path_of_data(check, parts->table, parts->id, &history);
	mne_check_say(check, mne_check_del(check, key),
		      "%s: its data counts as deleted", path);
	return 0;
}

int mne_pass_extents(MneCheck *check)
{
	const uint8_t first = MNE_TAG_EXTENT;
	g_autoptr(MneKvIter) iter = NULL;
	Run run = { 0 };

	MNE_TRY(mne_check_each(check, MNE_TAG_ORPHAN, check_orphan));
	MNE_TRY(mne_kv_iter(check->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&first, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);
		MneKeyParts parts;

		if (key.data[0] != first)
			break;
		if (mne_key_parse(key, &parts) == 0)
			run_on(check, &parts, mne_kv_iter_value(iter), &run);
	}
	end_run(check, &run);
	return mne_kv_iter_status(iter);
}

/* --- frames ---------------------------------------------------------------- */

/* history: a checkpoint's, not the live file's. */
static int check_frame(MneCheck *check, const MneKeyParts *parts, MneSlice value,
		       bool history)
{
	g_autofree char *path = NULL;
	MneExtent extent;
	uint8_t byte;
	int err;

	if (open_extent(value, parts->offset, &extent) < 0)
		return 0;
	err = mne_blob_read(check->blob, &extent.ref, extent.from, &byte, 1);
	check->report->bytes += extent.len;
	if (err >= 0)
		return 0;
	path = mne_path_of_data(check, parts->table, parts->id, &history);
	mne_check_say(check, false, "%s%s: bytes from %" PRIu64 " on: %s", path,
		      history ? " in a checkpoint" : "", extent.offset,
		      mne_err_sentence(err));
	return 0;
}

static int check_live_frame(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			    MneSlice value)
{
	(void)key;
	return check_frame(check, parts, value, false);
}

static int check_retained_frame(MneCheck *check, MneSlice key, const MneKeyParts *parts,
				MneSlice value)
{
	MneKeyParts inner;

	(void)key;
	if (mne_key_parse(parts->inner, &inner) < 0 || inner.tag != MNE_TAG_EXTENT)
		return 0;
	return check_frame(check, &inner, value, true);
}

int mne_pass_frames(MneCheck *check)
{
	MNE_TRY(mne_check_each(check, MNE_TAG_EXTENT, check_live_frame));
	return mne_check_each(check, MNE_TAG_RETAINED, check_retained_frame);
}

/* --- history --------------------------------------------------------------- */

static bool is_known_seq(MneCheck *check, uint64_t seq)
{
	return g_hash_table_contains(check->seqs, &seq);
}

/* Its bytes are no longer alive. */
static void forget_retained(MneCheck *check, const MneKeyParts *parts, MneSlice value)
{
	MneKeyParts inner;
	MneExtent extent;

	if (check->repair && mne_key_parse(parts->inner, &inner) == 0 &&
	    inner.tag == MNE_TAG_EXTENT &&
	    open_extent(value, inner.offset, &extent) == 0)
		mne_fact_add_live(check, extent.ref.segment, -(int64_t)extent.len);
}

static int check_retained(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			  MneSlice value)
{
	g_autoptr(GBytes) empty = g_bytes_new_static("", 0);
	g_autoptr(GBytes) found = NULL;
	g_autofree char *text = NULL;
	MneKey changed;
	int err;

	if (!is_known_seq(check, parts->seq)) {
		text = mne_key_to_text(key);
		forget_retained(check, parts, value);
		mne_check_say(check, mne_check_del(check, key),
			      "%s: retained for no checkpoint", text);
		return 0;
	}
	mne_key_changed(&changed, parts->seq, parts->inner);
	err = mne_kv_get(check->kv, mne_key_slice(&changed), &found);
	if (err == -ENOENT) {
		text = mne_key_to_text(key);
		mne_check_say(check,
			      mne_check_put(check, mne_key_slice(&changed), empty),
			      "%s: retained, but not listed as changed", text);
		return 0;
	}
	return err;
}

static int check_changed(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			 MneSlice value)
{
	g_autofree char *text = NULL;

	(void)value;
	if (is_known_seq(check, parts->seq))
		return 0;
	text = mne_key_to_text(key);
	mne_check_say(check, mne_check_del(check, key),
		      "%s: changed since no checkpoint", text);
	return 0;
}

int mne_pass_history(MneCheck *check)
{
	MNE_TRY(mne_check_each(check, MNE_TAG_RETAINED, check_retained));
	return mne_check_each(check, MNE_TAG_CHANGED, check_changed);
}

/* --- segments -------------------------------------------------------------- */

static bool put_live(MneCheck *check, uint64_t segment, int64_t live)
{
	g_autoptr(GByteArray) array = g_byte_array_new();
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	mne_key_segment(&key, segment);
	mne_value_begin(array, MNE_KIND_SEGMENT, check->store->volume->seq);
	mne_add_be64(array, (uint64_t)live);
	mne_value_end(array);
	value = g_byte_array_free_to_bytes(g_steal_pointer(&array));
	if (check->repair)
		mne_blob_set_live(check->blob, segment, live);
	return mne_check_put(check, mne_key_slice(&key), value);
}

static int check_segment(MneCheck *check, MneSlice key, const MneKeyParts *parts,
			 MneSlice value)
{
	const int64_t *seen = g_hash_table_lookup(check->segments, &parts->id);
	int64_t live = seen ? *seen : 0, counted;
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint64_t seq;

	(void)key;
	if (mne_value_open(value, &kind, &seq, &payload) < 0)
		return 0;
	reader = mne_reader(payload);
	counted = (int64_t)mne_read_be64(&reader);
	if (counted != live || !mne_reader_done(&reader))
		mne_check_say(check, put_live(check, parts->id, live),
			      "segment %" PRIu64 " is said to have %" PRId64
			      " live bytes, has %" PRId64,
			      parts->id, counted, live);
	return 0;
}

static void check_present(MneCheck *check, uint64_t segment, int64_t live,
			  GHashTable *files)
{
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	if (live == 0)
		return;
	if (!g_hash_table_contains(files, &segment))
		mne_check_say(check, false,
			      "segment %" PRIu64 " with %" PRId64
			      " live bytes is missing",
			      segment, live);
	mne_key_segment(&key, segment);
	if (mne_kv_get(check->kv, mne_key_slice(&key), &value) == -ENOENT)
		mne_check_say(check, put_live(check, segment, live),
			      "the %" PRId64 " live bytes of segment %" PRIu64
			      " are not counted",
			      live, segment);
}

int mne_pass_segments(MneCheck *check)
{
	g_autoptr(GArray) infos = mne_blob_segments(check->blob);
	g_autoptr(GHashTable) files = g_hash_table_new(g_int64_hash, g_int64_equal);
	GHashTableIter iter;
	gpointer id, live;

	for (unsigned i = 0; i < infos->len; i++)
		g_hash_table_add(files,
				 &g_array_index(infos, MneBlobSegmentInfo, i).id);
	MNE_TRY(mne_check_each(check, MNE_TAG_SEGMENT, check_segment));
	g_hash_table_iter_init(&iter, check->segments);
	while (g_hash_table_iter_next(&iter, &id, &live))
		check_present(check, *(uint64_t *)id, *(int64_t *)live, files);
	return 0;
}
