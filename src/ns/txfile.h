/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/txfile.h - the files `.ctl`, `.status` and `.changes` of a transaction
 */
#pragma once

#include "ns/ctl.h"
#include "ns/ns.h"

/* Their numbers: rec of the identity. */
enum { MNE_TX_FILE_CTL = 1, MNE_TX_FILE_STATUS = 2, MNE_TX_FILE_CHANGES = 3 };

int mne_tx_file_open(MneNs *ns, const MneIdentity *self, const MneCtlOpen *how,
		     MneCtlFile **out_file) MNE_CHECKED;
