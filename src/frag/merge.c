/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/merge.c - the records of several fragments as one, in the order of names
 *
 * Each part holds a stretch of its fragment, read in one go; the parts are a heap by the
 * name they stand at.  A stretch that is used up is followed by one twice as long.
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/merge.h"

#include "util/coding.h"

enum {
	FIRST_STRETCH = 2,
	LONGEST_STRETCH = 256,
	STRETCH_BYTES = 64 * 1024,
};

typedef struct {
	uint32_t fragment; /* as in keys: from 0 */
	unsigned stretch; /* so many records next time */
	GByteArray *bytes; /* of records: name length, value length, name, value */
	guint at; /* of the record it stands at; == bytes->len: none */
	bool ended; /* nothing behind the stretch */
	MneKey from; /* where the next stretch begins */
} Part;

typedef struct {
	MneIter base;
	MneKvIter *kv; /* owned */
	Part *parts;
	unsigned n_parts;
	unsigned *heap; /* numbers of parts, the smallest name first */
	unsigned heaped;
	const Part *standing; /* kv stands where its next stretch begins */
	bool started;
	MneFragMap *map; /* reference, or NULL */
	uint32_t only;
	MneKey key; /* handed out */
} Merge;

#define HEADER 6u

static MneSlice name_of(const Part *part)
{
	const uint8_t *record = part->bytes->data + part->at;

	return mne_slice(record + HEADER, mne_get_be16(record));
}

static MneSlice value_of(const Part *part)
{
	const uint8_t *record = part->bytes->data + part->at;

	return mne_slice(record + HEADER + mne_get_be16(record),
			 mne_get_be32(record + 2));
}

static void add_record(Part *part, MneSlice name, MneSlice value)
{
	uint8_t header[HEADER];

	mne_put_be16(header, (uint16_t)name.len);
	mne_put_be32(header + 2, (uint32_t)value.len);
	g_byte_array_append(part->bytes, header, HEADER);
	mne_add_bytes(part->bytes, name);
	mne_add_bytes(part->bytes, value);
}

/* Where it goes on: at the key, or just behind it. */
static void set_from(Part *part, MneSlice key, bool behind)
{
	memcpy(part->from.bytes, key.data, key.len);
	part->from.len = (uint16_t)key.len;
	if (behind)
		part->from.bytes[part->from.len++] = 0;
}

static int wants(const Merge *merge, MneSlice name)
{
	uint32_t old, new;

	if (!merge->map)
		return true;
	MNE_TRY(mne_frag_map_place(merge->map, name, &old, &new));
	return old == merge->only;
}

static int read_stretch(Merge *merge, Part *part)
{
	MneSlice prefix = mne_slice(part->from.bytes, MNE_KEY_NODE_PREFIX);
	unsigned count = 0;

	while (count < part->stretch && part->bytes->len < STRETCH_BYTES) {
		MneSlice key, name;
		int wanted;

		if (!mne_kv_iter_valid(merge->kv)) {
			part->ended = true;
			return mne_kv_iter_status(merge->kv);
		}
		key = mne_kv_iter_key(merge->kv);
		if (!mne_slice_has_prefix(key, prefix)) {
			part->ended = true;
			return 0;
		}
		name = mne_slice(key.data + prefix.len, key.len - prefix.len);
		wanted = wants(merge, name);
		MNE_TRY(wanted);
		if (wanted)
			add_record(part, name, mne_kv_iter_value(merge->kv));
		count += wanted > 0;
		set_from(part, key, true);
		mne_kv_iter_next(merge->kv);
	}
	return 0;
}

static int fill(Merge *merge, Part *part)
{
	g_byte_array_set_size(part->bytes, 0);
	part->at = 0;
	if (part->ended)
		return 0;
	if (merge->standing != part)
		mne_kv_iter_seek(merge->kv, mne_key_slice(&part->from));
	merge->standing = part;
	MNE_TRY(read_stretch(merge, part));
	part->stretch = MIN(part->stretch * 2, LONGEST_STRETCH);
	return 0;
}

