/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/phases.c - run one phase of the benchmark in one directory
 *
 *   phases [options] PHASE
 *     -d DIR      where the files are (default: here)
 *     -x PREFIX   first letters of their names (default: f)
 *     -n FILES    how many (default: 20000)
 *     -s BYTES    how big (default: 1024)
 *     -t THREADS  client threads (default: 1)
 *     -b BYTES    size of one read or write of a stream (default: 131072)
 *     -m MIB      size of a stream (default: 512)
 *     -r SEED     of the order of access and of the bytes written (default: 1)
 *     -l          time each operation, too
 *     -z          bytes that compress to half
 *
 * Prints one line, "operations seconds"; a stream counts in MiB.  With -l, behind that, microseconds:
 * the median, what 99 % and 99.9 % of the operations took at most, and the longest.  Phases share nothing
 * but the files, so that the driver can run one phase on all systems before the next.
 *
 * Every file begins with its own number, and reading and stat check what they see: a
 * fast wrong answer is an error, not a result.  Bytes are random: without -z nothing
 * compresses.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

enum { NAME_SIZE = 64, MAX_THREADS = 256, SPREAD = 1 << 20 };

typedef struct {
	int dir;
	const char *prefix;
	uint32_t files;
	size_t size;
	unsigned threads;
	size_t block;
	uint64_t mib;
	uint64_t seed;
	bool compressible;
	uint32_t *order; /* the files, as they will be visited */
	double *took; /* seconds of each operation; NULL: nobody asked */
} Bench;

typedef struct Phase Phase;

typedef struct {
	const Bench *bench;
	const Phase *phase;
	pthread_barrier_t *gate;
	pthread_t thread;
	unsigned number;
	uint8_t *bytes; /* what this worker writes, or reads into */
	uint64_t done;
	double begin, end;
	int err;
} Worker;

/* A phase is one operation for each file, or something of its own. */
struct Phase {
	const char *name;
	int (*each)(Worker *worker, uint32_t file);
	int (*whole)(Worker *worker);
	bool shuffled;
};

static uint64_t next_random(uint64_t *state)
{
	*state ^= *state << 13;
	*state ^= *state >> 7;
	*state ^= *state << 17;
	return *state;
}

static double seconds(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (double)now.tv_sec + (double)now.tv_nsec * 1e-9;
}

static void name_file(char name[NAME_SIZE], const char *prefix, uint32_t file)
{
	snprintf(name, NAME_SIZE, "%.32s%08u", prefix, file);
}

/* A file system may take less than it is offered, but none here has a reason to. */
static int write_whole(int fd, const uint8_t *bytes, size_t size)
{
	ssize_t n = write(fd, bytes, size);

	if (n < 0)
		return -errno;

	return (size_t)n == size ? 0 : -EIO;
}

/* Files that lie beside each other must not be alike, or they would compress together. */
static uint8_t *bytes_of(const Worker *worker, uint32_t file)
{
	return worker->bytes + ((file * 2654435761u) >> 12) % SPREAD;
}

static int write_file(const Worker *worker, const char *name, uint32_t file, int flags)
{
	uint8_t *bytes = bytes_of(worker, file);
	int fd = openat(worker->bench->dir, name, O_WRONLY | (flags & ~O_SYNC), 0644);
	int err;

	if (fd < 0)
		return -errno;

	memcpy(bytes, &file, sizeof(file));
	err = write_whole(fd, bytes, worker->bench->size);
	if (err == 0 && (flags & O_SYNC) && fsync(fd) < 0)
		err = -errno;
	if (close(fd) < 0 && err == 0)
		err = -errno;
	return err;
}

static int create(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];

	name_file(name, worker->bench->prefix, file);
	return write_file(worker, name, file, O_CREAT | O_EXCL);
}

/* O_SYNC stands for one fsync before close, not for the flag itself. */
static int create_and_fsync(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];

	name_file(name, worker->bench->prefix, file);
	return write_file(worker, name, file, O_CREAT | O_EXCL | O_SYNC);
}

