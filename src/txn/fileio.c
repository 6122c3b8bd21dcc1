/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/fileio.c - the bytes of an open file
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/file.h"
#include "txn/filestate.h"
#include "txn/policy.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <unistd.h>

#define SIZE_MAX_FILE (UINT64_C(1) << 62)
#define SEEK_SPAN     (UINT64_C(16) << 20)

void mne_file_touch(MneFile *file)
{
	MneNode *node = &file->node;

	clock_gettime(CLOCK_REALTIME, &node->mtime);
	node->ctime = node->mtime;
	node->flags &= ~(uint32_t)MNE_NODE_MTIME_SET;
	if (file->exists &&
	    node->seq <= mne_ckpts_newest(file->store->ckpts, file->table))
		(void)mne_mtime_bump(node, file->committed_mtime.tv_sec);
}

static MneExtentList *pending_of(MneFile *file)
{
	if (!file->pending)
		file->pending = mne_extents_new();
	return file->pending;
}

/* Append bytes as frames; they become uncommitted extents, all of them or none. */
static int append_frames(MneFile *file, uint64_t offset, const uint8_t *bytes,
			 size_t len)
{
	g_autoptr(GArray) frames = g_array_new(FALSE, FALSE, sizeof(MneExtent));

	while (len > 0) {
		size_t piece = MIN(len, MNE_BLOB_FRAME_MAX);
		MneBlobOwner owner = { file->table, file->node.data, offset };
		MneExtent extent = { .offset = offset, .len = piece };

		MNE_TRY(mne_blob_append(file->store->volume->blob, &owner,
					mne_slice(bytes, piece), &extent.ref));
		g_array_append_val(frames, extent);
		offset += piece;
		bytes += piece;
		len -= piece;
	}
	for (guint i = 0; i < frames->len; i++)
		mne_extents_put(pending_of(file), &g_array_index(frames, MneExtent, i),
				NULL);
	return 0;
}

static void buffer_resize(MneFile *file, size_t len)
{
	_Atomic uint64_t *all = &file->store->files->buffered;

	atomic_fetch_add(all, len);
	atomic_fetch_sub(all, file->buffer->len);
	g_byte_array_set_size(file->buffer, (guint)len);
}

void mne_file_drop_buffer(MneFile *file)
{
	if (!file->buffer)
		return;
	buffer_resize(file, 0);
	g_clear_pointer(&file->buffer, g_byte_array_unref);
}

/* The buffer's memory stays, for what comes next. */
static int empty_buffer(MneFile *file)
{
	if (!file->buffer || file->buffer->len == 0)
		return 0;
	MNE_TRY(append_frames(file, file->buffer_at, file->buffer->data,
			      file->buffer->len));
	buffer_resize(file, 0);
	return 0;
}

int mne_file_flush_buffer(MneFile *file)
{
	mne_lock_assert_held(&file->lock);
	MNE_TRY(empty_buffer(file));
	mne_file_drop_buffer(file);
	return 0;
}

/* Does [offset, offset+len) touch the buffer, so that both fit in one? */
static bool joins_buffer(const MneFile *file, uint64_t offset, size_t len)
{
	return file->buffer && file->buffer->len > 0 && offset >= file->buffer_at &&
	       offset <= file->buffer_at + file->buffer->len &&
	       offset + len - file->buffer_at <= MNE_FILE_BUFFER_MAX;
}

/* So many files are being written that what they gather must not grow. */
static bool has_no_room(const MneFile *file)
{
	return file->store->files->buffered >= MNE_FILES_BUFFER_MAX;
}

/* A full buffer is flushed when the next bytes come: so what fails has taken nothing in. */
static int buffer_put(MneFile *file, uint64_t offset, const uint8_t *bytes, size_t len)
{
	bool full = has_no_room(file);

	if (full || !joins_buffer(file, offset, len)) {
		MNE_TRY(empty_buffer(file));
		if (full || len >= MNE_FILE_BUFFER_MAX / 4)
			return append_frames(file, offset, bytes, len);
		if (!file->buffer)
			file->buffer = g_byte_array_new();
		file->buffer_at = offset;
	}

	size_t at = (size_t)(offset - file->buffer_at);

	if (at + len > file->buffer->len)
		buffer_resize(file, at + len);
	memcpy(file->buffer->data + at, bytes, len);
	return 0;
}

