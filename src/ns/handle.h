/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/handle.h - an open file, whatever it is: a record, one in a checkpoint, a control file
 *
 * Threads: all functions, any thread; not after close.
 */
#pragma once

#include "ns/ctl.h"
#include "ns/ns.h"

typedef struct MneHandle MneHandle;

/* kill_suid: with O_TRUNC, drop setuid and setgid bits. */
/* Opening it for writing needs a fence before it: it is open for writing already. */
bool mne_handle_open_is_slow(MneNs *ns, const MneInode *inode, int flags);
int mne_handle_open(MneNs *ns, MneInode *inode, const MneCtlOpen *how, bool kill_suid,
		    MneHandle **out_handle) MNE_CHECKED;
/* A new file in parent, open for reading and writing; with an empty name it has none. */
int mne_handle_create(MneNs *ns, MneInode *parent, MneSlice name, const MneMake *what,
		      MneFound *out, MneHandle **out_handle) MNE_CHECKED;
/* The last close of a writer commits.  A failure was logged; nobody waits for it. */
void mne_handle_close(MneHandle *handle);

/* Not to be cached; reads and writes may take long, and a write needs a fence as
 * mne_ns_is_slow() says. */
bool mne_handle_is_control(const MneHandle *handle);
/* Of a control file: its reads and writes may wait for something to happen. */
bool mne_handle_may_wait(const MneHandle *handle);
void mne_handle_wake(MneHandle *handle);
/* Would a read not wait?  If it would, takes the bell and rings it when it would not, with a
 * lock held. */
bool mne_handle_poll(MneHandle *handle, MneBell *io_bell);
ssize_t mne_handle_read_control(MneHandle *handle, uint64_t offset, void *buffer,
				size_t len, const MneCtlWait *wait) MNE_CHECKED;
ssize_t mne_handle_write_control(MneHandle *handle, MneSlice bytes,
				 const MneCtlWait *wait) MNE_CHECKED;

ssize_t mne_handle_read(MneHandle *handle, uint64_t offset, void *buffer, size_t len)
	MNE_CHECKED;
/* Drops security.capability.  kill_suid: setuid and setgid bits, too. */
ssize_t mne_handle_write(MneHandle *handle, uint64_t offset, MneSlice bytes,
			 bool kill_suid) MNE_CHECKED;
/* Are there setuid or setgid bits to drop? */
bool mne_handle_has_suid(MneHandle *handle);
/* Has opening it dropped such bits? */
bool mne_handle_dropped_suid(const MneHandle *handle);
/* After it the file's attributes are in out. */
int mne_handle_truncate(MneHandle *handle, uint64_t size, MneFound *out) MNE_CHECKED;
int mne_handle_allocate(MneHandle *handle, int mode, uint64_t offset, uint64_t len,
			bool kill_suid) MNE_CHECKED;
int mne_handle_seek(MneHandle *handle, uint64_t offset, int whence,
		    uint64_t *out_offset) MNE_CHECKED;
int mne_handle_sync(MneHandle *handle) MNE_CHECKED;
/* The first half of it: 1 when mne_store_barrier() has to follow. */
int mne_handle_commit(MneHandle *handle) MNE_CHECKED;
