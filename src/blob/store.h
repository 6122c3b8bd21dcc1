/* SPDX-License-Identifier: Apache-2.0
 *
 * blob/store.h - the set of blob segments: bytes too big for the key-value store
 *
 * A segment is an append-only file `SEGMENTID.seg` (16 hex digits) of frames.  A frame is a
 * header (magic, owner, offset, length, CRC-32C of the payload, CRC-32C of the header) and
 * the payload.  Nothing is ever written in place; a segment left by an earlier process is
 * never appended to.  Which frames are alive, the caller knows; the store keeps only the
 * number of live bytes it is told, and hands out segments worth sweeping.
 *
 * Threads: every function may be called from any thread.
 */
#pragma once

#include "util/error.h"
#include "util/slice.h"

#include <stdbool.h>
#include <stdint.h>

#include <glib.h>

typedef struct MneBlobStore MneBlobStore;

/* Where a frame's payload lies, and what it must hash to. */
typedef struct {
	uint64_t segment; /* segment id, from 1 */
	uint64_t at; /* byte offset of the frame's header in the segment */
	uint32_t len; /* bytes of payload, 1 … MNE_BLOB_FRAME_MAX */
	uint32_t crc; /* CRC-32C of the payload */
} MneBlobRef;

/* Whose bytes a frame holds: kept in its header for the sweeper and for check. */
typedef struct {
	uint32_t table;
	uint64_t data; /* data id of the record */
	uint64_t offset; /* byte offset in the file */
} MneBlobOwner;

#define MNE_BLOB_FRAME_MAX   131072u /* 128 KiB */
#define MNE_BLOB_HEADER_SIZE 48u
#define MNE_BLOB_SEGMENT_MAX 67108864u /* 64 MiB */

typedef struct {
	MneBlobOwner owner;
	MneBlobRef ref;
} MneBlobFrame;

/* Open (or, with create, make) the directory path.  -ENOENT when there is none.  New
 * segments get ids above every id in the directory and every id told by set_live or
 * add_live, so tell those before the first append. */
int mne_blob_open(const char *path, bool create, MneBlobStore **out_store) MNE_CHECKED;
void mne_blob_close(MneBlobStore *store);

/* Append one frame.  It is in the page cache on return, durable after mne_blob_barrier().
 * -ENOSPC, -EIO: nothing refers to what may have been written.  Writers run in parallel.
 * The frame counts as live only when mne_blob_add_live() says so: who sweeps must know
 * of appended frames that are not yet named by a committed key. */
int mne_blob_append(MneBlobStore *store, const MneBlobOwner *owner, MneSlice payload,
		    MneBlobRef *out_ref) MNE_CHECKED;

/* Read len bytes from byte `from` of the frame's payload into buffer.  The whole payload's
 * checksum is verified: -BLOB_CORRUPT (EIO) on any mismatch, -NO_SEGMENT when the file is
 * gone.  After a failure the buffer holds anything. */
int mne_blob_read(MneBlobStore *store, const MneBlobRef *ref, uint32_t from,
		  void *buffer, uint32_t len) MNE_CHECKED;

/* All frames appended before the call survive power loss when it returns (data and
 * directory entries).  One runs at a time.  Once the disk has refused to sync, what it lost
 * is unknown: that barrier and every later one fail. */
int mne_blob_barrier(MneBlobStore *store) MNE_CHECKED;

/* The segment may hold what an earlier process wrote and did not sync, or tried in vain to:
 * what is read of it after this is on the disk, and the next barrier syncs it.  Nothing
 * happens when there is no such segment.  While the store is opened. */
void mne_blob_doubt(MneBlobStore *store, uint64_t segment);

/* Accounting.  Live bytes are frame payload bytes that some key still names; the caller
 * persists them and sets them again after open. */
void mne_blob_set_live(MneBlobStore *store, uint64_t segment, int64_t live);
/* Adds delta and returns the new number; unknown segments start from 0. */
int64_t mne_blob_add_live(MneBlobStore *store, uint64_t segment, int64_t delta);

typedef struct {
	uint64_t id;
	uint64_t size; /* bytes of the file */
	int64_t live; /* payload bytes alive */
	bool open; /* still appended to */
} MneBlobSegmentInfo;

/* All segments, ascending by id; an array of MneBlobSegmentInfo. */
GArray *mne_blob_segments(MneBlobStore *store);

/* Walk a segment's frames by their headers.  *io_at starts at 0 and is moved on.
 * 1: a frame is in *out_frame; 0: end (or a torn tail); negative: unreadable.
 * What is no frame (the hole of a failed append, a damaged header, one being written
 * right now) is skipped up to the next valid header: so a frame that a key names can be
 * missing from the walk, and one that none names can appear.  Payloads are not verified. */
int mne_blob_walk(MneBlobStore *store, uint64_t segment, uint64_t *io_at,
		  MneBlobFrame *out_frame) MNE_CHECKED;

/* Close the open segment so that the next append starts a new one. */
void mne_blob_seal(MneBlobStore *store);

/* Unlink a sealed segment; readers in progress finish on their open descriptor.  The
 * batch that took away the last key naming it must be durable before.  -EBUSY while it is
 * appended to; 0 when the file is gone already. */
int mne_blob_remove(MneBlobStore *store, uint64_t segment) MNE_CHECKED;

/* New segments end before bytes (default and most: MNE_BLOB_SEGMENT_MAX). */
void mne_blob_set_segment_max(MneBlobStore *store, uint64_t bytes);

/* Bytes of all segment files. */
uint64_t mne_blob_total(MneBlobStore *store);

/* Fault injection for tests: the nth append or barrier from now fails with INJECTED (0: none),
 * or kills the process when kill is set. */
void mne_blob_set_fault(MneBlobStore *store, uint64_t nth, bool kill);
