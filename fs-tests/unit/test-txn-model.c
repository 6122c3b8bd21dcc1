/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/test-txn-model.c - random operations on files and names of a store,
 * against a model of byte arrays
 *
 * The model knows of each file its bytes as every reader sees them, and as last
 * committed; a checkpoint is a copy of all that is committed.  Whatever the store did in
 * between - commits, checkpoints made and dropped, reclaiming, sweeping, a reopen - the two
 * must agree.
 */
#include "config.h"

#include <fcntl.h>
#include <linux/falloc.h>
#include <stdio.h>
#include <unistd.h>

#include "recount.h"
#include "txns.h"

enum {
	N_DIRS = 2,
	N_NAMES = 5,
	N_SLOTS = N_DIRS * N_NAMES,
	MAX_HANDLES = 5,
	MAX_CKPTS = 4,
	SIZE_CAP = 900000,
};

typedef struct {
	GByteArray *bytes;
	uint32_t mode;
} Version;

typedef struct {
	uint64_t rec;
	Version live, committed;
	bool exists; /* committed once */
	bool dirty;
	bool tmpfile; /* had no name yet */
	unsigned names, handles, writers;
} Inode;

typedef struct {
	MneFile *file;
	Inode *inode;
	bool writable;
} Handle;

typedef struct {
	char name[16];
	MneCkpt *ckpt;
	GBytes *bytes[N_SLOTS]; /* NULL: not there */
	uint32_t mode[N_SLOTS];
} Snapshot;

typedef struct {
	Fixture *f;
	uint64_t dirs[N_DIRS];
	GPtrArray *inodes; /* all there ever were */
	Inode *slots[N_SLOTS];
	Handle handles[MAX_HANDLES];
	unsigned n_handles;
	Snapshot *ckpts[MAX_CKPTS];
	unsigned n_ckpts, made;
} Model;

static unsigned pick(unsigned n)
{
	return (unsigned)g_test_rand_int_range(0, (gint32)n);
}

static void version_clear(Version *version)
{
	g_clear_pointer(&version->bytes, g_byte_array_unref);
}

static void inode_free(void *data)
{
	Inode *inode = data;

	version_clear(&inode->live);
	version_clear(&inode->committed);
	g_free(inode);
}

static void snapshot_free(Snapshot *snapshot)
{
	for (unsigned i = 0; i < N_SLOTS; i++)
		g_clear_pointer(&snapshot->bytes[i], g_bytes_unref);
	g_clear_pointer(&snapshot->ckpt, mne_ckpt_unref);
	g_free(snapshot);
}

/* --- where things are -------------------------------------------------------------- */

static MneSpot spot_at(const Model *m, unsigned slot)
{
	static const char *const names[N_NAMES] = { "a", "ab", "b", "\xff", "z" };

	return (MneSpot){ m->f->table, m->dirs[slot / N_NAMES],
			  mne_slice_str(names[slot % N_NAMES]) };
}

static MnePlace place_at(const Model *m, unsigned slot)
{
	MneSpot spot = spot_at(m, slot);

	return (MnePlace){ spot.table, m->slots[slot]->rec, spot.dir, spot.name,
			   false };
}

/* Any place it stands at; one that does not name it when it has no name. */
static MnePlace place_of_inode(const Model *m, const Inode *inode)
{
	for (unsigned i = 0; i < N_SLOTS; i++)
		if (m->slots[i] == inode)
			return place_at(m, i);
	return (MnePlace){ m->f->table, inode->rec, m->dirs[0], mne_slice_str("none"),
			   false };
}

/* --- what the model does ----------------------------------------------------------- */

static void model_commit(Inode *inode)
{
	if (!inode->dirty || inode->names == 0)
		return;
	inode->dirty = false;
	inode->exists = true;
	g_byte_array_set_size(inode->committed.bytes, 0);
	g_byte_array_append(inode->committed.bytes, inode->live.bytes->data,
			    inode->live.bytes->len);
	inode->committed.mode = inode->live.mode;
}

