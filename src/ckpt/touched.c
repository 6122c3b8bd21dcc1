/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/touched.c - the keys that changed between two moments: a merge
 *
 * One iterator for each checkpoint, in a heap by the key it stands at.  They are opened from
 * the newest checkpoint to the oldest: reclaiming moves keys the same way, so a key that has
 * left one range by the time that range is opened is met in the next.
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/touched.h"

#include "ckpt/set.h"
#include "view/iter.h"

typedef struct {
	MneIter *iter; /* owned */
	MneSlice key; /* it stands here: the key inside CHANGED */
} Source;

struct MneTouched {
	GArray *heap; /* Source, the smallest key first */
	MneKey last; /* handed out */
	MneTag last_tag;
};

static void source_clear(void *data)
{
	mne_iter_free(((Source *)data)->iter);
}

static Source *source_at(MneTouched *touched, guint i)
{
	return &g_array_index(touched->heap, Source, i);
}

/* 1 when it stands at a key, 0 at its end. */
static int advance(MneTouched *touched, Source *source)
{
	MneKeyParts parts;
	MneSlice key, value;
	int got = mne_iter_next(source->iter, &key, &value);

	if (got <= 0)
		return got;
	MNE_TRY(mne_key_parse(key, &parts));
	source->key = parts.inner;
	return source->key.data[0] <= touched->last_tag;
}

static bool is_before(MneTouched *touched, guint i, guint j)
{
	return mne_slice_compare(source_at(touched, i)->key,
				 source_at(touched, j)->key) < 0;
}

static void swap(MneTouched *touched, guint i, guint j)
{
	Source kept = *source_at(touched, i);

	*source_at(touched, i) = *source_at(touched, j);
	*source_at(touched, j) = kept;
}

/* The one at i may stand too far up. */
static void sink(MneTouched *touched, guint i)
{
	for (;;) {
		guint least = i;

		for (guint child = 2 * i + 1; child <= 2 * i + 2; child++)
			if (child < touched->heap->len &&
			    is_before(touched, child, least))
				least = child;
		if (least == i)
			return;
		swap(touched, i, least);
		i = least;
	}
}

static int add_source(MneTouched *touched, MneCkpts *set, uint64_t seq)
{
	Source source = { 0 };
	MneKvIter *kv = NULL;
	MneKey prefix;
	int got;

	MNE_TRY(mne_kv_iter(mne_ckpts_kv(set), &kv));
	mne_key_changed(&prefix, seq, MNE_SLICE_EMPTY);
	prefix.bytes[0] = (uint8_t)mne_ckpts_tags(set)->changed;
	source.iter = mne_iter_kv_new(kv, mne_key_slice(&prefix),
				      mne_key_slice(&prefix));
	got = advance(touched, &source);
	if (got > 0)
		g_array_append_val(touched->heap, source);
	else
		source_clear(&source);
	return MIN(got, 0);
}

int mne_touched_open(MneCkpts *set, uint64_t first, uint64_t end, MneTag last,
		     MneTouched **out_touched)
{
	g_autoptr(GArray) seqs = mne_ckpts_seqs(set, first, end);
	g_autoptr(MneTouched) touched = g_new0(MneTouched, 1);

	touched->last_tag = last;
	touched->heap = g_array_new(FALSE, FALSE, sizeof(Source));
	g_array_set_clear_func(touched->heap, source_clear);
	for (guint i = seqs->len; i-- > 0;)
		MNE_TRY(add_source(touched, set, g_array_index(seqs, uint64_t, i)));
	for (guint i = touched->heap->len / 2; i-- > 0;)
		sink(touched, i);
	*out_touched = g_steal_pointer(&touched);
	return 0;
}

static int step_first(MneTouched *touched)
{
	int got = advance(touched, source_at(touched, 0));

	MNE_TRY(got);
	if (got == 0)
		g_array_remove_index_fast(touched->heap, 0);
	sink(touched, 0);
	return 0;
}

int mne_touched_next(MneTouched *touched, MneSlice *out_key)
{
	while (touched->heap->len > 0) {
		MneSlice key = source_at(touched, 0)->key;
		bool again = mne_slice_equal(key, mne_key_slice(&touched->last));

		if (!again) {
			memcpy(touched->last.bytes, key.data, key.len);
			touched->last.len = (uint16_t)key.len;
		}
		MNE_TRY(step_first(touched));
		if (!again) {
			*out_key = mne_key_slice(&touched->last);
			return 1;
		}
	}
	return 0;
}

void mne_touched_free(MneTouched *touched)
{
	if (!touched)
		return;
	g_array_unref(touched->heap);
	g_free(touched);
}
