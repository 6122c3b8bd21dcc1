/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/tell.c - commits as events
 *
 * Paths are made when the commit was applied: they lead through directories as they are
 * then, or, where the commit removed those too, as they were.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/tell.h"

#include "txn/feed.h"
#include "util/text.h"

#define DEEPEST           4096u /* directories in a path */
#define OVERLOAD_PAUSE_US 10000000

typedef struct {
	GBytes *key, *was, *is; /* was, is: NULL when nothing stood there */
} Change;

struct MneTelling {
	GPtrArray *changes; /* of Change, in their order */
	GHashTable *by_key; /* the same, borrowed */
};

static void change_free(void *data)
{
	Change *change = data;

	g_bytes_unref(change->key);
	g_clear_pointer(&change->was, g_bytes_unref);
	g_clear_pointer(&change->is, g_bytes_unref);
	g_free(change);
}

static MneTelling *telling_new(void)
{
	MneTelling *telling = g_new0(MneTelling, 1);

	telling->changes = g_ptr_array_new_with_free_func(change_free);
	telling->by_key = g_hash_table_new(g_bytes_hash, g_bytes_equal);
	return telling;
}

void mne_telling_free(MneTelling *telling)
{
	g_hash_table_unref(telling->by_key);
	g_ptr_array_unref(telling->changes);
	g_free(telling);
}

static bool is_told(MneSlice key)
{
	switch (key.data[0]) {
	case MNE_TAG_TABLE:
	case MNE_TAG_NODE:
	case MNE_TAG_INODE: return true;
	default: return false;
	}
}

static Change *change_of(MneTelling *telling, MneSlice key)
{
	g_autoptr(GBytes) bytes = mne_slice_to_bytes(key);
	Change *change = g_hash_table_lookup(telling->by_key, bytes);

	if (change)
		return change;
	change = g_new0(Change, 1);
	change->key = g_steal_pointer(&bytes);
	g_ptr_array_add(telling->changes, change);
	g_hash_table_insert(telling->by_key, change->key, change);
	return change;
}

int mne_tell_note(MneStore *store, MneTelling **io_telling, MneSlice key,
		  MneSlice value)
{
	Change *change;
	int err;

	/* What a transaction stages is told when it is committed. */
	if (store->tx || !is_told(key) ||
	    (key.data[0] != MNE_TAG_TABLE && !mne_feed_wants_changes(store->feed)))
		return 0;
	if (!*io_telling)
		*io_telling = telling_new();
	change = change_of(*io_telling, key);
	if (change->was || change->is) { /* again, in the same commit */
		g_clear_pointer(&change->is, g_bytes_unref);
	} else {
		err = mne_view_get(&store->stored.base, key, &change->was);
		if (err < 0 && err != -ENOENT)
			return err;
	}
	change->is = value.data ? mne_slice_to_bytes(value) : NULL;
	return 0;
}

/* The inode of a directory, as it is or as it was before this commit. */
static int dir_of(MneStore *store, const MneTelling *telling, uint32_t table,
		  uint64_t dir, MneNode *out)
{
	g_autoptr(GBytes) bytes = NULL;
	const Change *change;
	MneKey key;

	if (mne_dir_load(store, table, dir, out) == 0)
		return 0;
	mne_key_node(&key, table, dir, MNE_SLICE_EMPTY);
	bytes = mne_slice_to_bytes(mne_key_slice(&key));
	change = g_hash_table_lookup(telling->by_key, bytes);
	return change && change->was ? mne_node_decode(change->was, out) : -ENOENT;
}

/* The path of a directory from its table on, which goes to out_table; both new. */
static char *path_of(MneStore *store, const MneTelling *telling, uint32_t table,
		     uint64_t dir, char **out_table)
{
	g_autoptr(GString) path = g_string_new(NULL);

	for (unsigned depth = 0; depth < DEEPEST; depth++) {
		g_auto(MneNode) node = { 0 };

		if (dir_of(store, telling, table, dir, &node) < 0)
			return NULL;
		g_string_prepend_c(path, '/');
		g_string_prepend_len(path, (const char *)node.name.data,
				     (gssize)node.name.len);
		if (node.parent == MNE_ROOT_DIR) {
			*out_table = g_strndup((const char *)node.name.data,
					       node.name.len);
			return g_strdup(path->str);
		}
		dir = node.parent;
	}
	return NULL;
}

