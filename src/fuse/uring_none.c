/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/uring_none.c - in place of uring.c where liburing is missing: never asked for
 */
#define G_LOG_DOMAIN "mne-fuse"

#include "config.h"

#include "fuse/uring.h"

bool mne_uring_is_built(void)
{
	return false;
}

void mne_uring_start(const MneUringClient *client, size_t max_payload,
		     MneUring *_Atomic *out_uring)
{
	(void)client;
	(void)max_payload;
	(void)out_uring;
}

void mne_uring_free(MneUring *uring)
{
	(void)uring;
}

bool mne_uring_answer(MneUring *uring, const struct iovec *iov, int count,
		      ssize_t *out_result)
{
	(void)uring;
	(void)iov;
	(void)count;
	(void)out_result;
	return false;
}

void mne_uring_fence(MneUring *uring)
{
	(void)uring;
}
