/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/attr.c - what stat(2) shows
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/attr.h"

#define BLOCK_SIZE 4096
#define HASHED_BIT (G_GUINT64_CONSTANT(1) << 52)

static uint64_t mix(uint64_t value)
{
	value += G_GUINT64_CONSTANT(0x9e3779b97f4a7c15);
	value = (value ^ value >> 30) * G_GUINT64_CONSTANT(0xbf58476d1ce4e5b9);
	value = (value ^ value >> 27) * G_GUINT64_CONSTANT(0x94d049bb133111eb);
	return value ^ value >> 31;
}

static uint64_t hashed_number(uint64_t domain, uint64_t id)
{
	return HASHED_BIT | (mix(mix(domain) ^ id) & (HASHED_BIT - 1));
}

void mne_attr_of_live(const MneNode *node, struct stat *out)
{
	*out = (struct stat){
		.st_ino = node->rec,
		.st_mode = node->mode,
		.st_nlink = node->nlink,
		.st_uid = node->uid,
		.st_gid = node->gid,
		.st_rdev = node->rdev,
		.st_size = (off_t)node->size,
		.st_blksize = BLOCK_SIZE,
		.st_blocks = (blkcnt_t)mne_node_blocks(node),
		.st_atim = node->atime,
		.st_mtim = node->mtime,
		.st_ctim = node->ctime,
	};
}

void mne_attr_of_past(const MneNode *node, uint64_t cookie, unsigned sharers,
		      struct stat *out)
{
	mne_attr_of_live(node, out);
	if (mne_node_is_dir(node)) {
		out->st_ino = hashed_number(cookie, node->rec);
	} else {
		out->st_ino = node->version;
		out->st_nlink = (nlink_t)node->nlink * sharers;
	}
}

void mne_attr_of_hidden(const struct stat *like, uint64_t domain, uint64_t id,
			uint32_t mode, struct stat *out)
{
	*out = (struct stat){
		.st_ino = hashed_number(domain, id),
		.st_mode = mode,
		.st_nlink = S_ISDIR(mode) ? 2 : 1,
		.st_uid = like->st_uid,
		.st_gid = like->st_gid,
		.st_blksize = BLOCK_SIZE,
		.st_atim = like->st_mtim,
		.st_mtim = like->st_mtim,
		.st_ctim = like->st_ctim,
	};
}
