/* SPDX-License-Identifier: Apache-2.0
 *
 * fuse/wire.h - what the protocol can do and libfuse 3.14 does not pass on
 *
 * Requests and the answer to INIT are touched up between libfuse and the kernel:
 *
 * 1. HANDLE_KILLPRIV_V2: we drop setuid and setgid bits when told, instead of the kernel's
 *    asking for security.capability before each write.  That we are told comes as a bit in
 *    the open flags.
 * 2. TMPFILE becomes a CREATE of the name MNE_WIRE_NO_NAME.
 * 3. OVER_IO_URING: see fuse/uring.h.
 */
#pragma once

#include "fuse/mount.h"

/* In fuse_file_info.flags of open, create and write: drop setuid and setgid bits. */
#define MNE_WIRE_KILL_SUID (1 << 30)

/* No file can be called so. */
#define MNE_WIRE_NO_NAME "/"

/* Between fuse_session_mount() and the first request.  Its user data is mount. */
int mne_wire_attach(MneMount *mount);

/* Carry a request out that was read through mne_wire_attach()'s hands, and count it. */
void mne_wire_process(MneMount *mount, struct fuse_buf *request);

/* Names by number, for statistics; a number of our own for what the crew did. */
#define MNE_OP_CREW 0u
#define MNE_N_OPS   54u
const char *const *mne_wire_names(void);