static void small_put(MneFile *file, size_t offset, const uint8_t *bytes, size_t len)
{
	size_t was = file->small ? file->small->len : 0;

	if (!file->small)
		file->small = g_byte_array_sized_new((guint)(offset + len));
	if (offset + len > was)
		g_byte_array_set_size(file->small, (guint)(offset + len));
	if (offset > was)
		memset(file->small->data + was, 0, offset - was);
	memcpy(file->small->data + offset, bytes, len);
}

/* From here on its bytes are in extents. */
static int outgrow_small(MneFile *file)
{
	g_autoptr(GByteArray) small = g_steal_pointer(&file->small);

	file->node.data = mne_volume_new_id(file->store->volume);
	file->node.stored = 0;
	file->fresh = true;
	mne_file_dirty(file); /* whatever becomes of the write */
	if (file->unlinked)
		mne_files_hold(file->store->files, file->node.data);
	return small ? buffer_put(file, 0, small->data, small->len) : 0;
}

static int put_bytes(MneFile *file, uint64_t offset, const void *bytes, size_t len)
{
	if (file->node.data == 0 && offset + len <= MNE_INLINE_MAX) {
		small_put(file, (size_t)offset, bytes, len);
		return 0;
	}
	if (file->node.data == 0)
		MNE_TRY(outgrow_small(file));
	return buffer_put(file, offset, bytes, len);
}

static ssize_t write_bytes(MneFile *file, uint64_t offset, const void *data, size_t len,
			   bool append, bool kill_suid)
{
	MNE_TRY(mne_store_require_working(file->store));
	if (len == 0)
		return 0;
	MNE_TRY(mne_store_admit(file->store, len + 256));
	MNE_TRY(mne_limit_admit_file(file, len));
	MNE_WITH_LOCK(&file->lock);
	mne_file_await_thaw(file);
	MNE_TRY(mne_file_require_whole(file));
	if (append)
		offset = file->node.size;
	if (offset > SIZE_MAX_FILE || len > SIZE_MAX_FILE - offset)
		return -EFBIG;

	MNE_TRY(put_bytes(file, offset, data, len));
	file->node.size = MAX(file->node.size, offset + len);
	if (kill_suid)
		mne_node_drop_suid(&file->node);
	mne_file_touch(file);
	mne_file_dirty(file);
	return (ssize_t)len;
}

ssize_t mne_file_write(MneFile *file, uint64_t offset, const void *data, size_t len,
		       bool append, bool kill_suid)
{
	ssize_t written = write_bytes(file, offset, data, len, append, kill_suid);

	if (written > 0)
		MNE_TRY(mne_file_written(file));
	return written;
}

/* Where the bytes of [offset, offset+len) are to be read from; those in memory are
 * copied at once, or without a buffer stand for some segment.  Caller holds the lock. */
static int gather(MneFile *file, uint64_t offset, uint8_t *buffer, size_t len,
		  MneExtentList *out)
{
	g_autoptr(GArray) stored = g_array_new(FALSE, FALSE, sizeof(MneExtent));

	if (!file->fresh)
		MNE_TRY(mne_view_extents(&file->store->live.base, file->table,
					 file->node.data, offset, len, stored));
	for (guint i = 0; i < stored->len; i++)
		mne_extents_put(out, &g_array_index(stored, MneExtent, i), NULL);

	size_t n = file->pending ? mne_extents_count(file->pending) : 0;

	for (size_t i = n > 0 ? mne_extents_find(file->pending, offset) : 0; i < n;
	     i++) {
		const MneExtent *extent = mne_extents_get(file->pending, i);

		if (extent->offset >= offset + len)
			break;
		mne_extents_put(out, extent, NULL);
	}
	if (file->buffer && file->buffer->len > 0) {
		uint64_t first = MAX(offset, file->buffer_at);
		uint64_t end = MIN(offset + len, file->buffer_at + file->buffer->len);

		if (first >= end)
			return 0;
		MneExtent done = mne_extent_hole(first, end - first);

		done.ref.segment = buffer ? 0 : 1;
		mne_extents_put(out, &done, NULL);
		if (buffer)
			memcpy(buffer + (first - offset),
			       file->buffer->data + (first - file->buffer_at),
			       end - first);
	}
	return 0;
}

