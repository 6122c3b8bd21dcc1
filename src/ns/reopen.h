/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/reopen.h - who came too late to open a file finds its successor open
 *
 * The kernel looks a name up, and then opens what it found; if another file was renamed
 * over it in between, what it found is gone.  That is ESTALE, whereupon the kernel looks
 * up and opens once more, and if that fails as well, so does open(2).  So the file that
 * this second lookup finds is kept open for the thread until it has opened it, for a
 * second at most: a reader of a name that is replaced all the time finds one or the other.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "ns/ns.h"

typedef struct MneReopens MneReopens;

MneReopens *mne_reopens_new(void);
/* The store is still open. */
void mne_reopens_free(MneReopens *reopens);

/* Thread pid was told ESTALE when it opened a live file. */
void mne_reopen_failed(MneNs *ns, pid_t pid);

/* Is it looking again?  Costs nothing as long as nobody is. */
bool mne_reopen_is_awaited(MneNs *ns, pid_t pid);

/* It found this.  ESTALE: that is gone, too; look once more. */
int mne_reopen_keep(MneNs *ns, pid_t pid, MneInode *inode) MNE_CHECKED;

/* It has opened what it wanted to, or something else. */
void mne_reopen_done(MneNs *ns, pid_t pid);

/* Once in a while: threads that did not come back. */
void mne_reopens_expire(MneNs *ns);