/* What stands under a key: the inode, or of a reference what it says. */
static int version_of(GBytes *value, MneNode *out)
{
	MneKind kind;

	if (!value)
		return -ENOENT;
	if (mne_node_decode(value, out) == 0)
		return 0;
	*out = (MneNode){ 0 };
	return mne_ref_decode(mne_slice_of(value), &kind, &out->rec, &out->mode);
}

static void add_version(GString *to, const char *name, GBytes *value)
{
	g_auto(MneNode) node = { 0 };

	g_string_append_printf(to, ",\"%s\":", name);
	if (version_of(value, &node) < 0) {
		g_string_append(to, "null");
		return;
	}
	g_string_append_printf(to, "{\"seq\":%" G_GUINT64_FORMAT ",\"mode\":\"%o\"",
			       mne_value_seq(mne_slice_of(value)), node.mode);
	if (node.version != 0) /* of a reference it is not known here */
		g_string_append_printf(
			to,
			",\"size\":%" G_GUINT64_FORMAT ",\"version\":%" G_GUINT64_FORMAT
			",\"mtime\":%lld.%09ld",
			node.size, node.version, (long long)node.mtime.tv_sec,
			node.mtime.tv_nsec);
	g_string_append_c(to, '}');
}

typedef struct {
	MneStore *store;
	const MneTelling *telling;
	const char *by; /* whose it is: more members */
	uint64_t seq;
	double time;
	GPtrArray *events; /* of Told */
} Teller;

typedef struct {
	char *table, *line, *detail;
} Told;

static void told_free(void *data)
{
	Told *told = data;

	g_free(told->table);
	g_free(told->line);
	g_free(told->detail);
	g_free(told);
}

static uint64_t rec_of(const Change *change)
{
	g_auto(MneNode) node = { 0 };

	return version_of(change->is ? change->is : change->was, &node) == 0 ? node.rec
									     : 0;
}

/* path: NULL when it is not known. */
static void tell(Teller *teller, const Change *change, char *take_table,
		 const char *path)
{
	Told *told = g_new0(Told, 1);
	GString *line = g_string_new(NULL), *detail = g_string_new(NULL);

	mne_feed_begin(line, change->is ? "write" : "delete", teller->seq,
		       teller->time);
	g_string_append(line, teller->by);
	g_string_append(line, ",\"table\":");
	mne_text_add_json(line, mne_slice_str(take_table));
	g_string_append(line, ",\"path\":");
	if (path)
		mne_text_add_json(line, mne_slice_str(path));
	else
		g_string_append(line, "null");
	g_string_append_printf(line, ",\"record\":%" G_GUINT64_FORMAT, rec_of(change));
	if (change->is)
		g_string_append(line, change->was ? ",\"created\":false"
						  : ",\"created\":true");
	add_version(detail, "old", change->was);
	add_version(detail, "new", change->is);

	told->table = take_table;
	told->line = g_string_free(line, FALSE);
	told->detail = g_string_free(detail, FALSE);
	g_ptr_array_add(teller->events, told);
}

/* Times and counts of a directory follow its entries. */
static bool dir_attr_changed(const Change *change)
{
	g_auto(MneNode) was = { 0 }, is = { 0 };

	return change->was && change->is && mne_node_decode(change->was, &was) == 0 &&
	       mne_node_decode(change->is, &is) == 0 &&
	       (was.mode != is.mode || was.uid != is.uid || was.gid != is.gid ||
		was.flags != is.flags || !mne_slice_equal(was.xattrs, is.xattrs));
}

static void tell_node(Teller *teller, const Change *change, const MneKeyParts *key)
{
	g_autofree char *table = NULL, *dir = NULL, *path = NULL;

	if (key->name.len == 0 && !dir_attr_changed(change))
		return;
	dir = path_of(teller->store, teller->telling, key->table, key->id, &table);
	if (!dir || !mne_feed_wants_table(teller->store->feed, table))
		return;
	if (key->name.len == 0) /* the directory itself, without the slash */
		path = g_strndup(dir, strlen(dir) - 1);
	else
		path = g_strdup_printf("%s%.*s", dir, (int)key->name.len,
				       (const char *)key->name.data);
	tell(teller, change, g_steal_pointer(&table), path);
}

