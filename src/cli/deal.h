/* SPDX-License-Identifier: Apache-2.0
 *
 * cli/deal.h - paths dealt to lists, so that several programs can work on them at once
 *
 * All paths of one record are in one list: what depends on each other, as a file that
 * became a directory, is done by one program, in order.  Records of one fragment are in as
 * few lists as may be: they stand together in the store.
 */
#pragma once

#include <glib.h>

typedef struct MneDeal MneDeal;

/* NULL: said why not. */
MneDeal *mne_deal_new(unsigned lists);
/* The files go, too. */
void mne_deal_free(MneDeal *deal);
G_DEFINE_AUTOPTR_CLEANUP_FUNC(MneDeal, mne_deal_free)

/* Before any path is dealt: what is at path below `from` may be a name of a file that other
 * records have names of, too; then one program must see all of them. */
void mne_deal_link(MneDeal *deal, const char *from, const char *path);
/* "users/bob/mail/1". */
void mne_deal_path(MneDeal *deal, const char *path);
/* All records of table, in the tree `from`; only their topmost paths.  0 or a negative
 * errno. */
int mne_deal_table(MneDeal *deal, const char *from, const char *table);

/* The lists that are not empty, each in a file, with a NUL behind each path: names of the
 * files, owned.  NULL: said why not. */
GPtrArray *mne_deal_files(MneDeal *deal);