static void model_resize(Inode *inode, size_t size)
{
	size_t was = inode->live.bytes->len;

	g_byte_array_set_size(inode->live.bytes, (guint)size);
	if (size > was)
		memset(inode->live.bytes->data + was, 0, size - was);
	inode->dirty = true;
}

static void model_zero(Inode *inode, size_t offset, size_t len)
{
	size_t have = inode->live.bytes->len;

	if (offset < have)
		memset(inode->live.bytes->data + offset, 0, MIN(len, have - offset));
	inode->dirty = true;
}

static void model_unname(Model *m, unsigned slot)
{
	Inode *inode = m->slots[slot];

	m->slots[slot] = NULL;
	if (--inode->names == 0 && inode->handles == 0) {
		g_byte_array_set_size(inode->live.bytes, 0);
		g_byte_array_set_size(inode->committed.bytes, 0);
	}
}

/* --- handles ----------------------------------------------------------------------- */

static void add_handle(Model *m, MneFile *file, Inode *inode, bool writable)
{
	m->handles[m->n_handles++] = (Handle){ file, inode, writable };
	inode->handles++;
	inode->writers += writable;
}

static void close_handle(Model *m, unsigned i)
{
	Handle handle = m->handles[i];

	g_assert_cmpint(mne_file_close(handle.file, handle.writable), ==, 0);
	m->handles[i] = m->handles[--m->n_handles];
	handle.inode->handles--;
	handle.inode->writers -= handle.writable;
	if (handle.writable && handle.inode->writers == 0)
		model_commit(handle.inode);
}

static void do_create(Model *m)
{
	unsigned slot = pick(N_SLOTS);
	bool tmpfile = pick(8) == 0;
	const MneMake what = { .mode = S_IFREG | 0640 };
	MneSpot spot = spot_at(m, slot);
	MneFile *file = NULL;
	MneNode node;
	Inode *inode;
	int err;

	if (m->n_handles == MAX_HANDLES)
		return;
	if (tmpfile)
		spot.name = MNE_SLICE_EMPTY;
	err = mne_file_create(m->f->store, &spot, &what, &file, &node);
	if (!tmpfile && m->slots[slot]) {
		g_assert_cmpint(err, ==, -EEXIST);
		return;
	}
	g_assert_cmpint(err, ==, 0);
	inode = g_new0(Inode, 1);
	g_ptr_array_add(m->inodes, inode);
	inode->rec = node.rec;
	inode->live = (Version){ g_byte_array_new(), node.mode };
	inode->committed = (Version){ g_byte_array_new(), node.mode };
	inode->dirty = true;
	inode->tmpfile = tmpfile;
	if (!tmpfile) {
		inode->names = 1;
		m->slots[slot] = inode;
	}
	add_handle(m, file, inode, true);
}

static void do_open(Model *m)
{
	unsigned slot = pick(N_SLOTS);
	bool writable = pick(3) > 0, truncate = writable && pick(4) == 0;
	MneFile *file = NULL;
	MnePlace place;

	if (!m->slots[slot] || m->n_handles == MAX_HANDLES)
		return;
	place = place_at(m, slot);
	g_assert_cmpint(mne_file_open(m->f->store, &place, writable, truncate, &file),
			==, 0);
	add_handle(m, file, m->slots[slot], writable);
	if (truncate)
		model_resize(m->slots[slot], 0);
}

static void do_close(Model *m)
{
	if (m->n_handles > 0)
		close_handle(m, pick(m->n_handles));
}

/* --- bytes ------------------------------------------------------------------------- */

static Handle *a_writer(Model *m)
{
	for (unsigned try = 0; m->n_handles > 0 && try < 3; try++) {
		Handle *handle = &m->handles[pick(m->n_handles)];

		if (handle->writable)
			return handle;
	}
	return NULL;
}