static int overwrite(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];

	name_file(name, worker->bench->prefix, file);
	return write_file(worker, name, file, O_TRUNC);
}

/* As editors and rsync do it. */
static int replace(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE], temporary[NAME_SIZE];
	int dir = worker->bench->dir;
	int err;

	name_file(name, worker->bench->prefix, file);
	name_file(temporary, ".tmp", file);
	err = write_file(worker, temporary, file, O_CREAT | O_EXCL);
	if (err < 0)
		return err;

	return renameat(dir, temporary, dir, name) < 0 ? -errno : 0;
}

static int stat_file(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];
	struct stat st;

	name_file(name, worker->bench->prefix, file);
	if (fstatat(worker->bench->dir, name, &st, AT_SYMLINK_NOFOLLOW) < 0)
		return -errno;

	return (size_t)st.st_size == worker->bench->size ? 0 : -EBADMSG;
}

static int read_file(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];
	uint32_t found = ~file;
	ssize_t n;
	int fd;

	name_file(name, worker->bench->prefix, file);
	fd = openat(worker->bench->dir, name, O_RDONLY);
	if (fd < 0)
		return -errno;

	n = read(fd, worker->bytes, worker->bench->size);
	if (n < 0)
		n = -errno;
	close(fd);
	if (n < 0)
		return (int)n;

	memcpy(&found, worker->bytes, sizeof(found));
	return (size_t)n == worker->bench->size && found == file ? 0 : -EBADMSG;
}

static int rename_file(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE], renamed[NAME_SIZE];
	int dir = worker->bench->dir;

	name_file(name, worker->bench->prefix, file);
	name_file(renamed, "renamed", file);
	return renameat(dir, name, dir, renamed) < 0 ? -errno : 0;
}

static int unlink_file(Worker *worker, uint32_t file)
{
	char name[NAME_SIZE];

	name_file(name, worker->bench->prefix, file);
	return unlinkat(worker->bench->dir, name, 0) < 0 ? -errno : 0;
}

static int stat_entries(Worker *worker, DIR *dir)
{
	struct dirent *entry;
	struct stat st;

	while ((errno = 0, entry = readdir(dir)) != NULL) {
		if (entry->d_name[0] == '.')
			continue;
		if (fstatat(dirfd(dir), entry->d_name, &st, AT_SYMLINK_NOFOLLOW) < 0)
			return -errno;
		worker->done++;
	}
	return -errno;
}

/* Each worker lists the whole directory, as "ls -l" does. */
static int list(Worker *worker)
{
	int fd = openat(worker->bench->dir, ".", O_RDONLY | O_DIRECTORY);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	int err;

	if (!dir)
		return -errno;

	err = stat_entries(worker, dir);
	closedir(dir);
	if (err < 0)
		return err;

	return worker->done == worker->bench->files ? 0 : -EBADMSG;
}

static int write_stream(Worker *worker)
{
	const Bench *bench = worker->bench;
	int fd = openat(bench->dir, bench->prefix, O_WRONLY | O_CREAT | O_EXCL, 0644);
	uint64_t left = bench->mib << 20;
	int err = 0;

	if (fd < 0)
		return -errno;

	for (; left > 0 && err == 0; left -= bench->block)
		err = write_whole(fd, worker->bytes, bench->block);
	if (close(fd) < 0 && err == 0)
		err = -errno;
	worker->done = bench->mib;
	return err;
}

static int read_stream(Worker *worker)
{
	const Bench *bench = worker->bench;
	int fd = openat(bench->dir, bench->prefix, O_RDONLY);
	uint64_t got = 0;
	ssize_t n;

	if (fd < 0)
		return -errno;

	while ((n = read(fd, worker->bytes, bench->block)) > 0)
		got += (uint64_t)n;
	if (n < 0)
		n = -errno;
	close(fd);
	worker->done = bench->mib;
	if (n < 0)
		return (int)n;

	return got == bench->mib << 20 ? 0 : -EBADMSG;
}

