/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/node.h - the files and directories of nullfs
 *
 * A node lives as long as a name or the kernel refers to it: its `refs` count lookups
 * that were not forgotten, and one more while it has a name.
 *
 * Only `refs` may be touched without a lock.  The caller holds one for the rest: that
 * of the tree for names, that of the node for its bytes and attributes.
 */
#pragma once

#include <stdatomic.h>
#include <stdint.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <time.h>

#include <fuse_lowlevel.h>
#include <glib.h>

/* Seconds: nothing changes but through this mount. */
#define FOREVER 86400.0

typedef struct Node Node;

struct Node {
	uint64_t number;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	struct timespec mtime, ctime;
	_Atomic int64_t refs;
	uint8_t *bytes; /* a file: `size` of `space` */
	size_t size, space;
	GHashTable *by_name; /* a directory: name -> Entry */
	GPtrArray *in_order; /* of Entry; NULL where one was removed */
};

typedef struct {
	char *name;
	Node *node;
	guint place; /* in `in_order`, so that removing is no search */
} Entry;

/* With one reference, for the name that it will get.  `who` NULL: this process. */
Node *node_new(uint64_t number, mode_t mode, const struct fuse_ctx *who);

void node_unref(Node *node, uint64_t refs);
void node_stat(const Node *node, struct stat *out_st);

/* What the kernel is sent; it takes a reference with each. */
void node_entry(Node *node, struct fuse_entry_param *out_entry);

/* These fail with -ENOSPC where memory does. */
int node_resize(Node *node, size_t size);
int node_set(Node *node, const struct stat *wanted, int which);
int node_write(Node *node, const char *bytes, size_t size, size_t at);

Entry *node_find(const Node *dir, const char *name);
void node_add(Node *dir, const char *name, Node *node);
void node_remove(Node *dir, Entry *entry);

/* Returns what the new name stood for before, if anything; unref it. */
Node *node_move(Node *from, Entry *entry, Node *to, const char *new_name);
