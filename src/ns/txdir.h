/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/txdir.h - `.tx`, and which files stand in a transaction
 */
#pragma once

#include "ns/ns.h"

/* The `.tx` of the mount's root, or of a transaction's. */
int mne_tx_dir_found(MneNs *ns, const MneIdentity *parent, MneSlice name, MneFound *out)
	MNE_CHECKED;
int mne_tx_dir_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
	MNE_CHECKED;
int mne_tx_dir_make(MneNs *ns, const MneIdentity *dir, MneSlice name,
		    const MneMake *what, MneFound *out) MNE_CHECKED;
int mne_tx_dir_remove(MneNs *ns, const MneIdentity *dir, MneSlice name) MNE_CHECKED;
/* Of a TXS or a TXCTL. */
int mne_tx_dir_stat(MneNs *ns, const MneIdentity *self, struct stat *out) MNE_CHECKED;

/* Is it the root of a transaction's view?  Such a one shows its owner, and a number of its
 * own. */
bool mne_tx_is_root(const MneIdentity *dir);
void mne_tx_root_attr(const MneIdentity *self, struct stat *io);

/* Is name one of the files there? */
bool mne_tx_has_file(const MneIdentity *dir, MneSlice name);
int mne_tx_file_lookup(MneNs *ns, const MneIdentity *dir, MneSlice name, MneFound *out)
	MNE_CHECKED;