static bool is_before(const Merge *merge, unsigned a, unsigned b)
{
	return mne_slice_compare(name_of(&merge->parts[merge->heap[a]]),
				 name_of(&merge->parts[merge->heap[b]])) < 0;
}

static void swap(Merge *merge, unsigned a, unsigned b)
{
	unsigned part = merge->heap[a];

	merge->heap[a] = merge->heap[b];
	merge->heap[b] = part;
}

static void sift_down(Merge *merge, unsigned at)
{
	for (;;) {
		unsigned least = at, child = 2 * at + 1;

		if (child < merge->heaped && is_before(merge, child, least))
			least = child;
		if (child + 1 < merge->heaped && is_before(merge, child + 1, least))
			least = child + 1;
		if (least == at)
			return;
		swap(merge, at, least);
		at = least;
	}
}

static int start(Merge *merge)
{
	merge->started = true;
	for (unsigned i = 0; i < merge->n_parts; i++) {
		MNE_TRY(fill(merge, &merge->parts[i]));
		if (merge->parts[i].bytes->len > 0)
			merge->heap[merge->heaped++] = i;
	}
	for (unsigned i = merge->heaped / 2; i-- > 0;)
		sift_down(merge, i);
	return 0;
}

/* The first part goes on behind the record that was handed out. */
static int advance(Merge *merge)
{
	Part *part = &merge->parts[merge->heap[0]];

	part->at += HEADER + (guint)name_of(part).len + (guint)value_of(part).len;
	if (part->at == part->bytes->len)
		MNE_TRY(fill(merge, part));
	if (part->at == part->bytes->len)
		merge->heap[0] = merge->heap[--merge->heaped];
	sift_down(merge, 0);
	return 0;
}

static int merge_next(MneIter *base, MneSlice *out_key, MneSlice *out_value)
{
	Merge *merge = (Merge *)base;
	const Part *part;
	MneSlice name;

	if (!merge->started)
		MNE_TRY(start(merge));
	else if (merge->heaped > 0)
		MNE_TRY(advance(merge));
	if (merge->heaped == 0)
		return 0;
	part = &merge->parts[merge->heap[0]];
	name = name_of(part);
	if (name.len > 0)
		memcpy(merge->key.bytes + MNE_KEY_NODE_PREFIX, name.data, name.len);
	merge->key.len = (uint16_t)(MNE_KEY_NODE_PREFIX + name.len);
	*out_key = mne_key_slice(&merge->key);
	*out_value = value_of(part);
	return 1;
}

static void merge_free(MneIter *base)
{
	Merge *merge = (Merge *)base;

	for (unsigned i = 0; i < merge->n_parts; i++)
		g_byte_array_unref(merge->parts[i].bytes);
	mne_frag_map_unref(merge->map);
	mne_kv_iter_free(merge->kv);
	g_free(merge->parts);
	g_free(merge->heap);
	g_free(merge);
}

static const MneIterOps merge_ops = { merge_next, merge_free };

static void part_init(Part *part, const MneMergeSpec *spec, uint32_t fragment)
{
	part->fragment = fragment;
	part->stretch = FIRST_STRETCH;
	part->bytes = g_byte_array_new();
	mne_key_node(&part->from, spec->table, spec->dir, spec->from);
	mne_key_set_fragment(&part->from, fragment);
}

MneIter *mne_merge_new(MneKvIter *take_kv_iter, const MneMergeSpec *spec)
{
	Merge *merge = g_new0(Merge, 1);

	merge->base.ops = &merge_ops;
	merge->kv = take_kv_iter;
	merge->n_parts = spec->fragments->len;
	merge->parts = g_new0(Part, merge->n_parts);
	merge->heap = g_new0(unsigned, merge->n_parts);
	for (unsigned i = 0; i < merge->n_parts; i++)
		part_init(&merge->parts[i], spec,
			  g_array_index(spec->fragments, uint32_t, i) - 1);
	merge->map = spec->map ? mne_frag_map_ref(spec->map) : NULL;
	merge->only = spec->only;
	mne_key_node(&merge->key, spec->table, spec->dir, MNE_SLICE_EMPTY);
	return &merge->base;
}
