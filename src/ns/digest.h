/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/digest.h - the SHA-256 of a file in a checkpoint
 *
 * A version never changes, so its digest is computed once and kept, up to a limit.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ckpt/ckpt.h"

#define MNE_DIGEST_BYTES 32u

typedef struct MneDigests MneDigests;

MneDigests *mne_digests_new(void);
void mne_digests_free(MneDigests *digests);

/* Reads the whole file, unless its digest is known.  over: becomes true when nobody waits
 * any more; then -EINTR. */
int mne_digest_of(MneDigests *digests, MneCkpt *ckpt, uint32_t table,
		  const MneNode *node, const _Atomic bool *over,
		  uint8_t out_digest[MNE_DIGEST_BYTES]) MNE_CHECKED;

/* Read it all, which verifies it. */
int mne_digest_read(MneCkpt *ckpt, uint32_t table, const MneNode *node,
		    const _Atomic bool *over) MNE_CHECKED;