static int read_list(MneBlobStore *blob, const MneExtentList *list, uint64_t offset,
		     uint8_t *buffer, size_t len)
{
	size_t i = mne_extents_find(list, offset);

	for (; i < mne_extents_count(list); i++) {
		const MneExtent *extent = mne_extents_get(list, i);
		MneExtent part;

		if (extent->offset >= offset + len)
			break;
		if (mne_extent_is_hole(extent))
			continue;
		part = mne_extent_clip(extent, offset, len);
		MNE_TRY(mne_blob_read(blob, &part.ref, part.from,
				      buffer + (part.offset - offset),
				      (uint32_t)part.len));
	}
	return 0;
}

/* 0: all is in buffer already; 1: list says where the rest is. */
static int prepare_read(MneFile *file, uint64_t offset, uint8_t *buffer, size_t *io_len,
			MneExtentList *list)
{
	MNE_WITH_LOCK(&file->lock);
	size_t have = 0;

	MNE_TRY(mne_file_require_whole(file));
	if (offset >= file->node.size) {
		*io_len = 0;
		return 0;
	}
	*io_len = (size_t)MIN(*io_len, file->node.size - offset);
	if (file->node.data == 0 && file->small && offset < file->small->len) {
		have = MIN(*io_len, file->small->len - (size_t)offset);
		memcpy(buffer, file->small->data + offset, have);
	}
	memset(buffer + have, 0, *io_len - have);
	if (file->node.data == 0)
		return 0;
	MNE_TRY(gather(file, offset, buffer, *io_len, list));
	return 1;
}

ssize_t mne_file_read(MneFile *file, uint64_t offset, void *buffer, size_t len)
{
	int err = 0;

	/* Blob bytes never change, so they are read without the lock; only a sweep may have
	 * moved them meanwhile, and then the second round finds them. */
	for (int round = 0; round < 2; round++) {
		g_autoptr(MneExtentList) list = mne_extents_new();

		err = prepare_read(file, offset, buffer, &len, list);
		if (err <= 0)
			break;
		err = read_list(file->store->volume->blob, list, offset, buffer, len);
		if (!mne_err_is(err, MNE_E_NO_SEGMENT))
			break;
	}
	return err < 0 ? err : (ssize_t)len;
}

static void empty_it(MneFile *file)
{
	if (file->node.data != 0 && file->unlinked) {
		mne_files_unhold(file->store->files, file->node.data);
		mne_store_wake(file->store);
	} else if (file->node.data != 0 && !file->fresh) {
		file->old_data = file->node.data;
	}
	file->node.data = 0;
	file->node.stored = 0;
	file->fresh = true;
	g_clear_pointer(&file->small, g_byte_array_unref);
	g_clear_pointer(&file->pending, mne_extents_free);
	mne_file_drop_buffer(file);
}

static int punch(MneFile *file, uint64_t offset, uint64_t len)
{
	if (file->node.data == 0) {
		size_t have = file->small ? file->small->len : 0;

		if (offset < have)
			memset(file->small->data + offset, 0, MIN(len, have - offset));
		return 0;
	}
	MNE_TRY(mne_file_flush_buffer(file));
	MneExtent hole = mne_extent_hole(offset, len);

	mne_extents_put(pending_of(file), &hole, NULL);
	return 0;
}

static int shrink(MneFile *file, uint64_t size)
{
	if (file->node.data != 0)
		return punch(file, size, UINT64_MAX - size);
	if (file->small && size < file->small->len)
		g_byte_array_set_size(file->small, (guint)size);
	return 0;
}

/* How many bytes are cut off, at most. */
static uint64_t cut_by(MneFile *file, uint64_t size)
{
	MNE_WITH_LOCK(&file->lock);
	return file->node.size > size ? file->node.size - size : 0;
}

static int truncate_to(MneFile *file, uint64_t size)
{
	if (size > SIZE_MAX_FILE)
		return -EFBIG;
	MNE_TRY(mne_store_require_working(file->store));
	MNE_TRY(mne_limit_admit_file(file, cut_by(file, size)));
	MNE_WITH_LOCK(&file->lock);
	mne_file_await_thaw(file);
	MNE_TRY(mne_file_require_whole(file));
	if (size == 0)
		empty_it(file);
	else if (size < file->node.size)
		MNE_TRY(shrink(file, size));
	file->node.size = size;
	mne_file_touch(file);
	mne_file_dirty(file);
	return 0;
}

int mne_file_truncate(MneFile *file, uint64_t size)
{
	MNE_TRY(truncate_to(file, size));
	return mne_file_written(file);
}

