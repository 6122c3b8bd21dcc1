/* SPDX-License-Identifier: Apache-2.0
 *
 * contrib/bench.d/txlibrary.c - transactions on a store that is not mounted
 *
 * PLACE is a directory in which a store is made; its clients are threads.
 */
#define G_LOG_DOMAIN "mne-bench"

#include "config.h"

#include "txn/attr.h"
#include "txn/file.h"
#include "txn/names.h"
#include "txn/tx.h"

#include "txload.h"

struct TxPlace {
	MneStore *store;
	uint32_t table;
	uint64_t dir;
	bool durable;
};

struct TxClient {
	TxPlace *place;
	MneTx *tx;
};

static void must(int err, const char *what)
{
	if (err < 0)
		tx_die("%s: %s", what, mne_err_sentence(err));
}

TxPlace *tx_place_open(const char *path, bool durable)
{
	const MneMake table = { .mode = S_IFDIR | 0755 };
	MneStoreOptions options = MNE_STORE_OPTIONS_DEFAULT;
	TxPlace *place = g_new0(TxPlace, 1);
	g_auto(MneNode) node = { 0 };

	options.create = true;
	place->durable = durable;
	must(mne_store_open(path, &options, &place->store), path);
	must(mne_table_create(place->store, mne_slice_str("t"), &table, &place->table,
			      &node),
	     "t");
	place->dir = node.rec;
	return place;
}

void tx_place_close(TxPlace *place)
{
	mne_store_close(place->store);
	g_free(place);
}

TxClient *tx_client_new(TxPlace *place, unsigned number)
{
	TxClient *client = g_new0(TxClient, 1);

	(void)number;
	client->place = place;
	return client;
}

void tx_client_free(TxClient *client)
{
	g_free(client);
}

void tx_begin(TxClient *client)
{
	must(mne_tx_begin(client->place->store, &client->tx), "begin");
}

static int open_at(const TxPlace *place, MneStore *store, const char *name, bool writes,
		   MneFile **out_file)
{
	MneSlice text = mne_slice_str(name);
	g_auto(MneNode) node = { 0 };
	uint32_t table;

	MNE_TRY(mne_live_lookup(store, place->table, place->dir, text, &table, &node));
	return mne_file_open(
		store, &(MnePlace){ place->table, node.rec, place->dir, text, false },
		writes, writes, out_file);
}

static void put(const TxPlace *place, MneStore *store, const char *name,
		const char *bytes)
{
	const MneMake what = { .mode = S_IFREG | 0644 };
	MneSpot spot = { place->table, place->dir, mne_slice_str(name) };
	MneFile *file = NULL;
	MneNode node;
	int err = open_at(place, store, name, true, &file);

	if (err == -ENOENT || mne_err_is(err, ENOENT))
		err = mne_file_create(store, &spot, &what, &file, &node);
	must(err, name);
	must((int)mne_file_write(file, 0, bytes, TXLOAD_SIZE, false, false), name);
	must(mne_file_close(file, true), name);
}

void tx_write(TxClient *client, const char *name, const char *bytes)
{
	put(client->place, mne_tx_store(client->tx), name, bytes);
}

void tx_plain_write(TxClient *client, const char *name, const char *bytes)
{
	put(client->place, client->place->store, name, bytes);
}

void tx_read(TxClient *client, const char *name, char *bytes)
{
	MneFile *file = NULL;

	must(open_at(client->place, mne_tx_store(client->tx), name, false, &file),
	     name);
	must((int)mne_file_read(file, 0, bytes, TXLOAD_SIZE), name);
	must(mne_file_close(file, false), name);
}

bool tx_commit(TxClient *client)
{
	int err = mne_tx_commit(client->tx, client->place->durable, NULL);

	if (err < 0 && !mne_err_is(err, ECANCELED))
		must(err, "commit");
	mne_tx_abort(client->tx);
	g_clear_pointer(&client->tx, mne_tx_unref);
	return err == 0;
}
