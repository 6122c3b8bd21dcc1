/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/deal.c - paths dealt to lists
 *
 * If there are more lists than fragments each fragment has some lists for itself.
 */
#define G_LOG_DOMAIN "mne-cli"

#include "config.h"

#include "cli/deal.h"

#include "cli/listing.h"
#include "cli/say.h"

#include <errno.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct MneDeal {
	char *scratch; /* directory of the files */
	GPtrArray *lists; /* of GByteArray */
	GPtrArray *files; /* names; NULL: none yet */
	GHashTable *with; /* record -> one that it goes with: strings */
	GHashTable *first; /* inode number -> the record it was first seen in */
};

static void free_list(void *list)
{
	g_byte_array_unref(list);
}

MneDeal *mne_deal_new(unsigned lists)
{
	MneDeal *deal = g_new0(MneDeal, 1);

	deal->with = g_hash_table_new_full(g_str_hash, g_str_equal, g_free, g_free);
	deal->first = g_hash_table_new_full(g_int64_hash, g_int64_equal, g_free,
					    g_free);
	deal->scratch = g_dir_make_tmp("mnefs-rsync-XXXXXX", NULL);
	deal->lists = g_ptr_array_new_with_free_func(free_list);
	for (unsigned i = 0; i < lists; i++)
		g_ptr_array_add(deal->lists, g_byte_array_new());
	if (deal->scratch)
		return deal;
	mne_say_error("cannot make a directory for lists: %s", g_strerror(errno));
	mne_deal_free(deal);
	return NULL;
}

void mne_deal_free(MneDeal *deal)
{
	for (guint i = 0; deal->files && i < deal->files->len; i++)
		(void)unlink(deal->files->pdata[i]);
	if (deal->scratch)
		(void)rmdir(deal->scratch);
	g_clear_pointer(&deal->files, g_ptr_array_unref);
	g_hash_table_unref(deal->with);
	g_hash_table_unref(deal->first);
	g_ptr_array_unref(deal->lists);
	g_free(deal->scratch);
	g_free(deal);
}

static void add(MneDeal *deal, unsigned number, const char *path)
{
	g_byte_array_append(deal->lists->pdata[number % deal->lists->len],
			    (const guint8 *)path, (guint)strlen(path) + 1);
}

static unsigned hash(const char *text, size_t len)
{
	unsigned sum = 5381;

	for (size_t i = 0; i < len; i++)
		sum = sum * 33 + (unsigned char)text[i];
	return sum;
}

/* Where the first two parts of a path end. */
static size_t record_len(const char *path)
{
	const char *slash = strchr(path, '/');
	const char *second = slash ? strchr(slash + 1, '/') : NULL;

	return second ? (size_t)(second - path) : strlen(path);
}

/* The record that stands for all that go with this one. */
static const char *leader_of(const MneDeal *deal, const char *record)
{
	const char *next;

	while ((next = g_hash_table_lookup(deal->with, record)))
		record = next;
	return record;
}

void mne_deal_link(MneDeal *deal, const char *from, const char *path)
{
	g_autofree char *full = g_build_filename(from, path, NULL);
	g_autofree char *record = g_strndup(path, record_len(path));
	const char *first, *mine, *other;
	struct stat st;
	int64_t ino;

	if (lstat(full, &st) < 0 || S_ISDIR(st.st_mode) || st.st_nlink == 1)
		return;
	ino = (int64_t)st.st_ino;
	first = g_hash_table_lookup(deal->first, &ino);
	if (!first) {
		g_hash_table_insert(deal->first, g_memdup2(&ino, sizeof(ino)),
				    g_steal_pointer(&record));
		return;
	}
	mine = leader_of(deal, record);
	other = leader_of(deal, first);
	if (strcmp(mine, other) != 0)
		g_hash_table_insert(deal->with, g_strdup(mine), g_strdup(other));
}

void mne_deal_path(MneDeal *deal, const char *path)
{
	g_autofree char *record = g_strndup(path, record_len(path));
	const char *leader = leader_of(deal, record);

	add(deal, hash(leader, strlen(leader)), path);
}

/* What is dealt of a table: the records of `dir` as paths below `prefix`, to `lists` lists
 * from `first` on. */
typedef struct {
	const char *dir, *prefix;
	unsigned first, lists;
} Part;

static int deal_part(MneDeal *deal, const Part *part)
{
	g_autoptr(GPtrArray) names = NULL;
	int err = mne_listing_names(part->dir, &names);

	if (err < 0)
		return err;
	for (guint i = 0; i < names->len; i++) {
		const char *name = names->pdata[i];
		g_autofree char *path = g_strconcat(part->prefix, "/", name, NULL);

		add(deal, part->first + hash(name, strlen(name)) % part->lists, path);
	}
	return 0;
}

static int deal_fragments(MneDeal *deal, const char *dir, const char *table,
			  bool are_listed)
{
	g_autofree char *frags = g_build_filename(dir, ".frag", NULL);
	g_autoptr(GPtrArray) names = NULL;
	unsigned share;
	int err = mne_listing_names(frags, &names);

	if (err < 0)
		return err;
	share = MAX(deal->lists->len / MAX(names->len, 1), 1);
	for (guint i = 0; i < names->len; i++) {
		const char *frag = names->pdata[i];
		g_autofree char *at = g_build_filename(frags, frag, NULL);
		g_autofree char *below = g_strconcat(table, "/", frag, NULL);
		const Part part = { .dir = at,
				    .prefix = are_listed ? below : table,
				    .first = i * share,
				    .lists = share };

		err = deal_part(deal, &part);
		if (err < 0)
			return err;
	}
	return 0;
}

int mne_deal_table(MneDeal *deal, const char *from, const char *table)
{
	g_autofree char *dir = g_build_filename(from, table, NULL);
	MneListingFact fact;
	int err = mne_listing_read(dir, &fact);

	return err < 0 ? err : deal_fragments(deal, dir, table, fact.fragments);
}

GPtrArray *mne_deal_files(MneDeal *deal)
{
	deal->files = g_ptr_array_new_with_free_func(g_free);
	for (unsigned i = 0; i < deal->lists->len; i++) {
		const GByteArray *list = deal->lists->pdata[i];
		g_autofree char *path = g_strdup_printf("%s/%u", deal->scratch, i);

		if (list->len == 0)
			continue;
		if (!g_file_set_contents(path, (const char *)list->data,
					 (gssize)list->len, NULL)) {
			mne_say_error("cannot write %s", path);
			return NULL;
		}
		g_ptr_array_add(deal->files, g_steal_pointer(&path));
	}
	return deal->files;
}
