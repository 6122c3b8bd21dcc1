/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txlist.c - what a transaction would change, for people
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/txstate.h"

#include <stdlib.h>

static bool is_listed(MneSlice key)
{
	MneKeyParts parts;

	if (mne_key_parse(key, &parts) < 0)
		return false;
	return parts.tag == MNE_TAG_TABLE || parts.tag == MNE_TAG_INODE ||
	       (parts.tag == MNE_TAG_NODE && parts.name.len > 0);
}

/* NULL: there is none. */
static int value_before(MneTx *tx, MneSlice key, GBytes **out_value)
{
	int err = mne_view_get(tx->below, key, out_value);

	return err == -ENOENT ? 0 : err;
}

typedef struct {
	MneTx *tx;
	GPtrArray *lines;
} List;

static int add_line(void *user, MneSlice key, MneSlice staged)
{
	const List *list = user;
	MneTx *tx = list->tx;
	bool goes = staged.len == 0;
	g_autoptr(GBytes) was = NULL;
	g_autofree char *path = NULL;
	char sign = goes ? '-' : '+';

	if (!is_listed(key))
		return 0;
	MNE_TRY(value_before(tx, key, &was));
	if (goes && !was)
		return 0;
	if (was && !goes)
		sign = '~';
	path = mne_tx_path(goes ? tx->below : &tx->store->live.base, key);
	g_ptr_array_add(list->lines, g_strdup_printf("%s\n%c", path, sign));
	return 0;
}

static int compare_lines(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int mne_tx_list(MneTx *tx, GString *to)
{
	g_autoptr(GPtrArray) lines = g_ptr_array_new_with_free_func(g_free);
	List list = { tx, lines };

	MNE_TRY(mne_tx_require_open(tx));
	MNE_TRY(mne_files_commit_old(tx->store, 0));
	MNE_TRY(mne_tx_foreach_staged(tx, add_line, &list));
	if (lines->len > 1)
		qsort(lines->pdata, lines->len, sizeof(gpointer), compare_lines);
	for (guint i = 0; i < lines->len; i++) {
		char *sign = strrchr(lines->pdata[i], '\n');

		*sign = '\0';
		g_string_append_printf(to, "%c %s\n", sign[1],
				       (const char *)lines->pdata[i]);
	}
	return 0;
}
