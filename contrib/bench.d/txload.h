/* SPDX-License-Identifier: Apache-2.0
 *
 * contrib/bench.d/txload.h - what a load of transactions asks of those who can do them
 *
 * Two programs are made of txload.c: with txmount.c one that works through a mount, with
 * txlibrary.c one that works on a store without.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

enum { TXLOAD_SIZE = 100 }; /* bytes of a record */

typedef struct TxPlace TxPlace; /* one for all */
typedef struct TxClient TxClient; /* one for each client */

/* All end the program with a sentence when something fails that should not. */
TxPlace *tx_place_open(const char *path, bool durable);
void tx_place_close(TxPlace *place);

TxClient *tx_client_new(TxPlace *place, unsigned number);
void tx_client_free(TxClient *client);

void tx_begin(TxClient *client);
/* A record of TXLOAD_SIZE bytes, in the transaction; absent ones are made. */
void tx_write(TxClient *client, const char *name, const char *bytes);
void tx_read(TxClient *client, const char *name, char *bytes);
/* false: there was a conflict, and nothing is left of it. */
bool tx_commit(TxClient *client);
/* The same without a transaction. */
void tx_plain_write(TxClient *client, const char *name, const char *bytes);

/* The end of the program. */
__attribute__((noreturn, format(printf, 1, 2))) void tx_die(const char *format, ...);