static const Phase phases[] = {
	{ .name = "create", .each = create },
	{ .name = "fsync", .each = create_and_fsync },
	{ .name = "stat", .each = stat_file, .shuffled = true },
	{ .name = "read", .each = read_file, .shuffled = true },
	{ .name = "list", .whole = list },
	{ .name = "overwrite", .each = overwrite, .shuffled = true },
	{ .name = "replace", .each = replace, .shuffled = true },
	{ .name = "rename", .each = rename_file, .shuffled = true },
	{ .name = "unlink", .each = unlink_file, .shuffled = true },
	{ .name = "write-stream", .whole = write_stream },
	{ .name = "read-stream", .whole = read_stream },
};

static const Phase *phase_of(const char *name)
{
	for (size_t i = 0; i < sizeof(phases) / sizeof(phases[0]); i++) {
		if (strcmp(phases[i].name, name) == 0)
			return &phases[i];
	}
	return NULL;
}

/* The workers deal the files out like cards. */
static int visit_files(Worker *worker)
{
	const Bench *bench = worker->bench;

	for (uint32_t i = worker->number; i < bench->files; i += bench->threads) {
		double begin = bench->took ? seconds() : 0;
		int err = worker->phase->each(worker, bench->order[i]);

		if (err < 0)
			return err;
		if (bench->took)
			bench->took[i] = seconds() - begin;
		worker->done++;
	}
	return 0;
}

/* Who works takes the time: another thread may be woken long after the work began. */
static void *work(void *data)
{
	Worker *worker = data;

	pthread_barrier_wait(worker->gate);
	worker->begin = seconds();
	worker->err = worker->phase->whole ? worker->phase->whole(worker)
					   : visit_files(worker);
	worker->end = seconds();
	return NULL;
}

static uint32_t *order_of(const Bench *bench, bool shuffled)
{
	uint64_t state = bench->seed * 0x9e3779b97f4a7c15u | 1;
	uint32_t *order = calloc(bench->files + 1, sizeof(*order));

	for (uint32_t i = 0; order && i < bench->files; i++) {
		uint32_t j = shuffled ? (uint32_t)(next_random(&state) % (i + 1)) : i;

		order[i] = order[j];
		order[j] = i;
	}
	return order;
}

static uint8_t *random_bytes(const Bench *bench, unsigned number)
{
	uint64_t state = (bench->seed << 8 | number) * 0x9e3779b97f4a7c15u | 1;
	size_t size = (bench->size > bench->block ? bench->size : bench->block) +
		      SPREAD + 8;
	uint8_t *bytes = malloc(size);

	for (size_t i = 0; bytes && i + 8 <= size; i += 8) {
		uint64_t word = next_random(&state);

		if (bench->compressible && i / 32 % 2)
			word = 0;
		memcpy(bytes + i, &word, sizeof(word));
	}
	return bytes;
}

static int start_worker(Worker *worker)
{
	worker->bytes = random_bytes(worker->bench, worker->number);
	if (!worker->bytes)
		return -ENOMEM;

	return -pthread_create(&worker->thread, NULL, work, worker);
}

/* The last one started opens the gate; a benchmark that cannot start one gives up. */
static void start_workers(Worker *workers, const Bench *bench, const Phase *phase,
			  pthread_barrier_t *gate)
{
	for (unsigned i = 0; i < bench->threads; i++) {
		int err;

		workers[i] = (Worker){
			.bench = bench, .phase = phase, .gate = gate, .number = i
		};
		err = start_worker(&workers[i]);
		if (err < 0) {
			fprintf(stderr, "phases: cannot start a thread: %s\n",
				strerror(-err));
			exit(1);
		}
	}
}

static void add_up(const Worker *worker, Worker *total)
{
	total->done += worker->done;
	total->begin = worker->begin < total->begin ? worker->begin : total->begin;
	total->end = worker->end > total->end ? worker->end : total->end;
	total->err = total->err < 0 ? total->err : worker->err;
}

