/* SPDX-License-Identifier: Apache-2.0
 *
 * frag/map.c - how the records of one table are spread
 */
#define G_LOG_DOMAIN "mne-frag"

#include "config.h"

#include "frag/map.h"

#include "frag/linear.h"
#include "record/node.h"
#include "util/coding.h"

MneFragMap *mne_frag_map_new(uint32_t table, uint64_t dir)
{
	MneFragMap *map = g_new0(MneFragMap, 1);

	mne_ref_init(&map->ref);
	map->table = table;
	map->dir = dir;
	map->module = g_strdup(MNE_FRAG_HASH_DEFAULT);
	map->hash = mne_frag_hash_builtin(map->module);
	map->n = 1;
	if (mne_frag_hash_init(map->hash, "", &map->state) < 0)
		map->hash = NULL; /* no random bytes: the system is not up yet */
	return map;
}

MneFragMap *mne_frag_map_copy(const MneFragMap *map)
{
	MneFragMap *copy = g_memdup2(map, sizeof(*map));

	mne_ref_init(&copy->ref);
	copy->module = g_strdup(map->module);
	return copy;
}

MneFragMap *mne_frag_map_ref(MneFragMap *map)
{
	mne_ref_get(&map->ref);
	return map;
}

void mne_frag_map_unref(MneFragMap *map)
{
	if (!map || !mne_ref_put(&map->ref))
		return;
	g_free(map->module);
	g_free(map);
}

/* --- bytes ------------------------------------------------------------------------- */

static void add_list(GByteArray *to, const MneFragList *list)
{
	mne_add_varint(to, list->len);
	for (uint32_t i = 0; i < list->len; i++)
		mne_add_varint(to, list->frags[i]);
}

GBytes *mne_frag_map_encode(const MneFragMap *map)
{
	GByteArray *to = g_byte_array_new();

	mne_value_begin(to, MNE_KIND_FRAGS, map->seq);
	mne_add_varint(to, map->dir);
	mne_add_sized(to, mne_slice_str(map->module));
	mne_add_varint(to, map->n);
	mne_add_sized(to, mne_slice(map->state.bytes, map->state.len));
	mne_add_u8(to, (uint8_t)map->listing);
	mne_add_varint(to, map->goal);
	mne_add_varint(to, map->per_frag);
	mne_add_u8(to, (uint8_t)map->move);
	if (map->move != MNE_FRAG_STAYS) {
		mne_add_sized(to,
			      mne_slice(map->step.state.bytes, map->step.state.len));
		add_list(to, &map->step.iterate);
		add_list(to, &map->step.lock);
	}
	mne_value_end(to);
	return g_byte_array_free_to_bytes(to);
}

static uint32_t read_u32(MneReader *reader, uint32_t least, uint32_t most)
{
	uint64_t value = mne_read_varint(reader);

	if (value < least || value > most)
		reader->failed = true;
	return (uint32_t)value;
}

static void read_state(MneReader *reader, MneFragState *out)
{
	MneSlice bytes = mne_read_sized(reader);

	if (bytes.len > sizeof(out->bytes)) {
		reader->failed = true;
		return;
	}
	out->len = (uint32_t)bytes.len;
	if (bytes.len > 0)
		memcpy(out->bytes, bytes.data, bytes.len);
}

static void read_list(MneReader *reader, uint32_t n, MneFragList *out)
{
	uint32_t len = read_u32(reader, 0, MNEFS_FRAG_LIST_MAX);

	for (uint32_t i = 0; i < len && !reader->failed; i++)
		out->frags[i] = read_u32(reader, 1, n);
	out->len = reader->failed ? 0 : len;
}

static void read_move(MneReader *reader, MneFragMap *map)
{
	uint8_t move = mne_read_u8(reader);
	uint32_t most;

	if (move > MNE_FRAG_SHRINKS || (move == MNE_FRAG_SHRINKS && map->n <= 1))
		reader->failed = true;
	map->move = (MneFragMove)move;
	if (move == MNE_FRAG_STAYS || reader->failed)
		return;
	map->step.n = move == MNE_FRAG_GROWS ? map->n + 1 : map->n - 1;
	most = MAX(map->n, map->step.n);
	read_state(reader, &map->step.state);
	read_list(reader, most, &map->step.iterate);
	read_list(reader, most, &map->step.lock);
}

static char *read_module(MneReader *reader)
{
	MneSlice name = mne_read_sized(reader);

	if (name.len == 0 || name.len > 64 || memchr(name.data, 0, name.len))
		reader->failed = true;
	return g_strndup((const char *)name.data, reader->failed ? 0 : name.len);
}

