/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/grave.h - what rmdir(2) of a checkpoint removes, in place of the checkpoint
 *
 * When a directory was removed the kernel marks it as dead, and answers ENOENT itself to
 * whoever still stands in it.  In a checkpoint that must be ESTALE: ENOENT says "deleted",
 * and a backup with --delete would delete as well.  So the directory of a dropped
 * checkpoint is never removed: the request is answered with ESTALE, upon which the kernel
 * looks the name up again (as POSIX programs need on NFS) and tries once more; there it
 * finds an empty grave, and removes that.
 *
 * A grave is seen by the thread that removes, and by no other, for two seconds at most.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ns/inode.h"
#include "util/lock.h"

typedef struct MneGraves MneGraves;

MneGraves *mne_graves_new(void);
void mne_graves_free(MneGraves *graves);

/* dir: the `.checkpoints` in which name was. */
void mne_graves_dig(MneGraves *graves, const MneIdentity *dir, MneSlice name, pid_t pid,
		    MneCkpt *ckpt);

/* Is there one for this thread?  The checkpoint in *out_self is a new reference. */
bool mne_graves_find(MneGraves *graves, const MneIdentity *dir, MneSlice name,
		     pid_t pid, MneIdentity *out_self);
/* The same, and it is no more. */
bool mne_graves_fill(MneGraves *graves, const MneIdentity *dir, MneSlice name,
		     pid_t pid);
