/* SPDX-License-Identifier: Apache-2.0
 *
 * check/path.c - where something stands, for people
 *
 * Paths are put together from what the scan collected; where that breaks off, numbers
 * stand in.  Bytes that are no text are shown as \xNN.
 */
#define G_LOG_DOMAIN "mne-check"

#include "config.h"

#include "check/state.h"

#include <inttypes.h>

enum { DEPTH_MAX = 200, SEARCHES_MAX = 20 };

static char *text_of(MneSlice name)
{
	g_autofree char *raw = g_strndup((const char *)name.data, name.len);
	GString *text = g_string_new(NULL);

	for (const char *at = raw ? raw : ""; *at;) {
		gunichar rune = g_utf8_get_char_validated(at, -1);

		if (rune >= 0x20 && rune != 0x7f && rune < 0x110000) {
			g_string_append_unichar(text, rune);
			at = g_utf8_next_char(at);
		} else {
			g_string_append_printf(text, "\\x%02x", (unsigned char)*at++);
		}
	}
	return g_string_free(text, FALSE);
}

/* "users", or "table 18". */
static char *table_text(MneCheck *check, uint32_t table)
{
	const MneTableFact *fact = mne_fact_table(check, table);

	if (!fact)
		return g_strdup_printf("table %u", table);
	return text_of(mne_slice_of(fact->name));
}

static bool is_top(MneCheck *check, uint32_t table, uint64_t dir)
{
	const MneTableFact *fact = mne_fact_table(check, table);

	return table == MNE_ROOT_TABLE || (fact && fact->schema.dir == dir);
}

char *mne_path_of_dir(MneCheck *check, uint32_t table, uint64_t dir)
{
	g_autofree char *path = g_strdup("");
	g_autofree char *top = table_text(check, table);

	if (table == MNE_ROOT_TABLE)
		return g_strdup("the root");
	for (unsigned depth = 0; depth < DEPTH_MAX && !is_top(check, table, dir);
	     depth++) {
		const MneDirFact *fact = mne_fact_dir(check, table, dir, false);
		g_autofree char *name = NULL;
		char *longer;

		if (!fact || !fact->has_node)
			return g_strdup_printf("%s/…/directory %" PRIu64 "%s", top, dir,
					       path);
		name = text_of(mne_slice_of(fact->name));
		longer = g_strdup_printf("/%s%s", name, path);
		g_free(path);
		path = longer;
		dir = fact->parent;
	}
	return g_strdup_printf("%s%s", top, path);
}

char *mne_path_of_name(MneCheck *check, uint32_t table, uint64_t dir, MneSlice name)
{
	g_autofree char *path = mne_path_of_dir(check, table, dir);
	g_autofree char *text = text_of(name);

	return g_strdup_printf("%s/%s", path, text);
}

typedef struct {
	uint32_t table;
	uint64_t data;
} Wanted;

static bool has_data(MneSlice value, uint64_t data)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(value);
	g_auto(MneNode) node = { 0 };

	return mne_node_decode(bytes, &node) == 0 && node.data == data;
}

/* The path of the entry whose inode has the data, or NULL. */
static char *match(MneCheck *check, MneSlice key, MneSlice value, Wanted wanted)
{
	MneKeyParts parts;

	if (mne_key_parse(key, &parts) < 0)
		return NULL;
	if (parts.tag == MNE_TAG_RETAINED && mne_key_parse(parts.inner, &parts) < 0)
		return NULL;
	if (parts.table != wanted.table || value.len == 0 ||
	    value.data[0] != MNE_KIND_INODE || !has_data(value, wanted.data))
		return NULL;
	if (parts.tag == MNE_TAG_NODE)
		return mne_path_of_name(check, parts.table, parts.id, parts.name);
	return g_strdup_printf("linked file %" PRIu64, parts.id);
}

static char *search(MneCheck *check, MneTag tag, Wanted wanted)
{
	const uint8_t first = (uint8_t)tag;
	g_autoptr(MneKvIter) iter = NULL;
	char *path = NULL;

	if (mne_kv_iter(check->kv, &iter) < 0)
		return NULL;
	mne_kv_iter_seek(iter, mne_slice(&first, 1));
	for (; !path && mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		MneSlice key = mne_kv_iter_key(iter);

		if (key.data[0] != first)
			break;
		path = match(check, key, mne_kv_iter_value(iter), wanted);
	}
	return path;
}

char *mne_path_of_data(MneCheck *check, uint32_t table, uint64_t data, bool *io_history)
{
	static const MneTag tags[] = { MNE_TAG_NODE, MNE_TAG_INODE, MNE_TAG_RETAINED };
	Wanted wanted = { table, data };
	char *path = NULL;

	if (check->searches++ >= SEARCHES_MAX)
		return g_strdup_printf("data %" PRIu64 " of table %u", data, table);
	for (unsigned i = 0; !path && i < G_N_ELEMENTS(tags); i++) {
		path = search(check, tags[i], wanted);
		if (path && tags[i] == MNE_TAG_RETAINED)
			*io_history = true;
	}
	return path ? path
		    : g_strdup_printf("data %" PRIu64 " of table %u", data, table);
}