static int compare(const void *a, const void *b)
{
	double x = *(const double *)a, y = *(const double *)b;

	return (x > y) - (x < y);
}

static void print_latencies(const Bench *bench)
{
	static const double shares[] = { 0.5, 0.99, 0.999, 1 };

	qsort(bench->took, bench->files, sizeof(*bench->took), compare);
	for (size_t i = 0; i < sizeof(shares) / sizeof(shares[0]); i++) {
		size_t at = (size_t)(shares[i] * (double)(bench->files - 1));

		printf(" %.1f", bench->took[at] * 1e6);
	}
}

static int run(const Bench *bench, const Phase *phase)
{
	Worker workers[MAX_THREADS];
	Worker total = { .begin = HUGE_VAL };
	pthread_barrier_t gate;

	pthread_barrier_init(&gate, NULL, bench->threads);
	start_workers(workers, bench, phase, &gate);
	for (unsigned i = 0; i < bench->threads; i++) {
		pthread_join(workers[i].thread, NULL);
		free(workers[i].bytes);
		add_up(&workers[i], &total);
	}
	pthread_barrier_destroy(&gate);

	if (total.err == 0) {
		printf("%llu %.9f", (unsigned long long)total.done,
		       total.end - total.begin);
		if (bench->took && bench->files > 0)
			print_latencies(bench);
		printf("\n");
	}
	return total.err;
}

static bool parse_option(Bench *bench, const char **dir, int option, const char *value)
{
	switch (option) {
	case 'd': *dir = value; return true;
	case 'x': bench->prefix = value; return true;
	case 'n': bench->files = (uint32_t)strtoul(value, NULL, 10); return true;
	case 's': bench->size = strtoul(value, NULL, 10); return true;
	case 't': bench->threads = (unsigned)strtoul(value, NULL, 10); return true;
	case 'b': bench->block = strtoul(value, NULL, 10); return true;
	case 'm': bench->mib = strtoul(value, NULL, 10); return true;
	case 'r': bench->seed = strtoull(value, NULL, 10); return true;
	case 'z': bench->compressible = true; return true;
	default: return false;
	}
}

static bool plausible(const Bench *bench)
{
	return bench->threads >= 1 && bench->threads <= MAX_THREADS &&
	       bench->size >= sizeof(uint32_t) && bench->block > 0 &&
	       (bench->mib << 20) % bench->block == 0;
}

int main(int argc, char **argv)
{
	Bench bench = { .prefix = "f",
			.files = 20000,
			.size = 1024,
			.threads = 1,
			.block = 131072,
			.mib = 512,
			.seed = 1 };
	const char *dir = ".";
	const Phase *phase;
	bool with_latencies = false;
	int option, err;

	while ((option = getopt(argc, argv, "d:x:n:s:t:b:m:r:lz")) != -1) {
		with_latencies = with_latencies || option == 'l';
		if (option != 'l' && !parse_option(&bench, &dir, option, optarg))
			return 2;
	}
	phase = optind == argc - 1 ? phase_of(argv[optind]) : NULL;
	if (!phase || !plausible(&bench)) {
		fprintf(stderr,
			"usage: phases [-d DIR] [-x PREFIX] [-n FILES] ... PHASE\n");
		return 2;
	}

	bench.order = order_of(&bench, phase->shuffled);
	if (with_latencies && phase->each)
		bench.took = calloc(bench.files + 1, sizeof(*bench.took));
	bench.dir = open(dir, O_RDONLY | O_DIRECTORY);
	err = !bench.order ? -ENOMEM : bench.dir < 0 ? -errno : run(&bench, phase);
	if (err < 0)
		fprintf(stderr, "phases: %s in %s: %s\n", phase->name, dir,
			err == -EBADMSG ? "wrong bytes, size or number of files"
					: strerror(-err));
	free(bench.order);
	return err < 0;
}
