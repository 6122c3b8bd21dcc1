/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/shaky.c - an engine of which the nth call fails
 */
#include "config.h"

#include "shaky.h"

#include <stddef.h>

typedef struct {
	MneKvOps ops; /* what kv->ops points to: so we are found again */
	const MneKvOps *own; /* the engine's */
	Shake *shake;
} ShakyKv;

typedef struct {
	MneKvIterOps ops;
	const MneKvIterOps *own;
	Shake *shake;
	bool failed;
} ShakyIter;

static int count(Shake *shake)
{
	if (++shake->calls != shake->nth)
		return 0;
	return mne_throw(INJECTED, "INJECTED: call %" G_GUINT64_FORMAT, shake->nth);
}

/* ---- iterators ---- */

static ShakyIter *of_iter(const MneKvIter *iter)
{
	return (void *)((char *)iter->ops - offsetof(ShakyIter, ops));
}

static bool step(MneKvIter *iter)
{
	ShakyIter *shaky = of_iter(iter);

	shaky->failed = shaky->failed || count(shaky->shake) < 0;
	return !shaky->failed;
}

static void shaky_seek(MneKvIter *iter, MneSlice key)
{
	if (step(iter))
		of_iter(iter)->own->seek(iter, key);
}

static void shaky_next(MneKvIter *iter)
{
	if (step(iter))
		of_iter(iter)->own->next(iter);
}

static void shaky_seek_before(MneKvIter *iter, MneSlice key)
{
	if (step(iter))
		of_iter(iter)->own->seek_before(iter, key);
}

static bool shaky_valid(const MneKvIter *iter)
{
	return !of_iter(iter)->failed && of_iter(iter)->own->valid(iter);
}

static MneSlice shaky_key(const MneKvIter *iter)
{
	return of_iter(iter)->own->key(iter);
}

static MneSlice shaky_value(const MneKvIter *iter)
{
	return of_iter(iter)->own->value(iter);
}

static int shaky_status(const MneKvIter *iter)
{
	return of_iter(iter)->failed ? -MNE_E_INJECTED
				     : of_iter(iter)->own->status(iter);
}

static void shaky_free(MneKvIter *iter)
{
	ShakyIter *shaky = of_iter(iter);

	iter->ops = shaky->own;
	g_free(shaky);
	mne_kv_iter_free(iter);
}

static const MneKvIterOps shaky_iter_ops = {
	.seek = shaky_seek,
	.next = shaky_next,
	.seek_before = shaky_seek_before,
	.valid = shaky_valid,
	.key = shaky_key,
	.value = shaky_value,
	.status = shaky_status,
	.free = shaky_free,
};

static void shake_iter(MneKvIter *iter, Shake *shake)
{
	ShakyIter *shaky = g_new0(ShakyIter, 1);

	*shaky = (ShakyIter){ .ops = shaky_iter_ops, .own = iter->ops, .shake = shake };
	iter->ops = &shaky->ops;
}

/* ---- engines ---- */

static ShakyKv *of_kv(MneKv *kv)
{
	return (void *)((char *)kv->ops - offsetof(ShakyKv, ops));
}

static int shaky_get(MneKv *kv, MneSlice key, GBytes **out_value)
{
	MNE_TRY(count(of_kv(kv)->shake));
	return of_kv(kv)->own->get(kv, key, out_value);
}

static int shaky_iter(MneKv *kv, MneKvIter **out_iter)
{
	MNE_TRY(count(of_kv(kv)->shake));
	MNE_TRY(of_kv(kv)->own->iter(kv, out_iter));
	shake_iter(*out_iter, of_kv(kv)->shake);
	return 0;
}

static int shaky_snapshot(MneKv *kv, MneKv **out_snapshot)
{
	MNE_TRY(count(of_kv(kv)->shake));
	MNE_TRY(of_kv(kv)->own->snapshot(kv, out_snapshot));
	shaky_make(*out_snapshot, of_kv(kv)->shake);
	return 0;
}

static int shaky_apply(MneKv *kv, MneKvBatch *batch)
{
	MNE_TRY(count(of_kv(kv)->shake));
	return of_kv(kv)->own->apply(kv, batch);
}

static int shaky_barrier(MneKv *kv)
{
	MNE_TRY(count(of_kv(kv)->shake));
	return of_kv(kv)->own->barrier(kv);
}

static void shaky_close(MneKv *kv)
{
	ShakyKv *shaky = of_kv(kv);

	kv->ops = shaky->own;
	g_free(shaky);
	mne_kv_close(kv);
}

void shaky_make(MneKv *kv, Shake *shake)
{
	ShakyKv *shaky = g_new0(ShakyKv, 1);

	*shaky = (ShakyKv){ .ops = *kv->ops, .own = kv->ops, .shake = shake };
	shaky->ops.get = shaky_get;
	shaky->ops.iter = shaky_iter;
	shaky->ops.snapshot = shaky_snapshot;
	shaky->ops.apply = shaky_apply;
	shaky->ops.barrier = shaky_barrier;
	shaky->ops.close = shaky_close;
	kv->ops = &shaky->ops;
}
