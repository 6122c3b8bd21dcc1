/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/status.h - what the files in `.mnefs` say: each function appends its text
 */
#pragma once

#include "ns/ns.h"

int mne_status_version(MneNs *ns, const char *const *args, GString *to);
int mne_status_text(MneNs *ns, const char *const *args,
		    GString *to); /* `key value` lines */
int mne_status_json(MneNs *ns, const char *const *args, GString *to); /* one object */
int mne_status_log(MneNs *ns, const char *const *args, GString *to);
int mne_status_stats(MneNs *ns, const char *const *args, GString *to);
int mne_status_metrics(MneNs *ns, const char *const *args,
		       GString *to); /* Prometheus text */
int mne_status_checkpoints_json(MneNs *ns, const char *const *args,
				GString *to); /* one object per line */
/* Of the checkpoint args[0]. */
int mne_status_checkpoint_json(MneNs *ns, const char *const *args, GString *to);
