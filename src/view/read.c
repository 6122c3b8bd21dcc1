/* SPDX-License-Identifier: Apache-2.0
 *
 * view/read.c - the bytes and the attributes of a record, in any view
 */
#define G_LOG_DOMAIN "mne-view"

#include "config.h"

#include "record/xattr.h"
#include "util/coding.h"
#include "view/iter.h"
#include "view/view.h"

#include <unistd.h>

#define SEEK_SPAN (UINT64_C(16) << 20)

static int extent_of(MneSlice key, MneSlice value, MneExtent *out)
{
	MneSlice payload;
	MneKeyParts parts;
	MneKind kind;
	uint64_t seq;

	MNE_TRY(mne_key_parse(key, &parts));
	MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
	return mne_extent_decode(payload, parts.offset, out);
}

int mne_view_extents(MneView *view, uint32_t table, uint64_t data, uint64_t offset,
		     uint64_t len, GArray *out)
{
	/* No stored extent is longer than a frame: none that began earlier reaches here. */
	uint64_t first = offset < MNE_BLOB_FRAME_MAX ? 0
						     : offset - MNE_BLOB_FRAME_MAX + 1;
	uint64_t end = len > UINT64_MAX - offset ? UINT64_MAX : offset + len;
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey from, prefix;
	int got;

	mne_key_extent(&from, table, data, first);
	prefix = from;
	prefix.len = (uint16_t)(prefix.len - 8);
	MNE_TRY(mne_view_iter(view, mne_key_slice(&prefix), mne_key_slice(&from),
			      &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneExtent extent;

		MNE_TRY(extent_of(key, value, &extent));
		if (extent.offset >= end)
			return 0;
		if (mne_extent_end(&extent) > offset)
			g_array_append_val(out, extent);
		/* What follows may be many deleted keys: not asked for in vain. */
		if (mne_extent_end(&extent) >= end)
			return 0;
	}
	return got;
}

/* Put the part of extent that lies in [offset, offset+len) into buffer. */
static int read_piece(MneView *view, const MneExtent *extent, uint64_t offset,
		      uint8_t *buffer, size_t len)
{
	MneExtent part = mne_extent_clip(extent, offset, len);

	return mne_blob_read(view->blob, &part.ref, part.from,
			     buffer + (part.offset - offset), (uint32_t)part.len);
}

static int read_extents(MneView *view, uint32_t table, uint64_t data, uint64_t offset,
			uint8_t *buffer, size_t len)
{
	g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(MneExtent));

	memset(buffer, 0, len);
	MNE_TRY(mne_view_extents(view, table, data, offset, len, extents));
	for (guint i = 0; i < extents->len; i++)
		MNE_TRY(read_piece(view, &g_array_index(extents, MneExtent, i), offset,
				   buffer, len));
	return 0;
}

static void read_inline(const MneNode *node, uint64_t offset, uint8_t *buffer,
			size_t len)
{
	size_t have = node->content.len > offset
			      ? MIN(len, (size_t)(node->content.len - offset))
			      : 0;

	if (have > 0)
		memcpy(buffer, node->content.data + offset, have);
	memset(buffer + have, 0, len - have);
}

ssize_t mne_view_read(MneView *view, uint32_t table, const MneNode *node,
		      uint64_t offset, void *buffer, size_t len)
{
	int err;

	if (offset >= node->size || len == 0)
		return 0;
	len = (size_t)MIN(len, node->size - offset);
	if (node->data == 0) {
		read_inline(node, offset, buffer, len);
		return (ssize_t)len;
	}

	err = read_extents(view, table, node->data, offset, buffer, len);
	/* A sweep may have moved the bytes since we read where they were. */
	if (mne_err_is(err, MNE_E_NO_SEGMENT))
		err = read_extents(view, table, node->data, offset, buffer, len);
	return err < 0 ? err : (ssize_t)len;
}

/* The first data, or without it the first hole, from offset on and before end; or end. */
static uint64_t first_in(const GArray *extents, uint64_t offset, uint64_t end,
			 bool data)
{
	for (guint i = 0; i < extents->len; i++) {
		const MneExtent *extent = &g_array_index(extents, MneExtent, i);

		if (data)
			return MIN(MAX(offset, extent->offset), end);
		if (extent->offset > offset)
			return offset;
		offset = mne_extent_end(extent);
	}
	return data ? end : MIN(offset, end);
}

/* One stretch after the other, each longer: for there may be many extents, or one hole. */
static int seek_extents(MneView *view, uint32_t table, const MneNode *node, bool data,
			uint64_t *io_at)
{
	g_autoptr(GArray) extents = g_array_new(FALSE, FALSE, sizeof(MneExtent));
	uint64_t span = SEEK_SPAN, end = *io_at;

	for (; *io_at == end && end < node->size; span *= 2) {
		end += MIN(span, node->size - end);
		g_array_set_size(extents, 0);
		MNE_TRY(mne_view_extents(view, table, node->data, *io_at, end - *io_at,
					 extents));
		*io_at = first_in(extents, *io_at, end, data);
	}
	return 0;
}

int mne_view_seek(MneView *view, uint32_t table, const MneNode *node, uint64_t offset,
		  int whence, uint64_t *out_offset)
{
	bool data = whence == SEEK_DATA;
	uint64_t at = offset;

	if (offset >= node->size)
		return -ENXIO;
	if (node->data != 0)
		MNE_TRY(seek_extents(view, table, node, data, &at));
	else if (offset < node->content.len)
		at = data ? offset : node->content.len;
	else
		at = data ? node->size : offset;
	if (data && at >= node->size)
		return -ENXIO;
	*out_offset = at;
	return 0;
}

int mne_view_xattr(MneView *view, uint32_t table, const MneNode *node, MneSlice name,
		   GBytes **out_value)
{
	g_autoptr(GBytes) value = NULL;
	MneSlice payload, small;
	MneKind kind;
	MneKey key;
	uint64_t seq;
	int err = mne_xattrs_get(node->xattrs, name, &small);

	if (err == 0)
		*out_value = mne_slice_to_bytes(small);
	if (err != -ENODATA || !(node->flags & MNE_NODE_BIG_XATTRS))
		return err;
	if (name.len > MNE_NAME_MAX || name.len == 0)
		return -ENODATA;

	mne_key_xattr(&key, table, node->rec, name);
	err = mne_view_get(view, mne_key_slice(&key), &value);
	if (err == -ENOENT)
		return -ENODATA;
	MNE_TRY(err);
	MNE_TRY(mne_value_open(mne_slice_of(value), &kind, &seq, &payload));
	*out_value = mne_slice_to_bytes(payload);
	return 0;
}

static void add_name(GByteArray *out, MneSlice name)
{
	mne_add_bytes(out, name);
	mne_add_u8(out, 0);
}

int mne_view_xattr_names(MneView *view, uint32_t table, const MneNode *node,
			 GByteArray *out)
{
	g_autoptr(MneIter) iter = NULL;
	MneSlice name, value, key;
	MneKey prefix;
	size_t at = 0;
	int got;

	while ((got = mne_xattrs_next(node->xattrs, &at, &name, &value)) > 0)
		add_name(out, name);
	if (got < 0 || !(node->flags & MNE_NODE_BIG_XATTRS))
		return got;

	mne_key_xattr(&prefix, table, node->rec, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(view, mne_key_slice(&prefix), mne_key_slice(&prefix),
			      &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0)
		add_name(out, mne_slice(key.data + prefix.len, key.len - prefix.len));
	return got;
}