/* A file with several names: which of them was used is not known. */
static void tell_inode(Teller *teller, const Change *change, const MneKeyParts *key)
{
	g_autofree char *table = NULL;
	g_autoptr(GArray) tables = NULL;

	if (!change->is || !change->was || mne_store_tables(teller->store, &tables) < 0)
		return;
	for (unsigned i = 0; i < tables->len; i++)
		if (g_array_index(tables, MneTableInfo, i).id == key->table)
			table = g_strdup(g_array_index(tables, MneTableInfo, i).name);
	if (table && mne_feed_wants_table(teller->store->feed, table))
		tell(teller, change, g_steal_pointer(&table), NULL);
}

static void tell_table(Teller *teller, const Change *change, const MneKeyParts *key)
{
	Told *told;
	GString *line;

	if (change->is && change->was)
		return;
	told = g_new0(Told, 1);
	line = g_string_new(NULL);
	mne_feed_begin(line, change->is ? "create_table" : "delete_table", teller->seq,
		       teller->time);
	g_string_append(line, teller->by);
	g_string_append(line, ",\"table\":");
	mne_text_add_json(line, key->name);
	told->line = g_string_free(line, FALSE);
	g_ptr_array_add(teller->events, told);
}

static void tell_change(Teller *teller, const Change *change)
{
	MneKeyParts key;

	if ((!change->was && !change->is) ||
	    mne_key_parse(mne_slice_of(change->key), &key) < 0)
		return;
	switch (key.tag) {
	case MNE_TAG_TABLE: tell_table(teller, change, &key); break;
	case MNE_TAG_INODE: tell_inode(teller, change, &key); break;
	default:
		if (key.table != MNE_ROOT_TABLE)
			tell_node(teller, change, &key);
	}
}

void mne_tell_all(MneStore *store, const MneTelling *telling, uint64_t seq,
		  const char *by)
{
	g_autoptr(GPtrArray) events = g_ptr_array_new_with_free_func(told_free);
	Teller teller = { .store = store,
			  .telling = telling,
			  .by = by ? by : "",
			  .seq = seq,
			  .time = (double)g_get_real_time() / 1e6,
			  .events = events };

	for (unsigned i = 0; i < telling->changes->len; i++)
		tell_change(&teller, g_ptr_array_index(telling->changes, i));
	for (unsigned i = 0; i < events->len; i++) {
		const Told *told = g_ptr_array_index(events, i);

		mne_feed_tell(store->feed,
			      &(MneFeedEvent){ .seq = seq,
					       .table = told->table,
					       .line = told->line,
					       .detail = told->detail,
					       .more = i + 1 < events->len });
	}
}

void mne_tell_overload(MneStore *store, const char *what, int64_t took, int64_t limit)
{
	int64_t now = g_get_monotonic_time(), last = atomic_load(&store->overload_told);
	g_autofree char *members = NULL;

	if (took <= limit || (last != 0 && now - last < OVERLOAD_PAUSE_US) ||
	    !atomic_compare_exchange_strong(&store->overload_told, &last, now))
		return;
	members = g_strdup_printf(",\"what\":\"%s\",\"milliseconds\":%" G_GINT64_FORMAT,
				  what, took);
	mne_store_tell(store, "overload", members);
}

void mne_store_tell(MneStore *store, const char *event, const char *members)
{
	mne_feed_tell_system(store->feed, event, store->volume->seq, members);
}

void mne_store_end_events(MneStore *store)
{
	mne_feed_close(store->feed);
}

MneFeedReader *mne_store_subscribe(MneStore *store, const MneFeedFilter *filter,
				   uint64_t since, uint64_t *out_from)
{
	bool is_complete;
	MneFeedReader *reader;

	MNE_WITH_LOCK(&store->gate);
	since = MIN(since, store->volume->seq);
	reader = mne_feed_subscribe(store->feed, filter, since, store->volume->seq,
				    &is_complete);
	*out_from = is_complete ? since : store->volume->seq;
	return reader;
}
