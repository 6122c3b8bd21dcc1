/* SPDX-License-Identifier: Apache-2.0
 *
 * bench.d/ring.h - requests to the null file system through io_uring
 */
#pragma once

#include <fuse_lowlevel.h>

/* Between mounting and the first request: where the kernel offers io_uring, requests will
 * come that way, through the same code as those of mnefs.  Else nothing changes. */
int ring_attach(struct fuse_session *session);

/* After the loop has ended. */
void ring_detach(void);
