/* SPDX-License-Identifier: Apache-2.0
 *
 * fuzz/fuzz-kv.c - one program of batches and iterators, run by two engines
 *
 * The input is a program: an operation byte, then what the operation takes.  Property:
 * LevelDB and the engine in memory give the same answers, whatever is put, deleted,
 * sought and stepped over, with an old iterator in hand, and after a reopening.
 */
#define G_LOG_DOMAIN "mne-fuzz"

#include "config.h"

#include "kv/engines.h"
#include "util/coding.h"

#include <glib/gstdio.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
	N_ENGINES = 2,
	MAX_OPS = 2000,
	MAX_REOPENINGS = 2,
	MAX_KEY = 8,
	SMALL_BUFFER = 65536
};

typedef enum {
	OP_PUT,
	OP_DEL,
	OP_APPLY,
	OP_GET,
	OP_SEEK,
	OP_KEEP,
	OP_REOPEN,
	N_OPS
} Op;

typedef struct {
	MneReader input;
	char *dir;
	MneKv *kv[N_ENGINES]; /* leveldb, mem */
	MneKvIter *kept[N_ENGINES]; /* NULL, or of one moment */
	MneKvBatch *batch;
	unsigned reopenings;
} Machine;

static MneKv *open_leveldb(const char *dir)
{
	MneLeveldbOptions options = { .write_buffer = SMALL_BUFFER, .create = true };
	MneKv *kv = NULL;

	g_assert_cmpint(mne_kv_leveldb_open(dir, &options, &kv), ==, 0);
	return kv;
}

/* In memory if there is such a place: LevelDB syncs when it opens. */
static char *make_dir(void)
{
	const char *tmp = g_file_test("/dev/shm", G_FILE_TEST_IS_DIR) ? "/dev/shm"
								      : g_get_tmp_dir();
	char *dir = g_build_filename(tmp, "fuzz-kv-XXXXXX", NULL);

	g_assert_nonnull(g_mkdtemp(dir));
	return dir;
}

static void remove_dir(const char *path)
{
	g_autoptr(GDir) dir = g_dir_open(path, 0, NULL);
	const char *name;

	while (dir && (name = g_dir_read_name(dir))) {
		g_autofree char *file = g_build_filename(path, name, NULL);

		g_unlink(file);
	}
	g_rmdir(path);
}

/* Short keys of few different bytes, so that they meet often. */
static MneSlice read_key(MneReader *input, uint8_t to[MAX_KEY])
{
	static const uint8_t letters[] = { 0x00, 0x01, 'a', 0xff };
	uint8_t len = mne_read_u8(input) % (MAX_KEY + 1);
	uint32_t bits = len > 4 ? mne_read_be32(input) : mne_read_u8(input);

	for (uint8_t i = 0; i < len; i++)
		to[i] = letters[(bits >> 2 * i) & 3];
	return mne_slice(to, len);
}

/* Any length up to 64 KiB of one byte. */
static GBytes *read_value(MneReader *input)
{
	uint8_t byte = mne_read_u8(input);
	size_t len = (size_t)byte * byte;
	uint8_t *value = g_malloc(len + 1);

	for (size_t i = 0; i < len; i++)
		value[i] = byte;
	return g_bytes_new_take(value, len);
}

static void compare_slices(MneSlice a, MneSlice b)
{
	g_assert_cmpmem(a.data, a.len, b.data, b.len);
}

static void compare_places(MneKvIter *const iters[N_ENGINES])
{
	bool valid = mne_kv_iter_valid(iters[0]);

	g_assert_cmpint(mne_kv_iter_status(iters[0]), ==, 0);
	g_assert_cmpint(mne_kv_iter_status(iters[1]), ==, 0);
	g_assert_cmpint(valid, ==, mne_kv_iter_valid(iters[1]));
	if (!valid)
		return;
	compare_slices(mne_kv_iter_key(iters[0]), mne_kv_iter_key(iters[1]));
	compare_slices(mne_kv_iter_value(iters[0]), mne_kv_iter_value(iters[1]));
}

