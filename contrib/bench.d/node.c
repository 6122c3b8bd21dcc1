/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/node.c - the files and directories of nullfs
 */
#define FUSE_USE_VERSION FUSE_MAKE_VERSION(3, 14)
#define _GNU_SOURCE
#include "node.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static void touch(struct timespec *time)
{
	clock_gettime(CLOCK_REALTIME_COARSE, time);
}

Node *node_new(uint64_t number, mode_t mode, const struct fuse_ctx *who)
{
	Node *node = g_new0(Node, 1);

	node->number = number;
	node->mode = mode;
	node->uid = who ? who->uid : getuid();
	node->gid = who ? who->gid : getgid();
	node->refs = 1;
	touch(&node->mtime);
	node->ctime = node->mtime;
	if (S_ISDIR(mode)) {
		node->by_name = g_hash_table_new(g_str_hash, g_str_equal);
		node->in_order = g_ptr_array_new();
	}
	return node;
}

void node_unref(Node *node, uint64_t refs)
{
	if (atomic_fetch_sub(&node->refs, (int64_t)refs) > (int64_t)refs)
		return;

	free(node->bytes);
	if (node->by_name) {
		g_hash_table_destroy(node->by_name);
		g_ptr_array_free(node->in_order, TRUE);
	}
	g_free(node);
}

void node_stat(const Node *node, struct stat *out_st)
{
	*out_st = (struct stat){
		.st_ino = node->number,
		.st_mode = node->mode,
		.st_nlink = S_ISDIR(node->mode) ? 2 : 1,
		.st_uid = node->uid,
		.st_gid = node->gid,
		.st_size = (off_t)node->size,
		.st_blocks = (blkcnt_t)(node->size + 511) / 512,
		.st_blksize = 4096,
		.st_atim = node->mtime,
		.st_mtim = node->mtime,
		.st_ctim = node->ctime,
	};
}

void node_entry(Node *node, struct fuse_entry_param *out_entry)
{
	*out_entry = (struct fuse_entry_param){
		.ino = (fuse_ino_t)(uintptr_t)node,
		.generation = 1,
		.attr_timeout = FOREVER,
		.entry_timeout = FOREVER,
	};
	node_stat(node, &out_entry->attr);
	node->refs++;
}

/* Big files grow by half, so that a stream does not copy itself again and again. */
static int node_reserve(Node *node, size_t size)
{
	size_t space = size <= 65536 ? (size + 1023) & ~(size_t)1023 : size + size / 2;
	uint8_t *bytes;

	if (size <= node->space)
		return 0;

	bytes = realloc(node->bytes, space);
	if (!bytes)
		return -ENOSPC;

	node->bytes = bytes;
	node->space = space;
	return 0;
}

int node_resize(Node *node, size_t size)
{
	int err = node_reserve(node, size);

	if (err < 0)
		return err;

	if (size > node->size)
		memset(node->bytes + node->size, 0, size - node->size);
	node->size = size;
	return 0;
}

Entry *node_find(const Node *dir, const char *name)
{
	return g_hash_table_lookup(dir->by_name, name);
}

void node_add(Node *dir, const char *name, Node *node)
{
	Entry *entry = g_new(Entry, 1);

	*entry = (Entry){ g_strdup(name), node, dir->in_order->len };
	g_ptr_array_add(dir->in_order, entry);
	g_hash_table_insert(dir->by_name, entry->name, entry);
	touch(&dir->mtime);
}

void node_remove(Node *dir, Entry *entry)
{
	GPtrArray *order = dir->in_order;

	g_hash_table_remove(dir->by_name, entry->name);
	order->pdata[entry->place] = NULL;
	while (order->len > 0 && !order->pdata[order->len - 1])
		g_ptr_array_set_size(order, (gint)order->len - 1);
	g_free(entry->name);
	g_free(entry);
	touch(&dir->mtime);
}

Node *node_move(Node *from, Entry *entry, Node *to, const char *new_name)
{
	Entry *target = node_find(to, new_name);
	Node *node = entry->node, *replaced = NULL;

	if (target == entry)
		return NULL;

	if (target) {
		replaced = target->node;
		target->node = node;
	} else {
		node_add(to, new_name, node);
	}
	node_remove(from, entry);
	return replaced;
}

int node_set(Node *node, const struct stat *wanted, int which)
{
	if (which & FUSE_SET_ATTR_MODE)
		node->mode = (node->mode & S_IFMT) | (wanted->st_mode & 07777);
	if (which & FUSE_SET_ATTR_UID)
		node->uid = wanted->st_uid;
	if (which & FUSE_SET_ATTR_GID)
		node->gid = wanted->st_gid;
	if (which & FUSE_SET_ATTR_MTIME_NOW)
		touch(&node->mtime);
	else if (which & FUSE_SET_ATTR_MTIME)
		node->mtime = wanted->st_mtim;
	touch(&node->ctime);

	return which & FUSE_SET_ATTR_SIZE ? node_resize(node, (size_t)wanted->st_size)
					  : 0;
}

int node_write(Node *node, const char *bytes, size_t size, size_t at)
{
	int err = node_reserve(node, at + size);

	if (err == 0 && at > node->size)
		err = node_resize(node, at);
	if (err < 0)
		return err;

	memcpy(node->bytes + at, bytes, size);
	node->size = MAX(node->size, at + size);
	touch(&node->mtime);
	return 0;
}
