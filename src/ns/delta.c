/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/delta.c - the trees `.mnefs/changed/A..B.d`
 *
 * A sieve is a trie of names.  Which node a directory is, is known from when it was looked
 * up in its parent: whoever asks about a directory has looked it up.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/delta.h"

#define FIRST_VIA (UINT64_C(1) << 52) /* above all record ids */
#define LAST_VIA  (UINT64_C(1) << 53) /* below the ways of ns/ckpts.c and ns/grave.c */
#define KEPT      64u

typedef struct Twig {
	GHashTable *below; /* name -> Twig *; NULL: none */
} Twig;

typedef struct {
	uint64_t via;
	uint64_t from, to; /* cookies */
	Twig *root;
	GHashTable *dirs; /* record id -> Twig *, borrowed */
} Sieve;

struct MneDeltas {
	MneLock lock;
	GQueue sieves; /* of Sieve *, the one used last first */
	uint64_t next_via;
};

static void twig_free(gpointer data)
{
	Twig *twig = data;

	if (twig->below)
		g_hash_table_unref(twig->below);
	g_free(twig);
}

static void sieve_free(gpointer data)
{
	Sieve *sieve = data;

	g_hash_table_unref(sieve->dirs);
	twig_free(sieve->root);
	g_free(sieve);
}
G_DEFINE_AUTOPTR_CLEANUP_FUNC(Sieve, sieve_free)

MneDeltas *mne_deltas_new(void)
{
	MneDeltas *deltas = g_new0(MneDeltas, 1);

	mne_lock_init(&deltas->lock, MNE_RANK_HANDLE);
	g_queue_init(&deltas->sieves);
	deltas->next_via = FIRST_VIA;
	return deltas;
}

void mne_deltas_free(MneDeltas *deltas)
{
	g_queue_clear_full(&deltas->sieves, sieve_free);
	mne_lock_clear(&deltas->lock);
	g_free(deltas);
}

bool mne_delta_is(uint64_t via)
{
	return via >= FIRST_VIA && via < LAST_VIA;
}

static Twig *grow(Twig *twig, const char *name, size_t len)
{
	g_autofree char *key = g_strndup(name, len);
	Twig *below;

	if (!twig->below)
		twig->below = g_hash_table_new_full(g_str_hash, g_str_equal, g_free,
						    twig_free);
	below = g_hash_table_lookup(twig->below, key);
	if (!below) {
		below = g_new0(Twig, 1);
		g_hash_table_insert(twig->below, g_steal_pointer(&key), below);
	}
	return below;
}

static void add_path(Twig *twig, const char *path)
{
	if (strcmp(path, ".") == 0)
		return;
	while (*path) {
		size_t len = strcspn(path, "/");

		twig = grow(twig, path, len);
		path += len + (path[len] == '/');
	}
}

static Sieve *sieve_new(const MneChanged *changed)
{
	Sieve *sieve = g_new0(Sieve, 1);

	sieve->from = changed->from->cookie;
	sieve->to = changed->to->cookie;
	sieve->root = g_new0(Twig, 1);
	sieve->dirs = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free, NULL);
	return sieve;
}

static void note_dir(Sieve *sieve, uint64_t rec, Twig *twig)
{
	if (!g_hash_table_contains(sieve->dirs, &rec))
		g_hash_table_insert(sieve->dirs, g_memdup2(&rec, sizeof(rec)), twig);
}

static int fill(Sieve *sieve, const MneChanged *changed)
{
	const MneChangesSpec spec = { .from = changed->from, .to = changed->to };
	g_autoptr(MneChanges) changes = NULL;
	MneChange change;
	int got;

	MNE_TRY(mne_changes_open(&spec, &changes));
	while ((got = mne_changes_next(changes, &change)) > 0)
		if (change.listed && change.now)
			add_path(sieve->root, change.path);
	note_dir(sieve, MNE_ROOT_DIR, sieve->root);
	return got;
}

