/* SPDX-License-Identifier: Apache-2.0
 *
 * ckpt/ckpt.c - a checkpoint, and the set of them
 */
#define G_LOG_DOMAIN "mne-ckpt"

#include "config.h"

#include "ckpt/ckpt.h"

#include "ckpt/set.h"
#include "ckpt/value.h"
#include "record/keys.h"

struct MneCkpts {
	MneLock lock;
	MneKv *kv; /* borrowed */
	MneView *live; /* borrowed */
	const MneCkptTags *tags;
	MneTally *tally; /* owned */
	GPtrArray *all; /* MneCkpt *, ascending by seq; owns a reference each */
	_Atomic guint count; /* of them: each change of a key asks for the newest */
	_Atomic uint64_t turns;
};

const MneCkptTags mne_ckpt_tags = { MNE_TAG_CKPT, MNE_TAG_RETAINED, MNE_TAG_CHANGED };
const MneCkptTags mne_bookmark_tags = { MNE_TAG_BOOKMARK, MNE_TAG_STUB, MNE_TAG_SINCE };

MneCkpts *mne_ckpts_new(MneKv *kv, MneView *live, const MneCkptTags *tags)
{
	MneCkpts *set = g_new0(MneCkpts, 1);

	mne_lock_init(&set->lock, MNE_RANK_CKPTS);
	set->kv = kv;
	set->live = live;
	set->tags = tags;
	set->tally = mne_tally_new();
	set->all = g_ptr_array_new_with_free_func((GDestroyNotify)mne_ckpt_unref);
	return set;
}

void mne_ckpts_free(MneCkpts *set)
{
	g_ptr_array_unref(set->all);
	mne_tally_free(set->tally);
	mne_lock_clear(&set->lock);
	g_free(set);
}

MneView *mne_ckpts_live(MneCkpts *set)
{
	return set->live;
}

MneLock *mne_ckpts_lock(MneCkpts *set)
{
	return &set->lock;
}

const MneCkptTags *mne_ckpts_tags(MneCkpts *set)
{
	return set->tags;
}

MneKv *mne_ckpts_kv(MneCkpts *set)
{
	return set->kv;
}

MneTally *mne_ckpts_tally(MneCkpts *set)
{
	return set->tally;
}

static MneCkpt *ckpt_alloc(MneCkpts *set)
{
	MneCkpt *ckpt = g_new0(MneCkpt, 1);

	mne_ref_init(&ckpt->ref);
	ckpt->set = set;
	ckpt->tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	ckpt->max_tables = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	g_queue_init(&ckpt->holds);
	mne_past_view_init(ckpt, set->live);
	return ckpt;
}

