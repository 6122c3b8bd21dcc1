/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/hook_process.h - hooks that are processes
 */
#pragma once

#include "ns/ctl.h"
#include "ns/hooks.h"

/* Who opened it is a hook until it closes it. */
int mne_hook_join(MneHooks *hooks, const MneCtlOpen *how, MneCtlFile **out_file)
	MNE_CHECKED;
