/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_table_commit.h - `.mnefs/tables/T/commit`: when files of a table are committed
 *
 *	close, write, or seconds
 */
#pragma once

#include "ns/ctl.h"
#include "table/schema.h"

/* "close", "write", "30". */
void mne_commit_policy_text(MneCommitPolicy policy, GString *to);

/* Of the kind of that file, whose first star is a table. */
int mne_ctl_print_table_commit(MneNs *ns, const char *const *args, GString *to);
int mne_ctl_write_table_commit(MneNs *ns, const char *const *args, const char *line,
			       GString *answer);
