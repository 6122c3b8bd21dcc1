/* SPDX-License-Identifier: Apache-2.0
 *
 * blob/segment.c - one segment file: frames encoded, written, read, walked
 *
 * No frame lies beyond MNE_BLOB_SEGMENT_MAX, so nothing behind it is ever read: the size
 * of a damaged file bounds no loop.
 */
#define G_LOG_DOMAIN "mne-blob"

#include "config.h"

#include "blob/segment.h"

#include "util/coding.h"
#include "util/ref.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#define FRAME_MAGIC 0x6d6e6546u /* "mneF" */
#define FRAME_ALIGN 8u
#define SCAN_SIZE   65536u

/* Where in a header a field lies. */
enum {
	FIELD_MAGIC = 0,
	FIELD_TABLE = 4,
	FIELD_DATA = 8,
	FIELD_OFFSET = 16,
	FIELD_LEN = 24,
	FIELD_CRC = 28,
	FIELD_SEGMENT = 32,
	FIELD_AT = 40,
	FIELD_CHECK = 44,
};

struct MneSegment {
	MneRef ref;
	uint64_t id;
	int fd;
};

void mne_frame_encode(const MneBlobFrame *frame,
		      uint8_t out_header[MNE_BLOB_HEADER_SIZE])
{
	mne_put_be32(out_header + FIELD_MAGIC, FRAME_MAGIC);
	mne_put_be32(out_header + FIELD_TABLE, frame->owner.table);
	mne_put_be64(out_header + FIELD_DATA, frame->owner.data);
	mne_put_be64(out_header + FIELD_OFFSET, frame->owner.offset);
	mne_put_be32(out_header + FIELD_LEN, frame->ref.len);
	mne_put_be32(out_header + FIELD_CRC, frame->ref.crc);
	mne_put_be64(out_header + FIELD_SEGMENT, frame->ref.segment);
	mne_put_be32(out_header + FIELD_AT, (uint32_t)frame->ref.at);
	mne_put_be32(out_header + FIELD_CHECK, mne_crc32c(0, out_header, FIELD_CHECK));
}

bool mne_frame_decode(const uint8_t header[MNE_BLOB_HEADER_SIZE], uint64_t segment,
		      uint64_t at, MneBlobFrame *out_frame)
{
	MneBlobFrame frame;

	if (mne_get_be32(header + FIELD_MAGIC) != FRAME_MAGIC ||
	    mne_get_be32(header + FIELD_CHECK) != mne_crc32c(0, header, FIELD_CHECK))
		return false;

	frame.owner.table = mne_get_be32(header + FIELD_TABLE);
	frame.owner.data = mne_get_be64(header + FIELD_DATA);
	frame.owner.offset = mne_get_be64(header + FIELD_OFFSET);
	frame.ref.segment = mne_get_be64(header + FIELD_SEGMENT);
	frame.ref.at = mne_get_be32(header + FIELD_AT);
	frame.ref.len = mne_get_be32(header + FIELD_LEN);
	frame.ref.crc = mne_get_be32(header + FIELD_CRC);
	if (frame.ref.segment != segment || frame.ref.at != at || frame.ref.len == 0 ||
	    frame.ref.len > MNE_BLOB_FRAME_MAX)
		return false;

	*out_frame = frame;
	return true;
}

void mne_segment_name(uint64_t id, char out_name[MNE_SEGMENT_NAME_SIZE])
{
	g_snprintf(out_name, MNE_SEGMENT_NAME_SIZE, "%016" G_GINT64_MODIFIER "x.seg",
		   id);
}

bool mne_segment_parse_name(const char *name, uint64_t *out_id)
{
	char canonical[MNE_SEGMENT_NAME_SIZE];
	uint64_t id = 0;

	if (strlen(name) != MNE_SEGMENT_NAME_SIZE - 1)
		return false;

	for (int i = 0; i < 16; i++) {
		if (!g_ascii_isxdigit(name[i]))
			return false;
		id = id << 4 | (uint64_t)g_ascii_xdigit_value(name[i]);
	}

	mne_segment_name(id, canonical);
	if (id == 0 || id > MNE_SEGMENT_ID_MAX || strcmp(name, canonical) != 0)
		return false;

	*out_id = id;
	return true;
}

