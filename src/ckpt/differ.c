/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/differ.c - in what two states of a record differ
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/differ.h"

static bool same_time(struct timespec a, struct timespec b)
{
	return a.tv_sec == b.tv_sec && a.tv_nsec == b.tv_nsec;
}

static int add_xattrs(const MneState *of, GHashTable *all)
{
	g_autoptr(GByteArray) names = g_byte_array_new();
	const char *at, *end;

	MNE_TRY(mne_view_xattr_names(of->view, of->table, of->node, names));
	at = (const char *)names->data;
	end = at + names->len;
	for (; at < end; at += strlen(at) + 1) {
		GBytes *value = NULL;

		MNE_TRY(mne_view_xattr(of->view, of->table, of->node, mne_slice_str(at),
				       &value));
		g_hash_table_insert(all, g_strdup(at), value);
	}
	return 0;
}

static GHashTable *xattr_table(void)
{
	return g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
				     (GDestroyNotify)g_bytes_unref);
}

static bool same_values(GHashTable *a, GHashTable *b)
{
	GHashTableIter iter;
	gpointer name, value;

	if (g_hash_table_size(a) != g_hash_table_size(b))
		return false;
	g_hash_table_iter_init(&iter, a);
	while (g_hash_table_iter_next(&iter, &name, &value)) {
		GBytes *other = g_hash_table_lookup(b, name);

		if (!other || !g_bytes_equal(value, other))
			return false;
	}
	return true;
}

static int differ_in_xattrs(const MneState *a, const MneState *b, bool *out)
{
	unsigned flags = a->node->flags | b->node->flags;
	g_autoptr(GHashTable) of_a = xattr_table();
	g_autoptr(GHashTable) of_b = xattr_table();

	*out = !mne_slice_equal(a->node->xattrs, b->node->xattrs);
	if (!(flags & MNE_NODE_BIG_XATTRS))
		return 0;
	MNE_TRY(add_xattrs(a, of_a));
	MNE_TRY(add_xattrs(b, of_b));
	*out = !same_values(of_a, of_b);
	return 0;
}

/* Bytes in extents are not compared: another id, or a write to the same, may mean others. */
static bool differ_in_data(const MneNode *a, const MneNode *b)
{
	if (mne_node_is_dir(a))
		return false;
	if (a->size != b->size || a->rdev != b->rdev || a->data != b->data)
		return true;
	if (a->data == 0)
		return !mne_slice_equal(a->content, b->content);
	return a->stored != b->stored || !same_time(a->mtime, b->mtime);
}

static bool may_differ_in_data(const MneNode *a, const MneNode *b)
{
	return !mne_node_is_dir(a) && (a->size != b->size || a->rdev != b->rdev ||
				       !same_time(a->mtime, b->mtime));
}

int mne_differ(const MneState *a, const MneState *b, bool contents, unsigned *out_bits)
{
	const MneNode *x = a->node, *y = b->node;
	bool xattrs = false;

	if (contents)
		MNE_TRY(differ_in_xattrs(a, b, &xattrs));
	*out_bits = 0;
	if ((x->mode & S_IFMT) != (y->mode & S_IFMT)) {
		*out_bits = MNE_DIFFER_TYPE;
		return 0;
	}
	if (contents ? differ_in_data(x, y) : may_differ_in_data(x, y))
		*out_bits |= MNE_DIFFER_DATA;
	if (x->mode != y->mode)
		*out_bits |= MNE_DIFFER_MODE;
	if (x->uid != y->uid || x->gid != y->gid)
		*out_bits |= MNE_DIFFER_OWNER;
	if (!same_time(x->mtime, y->mtime))
		*out_bits |= MNE_DIFFER_TIME;
	if (xattrs)
		*out_bits |= MNE_DIFFER_XATTRS;
	if (!mne_node_is_dir(x) && x->nlink != y->nlink)
		*out_bits |= MNE_DIFFER_LINKS;
	return 0;
}

const char *mne_differ_word(unsigned i)
{
	static const char *const words[] = { "type", "data",   "mode", "owner",
					     "time", "xattrs", "links" };

	return i < G_N_ELEMENTS(words) ? words[i] : NULL;
}