/* Caller holds the lock. */
static Sieve *find_for(MneDeltas *deltas, const MneChanged *changed)
{
	for (GList *at = deltas->sieves.head; at; at = at->next) {
		Sieve *sieve = at->data;

		if (sieve->from == changed->from->cookie &&
		    sieve->to == changed->to->cookie)
			return sieve;
	}
	return NULL;
}

/* Caller holds the lock.  The one asked for moves to the front. */
static int find_via(MneDeltas *deltas, uint64_t via, Sieve **out_sieve)
{
	mne_lock_assert_held(&deltas->lock);
	for (GList *at = deltas->sieves.head; at; at = at->next) {
		Sieve *sieve = at->data;

		if (sieve->via != via)
			continue;
		g_queue_unlink(&deltas->sieves, at);
		g_queue_push_head_link(&deltas->sieves, at);
		*out_sieve = sieve;
		return 0;
	}
	return mne_throw(CKPT_GONE, "this tree of changes was given up for newer ones; "
				    "look it up again");
}

static uint64_t known_via(MneDeltas *deltas, const MneChanged *changed)
{
	MNE_WITH_LOCK(&deltas->lock);
	const Sieve *sieve = find_for(deltas, changed);

	return sieve ? sieve->via : 0;
}

static uint64_t enter(MneDeltas *deltas, const MneChanged *changed, Sieve *sieve)
{
	g_autoptr(Sieve) owned = sieve;

	MNE_WITH_LOCK(&deltas->lock);
	const Sieve *known = find_for(deltas, changed); /* made meanwhile */

	if (known)
		return known->via;
	owned->via = deltas->next_via++;
	g_queue_push_head(&deltas->sieves, g_steal_pointer(&owned));
	while (deltas->sieves.length > KEPT)
		sieve_free(g_queue_pop_tail(&deltas->sieves));
	return sieve->via;
}

int mne_deltas_find(MneDeltas *deltas, const MneChanged *changed, uint64_t *out_via)
{
	g_autoptr(Sieve) sieve = NULL;

	*out_via = known_via(deltas, changed);
	if (*out_via != 0)
		return 0;
	sieve = sieve_new(changed);
	MNE_TRY(fill(sieve, changed));
	*out_via = enter(deltas, changed, g_steal_pointer(&sieve));
	return 0;
}

int mne_delta_pass(MneDeltas *deltas, uint64_t via, uint64_t dir, MneSlice name,
		   const MneNode *node)
{
	g_autofree char *key = g_strndup((const char *)name.data, name.len);
	Twig *twig, *below;
	Sieve *sieve;

	MNE_WITH_LOCK(&deltas->lock);
	MNE_TRY(find_via(deltas, via, &sieve));
	twig = g_hash_table_lookup(sieve->dirs, &dir);
	below = twig && twig->below ? g_hash_table_lookup(twig->below, key) : NULL;
	if (!below)
		return -ENOENT;
	if (mne_node_is_dir(node))
		note_dir(sieve, node->rec, below);
	return 0;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(*(const char *const *)a, *(const char *const *)b);
}

int mne_delta_list(MneDeltas *deltas, uint64_t via, uint64_t dir, GPtrArray **out_names)
{
	g_autoptr(GPtrArray) names = g_ptr_array_new_with_free_func(g_free);
	GHashTableIter iter;
	const Twig *twig;
	gpointer name;
	Sieve *sieve;

	MNE_WITH_LOCK(&deltas->lock);
	MNE_TRY(find_via(deltas, via, &sieve));
	twig = g_hash_table_lookup(sieve->dirs, &dir);
	if (twig && twig->below) {
		g_hash_table_iter_init(&iter, twig->below);
		while (g_hash_table_iter_next(&iter, &name, NULL))
			g_ptr_array_add(names, g_strdup(name));
	}
	g_ptr_array_sort(names, by_name);
	*out_names = g_steal_pointer(&names);
	return 0;
}
