/* SPDX-License-Identifier: Apache-2.0
 *
 * blob/segment.h - one segment file: frames encoded, written, read, walked
 *
 * A frame on disk, all numbers big-endian, at a multiple of 8 bytes:
 *
 *	 0  magic        4   "mneF"
 *	 4  table        4   \
 *	 8  data id      8    | whose bytes these are
 *	16  file offset  8   /
 *	24  length       4   bytes of payload
 *	28  payload crc  4   CRC-32C
 *	32  segment id   8   \ where this header lies: a header inside a payload
 *	40  position     4   / (a file that is a segment's copy) is none
 *	44  header crc   4   CRC-32C of the 44 bytes before
 *	48  payload
 *
 * An MneSegment is one open descriptor.  It is shared: whoever uses it holds a reference,
 * and the file is closed with the last one.
 *
 * Threads: every function may be called from any thread; who may write where, and who
 * truncates, the store decides.
 */
#pragma once

#include "blob/store.h"
#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

#define MNE_SEGMENT_NAME_SIZE 21 /* 16 hex digits, ".seg", NUL */
#define MNE_SEGMENT_ID_MAX    (UINT64_MAX / 4)

typedef struct MneSegment MneSegment;

/* Position of the first byte that can hold the next frame after one of len bytes at at. */
static inline uint64_t mne_frame_end(uint64_t at, uint32_t len)
{
	return (at + MNE_BLOB_HEADER_SIZE + len + 7) & ~(uint64_t)7;
}

void mne_frame_encode(const MneBlobFrame *frame,
		      uint8_t out_header[MNE_BLOB_HEADER_SIZE]);
/* Is this the header of a frame at this very place, with a length that can be? */
bool mne_frame_decode(const uint8_t header[MNE_BLOB_HEADER_SIZE], uint64_t segment,
		      uint64_t at, MneBlobFrame *out_frame);

void mne_segment_name(uint64_t id, char out_name[MNE_SEGMENT_NAME_SIZE]);
/* false when name is not exactly what mne_segment_name() makes of an id. */
bool mne_segment_parse_name(const char *name, uint64_t *out_id);

/* Make the directory path, if it is missing; its name in its parent is durable then. */
int mne_segment_make_dir(const char *path) MNE_CHECKED;

typedef struct {
	uint64_t id;
	uint64_t size;
} MneSegmentFile;

/* Append the segment files of the directory path, in no order, to an array of
 * MneSegmentFile.  Files of other names are not looked at. */
int mne_segment_list(const char *path, GArray *to) MNE_CHECKED;

/* dir is a directory's descriptor.  create: the file must not exist yet. */
int mne_segment_create(int dir, uint64_t id, MneSegment **out_segment) MNE_CHECKED;
/* For reading and for syncing; -NO_SEGMENT when there is no such file. */
int mne_segment_open(int dir, uint64_t id, MneSegment **out_segment) MNE_CHECKED;
int mne_segment_unlink(int dir, uint64_t id) MNE_CHECKED;
MneSegment *mne_segment_ref(MneSegment *segment);
void mne_segment_unref(MneSegment *segment);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneSegment, mne_segment_unref)

uint64_t mne_segment_id(const MneSegment *segment);

/* Write frame's header and the payload at frame->ref.at. */
int mne_segment_write(MneSegment *segment, const MneBlobFrame *frame, MneSlice payload)
	MNE_CHECKED;
/* See mne_blob_read(); the header is not looked at. */
int mne_segment_read(MneSegment *segment, const MneBlobRef *ref, uint32_t from,
		     void *buffer, uint32_t len) MNE_CHECKED;
/* See mne_blob_walk(). */
int mne_segment_walk(MneSegment *segment, uint64_t *io_at, MneBlobFrame *out_frame)
	MNE_CHECKED;
int mne_segment_sync(MneSegment *segment) MNE_CHECKED;
/* What is read from now on comes from the disk: what could not be written is not there. */
void mne_segment_reread(MneSegment *segment);
int mne_segment_truncate(MneSegment *segment, uint64_t size) MNE_CHECKED;
