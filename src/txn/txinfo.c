/* SPDX-License-Identifier: Apache-2.0
 *
 * txn/txinfo.c - what is told of a transaction
 */
#define G_LOG_DOMAIN "mne-txn"

#include "config.h"

#include "txn/txstate.h"
#include "util/text.h"

void mne_tx_set_label(MneTx *tx, const char *label)
{
	g_assert(!tx->label);
	tx->label = g_strdup(label);
}

void mne_tx_set_activity(MneTx *tx, const char *name)
{
	MNE_WITH_LOCK(&tx->lock);
	g_free(tx->activity);
	tx->activity = g_strdup(name);
}

char *mne_tx_activity(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	return g_strdup(tx->activity);
}

char *mne_tx_members(MneTx *tx)
{
	g_autofree char *activity = mne_tx_activity(tx);
	GString *members = g_string_new(NULL);

	if (tx->label) {
		g_string_append(members, ",\"tx\":");
		mne_text_add_json(members, mne_slice_str(tx->label));
	}
	if (activity) {
		g_string_append(members, ",\"activity\":");
		mne_text_add_json(members, mne_slice_str(activity));
	}
	return g_string_free(members, FALSE);
}

MneTxState mne_tx_state(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	return tx->state;
}

char *mne_tx_lost_to(MneTx *tx)
{
	MNE_WITH_LOCK(&tx->lock);
	return g_strdup(tx->lost_to);
}

GPtrArray *mne_tx_conflicts(MneTx *tx)
{
	GPtrArray *copy = g_ptr_array_new_with_free_func(g_free);

	MNE_WITH_LOCK(&tx->lock);
	for (guint i = 0; i < tx->conflicts->len; i++)
		g_ptr_array_add(copy, g_strdup(tx->conflicts->pdata[i]));
	return copy;
}

void mne_tx_info(MneTx *tx, MneTxInfo *out)
{
	MNE_WITH_LOCK(&tx->lock);
	*out = (MneTxInfo){
		.base_seq = tx->base_seq,
		.seq = tx->seq,
		.reads = mne_reads_count(tx->reads),
		.writes = tx->writes,
		.bytes = tx->staged_bytes + mne_reads_bytes(tx->reads),
		.began = tx->began,
		.used = tx->used,
	};
}
