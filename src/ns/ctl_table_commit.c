/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_table_commit.c - `.mnefs/tables/T/commit`: when files of a table are committed
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl_table_commit.h"

#include "txn/frags.h"
#include "txn/policy.h"

void mne_commit_policy_text(MneCommitPolicy policy, GString *to)
{
	switch (policy.when) {
	case MNE_COMMIT_CLOSE: g_string_append(to, "close"); break;
	case MNE_COMMIT_WRITE: g_string_append(to, "write"); break;
	case MNE_COMMIT_SECONDS:
		g_string_append_printf(to, "%u", policy.seconds);
		break;
	}
}

int mne_ctl_print_table_commit(MneNs *ns, const char *const *args, GString *to)
{
	MneTable table;

	MNE_TRY(mne_table_load(ns->store, mne_slice_str(args[0]), &table));
	mne_commit_policy_text(table.commit, to);
	g_string_append_c(to, '\n');
	return 0;
}

static int parse(const char *word, MneCommitPolicy *out)
{
	guint64 seconds = 0;

	*out = (MneCommitPolicy){ 0 };
	if (strcmp(word, "close") == 0)
		return 0;
	if (strcmp(word, "write") == 0) {
		out->when = MNE_COMMIT_WRITE;
		return 0;
	}
	if (!g_ascii_string_to_unsigned(word, 10, 1, MNE_COMMIT_SECONDS_MAX, &seconds,
					NULL))
		return mne_throw(
			BAD_CTL,
			"commit is close, write, or from 1 to %u seconds, not %s",
			MNE_COMMIT_SECONDS_MAX, word);
	*out = (MneCommitPolicy){ MNE_COMMIT_SECONDS, (uint32_t)seconds };
	return 0;
}

int mne_ctl_write_table_commit(MneNs *ns, const char *const *args, const char *line,
			       GString *answer)
{
	g_autofree char *word = g_strstrip(g_strdup(line));
	MneCommitPolicy policy;

	(void)answer;
	MNE_TRY(parse(word, &policy));
	return mne_table_set_commit(ns->store, mne_slice_str(args[0]), policy);
}