static int allocate(MneFile *file, int mode, uint64_t offset, uint64_t len)
{
	bool keep = mode & FALLOC_FL_KEEP_SIZE;
	bool zeros = mode & (FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE);

	if (mode & ~(FALLOC_FL_KEEP_SIZE | FALLOC_FL_PUNCH_HOLE | FALLOC_FL_ZERO_RANGE))
		return -EOPNOTSUPP;
	if ((mode & FALLOC_FL_PUNCH_HOLE) && !keep)
		return -EOPNOTSUPP;
	if (len == 0)
		return -EINVAL;
	if (offset > SIZE_MAX_FILE || len > SIZE_MAX_FILE - offset)
		return -EFBIG;
	MNE_TRY(mne_store_require_working(file->store));
	if (!zeros)
		MNE_TRY(mne_store_admit(file->store, len));
	MNE_TRY(mne_limit_admit_file(file, zeros ? len : 0));

	MNE_WITH_LOCK(&file->lock);
	mne_file_await_thaw(file);
	MNE_TRY(mne_file_require_whole(file));
	if (zeros)
		MNE_TRY(punch(file, offset, len));
	if (!keep)
		file->node.size = MAX(file->node.size, offset + len);
	mne_file_touch(file);
	mne_file_dirty(file);
	return 0;
}

int mne_file_allocate(MneFile *file, int mode, uint64_t offset, uint64_t len)
{
	MNE_TRY(allocate(file, mode, offset, len));
	return mne_file_written(file);
}

static uint64_t hole_from(const MneExtentList *list, uint64_t offset)
{
	size_t i = mne_extents_find(list, offset);

	for (; i < mne_extents_count(list); i++) {
		const MneExtent *extent = mne_extents_get(list, i);

		if (extent->offset > offset || mne_extent_is_hole(extent))
			break;
		offset = mne_extent_end(extent);
	}
	return offset;
}

static bool data_from(const MneExtentList *list, uint64_t offset, uint64_t *out_offset)
{
	size_t i = mne_extents_find(list, offset);

	for (; i < mne_extents_count(list); i++) {
		const MneExtent *extent = mne_extents_get(list, i);

		if (mne_extent_is_hole(extent))
			continue;
		*out_offset = MAX(offset, extent->offset);
		return true;
	}
	return false;
}

/* 1: found, at *io_at; 0: not before end, and *io_at is end. */
static int seek_in(MneFile *file, uint64_t end, int whence, uint64_t *io_at)
{
	g_autoptr(MneExtentList) list = mne_extents_new();
	uint64_t found = 0;

	if (file->node.data != 0) {
		MNE_TRY(gather(file, *io_at, NULL, end - *io_at, list));
	} else if (file->small && file->small->len > 0) {
		MneExtent all = { .len = file->small->len, .ref.segment = 1 };

		mne_extents_put(list, &all, NULL);
	}
	if (whence == SEEK_HOLE)
		found = hole_from(list, *io_at);
	else if (!data_from(list, *io_at, &found))
		found = end;
	*io_at = MIN(found, end);
	return found < end;
}

/* One stretch after the other, each longer: for there may be many extents, or one hole. */
int mne_file_seek(MneFile *file, uint64_t offset, int whence, uint64_t *out_offset)
{
	uint64_t at = offset, span = SEEK_SPAN;
	int got = 0;

	MNE_WITH_LOCK(&file->lock);
	const uint64_t size = file->node.size;

	MNE_TRY(mne_file_require_whole(file));
	if (offset >= size)
		return -ENXIO;
	for (; got == 0 && at < size; span *= 2)
		got = seek_in(file, at + MIN(span, size - at), whence, &at);
	MNE_TRY(got);
	if (got == 0 && whence != SEEK_HOLE)
		return -ENXIO;
	*out_offset = at;
	return 0;
}

int mne_truncate(MneStore *store, const MnePlace *place, uint64_t size,
		 MneNode *out_node)
{
	MneFile *file = NULL;
	int err, closed;

	MNE_TRY(mne_file_open(store, place, true, false, &file));
	err = mne_file_truncate(file, size);
	if (err == 0)
		err = mne_file_node(file, out_node);
	closed = mne_file_close(file, true);
	/* It is seen from now on, and a commit that finds no room is tried again. */
	if (err == 0 && mne_err_is(closed, ENOSPC))
		return 0;
	return err < 0 ? err : closed;
}
