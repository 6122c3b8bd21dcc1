/* SPDX-License-Identifier: Apache-2.0
 *
 * contrib/bench.d/txload.c - clients that run transactions, or write plainly, for a time
 *
 *	txload PLACE WHAT KIND CLIENTS WRITES KEYS SECONDS
 *
 * WHAT   write  each transaction writes WRITES of KEYS records of its client's own
 *        add    each transaction reads and changes WRITES of KEYS records that all share
 *        plain  writes one record of KEYS, without a transaction
 * KIND   commit, durable
 *
 * Prints a line of JSON.  Latencies are of a whole transaction, with its repetitions.
 */
#define _GNU_SOURCE
#include "txload.h"

#include <pthread.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum { MOST_CLIENTS = 64, MOST_WRITES = 100, MOST_TIMES = 1 << 20 };

typedef struct {
	const char *what;
	unsigned writes, keys;
	atomic_bool *over;
	TxClient *client;
	unsigned number;
	uint64_t random;
	uint64_t done, conflicts;
	uint32_t *times; /* microseconds */
} Worker;

void tx_die(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
	fputc('\n', stderr);
	exit(1);
}

static uint64_t now_us(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000u + (uint64_t)now.tv_nsec / 1000u;
}

static unsigned pick(Worker *worker, unsigned n)
{
	worker->random = worker->random * 6364136223846793005u + 1442695040888963407u;
	return (unsigned)(worker->random >> 33) % n;
}

static void fill(Worker *worker, char *bytes)
{
	memset(bytes, 'x', TXLOAD_SIZE);
	snprintf(bytes, TXLOAD_SIZE, "%016llx", (unsigned long long)worker->random);
}

/* Different ones, from a random one on. */
static void write_some(Worker *worker)
{
	unsigned first = pick(worker, worker->keys);
	char bytes[TXLOAD_SIZE], name[32];

	fill(worker, bytes);
	for (unsigned i = 0; i < worker->writes; i++) {
		snprintf(name, sizeof(name), "c%u-%u", worker->number,
			 (first + i) % worker->keys);
		tx_write(worker->client, name, bytes);
	}
}

static void add_some(Worker *worker)
{
	unsigned first = pick(worker, worker->keys);
	char bytes[TXLOAD_SIZE + 1] = "", name[32];

	for (unsigned i = 0; i < worker->writes; i++) {
		snprintf(name, sizeof(name), "all-%u", (first + i * 3) % worker->keys);
		tx_read(worker->client, name, bytes);
		snprintf(bytes, TXLOAD_SIZE, "%-98llu", strtoull(bytes, NULL, 10) + 1);
		tx_write(worker->client, name, bytes);
	}
}

static void one_plain(Worker *worker)
{
	char bytes[TXLOAD_SIZE], name[32];

	fill(worker, bytes);
	snprintf(name, sizeof(name), "c%u-%u", worker->number,
		 pick(worker, worker->keys));
	tx_plain_write(worker->client, name, bytes);
}

static void one_transaction(Worker *worker, void (*work)(Worker *))
{
	uint64_t random = worker->random;

	for (;;) {
		worker->random = random; /* the same once more */
		tx_begin(worker->client);
		work(worker);
		if (tx_commit(worker->client))
			return;
		worker->conflicts++;
	}
}

static void *run(void *data)
{
	Worker *worker = data;

	while (!atomic_load(worker->over)) {
		uint64_t begun = now_us();

		if (strcmp(worker->what, "plain") == 0)
			one_plain(worker);
		else if (strcmp(worker->what, "add") == 0)
			one_transaction(worker, add_some);
		else
			one_transaction(worker, write_some);
		worker->times[worker->done++ % MOST_TIMES] =
			(uint32_t)(now_us() - begun);
		pick(worker, 2);
	}
	return NULL;
}

/* What they work on is there already when the time begins. */
static void prepare(Worker *worker)
{
	char bytes[TXLOAD_SIZE], name[32];
	bool shared = strcmp(worker->what, "add") == 0;

	memset(bytes, ' ', sizeof(bytes));
	bytes[0] = '0';
	if (shared && worker->number > 0)
		return;
	for (unsigned i = 0; i < worker->keys; i++) {
		if (shared)
			snprintf(name, sizeof(name), "all-%u", i);
		else
			snprintf(name, sizeof(name), "c%u-%u", worker->number, i);
		tx_plain_write(worker->client, name, bytes);
	}
}

static int compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static void report(Worker *workers, unsigned clients, double seconds)
{
	uint64_t done = 0, conflicts = 0, n = 0;
	uint32_t *all = malloc(sizeof(*all) * MOST_TIMES * clients);

	for (unsigned i = 0; i < clients; i++) {
		uint64_t have = workers[i].done < MOST_TIMES ? workers[i].done
							     : MOST_TIMES;

		memcpy(all + n, workers[i].times, have * sizeof(*all));
		n += have;
		done += workers[i].done;
		conflicts += workers[i].conflicts;
	}
	qsort(all, n, sizeof(*all), compare);
	printf("{\"done\":%llu,\"conflicts\":%llu,\"seconds\":%.3f,\"p50_us\":%u,"
	       "\"p99_us\":%u}\n",
	       (unsigned long long)done, (unsigned long long)conflicts, seconds,
	       n ? all[n / 2] : 0, n ? all[n * 99 / 100] : 0);
	free(all);
}

static void run_all(Worker *workers, unsigned clients, double seconds,
		    atomic_bool *over)
{
	pthread_t threads[MOST_CLIENTS];
	uint64_t begun = now_us();

	for (unsigned i = 0; i < clients; i++)
		if (pthread_create(&threads[i], NULL, run, &workers[i]) != 0)
			tx_die("no thread");
	nanosleep(&(struct timespec){ .tv_sec = (time_t)seconds,
				      .tv_nsec = (long)((seconds - (time_t)seconds) *
							1e9) },
		  NULL);
	atomic_store(over, true);
	for (unsigned i = 0; i < clients; i++)
		pthread_join(threads[i], NULL);
	report(workers, clients, (double)(now_us() - begun) / 1e6);
}

static unsigned number(const char *text, unsigned most)
{
	unsigned long value = strtoul(text, NULL, 10);

	if (value < 1 || value > most)
		tx_die("%s: from 1 to %u", text, most);
	return (unsigned)value;
}

int main(int argc, char **argv)
{
	Worker workers[MOST_CLIENTS] = { 0 };
	atomic_bool over = false;
	unsigned clients;
	TxPlace *place;

	if (argc != 8)
		tx_die("usage: txload PLACE WHAT KIND CLIENTS WRITES KEYS SECONDS");
	clients = number(argv[4], MOST_CLIENTS);
	place = tx_place_open(argv[1], strcmp(argv[3], "durable") == 0);
	for (unsigned i = 0; i < clients; i++) {
		workers[i] = (Worker){
			.what = argv[2],
			.writes = number(argv[5], MOST_WRITES),
			.keys = number(argv[6], 1000000),
			.over = &over,
			.client = tx_client_new(place, i),
			.number = i,
			.random = i * 7919u + 1,
			.times = malloc(sizeof(uint32_t) * MOST_TIMES),
		};
		prepare(&workers[i]);
	}
	run_all(workers, clients, strtod(argv[7], NULL), &over);
	for (unsigned i = 0; i < clients; i++) {
		tx_client_free(workers[i].client);
		free(workers[i].times);
	}
	tx_place_close(place);
	return 0;
}
