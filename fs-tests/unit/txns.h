/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/unit/txns.h - a store in a temporary directory, and short words for what the
 * tests of txn/ do with it
 */
#pragma once

#include "txn/attr.h"
#include "txn/file.h"
#include "txn/internal.h"
#include "txn/names.h"
#include "txn/tx.h"

typedef struct {
	char *path;
	MneStore *store;
	uint32_t table; /* a table "t" */
	uint64_t dir; /* its root directory */
} Fixture;

void fixture_set_up(Fixture *fixture, gconstpointer options);
void fixture_tear_down(Fixture *fixture, gconstpointer data);
/* Close the store and open it again. */
void fixture_reopen(Fixture *fixture);

MneSpot spot_of(const Fixture *fixture, const char *name);
MnePlace place_of(const Fixture *fixture, const char *name);

/* Create or replace (O_TRUNC) a file with size bytes made from seed. */
void write_file(Fixture *fixture, const char *name, unsigned seed, size_t size);
void write_text(Fixture *fixture, const char *name, const char *text);
void remove_file(Fixture *fixture, const char *name);
void work_off(Fixture *fixture); /* all background work */

/* The bytes of a file in a view, or NULL when it is not there. */
GBytes *bytes_in(MneView *view, const Fixture *fixture, const char *name);
GBytes *made_bytes(unsigned seed, size_t size);
void assert_text(MneView *view, const Fixture *fixture, const char *name,
		 const char *text);
void assert_made(MneView *view, const Fixture *fixture, const char *name, unsigned seed,
		 size_t size);
/* All names of the table's root directory, joined by spaces: a new string. */
char *names_in(MneView *view, const Fixture *fixture);

MneCkpt *checkpoint(Fixture *fixture, const char *name);

/* A transaction that is open, and the same table seen through it. */
MneTx *begin_tx(MneStore *of);
Fixture in_tx(const Fixture *fixture, MneTx *tx);
