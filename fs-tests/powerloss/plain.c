/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/powerloss/plain.c - numbered puts, and a barrier now and then
 *
 *	plain batch DIR    LevelDB alone: a synced empty batch for a barrier
 *	plain barrier DIR  the engine of kv/, and its barrier
 *	plain read DIR     print how many of the puts are there, from the first on, and
 *	                   whether there are others behind them
 *
 * What was before a barrier that has returned is marked in the journal of the shim.
 */
#define G_LOG_DOMAIN "test-powerloss"

#include "config.h"

#include "kv/engines.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include <leveldb/c.h>

enum { PUTS = 4000, EVERY = 50, BUFFER = 64 * 1024, MARK = 11 };

typedef struct {
	uint32_t len;
	uint16_t op, name;
	uint64_t rest[3];
	char text[16];
} Mark;

static void mark(int journal, int number)
{
	Mark mark = { .op = MARK };

	g_snprintf(mark.text, sizeof(mark.text), "%d", number);
	mark.name = (uint16_t)strlen(mark.text);
	mark.len = (uint32_t)offsetof(Mark, text) + mark.name;
	if (write(journal, &mark, mark.len) != (ssize_t)mark.len)
		g_error("cannot mark");
}

static MneSlice key_of(int number, char buffer[16])
{
	g_snprintf(buffer, 16, "%08d", number);
	return mne_slice_str(buffer);
}

static MneSlice value(void)
{
	static const char bytes[400] = "value";

	return mne_slice(bytes, sizeof(bytes));
}

static leveldb_t *open_plain(const char *path)
{
	leveldb_options_t *options = leveldb_options_create();
	char *error = NULL;
	leveldb_t *db;

	leveldb_options_set_create_if_missing(options, true);
	leveldb_options_set_write_buffer_size(options, BUFFER);
	db = leveldb_open(options, path, &error);
	leveldb_options_destroy(options);
	if (error)
		g_error("%s", error);
	return db;
}

static void run_plain(const char *path, int journal)
{
	leveldb_t *db = open_plain(path);
	leveldb_writeoptions_t *how = leveldb_writeoptions_create();
	char *error = NULL;

	for (int n = 0; n < PUTS && !error; n++) {
		char buffer[16];
		MneSlice key = key_of(n, buffer);

		leveldb_writeoptions_set_sync(how, false);
		leveldb_put(db, how, (const char *)key.data, key.len,
			    (const char *)value().data, value().len, &error);
		if (n % EVERY != 0 || error)
			continue;
		leveldb_writebatch_t *empty = leveldb_writebatch_create();

		leveldb_writeoptions_set_sync(how, true);
		leveldb_write(db, how, empty, &error);
		leveldb_writebatch_destroy(empty);
		mark(journal, n);
	}
	if (error)
		g_error("%s", error);
	leveldb_writeoptions_destroy(how);
	leveldb_close(db);
}

static MneKv *open_kv(const char *path)
{
	MneLeveldbOptions options = { .create = true, .write_buffer = BUFFER };
	MneKv *kv = NULL;
	int err = mne_kv_leveldb_open(path, &options, &kv);

	if (err < 0)
		g_error("%s", mne_err_sentence(err));
	return kv;
}

static void run_kv(const char *path, int journal)
{
	g_autoptr(MneKv) kv = open_kv(path);
	g_autoptr(MneKvBatch) batch = mne_kv_batch_new();

	for (int n = 0; n < PUTS; n++) {
		char buffer[16];

		mne_kv_batch_clear(batch);
		mne_kv_batch_put(batch, key_of(n, buffer), value());
		if (mne_kv_apply(kv, batch) < 0)
			g_error("apply");
		if (n % EVERY != 0)
			continue;
		if (mne_kv_barrier(kv) < 0)
			g_error("barrier");
		mark(journal, n);
	}
}

static int read_kv(const char *path)
{
	g_autoptr(MneKv) kv = open_kv(path);
	int present = 0, prefix = 0;

	for (int n = 0; n < PUTS; n++) {
		g_autoptr(GBytes) found = NULL;
		char buffer[16];

		if (mne_kv_get(kv, key_of(n, buffer), &found) < 0)
			continue;
		prefix += prefix == n;
		present++;
	}
	printf("%d %d\n", prefix, present - prefix);
	return 0;
}

int main(int argc, char **argv)
{
	const char *journal = g_getenv("POWERLOSS_JOURNAL");
	int fd;

	if (argc != 3)
		return 2;
	if (strcmp(argv[1], "read") == 0)
		return read_kv(argv[2]);
	fd = journal ? open(journal, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0600)
		     : -1;
	if (fd < 0)
		return 2;
	if (strcmp(argv[1], "batch") == 0)
		run_plain(argv[2], fd);
	else
		run_kv(argv[2], fd);
	close(fd);
	return 0;
}
