/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl.c - the tree of control files: who stands where
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"

#include "ns/attr.h"
#include "ns/ctl_text.h"

#define DOMAIN    2u /* of hidden inode numbers: this kind */
#define STARS_MAX 3u

/* One on each line: several people add to it. */
/* clang-format off */
static const MneCtlKind *const parts[] = {
	mne_ctl_basics,
	mne_ctl_bookmarks,
	mne_ctl_changed,
	mne_ctl_checkpoints,
	mne_ctl_ckpt_traits,
	mne_ctl_commands,
	mne_ctl_counter,
	mne_ctl_events,
	mne_ctl_hold,
	mne_ctl_hooks,
	mne_ctl_proof,
	mne_ctl_rollback,
	mne_ctl_tables,
};
/* clang-format on */

static const MneCtlKind root_kind = { "", S_IFDIR | 0755 };

typedef struct {
	const MneCtlKind *kind;
	char *path; /* without stars */
	const char *args[STARS_MAX + 1]; /* owned; NULL behind the last */
} Entry;

struct MneCtl {
	MneLock lock;
	GPtrArray *entries; /* by number */
	GHashTable *numbers; /* path (of the entry) -> number */
};

static void entry_free(void *data)
{
	Entry *entry = data;

	for (unsigned i = 0; entry->args[i]; i++)
		g_free((char *)entry->args[i]);
	g_free(entry->path);
	g_free(entry);
}

static Entry *entry_new(const MneCtlKind *kind, const Entry *dir, const char *name)
{
	Entry *entry = g_new0(Entry, 1);
	unsigned n = 0;

	entry->kind = kind;
	entry->path = dir ? g_build_path("/", dir->path, name, NULL) : g_strdup("");
	for (; dir && dir->args[n]; n++)
		entry->args[n] = g_strdup(dir->args[n]);
	if (g_str_has_suffix(kind->path, "*")) {
		g_assert(n < STARS_MAX);
		entry->args[n] = g_strdup(name);
	}
	return entry;
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Entry, entry_free)

MneCtl *mne_ctl_new(void)
{
	MneCtl *ctl = g_new0(MneCtl, 1);

	mne_lock_init(&ctl->lock, MNE_RANK_HANDLE);
	ctl->entries = g_ptr_array_new_with_free_func(entry_free);
	ctl->numbers = g_hash_table_new(g_str_hash, g_str_equal);
	g_ptr_array_add(ctl->entries, entry_new(&root_kind, NULL, NULL));
	return ctl;
}

void mne_ctl_free(MneCtl *ctl)
{
	g_hash_table_unref(ctl->numbers);
	g_ptr_array_unref(ctl->entries);
	mne_lock_clear(&ctl->lock);
	g_free(ctl);
}

/* Entries never change, and stay. */
static const Entry *entry_of(MneNs *ns, uint64_t number)
{
	MNE_WITH_LOCK(&ns->ctl->lock);
	return number < ns->ctl->entries->len
		       ? g_ptr_array_index(ns->ctl->entries, number)
		       : NULL;
}

/* The number of an entry like it, which is made of it if there is none. */
static uint64_t intern(MneCtl *ctl, Entry *entry)
{
	g_autoptr(Entry) owned = entry;
	gpointer number;

	MNE_WITH_LOCK(&ctl->lock);
	number = g_hash_table_lookup(ctl->numbers, entry->path);
	if (number) {
		const Entry *known = g_ptr_array_index(ctl->entries,
						       GPOINTER_TO_SIZE(number));

		if (known->kind == entry->kind)
			return GPOINTER_TO_SIZE(number);
	}
	number = GSIZE_TO_POINTER(ctl->entries->len);
	g_hash_table_replace(ctl->numbers, entry->path, number);
	g_ptr_array_add(ctl->entries, g_steal_pointer(&owned));
	return GPOINTER_TO_SIZE(number);
}

/* What a kind is called in the directory; NULL when it stands elsewhere. */
static const char *name_in(const MneCtlKind *kind, const MneCtlKind *dir)
{
	const char *slash = strrchr(kind->path, '/');
	size_t len = slash ? (size_t)(slash - kind->path) : 0;

	if (strlen(dir->path) != len || strncmp(kind->path, dir->path, len) != 0)
		return NULL;
	return slash ? slash + 1 : kind->path;
}