/* Around the places where something changes: nothing, the inline limit, frames. */
static size_t some_len(void)
{
	static const size_t around[] = { 1, 40, 4096, 131072, 262144 };
	size_t len = around[pick(pick(8) == 0 ? 5 : 3)];

	return pick(2) ? len + pick(5) : 1 + pick((unsigned)len + 100);
}

static size_t some_offset(const Inode *inode)
{
	size_t size = inode->live.bytes->len;

	switch (pick(5)) {
	case 0: return 0;
	case 1: return size;
	case 2: return size + some_len();
	default: return size > 0 ? pick((unsigned)size) : 0;
	}
}

static void do_write(Model *m)
{
	Handle *handle = a_writer(m);
	bool append = pick(4) == 0;
	size_t offset, len = some_len();

	if (!handle)
		return;
	offset = append ? handle->inode->live.bytes->len : some_offset(handle->inode);
	if (offset + len > SIZE_CAP)
		return;

	g_autoptr(GBytes) bytes = made_bytes((unsigned)g_test_rand_int(), len);
	const void *data = g_bytes_get_data(bytes, NULL);

	g_assert_cmpint(mne_file_write(handle->file, append ? 7 : offset, data, len,
				       append, false),
			==, len);
	model_resize(handle->inode, MAX(handle->inode->live.bytes->len, offset + len));
	memcpy(handle->inode->live.bytes->data + offset, data, len);
}

/* Many small writes one behind the other: they gather in the buffer. */
static void do_stream(Model *m)
{
	Handle *handle = a_writer(m);
	unsigned n = pick(40);
	size_t at;

	if (!handle)
		return;
	at = some_offset(handle->inode);
	for (unsigned i = 0; i < n && at + 3000 < SIZE_CAP; i++) {
		size_t len = 1 + pick(3000);
		g_autoptr(GBytes) bytes = made_bytes(i, len);
		const void *data = g_bytes_get_data(bytes, NULL);

		g_assert_cmpint(
			mne_file_write(handle->file, at, data, len, false, false), ==,
			len);
		model_resize(handle->inode,
			     MAX(handle->inode->live.bytes->len, at + len));
		memcpy(handle->inode->live.bytes->data + at, data, len);
		at += len;
	}
}

static void do_truncate(Model *m)
{
	Handle *handle = a_writer(m);
	size_t size;

	if (!handle)
		return;
	size = pick(4) == 0 ? 0 : some_offset(handle->inode);
	if (size > SIZE_CAP)
		return;
	g_assert_cmpint(mne_file_truncate(handle->file, size), ==, 0);
	model_resize(handle->inode, size);
}

static void do_allocate(Model *m)
{
	static const int modes[] = { 0, FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
				     FALLOC_FL_ZERO_RANGE,
				     FALLOC_FL_ZERO_RANGE | FALLOC_FL_KEEP_SIZE };
	int mode = modes[pick(G_N_ELEMENTS(modes))];
	Handle *handle = a_writer(m);
	size_t offset, len = some_len();

	if (!handle)
		return;
	offset = some_offset(handle->inode);
	if (offset + len > SIZE_CAP)
		return;
	g_assert_cmpint(mne_file_allocate(handle->file, mode, offset, len), ==, 0);
	if (mode & ~FALLOC_FL_KEEP_SIZE)
		model_zero(handle->inode, offset, len);
	model_resize(handle->inode,
		     mode & FALLOC_FL_KEEP_SIZE
			     ? handle->inode->live.bytes->len
			     : MAX(handle->inode->live.bytes->len, offset + len));
}

static void do_sync(Model *m)
{
	Handle *handle = a_writer(m);

	if (!handle)
		return;
	g_assert_cmpint(mne_file_sync(handle->file), ==, 0);
	model_commit(handle->inode);
}

