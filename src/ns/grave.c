/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/grave.c - what rmdir(2) of a checkpoint removes, in place of the checkpoint
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/grave.h"

#include <stdatomic.h>

#define LIFE_US (2 * G_USEC_PER_SEC)

typedef struct {
	MneIdentity self; /* with a reference to the checkpoint */
	char *name;
	size_t len;
	pid_t pid;
	int64_t until; /* monotonic */
} Grave;

struct MneGraves {
	MneLock lock;
	GPtrArray *open; /* of Grave, owned; few */
	_Atomic unsigned count; /* of them: most look-ups need no lock */
	uint64_t dug;
};

static void grave_free(void *data)
{
	Grave *grave = data;

	mne_ckpt_unref(grave->self.ckpt);
	g_free(grave->name);
	g_free(grave);
}

MneGraves *mne_graves_new(void)
{
	MneGraves *graves = g_new0(MneGraves, 1);

	mne_lock_init(&graves->lock, MNE_RANK_HANDLE);
	graves->open = g_ptr_array_new_with_free_func(grave_free);
	return graves;
}

void mne_graves_free(MneGraves *graves)
{
	g_ptr_array_unref(graves->open);
	mne_lock_clear(&graves->lock);
	g_free(graves);
}

/* Caller holds the lock. */
static void forget_old(MneGraves *graves)
{
	int64_t now = g_get_monotonic_time();

	for (unsigned i = graves->open->len; i-- > 0;)
		if (((Grave *)graves->open->pdata[i])->until < now)
			g_ptr_array_remove_index_fast(graves->open, i);
	atomic_store(&graves->count, graves->open->len);
}

void mne_graves_dig(MneGraves *graves, const MneIdentity *dir, MneSlice name, pid_t pid,
		    MneCkpt *ckpt)
{
	Grave *grave = g_new0(Grave, 1);

	grave->self = (MneIdentity){ .object = MNE_OBJECT_PAST,
				     .is_dir = true,
				     .table = dir->table,
				     .rec = dir->rec,
				     .ckpt = mne_ckpt_ref(ckpt) };
	grave->name = g_strndup((const char *)name.data, name.len);
	grave->len = name.len;
	grave->pid = pid;
	grave->until = g_get_monotonic_time() + LIFE_US;
	MNE_WITH_LOCK(&graves->lock);
	forget_old(graves);
	/* No record's number, and no way to a checkpoint: see ns/ckpts.c. */
	grave->self.via = G_GUINT64_CONSTANT(1) << 57 | ++graves->dug;
	g_ptr_array_add(graves->open, grave);
	atomic_store(&graves->count, graves->open->len);
}

/* Caller holds the lock. */
static Grave *find(MneGraves *graves, const MneIdentity *dir, MneSlice name, pid_t pid)
{
	forget_old(graves);
	for (unsigned i = 0; i < graves->open->len; i++) {
		Grave *grave = graves->open->pdata[i];

		if (grave->pid == pid && grave->self.rec == dir->rec &&
		    mne_slice_equal(name, mne_slice(grave->name, grave->len)))
			return grave;
	}
	return NULL;
}

bool mne_graves_find(MneGraves *graves, const MneIdentity *dir, MneSlice name,
		     pid_t pid, MneIdentity *out_self)
{
	Grave *grave;

	if (atomic_load(&graves->count) == 0)
		return false;
	MNE_WITH_LOCK(&graves->lock);
	grave = find(graves, dir, name, pid);
	if (!grave)
		return false;
	*out_self = grave->self;
	mne_ckpt_ref(out_self->ckpt);
	return true;
}

bool mne_graves_fill(MneGraves *graves, const MneIdentity *dir, MneSlice name,
		     pid_t pid)
{
	Grave *grave;

	if (atomic_load(&graves->count) == 0)
		return false;
	MNE_WITH_LOCK(&graves->lock);
	grave = find(graves, dir, name, pid);
	if (grave)
		g_ptr_array_remove_fast(graves->open, grave);
	atomic_store(&graves->count, graves->open->len);
	return grave != NULL;
}