static void compare_steps(MneKvIter *const iters[N_ENGINES], unsigned max)
{
	compare_places(iters);
	while (max-- > 0 && mne_kv_iter_valid(iters[0])) {
		for (int i = 0; i < N_ENGINES; i++)
			mne_kv_iter_next(iters[i]);
		compare_places(iters);
	}
}

static void make_iters(Machine *m, MneKvIter *iters[N_ENGINES])
{
	for (int i = 0; i < N_ENGINES; i++)
		g_assert_cmpint(mne_kv_iter(m->kv[i], &iters[i]), ==, 0);
}

static void free_iters(MneKvIter *iters[N_ENGINES])
{
	for (int i = 0; i < N_ENGINES; i++)
		g_clear_pointer(&iters[i], mne_kv_iter_free);
}

static void compare_all(MneKvIter *iters[N_ENGINES])
{
	for (int i = 0; i < N_ENGINES; i++)
		mne_kv_iter_seek(iters[i], MNE_SLICE_EMPTY);
	compare_steps(iters, UINT_MAX);
}

static void compare_state(Machine *m)
{
	MneKvIter *iters[N_ENGINES];

	make_iters(m, iters);
	compare_all(iters);
	free_iters(iters);
}

static void apply(Machine *m)
{
	for (int i = 0; i < N_ENGINES; i++)
		g_assert_cmpint(mne_kv_apply(m->kv[i], m->batch), ==, 0);
	mne_kv_batch_clear(m->batch);
}

static void get(Machine *m, MneSlice key)
{
	g_autoptr(GBytes) a = NULL;
	g_autoptr(GBytes) b = NULL;

	g_assert_cmpint(mne_kv_get(m->kv[0], key, &a), ==,
			mne_kv_get(m->kv[1], key, &b));
	compare_slices(mne_slice_of(a), mne_slice_of(b));
}

static void seek(Machine *m, MneSlice key, uint8_t how)
{
	MneKvIter *iters[N_ENGINES];

	make_iters(m, iters);
	for (int i = 0; i < N_ENGINES; i++) {
		if (how & 1)
			mne_kv_iter_seek_before(iters[i], key);
		else
			mne_kv_iter_seek(iters[i], key);
	}
	compare_steps(iters, how >> 4);
	free_iters(iters);
}

static void keep(Machine *m)
{
	if (m->kept[0])
		compare_all(m->kept);
	free_iters(m->kept);
	make_iters(m, m->kept);
}

static void reopen(Machine *m)
{
	if (m->reopenings++ == MAX_REOPENINGS)
		return;

	free_iters(m->kept);
	mne_kv_close(m->kv[0]);
	m->kv[0] = open_leveldb(m->dir);
	compare_state(m);
}

static void run_one(Machine *m)
{
	Op op = mne_read_u8(&m->input) % N_OPS;
	g_autoptr(GBytes) value = NULL;
	uint8_t bytes[MAX_KEY];
	MneSlice key = read_key(&m->input, bytes);

	switch (op) {
	case OP_PUT:
		value = read_value(&m->input);
		mne_kv_batch_put(m->batch, key, mne_slice_of(value));
		break;
	case OP_DEL: mne_kv_batch_del(m->batch, key); break;
	case OP_APPLY: apply(m); break;
	case OP_GET: get(m, key); break;
	case OP_SEEK: seek(m, key, mne_read_u8(&m->input)); break;
	case OP_KEEP: keep(m); break;
	case OP_REOPEN: reopen(m); break;
	case N_OPS: g_assert_not_reached();
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	Machine m = { .input = mne_reader(mne_slice(data, size)) };
	unsigned ops = 0;

	m.dir = make_dir();
	m.kv[0] = open_leveldb(m.dir);
	m.kv[1] = mne_kv_mem_new();
	m.batch = mne_kv_batch_new();
	while (ops++ < MAX_OPS && !m.input.failed && !mne_reader_done(&m.input))
		run_one(&m);
	if (m.kept[0])
		compare_all(m.kept);
	free_iters(m.kept);
	compare_state(&m);
	mne_kv_batch_free(m.batch);
	for (int i = 0; i < N_ENGINES; i++)
		mne_kv_close(m.kv[i]);
	remove_dir(m.dir);
	g_free(m.dir);
	return 0;
}