static void do_chmod(Model *m)
{
	MneAttrChange change = { .set = MNE_SET_MODE, .mode = 0600 + pick(0100) };
	g_auto(MneNode) node = { 0 };
	Inode *inode = NULL;
	MnePlace place;

	if (pick(2) && m->n_handles > 0)
		inode = m->handles[pick(m->n_handles)].inode;
	else
		inode = m->slots[pick(N_SLOTS)];
	if (!inode)
		return;
	place = place_of_inode(m, inode);
	g_assert_cmpint(mne_setattr(m->f->store, &place, &change, &node), ==, 0);
	inode->live.mode = (inode->live.mode & S_IFMT) | change.mode;
	if (!inode->dirty)
		inode->committed.mode = inode->live.mode;
	g_assert_cmpuint(node.mode, ==, inode->live.mode);
}

/* --- names ------------------------------------------------------------------------- */

static void do_unlink(Model *m)
{
	unsigned slot = pick(N_SLOTS);
	MneSpot spot = spot_at(m, slot);
	uint64_t rec;
	int err = mne_unlink(m->f->store, &spot, &rec);

	if (!m->slots[slot]) {
		g_assert_cmpint(err, ==, -ENOENT);
		return;
	}
	g_assert_cmpint(err, ==, 0);
	g_assert_cmpuint(rec, ==, m->slots[slot]->rec);
	model_unname(m, slot);
}

static int rename_wants(const Model *m, unsigned from, unsigned to, unsigned flags)
{
	if (!m->slots[from] || ((flags & RENAME_EXCHANGE) && !m->slots[to]))
		return -ENOENT;
	return (flags & RENAME_NOREPLACE) && m->slots[to] ? -EEXIST : 0;
}

static void do_rename(Model *m)
{
	static const unsigned all_flags[] = { 0, 0, RENAME_NOREPLACE, RENAME_EXCHANGE };
	unsigned flags = all_flags[pick(4)];
	unsigned from = pick(N_SLOTS), to = pick(N_SLOTS);
	int wants = rename_wants(m, from, to, flags);
	MneSpot old = spot_at(m, from), new = spot_at(m, to);
	Inode *source = m->slots[from], *target = m->slots[to];
	uint64_t moved, other;

	g_assert_cmpint(mne_rename(m->f->store, &old, &new, flags, &moved, &other), ==,
			wants);
	if (source)
		model_commit(source);
	if (target && (!target->exists || (flags & RENAME_EXCHANGE)))
		model_commit(target);
	if (wants < 0 || source == target)
		return;
	if (flags & RENAME_EXCHANGE) {
		m->slots[from] = target;
	} else {
		if (target)
			model_unname(m, to);
		m->slots[from] = NULL;
	}
	m->slots[to] = source;
}

static void do_link(Model *m)
{
	unsigned to = pick(N_SLOTS);
	MneSpot spot = spot_at(m, to);
	g_auto(MneNode) node = { 0 };
	Inode *inode;
	MnePlace place;
	int err;

	if (pick(3) == 0 && m->n_handles > 0)
		inode = m->handles[pick(m->n_handles)].inode;
	else
		inode = m->slots[pick(N_SLOTS)];
	if (!inode)
		return;
	place = place_of_inode(m, inode);
	err = mne_link(m->f->store, &place, &spot, &node);
	model_commit(inode);
	if (m->slots[to]) {
		g_assert_cmpint(err, ==, -EEXIST);
		return;
	}
	if (inode->names == 0 && (!inode->tmpfile || inode->exists)) {
		g_assert_cmpint(err, ==, -ENOENT);
		return;
	}
	g_assert_cmpint(err, ==, 0);
	m->slots[to] = inode;
	inode->names++;
	model_commit(inode);
	g_assert_cmpuint(node.nlink, ==, inode->names);
}

/* --- checkpoints, work, reopening -------------------------------------------------- */