static bool is_star(const char *name)
{
	return strcmp(name, "*") == 0;
}

/* The kind after this one, or the first one after NULL. */
static const MneCtlKind *next_kind(const MneCtlKind *kind, unsigned *io_part)
{
	if (!kind)
		*io_part = 0;
	kind = kind ? kind + 1 : parts[0];
	while (!kind->path && ++*io_part < G_N_ELEMENTS(parts))
		kind = parts[*io_part];
	return kind->path ? kind : NULL;
}

/* A new entry for name in dir, or NULL.  Names that are spelled out go first. */
static Entry *find_entry(MneNs *ns, const Entry *dir, const char *name)
{
	unsigned part;

	for (const MneCtlKind *kind = next_kind(NULL, &part); kind;
	     kind = next_kind(kind, &part)) {
		const char *called = name_in(kind, dir->kind);

		if (called && strcmp(called, name) == 0 && !is_star(called))
			return entry_new(kind, dir, name);
	}
	for (const MneCtlKind *kind = next_kind(NULL, &part); kind;
	     kind = next_kind(kind, &part)) {
		const char *called = name_in(kind, dir->kind);
		g_autoptr(Entry) entry = NULL;

		if (!called || !is_star(called))
			continue;
		entry = entry_new(kind, dir, name);
		if (!kind->exists || kind->exists(ns, entry->args))
			return g_steal_pointer(&entry);
	}
	return NULL;
}

int mne_ctl_find(MneNs *ns, uint64_t dir, MneSlice name, uint64_t *out_number)
{
	g_autofree char *text = g_strndup((const char *)name.data, name.len);
	const Entry *in = entry_of(ns, dir);
	Entry *entry = in ? find_entry(ns, in, text) : NULL;

	if (!entry)
		return -ENOENT;
	*out_number = intern(ns->ctl, entry);
	return 0;
}

bool mne_ctl_is_dir(MneNs *ns, uint64_t number)
{
	const Entry *entry = entry_of(ns, number);

	return entry && S_ISDIR(entry->kind->mode);
}

bool mne_ctl_is_writable(MneNs *ns, uint64_t number)
{
	const Entry *entry = entry_of(ns, number);

	return entry && S_ISREG(entry->kind->mode) && (entry->kind->mode & 0222);
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

GPtrArray *mne_ctl_list(MneNs *ns, uint64_t number)
{
	GPtrArray *names = g_ptr_array_new_with_free_func(g_free);
	const Entry *dir = entry_of(ns, number);
	unsigned part;

	for (const MneCtlKind *kind = next_kind(NULL, &part); dir && kind;
	     kind = next_kind(kind, &part)) {
		const char *called = name_in(kind, dir->kind);

		if (called && !is_star(called))
			g_ptr_array_add(names, g_strdup(called));
	}
	if (dir && dir->kind->list)
		dir->kind->list(ns, dir->args, names);
	g_ptr_array_sort(names, by_name);
	return names;
}

int mne_ctl_stat(MneNs *ns, uint64_t number, struct stat *out)
{
	MnePlace root = { .table = MNE_ROOT_TABLE,
			  .rec = MNE_ROOT_DIR,
			  .is_dir = true };
	const Entry *entry = entry_of(ns, number);
	g_auto(MneNode) node = { 0 };
	struct stat like;

	if (!entry)
		return -ENOENT;
	if (entry->kind->exists && !entry->kind->exists(ns, entry->args))
		return -ENOENT;
	MNE_TRY(mne_live_node(ns->store, &root, &node));
	mne_attr_of_live(&node, &like);
	mne_attr_of_hidden(&like, DOMAIN, number, entry->kind->mode, out);
	if (entry->kind->own)
		entry->kind->own(ns, entry->args, out);
	return 0;
}

int mne_ctl_open(MneNs *ns, uint64_t number, const MneCtlOpen *how,
		 MneCtlFile **out_file)
{
	const Entry *entry = entry_of(ns, number);

	if (!entry)
		return -ENOENT;
	if (S_ISDIR(entry->kind->mode))
		return -EISDIR;
	if (entry->kind->open)
		return entry->kind->open(ns, entry->args, how, out_file);
	return mne_ctl_text_open(ns, entry->kind, entry->args, how, out_file);
}
