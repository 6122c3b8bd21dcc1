/* SPDX-License-Identifier: Apache-2.0
 *
 * check/rescue.c - what has lost its table, or its inode, gets one again
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"
#include "txn/internal.h"

#include <inttypes.h>

/* ---- tables --------------------------------------------------------------- */

/* The directory at the top of a table: it says so, or else it is the only one that has lost
 * its inode and has no name. */
static MneDirFact *find_top(MneCheck *check, uint32_t table)
{
	MneDirFact *nameless = NULL;
	GHashTableIter iter;
	gpointer value;

	g_hash_table_iter_init(&iter, check->dirs);
	while (g_hash_table_iter_next(&iter, NULL, &value)) {
		MneDirFact *dir = value;

		if (dir->id.table != table)
			continue;
		if (dir->has_node && dir->parent == MNE_ROOT_DIR)
			return dir;
		if (!dir->has_node && dir->counted > 0 && dir->refs == 0)
			nameless = dir;
	}
	return nameless;
}

static char *free_table_name(MneCheck *check, uint32_t table, const MneDirFact *top)
{
	g_autofree char *lost = g_strdup_printf("lost-%u", table);
	MneSlice own = mne_slice_of(top->name);
	MneKey key;

	if (own.len > 0) {
		mne_key_table(&key, own);
		if (!mne_check_has_key(check, &key))
			return g_strndup((const char *)own.data, own.len);
	}
	mne_key_table(&key, mne_slice_str(lost));
	return mne_check_has_key(check, &key) ? NULL : g_steal_pointer(&lost);
}

bool mne_rescue_table(MneCheck *check, uint32_t table)
{
	MneDirFact *top = find_top(check, table);
	g_autofree char *name = top ? free_table_name(check, table, top) : NULL;
	g_autoptr(GBytes) value = NULL;
	MneTable schema = { .seq = check->store->volume->seq,
			    .id = table,
			    .storage = MNE_STORAGE_DISC_COPIES,
			    .fragments = 1,
			    .version = 1 };
	MneKey key;

	if (!name)
		return false;
	schema.dir = top->id.id;
	schema.cookie = ((uint64_t)g_random_int() << 32) | g_random_int();
	value = mne_table_encode(&schema);
	mne_key_table(&key, mne_slice_str(name));
	mne_fact_keep_table(check, &schema, mne_slice_str(name), true);
	mne_check_adopt(check, (MneCheckId){ MNE_ROOT_TABLE, MNE_ROOT_DIR }, true);
	return mne_mend_dir(check, top, MNE_ROOT_DIR, mne_slice_str(name)) &&
	       mne_check_put(check, mne_key_slice(&key), value);
}

/* ---- files ---------------------------------------------------------------- */

static GBytes *file_of(MneCheck *check, MneCheckId data, uint64_t end, uint64_t stored)
{
	MneVolume *volume = check->store->volume;
	uint64_t rec = mne_volume_new_id(volume);
	struct timespec now;
	MneNode node;

	clock_gettime(CLOCK_REALTIME, &now);
	node = (MneNode){ .seq = volume->seq,
			  .rec = rec,
			  .version = rec,
			  .mode = S_IFREG | 0600,
			  .nlink = 1,
			  .size = end,
			  .data = data.id,
			  .stored = stored,
			  .atime = now,
			  .mtime = now,
			  .ctime = now,
			  .btime = now };
	return mne_node_encode(&node);
}

bool mne_rescue_data(MneCheck *check, MneCheckId data, uint64_t end, uint64_t stored)
{
	const MneTableFact *table = mne_fact_table(check, data.table);
	g_autofree char *name = g_strdup_printf("lost-%" PRIu64, data.id);
	g_autoptr(GBytes) value = NULL;
	MneKey key;

	if (!table || !table->live || !check->repair)
		return false;
	mne_key_node(&key, data.table, table->schema.dir, mne_slice_str(name));
	if (mne_check_has_key(check, &key))
		return false;
	mne_fact_add(check->data, data.table, data.id);
	mne_check_adopt(check, (MneCheckId){ data.table, table->schema.dir }, false);
	value = file_of(check, data, end, stored);
	mne_check_route(check, &key);
	return mne_check_put(check, mne_key_slice(&key), value);
}