int mne_segment_make_dir(const char *path)
{
	g_autofree char *parent = g_path_get_dirname(path);
	int fd;
	int err;

	if (mkdir(path, 0700) < 0)
		return errno == EEXIST ? 0 : -errno;

	fd = open(parent, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return -errno;
	err = fsync(fd) < 0 ? -errno : 0;
	close(fd);
	return err;
}

static int add_file(int dir, const char *name, GArray *to)
{
	MneSegmentFile file = { 0 };
	struct stat st;

	if (!mne_segment_parse_name(name, &file.id))
		return 0;
	if (fstatat(dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;

	file.size = (uint64_t)st.st_size;
	if (S_ISREG(st.st_mode))
		g_array_append_val(to, file);
	return 0;
}

static int add_files(DIR *dir, GArray *to)
{
	for (;;) {
		const struct dirent *found;

		errno = 0;
		found = readdir(dir); /* NOLINT: our own DIR */
		if (!found)
			return -errno;
		MNE_TRY(add_file(dirfd(dir), found->d_name, to));
	}
}

int mne_segment_list(const char *path, GArray *to)
{
	DIR *dir = opendir(path);
	int err;

	if (!dir)
		return -errno;

	err = add_files(dir, to);
	closedir(dir);
	return err;
}

static int open_file(int dir, uint64_t id, int flags, MneSegment **out_segment)
{
	char name[MNE_SEGMENT_NAME_SIZE];
	MneSegment *segment;
	int fd;

	mne_segment_name(id, name);
	fd = openat(dir, name, flags | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd < 0)
		return -errno;

	segment = g_new0(MneSegment, 1);
	mne_ref_init(&segment->ref);
	segment->id = id;
	segment->fd = fd;
	*out_segment = segment;
	return 0;
}

int mne_segment_create(int dir, uint64_t id, MneSegment **out_segment)
{
	return open_file(dir, id, O_RDWR | O_CREAT | O_EXCL, out_segment);
}

int mne_segment_open(int dir, uint64_t id, MneSegment **out_segment)
{
	int err = open_file(dir, id, O_RDONLY, out_segment);

	if (err == -ENOENT)
		return mne_throw(NO_SEGMENT, "segment %016" G_GINT64_MODIFIER "x", id);
	return err;
}

int mne_segment_unlink(int dir, uint64_t id)
{
	char name[MNE_SEGMENT_NAME_SIZE];

	mne_segment_name(id, name);
	return unlinkat(dir, name, 0) < 0 ? -errno : 0;
}

MneSegment *mne_segment_ref(MneSegment *segment)
{
	mne_ref_get(&segment->ref);
	return segment;
}

void mne_segment_unref(MneSegment *segment)
{
	if (!mne_ref_put(&segment->ref))
		return;

	close(segment->fd);
	g_free(segment);
}

uint64_t mne_segment_id(const MneSegment *segment)
{
	return segment->id;
}

/* What of the two pieces is still to write after done bytes; returns how many pieces. */
static int pieces_left(const MneSlice pieces[2], size_t done, struct iovec out_left[2])
{
	int n = 0;

	for (int i = 0; i < 2; i++) {
		size_t skip = MIN(done, pieces[i].len);

		done -= skip;
		if (skip < pieces[i].len)
			out_left[n++] = (struct iovec){ (void *)(pieces[i].data + skip),
							pieces[i].len - skip };
	}
	return n;
}

int mne_segment_write(MneSegment *segment, const MneBlobFrame *frame, MneSlice payload)
{
	uint8_t header[MNE_BLOB_HEADER_SIZE] = { 0 };
	MneSlice pieces[2] = { mne_slice(header, sizeof(header)), payload };
	size_t done = 0;

	mne_frame_encode(frame, header);
	while (done < sizeof(header) + payload.len) {
		struct iovec left[2] = { { NULL, 0 } };
		int n_left = pieces_left(pieces, done, left);
		ssize_t n = pwritev(segment->fd, left, n_left,
				    (off_t)(frame->ref.at + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			return -EIO;
		if (n > 0)
			done += (size_t)n;
	}
	return 0;
}

/* Bytes read: fewer than len only at the end of the file. */
static ssize_t read_fully(int fd, uint8_t *buffer, size_t len, uint64_t at)
{
	size_t done = 0;

	while (done < len) {
		ssize_t n = pread(fd, buffer + done, len - done, (off_t)(at + done));

		if (n < 0 && errno != EINTR)
			return -errno;
		if (n == 0)
			break;
		if (n > 0)
			done += (size_t)n;
	}
	return (ssize_t)done;
}

static int corrupt(const MneBlobRef *ref, const char *what)
{
	return mne_throw(BLOB_CORRUPT,
			 "segment %016" G_GINT64_MODIFIER "x at %" G_GUINT64_FORMAT
			 ": %s",
			 ref->segment, ref->at, what);
}

static int read_payload(MneSegment *segment, const MneBlobRef *ref, uint8_t *buffer)
{
	ssize_t n = read_fully(segment->fd, buffer, ref->len,
			       ref->at + MNE_BLOB_HEADER_SIZE);

	if (n < 0)
		return (int)n;
	if ((size_t)n < ref->len)
		return corrupt(ref, "the file ends inside the frame");
	if (mne_crc32c(0, buffer, ref->len) != ref->crc)
		return corrupt(ref, "checksum mismatch");

	return 0;
}

int mne_segment_read(MneSegment *segment, const MneBlobRef *ref, uint32_t from,
		     void *buffer, uint32_t len)
{
	g_autofree uint8_t *scratch = NULL;

	if (ref->segment != segment->id || ref->len == 0 ||
	    ref->len > MNE_BLOB_FRAME_MAX ||
	    ref->at > MNE_BLOB_SEGMENT_MAX - MNE_BLOB_HEADER_SIZE - ref->len)
		return corrupt(ref, "no frame can lie there");
	if (from > ref->len || len > ref->len - from)
		return corrupt(ref, "asked for more than the frame holds");
	if (from == 0 && len == ref->len)
		return read_payload(segment, ref, buffer);

	scratch = g_try_malloc(ref->len);
	if (!scratch)
		return -ENOMEM;
	MNE_TRY(read_payload(segment, ref, scratch));
	memcpy(buffer, scratch + from, len);
	return 0;
}

/* The first frame in bytes [from, end) of the file; 0 when there is none. */
static int scan(MneSegment *segment, uint64_t from, uint64_t end,
		MneBlobFrame *out_frame)
{
	g_autofree uint8_t *window = g_try_malloc(SCAN_SIZE);

	if (!window)
		return -ENOMEM;

	while (from < end && end - from >= MNE_BLOB_HEADER_SIZE) {
		size_t want = MIN(SCAN_SIZE, end - from);
		ssize_t n = read_fully(segment->fd, window, want, from);
		size_t i = 0;

		if (n < 0)
			return (int)n;
		for (; i + MNE_BLOB_HEADER_SIZE <= (size_t)n; i += FRAME_ALIGN)
			if (mne_frame_decode(window + i, segment->id, from + i,
					     out_frame) &&
			    out_frame->ref.len <= end - from - i - MNE_BLOB_HEADER_SIZE)
				return 1;
		if ((size_t)n < want)
			return 0;
		from += i;
	}
	return 0;
}

/* The frame whose header is right at at; 0 when there is none. */
static int frame_at(MneSegment *segment, uint64_t at, uint64_t end,
		    MneBlobFrame *out_frame)
{
	uint8_t header[MNE_BLOB_HEADER_SIZE];
	ssize_t n = read_fully(segment->fd, header, sizeof(header), at);

	if (n < 0)
		return (int)n;

	return (size_t)n == sizeof(header) &&
	       mne_frame_decode(header, segment->id, at, out_frame) &&
	       out_frame->ref.len <= end - at - MNE_BLOB_HEADER_SIZE;
}

int mne_segment_walk(MneSegment *segment, uint64_t *io_at, MneBlobFrame *out_frame)
{
	MneBlobFrame frame = { 0 };
	struct stat st;
	uint64_t at;
	uint64_t end;
	int found;

	if (fstat(segment->fd, &st) < 0)
		return -errno;

	end = MIN((uint64_t)st.st_size, MNE_BLOB_SEGMENT_MAX);
	if (*io_at >= end)
		return 0;

	at = (*io_at + FRAME_ALIGN - 1) & ~(uint64_t)(FRAME_ALIGN - 1);
	if (at >= end || end - at < MNE_BLOB_HEADER_SIZE)
		return 0;

	found = frame_at(segment, at, end, &frame);
	if (found == 0)
		found = scan(segment, at + FRAME_ALIGN, end, &frame);
	if (found <= 0)
		return found;

	*out_frame = frame;
	*io_at = mne_frame_end(frame.ref.at, frame.ref.len);
	return 1;
}

int mne_segment_sync(MneSegment *segment)
{
	return fdatasync(segment->fd) < 0 ? -errno : 0;
}

/* The system keeps in memory, as if it had been written, what it has failed to write. */
void mne_segment_reread(MneSegment *segment)
{
	(void)fdatasync(segment->fd);
	(void)posix_fadvise(segment->fd, 0, 0, POSIX_FADV_DONTNEED);
}

int mne_segment_truncate(MneSegment *segment, uint64_t size)
{
	return ftruncate(segment->fd, (off_t)size) < 0 ? -errno : 0;
}