static void do_checkpoint(Model *m)
{
	Snapshot *snapshot;

	if (m->n_ckpts == MAX_CKPTS)
		return;
	snapshot = g_new0(Snapshot, 1);
	g_snprintf(snapshot->name, sizeof(snapshot->name), "c%u", m->made++);
	for (unsigned i = 0; i < N_SLOTS; i++) {
		const Inode *inode = m->slots[i];

		if (!inode || !inode->exists)
			continue;
		snapshot->bytes[i] = g_bytes_new(inode->committed.bytes->data,
						 inode->committed.bytes->len);
		snapshot->mode[i] = inode->committed.mode;
	}
	snapshot->ckpt = checkpoint(m->f, snapshot->name);
	m->ckpts[m->n_ckpts++] = snapshot;
}

static void drop_ckpt(Model *m, unsigned i)
{
	g_assert_cmpint(mne_store_drop(m->f->store, mne_slice_str(m->ckpts[i]->name)),
			==, 0);
	snapshot_free(m->ckpts[i]);
	m->ckpts[i] = m->ckpts[--m->n_ckpts];
}

static void do_drop(Model *m)
{
	if (m->n_ckpts > 0)
		drop_ckpt(m, pick(m->n_ckpts));
}

static void do_work(Model *m)
{
	if (pick(6) == 0)
		mne_blob_seal(mne_store_blob(m->f->store));
	for (unsigned n = pick(12); n > 0 && mne_store_work(m->f->store);)
		n--;
}

static void do_reopen(Model *m)
{
	if (pick(4) > 0)
		return;
	while (m->n_handles > 0)
		close_handle(m, m->n_handles - 1);
	for (unsigned i = 0; i < m->n_ckpts; i++)
		g_clear_pointer(&m->ckpts[i]->ckpt, mne_ckpt_unref);
	fixture_reopen(m->f);
	for (unsigned i = 0; i < m->n_ckpts; i++)
		g_assert_cmpint(mne_ckpts_find(mne_store_ckpts(m->f->store),
					       mne_slice_str(m->ckpts[i]->name),
					       &m->ckpts[i]->ckpt),
				==, 0);
}

/* --- do both agree? ---------------------------------------------------------------- */

static void check_seek(MneFile *file, const GByteArray *bytes)
{
	uint64_t size = bytes->len, at = 0;

	/* Outside of what is called data there is none. */
	while (at < size) {
		uint64_t data = size, hole;
		int err = mne_file_seek(file, at, SEEK_DATA, &data);

		if (err == -ENXIO)
			data = size;
		else
			g_assert_cmpint(err, ==, 0);
		for (uint64_t i = at; i < data; i++)
			g_assert_cmpuint(bytes->data[i], ==, 0);
		if (data == size)
			break;
		g_assert_cmpint(mne_file_seek(file, data, SEEK_HOLE, &hole), ==, 0);
		g_assert_cmpuint(hole, >, data);
		g_assert_cmpuint(hole, <=, size);
		at = hole;
	}
	g_assert_cmpint(mne_file_seek(file, size, SEEK_DATA, &at), ==, -ENXIO);
}

static void check_bytes(MneFile *file, const Inode *inode)
{
	const GByteArray *bytes = inode->live.bytes;
	g_autofree uint8_t *got = g_malloc(bytes->len + 10);
	size_t at = bytes->len > 0 ? pick(bytes->len) : 0;

	g_assert_cmpint(mne_file_read(file, 0, got, bytes->len + 10), ==, bytes->len);
	g_assert_cmpmem(got, bytes->len, bytes->data, bytes->len);
	g_assert_cmpint(mne_file_read(file, at, got, 5000), ==,
			MIN(5000, bytes->len - at));
	g_assert_cmpmem(got, MIN(5000, bytes->len - at), bytes->data + at,
			MIN(5000, bytes->len - at));
	check_seek(file, bytes);
}

