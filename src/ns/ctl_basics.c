/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_basics.c - the control files that only tell
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/status.h"

#define TELLS(name, function)                                           \
	{                                                               \
		.path = name, .mode = S_IFREG | 0444, .print = function \
	}

const MneCtlKind mne_ctl_basics[] = {
	TELLS("checkpoints.json", mne_status_checkpoints_json),
	TELLS("log", mne_status_log),
	TELLS("metrics", mne_status_metrics),
	TELLS("stats", mne_status_stats),
	TELLS("status", mne_status_text),
	TELLS("status.json", mne_status_json),
	TELLS("version", mne_status_version),
	{ 0 },
};
