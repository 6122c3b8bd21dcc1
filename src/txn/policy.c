/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/policy.c - when what is written to the files of a table is committed
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/policy.h"

#include "txn/commit.h"
#include "txn/filestate.h"
#include "txn/frags.h"
#include "view/iter.h"

struct MnePolicies {
	MneLock lock;
	GHashTable *special; /* table id -> packed */
	_Atomic unsigned count; /* of them: most often there are none */
};

/* In a pointer: 0 close, 1 write, 1 + N seconds. */
static void *pack(MneCommitPolicy policy)
{
	return GUINT_TO_POINTER(
		(guint)(policy.when == MNE_COMMIT_CLOSE ? 0 : 1 + policy.seconds));
}

static MneCommitPolicy unpack(void *packed)
{
	guint value = GPOINTER_TO_UINT(packed);

	if (value == 0)
		return (MneCommitPolicy){ 0 };
	if (value == 1)
		return (MneCommitPolicy){ .when = MNE_COMMIT_WRITE };
	return (MneCommitPolicy){ MNE_COMMIT_SECONDS, value - 1 };
}

MnePolicies *mne_policies_new(void)
{
	MnePolicies *policies = g_new0(MnePolicies, 1);

	mne_lock_init(&policies->lock, MNE_RANK_FRAGS);
	policies->special = g_hash_table_new(NULL, NULL);
	return policies;
}

void mne_policies_free(MnePolicies *policies)
{
	g_hash_table_unref(policies->special);
	mne_lock_clear(&policies->lock);
	g_free(policies);
}

void mne_policies_set(MnePolicies *policies, uint32_t table, MneCommitPolicy policy)
{
	MNE_WITH_LOCK(&policies->lock);
	if (policy.when == MNE_COMMIT_CLOSE)
		g_hash_table_remove(policies->special, GUINT_TO_POINTER(table));
	else
		g_hash_table_replace(policies->special, GUINT_TO_POINTER(table),
				     pack(policy));
	policies->count = g_hash_table_size(policies->special);
}

MneCommitPolicy mne_policy_of(MneStore *store, uint32_t table)
{
	MnePolicies *policies = store->policies;

	if (policies->count == 0)
		return (MneCommitPolicy){ 0 };
	MNE_WITH_LOCK(&policies->lock);
	return unpack(g_hash_table_lookup(policies->special, GUINT_TO_POINTER(table)));
}

int mne_policies_load(MneStore *store)
{
	g_autoptr(MneIter) iter = NULL;
	MneSlice key, value;
	MneKey prefix;
	int got;

	mne_key_table(&prefix, MNE_SLICE_EMPTY);
	MNE_TRY(mne_view_iter(&store->live.base, mne_key_slice(&prefix),
			      mne_key_slice(&prefix), &iter));
	while ((got = mne_iter_next(iter, &key, &value)) > 0) {
		MneTable table;

		/* A damaged one says so where it is used. */
		if (mne_table_decode(value, &table) == 0)
			mne_policies_set(store->policies, table.id, table.commit);
	}
	return got;
}

int mne_table_set_commit(MneStore *store, MneSlice name, MneCommitPolicy policy)
{
	g_auto(MneCommit) commit = { 0 };
	g_autoptr(GBytes) value = NULL;
	MneTable table;
	MneKey key;
	int err;

	MNE_TRY(mne_commit_begin(store, &commit));
	err = mne_table_load(store, name, &table);
	if (err == -ENOENT)
		return mne_throw(NO_TABLE, "there is no table %.*s", (int)name.len,
				 (const char *)name.data);
	MNE_TRY(err);
	table.commit = policy;
	table.seq = commit.seq;
	table.version++;
	value = mne_table_encode(&table);
	mne_key_table(&key, name);
	mne_volume_use(store->volume, MNE_FEATURE_COMMIT, store->batch);
	MNE_TRY(mne_commit_put(&commit, &key, mne_slice_of(value)));
	MNE_TRY(mne_commit_apply(&commit));
	mne_policies_set(store->policies, table.id, policy);
	return mne_commit_finish(&commit);
}

int mne_file_written(MneFile *file)
{
	MneCommitPolicy policy = mne_policy_of(file->store, file->table);

	return policy.when == MNE_COMMIT_WRITE ? mne_file_commit(file) : 0;
}

int64_t mne_file_patience(const MneFile *file, int64_t milliseconds)
{
	MneCommitPolicy policy = mne_policy_of(file->store, file->table);

	return milliseconds > 0 && policy.when == MNE_COMMIT_SECONDS
		       ? (int64_t)policy.seconds * 1000
		       : milliseconds;
}