static void check_live_slot(Model *m, unsigned slot)
{
	const Inode *inode = m->slots[slot];
	MneSpot spot = spot_at(m, slot);
	g_auto(MneNode) node = { 0 };
	MneFile *file = NULL;
	MnePlace place;
	uint32_t table;
	int err = mne_live_lookup(m->f->store, spot.table, spot.dir, spot.name, &table,
				  &node);

	if (!inode) {
		g_assert_cmpint(err, ==, -ENOENT);
		return;
	}
	g_assert_cmpint(err, ==, 0);
	g_assert_cmpuint(node.rec, ==, inode->rec);
	g_assert_cmpuint(node.size, ==, inode->live.bytes->len);
	g_assert_cmpuint(node.mode, ==, inode->live.mode);
	g_assert_cmpuint(node.nlink, ==, inode->names);
	place = place_at(m, slot);
	g_assert_cmpint(mne_file_open(m->f->store, &place, false, false, &file), ==, 0);
	check_bytes(file, inode);
	g_assert_cmpint(mne_file_close(file, false), ==, 0);
}

static void check_handle(const Handle *handle)
{
	g_auto(MneNode) node = { 0 };

	g_assert_cmpint(mne_file_node(handle->file, &node), ==, 0);
	g_assert_cmpuint(node.size, ==, handle->inode->live.bytes->len);
	g_assert_cmpuint(node.mode, ==, handle->inode->live.mode);
	if (!handle->inode->tmpfile || handle->inode->exists)
		g_assert_cmpuint(node.nlink, ==, handle->inode->names);
	check_bytes(handle->file, handle->inode);
}

static void check_snapshot(Model *m, const Snapshot *snapshot)
{
	MneView *view = &snapshot->ckpt->view;

	for (unsigned i = 0; i < N_SLOTS; i++) {
		MneSpot spot = spot_at(m, i);
		g_auto(MneNode) node = { 0 };
		g_autofree uint8_t *got = NULL;
		uint32_t table;
		gsize size;
		const void *want;
		int err = mne_view_lookup(view, spot.table, spot.dir, spot.name, &table,
					  &node);

		if (!snapshot->bytes[i]) {
			g_assert_cmpint(err, ==, -ENOENT);
			continue;
		}
		g_assert_cmpint(err, ==, 0);
		want = g_bytes_get_data(snapshot->bytes[i], &size);
		g_assert_cmpuint(node.size, ==, size);
		g_assert_cmpuint(node.mode, ==, snapshot->mode[i]);
		got = g_malloc(size + 1);
		g_assert_cmpint(mne_view_read(view, table, &node, 0, got, size + 1), ==,
				size);
		g_assert_cmpmem(got, size, want, size);
	}
}

static unsigned names_listed(MneView *view, MneStore *store, uint32_t table,
			     uint64_t dir)
{
	g_autoptr(MneListing) listing = NULL;
	unsigned n = 0;
	MneEntry entry;
	int got;

	if (view)
		got = mne_view_list(view, table, dir, MNE_SLICE_EMPTY, &listing);
	else
		got = mne_live_list(store, table, dir, MNE_SLICE_EMPTY, &listing);
	g_assert_cmpint(got, ==, 0);
	while ((got = mne_listing_next(listing, &entry, NULL)) > 0)
		n++;
	g_assert_cmpint(got, ==, 0);
	return n;
}

/* The counters of the directories against a count: live, with what waits; committed. */
static void check_counters(Model *m)
{
	for (unsigned d = 0; d < N_DIRS; d++) {
		MnePlace place = { m->f->table, m->dirs[d], 0, MNE_SLICE_EMPTY, true };
		g_auto(MneNode) live = { 0 };
		g_auto(MneNode) committed = { 0 };
		unsigned n = d == 0, exist = d == 0;

		for (unsigned i = d * N_NAMES; i < (d + 1) * N_NAMES; i++) {
			n += m->slots[i] != NULL;
			exist += m->slots[i] && m->slots[i]->exists;
		}
		g_assert_cmpint(mne_live_node(m->f->store, &place, &live), ==, 0);
		g_assert_cmpint(
			mne_view_node(mne_store_live(m->f->store), &place, &committed),
			==, 0);
		g_assert_cmpuint(live.entries, ==, n);
		g_assert_cmpuint(committed.entries, ==, exist);
		g_assert_cmpuint(live.nlink, ==, d == 0 ? 3 : 2);
		g_assert_cmpuint(
			names_listed(NULL, m->f->store, place.table, place.rec), ==, n);
		g_assert_cmpuint(names_listed(mne_store_live(m->f->store), m->f->store,
					      place.table, place.rec),
				 ==, exist);
	}
}

