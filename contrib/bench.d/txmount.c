/* SPDX-License-Identifier: Apache-2.0
 *
 * contrib/bench.d/txmount.c - transactions through a mount: directories in .tx
 *
 * PLACE is the mount; the records are those of its table `t`.
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "txload.h"

struct TxPlace {
	const char *path;
	bool durable;
};

struct TxClient {
	TxPlace *place;
	char dir[4096];
};

TxPlace *tx_place_open(const char *path, bool durable)
{
	TxPlace *place = malloc(sizeof(*place));

	*place = (TxPlace){ path, durable };
	return place;
}

void tx_place_close(TxPlace *place)
{
	free(place);
}

TxClient *tx_client_new(TxPlace *place, unsigned number)
{
	TxClient *client = malloc(sizeof(*client));

	client->place = place;
	snprintf(client->dir, sizeof(client->dir), "%s/.tx/client%u", place->path,
		 number);
	return client;
}

void tx_client_free(TxClient *client)
{
	free(client);
}

void tx_begin(TxClient *client)
{
	if (mkdir(client->dir, 0700) < 0)
		tx_die("mkdir %s: %s", client->dir, strerror(errno));
}

static void put(const char *top, const char *name, const char *bytes)
{
	char path[4400];
	int fd;

	snprintf(path, sizeof(path), "%s/t/%s", top, name);
	fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0644);
	if (fd < 0 || write(fd, bytes, TXLOAD_SIZE) != TXLOAD_SIZE || close(fd) < 0)
		tx_die("%s: %s", path, strerror(errno));
}

void tx_write(TxClient *client, const char *name, const char *bytes)
{
	put(client->dir, name, bytes);
}

void tx_plain_write(TxClient *client, const char *name, const char *bytes)
{
	put(client->place->path, name, bytes);
}

void tx_read(TxClient *client, const char *name, char *bytes)
{
	char path[4400];
	int fd;

	snprintf(path, sizeof(path), "%s/t/%s", client->dir, name);
	fd = open(path, O_RDONLY);
	if (fd < 0 || read(fd, bytes, TXLOAD_SIZE) != TXLOAD_SIZE || close(fd) < 0)
		tx_die("%s: %s", path, strerror(errno));
}

bool tx_commit(TxClient *client)
{
	const char *line = client->place->durable ? "commit sync" : "commit";
	char path[4400];
	bool done;
	int fd;

	snprintf(path, sizeof(path), "%s/.ctl", client->dir);
	fd = open(path, O_WRONLY);
	if (fd < 0)
		tx_die("%s: %s", path, strerror(errno));
	done = write(fd, line, strlen(line)) > 0;
	if (!done && errno != ECANCELED)
		tx_die("%s: %s", path, strerror(errno));
	close(fd);
	if (!done && rmdir(client->dir) < 0)
		tx_die("rmdir %s: %s", client->dir, strerror(errno));
	return done;
}
