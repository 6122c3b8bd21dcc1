/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/splice.c - make the stored extents of a file say what its uncommitted ones say
 *
 * A stored extent that an uncommitted one (or hole) overlaps is deleted, retained for the
 * checkpoints that need it, and what is left of it is stored anew under its own offset.
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/filestate.h"
#include "view/iter.h"

typedef struct {
	MneFile *file;
	MneCommit *commit;
	uint64_t newest; /* checkpoint */
	uint64_t handled; /* stored extents before this offset are done */
} Splice;

/* What every uncommitted extent from index on leaves of old, ascending. */
static GArray *remains_of(const MneExtentList *pending, size_t index,
			  const MneExtent *old)
{
	GArray *pieces = g_array_new(FALSE, FALSE, sizeof(MneExtent));
	MneExtent rest = *old;

	for (; index < mne_extents_count(pending); index++) {
		const MneExtent *cut = mne_extents_get(pending, index);
		MneExtent remains[2];
		unsigned n;

		if (cut->offset >= mne_extent_end(&rest))
			break;
		n = mne_extent_cut(&rest, cut->offset, cut->len, remains);
		if (n == 0)
			return pieces;
		/* What lies before the cut is final; what lies behind meets the next. */
		if (remains[0].offset < cut->offset) {
			if (n == 1 && mne_extent_end(&remains[0]) <= cut->offset) {
				g_array_append_val(pieces, remains[0]);
				return pieces;
			}
			g_array_append_val(pieces, remains[0]);
		}
		rest = remains[n - 1];
	}
	g_array_append_val(pieces, rest);
	return pieces;
}

/* Extents before pending[index] do not overlap old, whose value is given. */
static int replace_old(Splice *splice, const MneExtent *old, MneSlice value,
		       size_t index)
{
	MneFile *file = splice->file;
	g_autoptr(GArray) pieces = NULL;
	MneKey at;

	mne_key_extent(&at, file->table, file->node.data, old->offset);
	MNE_TRY(mne_commit_del_extent(splice->commit, &at, value, splice->newest));
	file->node.stored -= MIN(file->node.stored, old->len);

	pieces = remains_of(file->pending, index, old);
	for (guint i = 0; i < pieces->len; i++) {
		const MneExtent *piece = &g_array_index(pieces, MneExtent, i);

		MNE_TRY(mne_commit_extent(splice->commit, file->table, file->node.data,
					  piece));
		file->node.stored += piece->len;
	}
	splice->handled = old->offset + 1;
	return 0;
}

/* Stored extents that overlap uncommitted extent `index`. */
static int replace_overlapped(Splice *splice, size_t index)
{
	const MneExtent *cut = mne_extents_get(splice->file->pending, index);
	uint64_t first = cut->offset < MNE_BLOB_FRAME_MAX
				 ? 0
				 : cut->offset - MNE_BLOB_FRAME_MAX + 1;
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey from, prefix;
	int got;

	mne_key_extent(&from, splice->file->table, splice->file->node.data,
		       MAX(first, splice->handled));
	prefix = from;
	prefix.len = (uint16_t)(prefix.len - 8);
	MNE_TRY(mne_view_iter(&splice->file->store->live.base, mne_key_slice(&prefix),
			      mne_key_slice(&from), &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneKeyParts parts;
		MneSlice payload;
		MneExtent old;
		MneKind kind;
		uint64_t seq;

		MNE_TRY(mne_key_parse(key, &parts));
		MNE_TRY(mne_value_open(value, &kind, &seq, &payload));
		MNE_TRY(mne_extent_decode(payload, parts.offset, &old));
		if (old.offset >= mne_extent_end(cut))
			return 0;
		if (mne_extent_end(&old) > cut->offset)
			MNE_TRY(replace_old(splice, &old, value, index));
	}
	return got;
}

int mne_file_splice(MneFile *file, MneCommit *commit)
{
	Splice splice = { file, commit, 0, 0 };

	mne_lock_assert_held(&file->lock);
	if (!file->pending)
		return 0;
	splice.newest = mne_ckpts_newest(file->store->ckpts, file->table);
	if (file->fresh)
		file->node.stored = 0;
	for (size_t i = 0; i < mne_extents_count(file->pending); i++) {
		const MneExtent *extent = mne_extents_get(file->pending, i);

		if (!file->fresh)
			MNE_TRY(replace_overlapped(&splice, i));
		if (mne_extent_is_hole(extent))
			continue;
		MNE_TRY(mne_commit_extent(commit, file->table, file->node.data,
					  extent));
		file->node.stored += extent->len;
	}
	return 0;
}