static void check_all(Model *m)
{
	for (unsigned i = 0; i < N_SLOTS; i++)
		check_live_slot(m, i);
	for (unsigned i = 0; i < m->n_handles; i++)
		check_handle(&m->handles[i]);
	for (unsigned i = 0; i < m->n_ckpts; i++)
		check_snapshot(m, m->ckpts[i]);
	check_counters(m);
	assert_live_bytes_right(m->f);
	assert_tally_right(m->f);
}

/* --- the run ----------------------------------------------------------------------- */

static void model_begin(Model *m, Fixture *f)
{
	const MneMake what = { .mode = S_IFDIR | 0755 };
	MneSpot spot = spot_of(f, "dir");
	MneNode node;

	*m = (Model){ .f = f };
	m->inodes = g_ptr_array_new_with_free_func(inode_free);
	g_assert_cmpint(mne_make(f->store, &spot, &what, &node), ==, 0);
	m->dirs[0] = f->dir;
	m->dirs[1] = node.rec;
}

/* Everything goes: then nothing of it is left in the store. */
static void model_end(Model *m)
{
	MneStoreStats stats;

	while (m->n_handles > 0)
		close_handle(m, m->n_handles - 1);
	check_all(m);
	for (unsigned i = 0; i < N_SLOTS; i++) {
		MneSpot spot = spot_at(m, i);
		uint64_t rec;

		if (!m->slots[i])
			continue;
		g_assert_cmpint(mne_unlink(m->f->store, &spot, &rec), ==, 0);
		model_unname(m, i);
	}
	check_all(m);
	while (m->n_ckpts > 0)
		drop_ckpt(m, 0);
	work_off(m->f);
	mne_store_stats(m->f->store, &stats);
	g_assert_cmpuint(stats.live_bytes, ==, 0);
	g_assert_cmpuint(stats.reclaim_backlog, ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_EXTENT), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_INODE), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_RETAINED), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_CHANGED), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_ORPHAN), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_CKPT), ==, 0);
	g_assert_cmpuint(keys_of(m->f, MNE_TAG_NODE), ==,
			 4); /* root, table, dir, its name */
	g_ptr_array_unref(m->inodes);
}

typedef void (*Operation)(Model *m);

static void test_random_operations_leave_what_the_model_says(Fixture *f,
							     gconstpointer data)
{
	static const Operation operations[] = {
		do_create,   do_create,   do_open,  do_open,  do_open,
		do_close,    do_close,    do_write, do_write, do_write,
		do_write,    do_stream,   do_write, do_write, do_truncate,
		do_allocate, do_allocate, do_sync,  do_chmod, do_unlink,
		do_rename,   do_rename,   do_link,  do_work,  do_checkpoint,
		do_drop,     do_reopen,
	};
	unsigned steps = g_test_slow() ? 20000 : 3000;
	Model m;

	(void)data;
	model_begin(&m, f);
	for (unsigned i = 0; i < steps; i++) {
		operations[pick(G_N_ELEMENTS(operations))](&m);
		if (m.n_handles > 0)
			check_handle(&m.handles[pick(m.n_handles)]);
		if (i % 25 == 0)
			check_all(&m);
	}
	model_end(&m);
}

int main(int argc, char **argv)
{
	g_test_init(&argc, &argv, NULL);
	g_test_add("/txn/model/test_random_operations_leave_what_the_model_says",
		   Fixture, NULL, fixture_set_up,
		   test_random_operations_leave_what_the_model_says, fixture_tear_down);
	return g_test_run();
}
