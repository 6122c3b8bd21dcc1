/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/status.h - what the files in `.mnefs` say: each function appends its text
 */
#pragma once

#include "ns/ns.h"

void mne_status_version(MneNs *ns, GString *to);
void mne_status_text(MneNs *ns, GString *to); /* `key value` lines */
void mne_status_json(MneNs *ns, GString *to); /* one object */
void mne_status_log(MneNs *ns, GString *to);
void mne_status_stats(MneNs *ns, GString *to);
void mne_status_metrics(MneNs *ns, GString *to); /* Prometheus text */
void mne_status_checkpoints(MneNs *ns, GString *to); /* tab separated, oldest first */
void mne_status_checkpoints_json(MneNs *ns, GString *to); /* one object per line */