int mne_frag_map_decode(MneSlice value, uint32_t table, MneFragHashFind find,
			void *data, MneFragMap **out_map)
{
	g_autoptr(MneFragMap) map = g_new0(MneFragMap, 1);
	MneSlice payload;
	MneReader reader;
	MneKind kind;
	uint8_t listing;

	mne_ref_init(&map->ref);
	map->table = table;
	MNE_TRY(mne_value_open(value, &kind, &map->seq, &payload));
	reader = mne_reader(payload);
	map->dir = mne_read_varint(&reader);
	map->module = read_module(&reader);
	map->n = read_u32(&reader, 1, MNE_FRAG_MAX);
	read_state(&reader, &map->state);
	listing = mne_read_u8(&reader);
	map->listing = (MneFragListing)listing;
	map->goal = read_u32(&reader, 0, MNE_FRAG_MAX);
	map->per_frag = read_u32(&reader, 0, UINT32_MAX);
	read_move(&reader, map);
	if (kind != MNE_KIND_FRAGS || !mne_reader_done(&reader) ||
	    listing > MNE_FRAG_LISTS_RECORDS || map->dir == 0)
		return mne_throw(VALUE_CORRUPT, "a table's fragments do not decode");
	map->hash = find(data, map->module);
	*out_map = g_steal_pointer(&map);
	return 0;
}

/* --- places ------------------------------------------------------------------------ */

uint32_t mne_frag_map_parts(const MneFragMap *map)
{
	return map->move == MNE_FRAG_GROWS ? map->n + 1 : map->n;
}

bool mne_frag_map_lists_fragments(const MneFragMap *map)
{
	return map->n > 1 && map->listing == MNE_FRAG_LISTS_FRAGMENTS;
}

int mne_frag_map_place(const MneFragMap *map, MneSlice name, uint32_t *out_old,
		       uint32_t *out_new)
{
	uint32_t frag;

	if (!map->hash)
		return mne_throw(NO_FRAG_HASH,
				 "the hash module %s of the table is not there",
				 map->module ? map->module : "?");
	MNE_TRY(mne_frag_hash_of(map->hash, &map->state, map->n, name, &frag));
	*out_old = *out_new = frag;
	if (map->move == MNE_FRAG_STAYS)
		return 0;
	MNE_TRY(mne_frag_hash_of(map->hash, &map->step.state, map->step.n, name,
				 &frag));
	if (!mne_frag_step_allows(&map->step, *out_old, frag))
		return mne_throw(FRAG_HASH,
				 "hash module %s moves a name from fragment %u to %u, "
				 "which is not part of the step",
				 map->module, *out_old, frag);
	*out_new = frag;
	return 0;
}

static MneLinear linear_of(uint32_t n)
{
	MneLinear linear = { .n = n, .l = g_bit_storage(n) - 1 };

	linear.p = n - (1u << linear.l) + 1;
	return linear;
}

static bool is_linear(const MneFragMap *map)
{
	return map->hash && map->hash == mne_frag_hash_builtin(map->hash->name);
}

static bool same_key(const MneFragMap *a, const MneFragMap *b)
{
	const uint32_t tail = 12; /* n, p, l: what changes with the fragments */

	return a->hash == b->hash && a->state.len == b->state.len &&
	       a->state.len >= tail &&
	       memcmp(a->state.bytes, b->state.bytes, a->state.len - tail) == 0;
}

/* Which fragments hashes of `frag` among `was` ones come to, among `now` ones. */
static void mark_linear(uint32_t now, uint32_t was, uint32_t frag, bool *marks)
{
	MneLinear to = linear_of(now), from = linear_of(was);
	uint64_t hashes = UINT64_C(2) << MAX(to.l, from.l);

	for (uint64_t hash = 0; hash < hashes; hash++)
		if (mne_linear_frag(from, (uint32_t)hash) == frag)
			marks[mne_linear_frag(to, (uint32_t)hash)] = true;
}

/* Of a map that moves, with the fragments that may have received records. */
static void mark_step(const MneFragMap *now, bool *marks)
{
	const MneFragStep *step = &now->step;
	bool touched = false;

	if (now->move == MNE_FRAG_STAYS)
		return;
	for (uint32_t i = 0; i < step->iterate.len; i++)
		touched = touched || marks[step->iterate.frags[i]];
	for (uint32_t i = 0; touched && i < step->lock.len; i++)
		marks[step->lock.frags[i]] = true;
	for (uint32_t i = 0; touched && i < step->iterate.len; i++)
		marks[step->iterate.frags[i]] = true;
}

GArray *mne_frag_map_sources(const MneFragMap *now, const MneFragMap *was,
			     uint32_t frag)
{
	GArray *sources = g_array_new(FALSE, FALSE, sizeof(uint32_t));
	uint32_t parts = mne_frag_map_parts(now);
	g_autofree bool *marks = g_new0(bool, parts + 2);

	if (is_linear(now) && same_key(now, was))
		mark_linear(now->n, was->n, frag, marks);
	else if (now->seq == was->seq)
		marks[frag] = true;
	else
		memset(marks, true, (parts + 1) * sizeof(bool));
	mark_step(now, marks);
	for (uint32_t i = 1; i <= parts; i++)
		if (marks[i])
			g_array_append_val(sources, i);
	return sources;
}