static int compare_u32(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void copy_ids(GArray *to, const GArray *from)
{
	if (from && from->len > 0)
		g_array_append_vals(to, from->data, from->len);
	g_array_sort(to, compare_u32);
}

MneCkpt *mne_ckpt_new(MneCkpts *set, const MneCkptSpec *spec)
{
	MneCkpt *ckpt = ckpt_alloc(set);

	ckpt->name = g_strndup((const char *)spec->name.data, spec->name.len);
	ckpt->uid = spec->uid;
	ckpt->gid = spec->gid;
	ckpt->cookie = ((uint64_t)g_random_int() << 32) | g_random_int();
	ckpt->time_ns = g_get_real_time() * 1000;
	ckpt->state = MNE_CKPT_ACTIVE;
	ckpt->all_tables = spec->tables == NULL;
	copy_ids(ckpt->tables, spec->tables);
	copy_ids(ckpt->max_tables, spec->max_tables);
	ckpt->flags = spec->flags;
	ckpt->traits = spec->traits;
	ckpt->traits.note = g_strdup(spec->traits.note);
	return ckpt;
}

MneCkpt *mne_ckpt_ref(MneCkpt *ckpt)
{
	mne_ref_get(&ckpt->ref);
	return ckpt;
}

void mne_ckpt_unref(MneCkpt *ckpt)
{
	if (!ckpt || !mne_ref_put(&ckpt->ref))
		return;
	g_array_unref(ckpt->tables);
	g_array_unref(ckpt->max_tables);
	mne_ckpt_traits_clear(&ckpt->traits);
	g_free(ckpt->name);
	g_free(ckpt);
}

int mne_ckpts_load(MneCkpts *set)
{
	const uint8_t tag = (uint8_t)set->tags->ckpt;
	g_autoptr(MneKvIter) iter = NULL;

	MNE_TRY(mne_kv_iter(set->kv, &iter));
	mne_kv_iter_seek(iter, mne_slice(&tag, 1));
	for (; mne_kv_iter_valid(iter); mne_kv_iter_next(iter)) {
		g_autoptr(MneCkpt) ckpt = ckpt_alloc(set);
		MneSlice key = mne_kv_iter_key(iter);
		MneKeyParts parts;

		if (key.data[0] != tag)
			break;
		MNE_TRY(mne_key_parse(key, &parts));
		MNE_TRY(mne_ckpt_decode(ckpt, mne_kv_iter_value(iter)));
		ckpt->id = parts.id;
		mne_ckpts_add(set, ckpt);
	}
	return mne_kv_iter_status(iter);
}

bool mne_ckpt_covers(const MneCkpt *ckpt, uint32_t table)
{
	if (ckpt->all_tables || table == MNE_ROOT_TABLE)
		return true;
	if (ckpt->tables->len == 0)
		return false;
	return bsearch(&table, ckpt->tables->data, ckpt->tables->len, sizeof(table),
		       compare_u32) != NULL;
}

bool mne_ckpt_is_active(const MneCkpt *ckpt)
{
	return ckpt->state == MNE_CKPT_ACTIVE;
}

char *mne_ckpt_name(MneCkpt *ckpt)
{
	MNE_WITH_LOCK(&ckpt->set->lock);
	return g_strdup(ckpt->name);
}

void mne_ckpt_traits_clear(MneCkptTraits *traits)
{
	g_clear_pointer(&traits->note, g_free);
}

void mne_ckpt_traits(MneCkpt *ckpt, MneCkptTraits *out)
{
	MNE_WITH_LOCK(&ckpt->set->lock);
	*out = ckpt->traits;
	out->note = g_strdup(ckpt->traits.note);
}

static bool has_control(MneSlice name)
{
	for (size_t i = 0; i < name.len; i++)
		if (name.data[i] < 0x20 || name.data[i] == 0x7f)
			return true;
	return false;
}

int mne_ckpt_check_name(MneSlice name)
{
	if (name.len > MNE_NAME_MAX)
		return -ENAMETOOLONG;
	if (name.len == 0 || mne_slice_equal(name, mne_slice_str(".")) ||
	    mne_slice_equal(name, mne_slice_str("..")))
		return mne_throw(CKPT_NAME, "a checkpoint needs a name");
	if (memchr(name.data, ':', name.len))
		return mne_throw(CKPT_NAME, "':' is not allowed in a checkpoint name "
					    "(rsync would take it for a host)");
	if (name.data[0] == '@')
		return mne_throw(CKPT_NAME, "a checkpoint name cannot begin with '@' "
					    "(that asks for a time)");
	if (memchr(name.data, '/', name.len) || has_control(name))
		return mne_throw(
			CKPT_NAME,
			"'/' and control characters are not allowed in a checkpoint name");
	return 0;
}

int mne_ckpt_check_note(MneSlice note)
{
	if (note.len > MNE_CKPT_NOTE_MAX)
		return mne_throw(CKPT_NOTE, "a note has up to %u bytes",
				 MNE_CKPT_NOTE_MAX);
	if (has_control(note))
		return mne_throw(CKPT_NOTE,
				 "a note is one line, without control characters");
	return 0;
}

/* Caller holds the lock. */
static MneCkpt *find_active(MneCkpts *set, MneSlice name)
{
	for (guint i = 0; i < set->all->len; i++) {
		MneCkpt *ckpt = set->all->pdata[i];

		if (mne_ckpt_is_active(ckpt) &&
		    mne_slice_equal(mne_slice_str(ckpt->name), name))
			return ckpt;
	}
	return NULL;
}

int mne_ckpts_find(MneCkpts *set, MneSlice name, MneCkpt **out_ckpt)
{
	MNE_WITH_LOCK(&set->lock);
	MneCkpt *ckpt = find_active(set, name);

	if (!ckpt)
		return -ENOENT;
	*out_ckpt = mne_ckpt_ref(ckpt);
	return 0;
}

GPtrArray *mne_ckpts_list(MneCkpts *set)
{
	GPtrArray *list =
		g_ptr_array_new_with_free_func((GDestroyNotify)mne_ckpt_unref);

	MNE_WITH_LOCK(&set->lock);
	for (guint i = 0; i < set->all->len; i++)
		if (mne_ckpt_is_active(set->all->pdata[i]))
			g_ptr_array_add(list, mne_ckpt_ref(set->all->pdata[i]));
	return list;
}

uint64_t mne_ckpts_turns(MneCkpts *set)
{
	return atomic_load(&set->turns);
}

unsigned mne_ckpts_count(MneCkpts *set)
{
	MNE_WITH_LOCK(&set->lock);
	unsigned n = 0;

	for (guint i = 0; i < set->all->len; i++)
		n += mne_ckpt_is_active(set->all->pdata[i]);
	return n;
}

static bool is_dropping(const MneCkpt *ckpt)
{
	return ckpt->state == MNE_CKPT_DROPPING;
}

unsigned mne_ckpts_dropping(MneCkpts *set)
{
	MNE_WITH_LOCK(&set->lock);
	unsigned n = 0;

	for (guint i = 0; i < set->all->len; i++)
		n += is_dropping(set->all->pdata[i]);
	return n;
}

/* Caller holds the lock. */
static MneCkpt *newest_before(MneCkpts *set, uint32_t table, uint64_t before)
{
	for (guint i = set->all->len; i-- > 0;) {
		MneCkpt *ckpt = set->all->pdata[i];

		if (ckpt->seq < before && ckpt->state != MNE_CKPT_DROPPING &&
		    mne_ckpt_covers(ckpt, table))
			return ckpt;
	}
	return NULL;
}

uint64_t mne_ckpts_newest_before(MneCkpts *set, uint32_t table, uint64_t before)
{
	if (set->count == 0)
		return 0;
	MNE_WITH_LOCK(&set->lock);
	MneCkpt *ckpt = newest_before(set, table, before);

	return ckpt ? ckpt->seq : 0;
}

uint64_t mne_ckpts_newest(MneCkpts *set, uint32_t table)
{
	return mne_ckpts_newest_before(set, table, UINT64_MAX);
}

int64_t mne_ckpts_newest_time(MneCkpts *set, uint32_t table)
{
	MNE_WITH_LOCK(&set->lock);
	MneCkpt *ckpt = newest_before(set, table, UINT64_MAX);

	return ckpt ? ckpt->time_ns / 1000000000 : 0;
}

unsigned mne_ckpts_between(MneCkpts *set, uint32_t table, uint64_t first, uint64_t last)
{
	MNE_WITH_LOCK(&set->lock);
	unsigned n = 0;

	for (guint i = 0; i < set->all->len; i++) {
		const MneCkpt *ckpt = set->all->pdata[i];

		n += ckpt->seq >= first && ckpt->seq <= last &&
		     mne_ckpt_is_active(ckpt) && mne_ckpt_covers(ckpt, table);
	}
	return n;
}

uint64_t mne_ckpts_first_from(MneCkpts *set, uint32_t table, uint64_t from)
{
	MNE_WITH_LOCK(&set->lock);
	uint64_t first = 0;

	for (guint i = set->all->len; i-- > 0;) {
		const MneCkpt *ckpt = set->all->pdata[i];

		if (ckpt->seq < from)
			break;
		if (mne_ckpt_covers(ckpt, table))
			first = ckpt->seq;
	}
	return first;
}

GArray *mne_ckpts_seqs(MneCkpts *set, uint64_t first, uint64_t end)
{
	GArray *seqs = g_array_new(FALSE, FALSE, sizeof(uint64_t));

	MNE_WITH_LOCK(&set->lock);
	for (guint i = 0; i < set->all->len; i++) {
		uint64_t seq = ((MneCkpt *)set->all->pdata[i])->seq;

		if (seq >= first && seq < end)
			g_array_append_val(seqs, seq);
	}
	return seqs;
}

void mne_ckpts_add(MneCkpts *set, MneCkpt *ckpt)
{
	MNE_WITH_LOCK(&set->lock);
	guint at = set->all->len;

	while (at > 0 && ((MneCkpt *)set->all->pdata[at - 1])->seq > ckpt->seq)
		at--;
	g_ptr_array_insert(set->all, (gint)at, mne_ckpt_ref(ckpt));
	set->count = set->all->len;
	atomic_fetch_add(&set->turns, 1);
}

void mne_ckpts_set_state(MneCkpts *set, MneCkpt *ckpt, MneCkptState state)
{
	MNE_WITH_LOCK(&set->lock);
	if (state == MNE_CKPT_DROPPING)
		atomic_store(&ckpt->dropped, g_get_real_time() / G_USEC_PER_SEC);
	ckpt->state = state;
	atomic_fetch_add(&set->turns, 1);
}

void mne_ckpts_set_dropping(MneCkpts *set, MneCkpt *ckpt)
{
	mne_ckpts_set_state(set, ckpt, MNE_CKPT_DROPPING);
}

void mne_ckpts_set_name(MneCkpts *set, MneCkpt *ckpt, MneSlice name)
{
	MNE_WITH_LOCK(&set->lock);
	g_free(ckpt->name);
	ckpt->name = g_strndup((const char *)name.data, name.len);
}

void mne_ckpts_set_traits(MneCkpts *set, MneCkpt *ckpt, MneCkptTraits *take_traits)
{
	MNE_WITH_LOCK(&set->lock);
	mne_ckpt_traits_clear(&ckpt->traits);
	ckpt->traits = *take_traits;
	take_traits->note = NULL;
}

void mne_ckpts_remove(MneCkpts *set, MneCkpt *ckpt)
{
	MNE_WITH_LOCK(&set->lock);
	g_ptr_array_remove(set->all, ckpt);
	set->count = set->all->len;
}

MneCkpt *mne_ckpts_next_dropping(MneCkpts *set)
{
	MNE_WITH_LOCK(&set->lock);
	for (guint i = 0; i < set->all->len; i++)
		if (is_dropping(set->all->pdata[i]))
			return mne_ckpt_ref(set->all->pdata[i]);
	return NULL;
}
