/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl.h - the tree of control files below `.mnefs`
 *
 * The tree is a table of kinds; each noun has its part of it in a file of its own
 * (ns/ctl_NOUN.c), and ns/ctl.c names the parts.  A path may have stars, each of which stands
 * for any name that exists() accepts: `hold/` and a star is one file for each checkpoint.
 *
 * A node is a number: MNE_CTL_ROOT is `.mnefs` itself, others are given when a name is
 * looked up for the first time and stay for the life of the mount.
 *
 * Threads: all functions, any thread; they may take long, so they belong to the crew.
 */
#pragma once

#include "ns/ns.h"

#define MNE_CTL_ROOT 0u

typedef struct MneCtlFile MneCtlFile;

/* Who opens a file, and how. */
typedef struct {
	int flags; /* as of open(2) */
	pid_t pid;
	uid_t uid;
	gid_t gid;
} MneCtlOpen;

/* A read or a write that waits ends with -EINTR when it is over. */
typedef struct {
	_Atomic bool over;
} MneCtlWait;

typedef struct {
	/* NULL: -EACCES.  wait: NULL when it must not wait (then -EAGAIN). */
	ssize_t (*read)(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			const MneCtlWait *wait);
	/* All of bytes, or an error.  NULL: -EACCES.  wait: as of read. */
	int (*write)(MneCtlFile *file, MneSlice bytes, const MneCtlWait *wait);
	void (*close)(MneCtlFile *file);
	/* Whoever waits looks at its MneCtlWait again; NULL: nobody ever waits.
	 * Called with a lock held: it takes none but those from MNE_RANK_HANDLE on. */
	void (*wake)(MneCtlFile *file);
	/* Would a read not wait?  If it would, takes the bell and rings it when it would not.
	 * NULL: reads never wait. */
	bool (*poll)(MneCtlFile *file, MneBell *io_bell);
} MneCtlFileOps;

/* Open files embed this first. */
struct MneCtlFile {
	const MneCtlFileOps *ops;
};

/* args: the names that stand for the stars of the path, in their order. */
typedef struct {
	const char *
		path; /* below `.mnefs`: "status", "hold", "hold/" and a star; NULL ends */
	uint32_t mode; /* with the type: S_IFREG, or S_IFDIR */

	/* Of paths that end in a star; without it every name exists. */
	bool (*exists)(MneNs *ns, const char *const *args);
	/* Of directories: names that the star below stands for, appended, owned. */
	void (*list)(MneNs *ns, const char *const *args, GPtrArray *names);

	/* Sets whose it is, when not that of the mount's root. */
	void (*own)(MneNs *ns, const char *const *args, struct stat *io_attr);

	/* Either what opens the file, */
	int (*open)(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		    MneCtlFile **out_file);
	/* or of files whose text is made when they are opened (NULL: not for reading), */
	int (*print)(MneNs *ns, const char *const *args, GString *to);
	/* and that take lines (NULL: not for writing), each written with or without a
	 * newline at the end.  What it appends to answer can be read from the same handle
	 * afterwards, from offset 0; after a failure that is the sentence. */
	int (*line)(MneNs *ns, const char *const *args, const char *line,
		    GString *answer);
} MneCtlKind;

typedef struct MneCtl MneCtl;

MneCtl *mne_ctl_new(void);
void mne_ctl_free(MneCtl *ctl);

/* The node called name in directory `dir`; -ENOENT. */
int mne_ctl_find(MneNs *ns, uint64_t dir, MneSlice name, uint64_t *out_number)
	MNE_CHECKED;
bool mne_ctl_is_dir(MneNs *ns, uint64_t number);
bool mne_ctl_is_writable(MneNs *ns, uint64_t number);
/* Names in a directory, sorted: strings, owned. */
GPtrArray *mne_ctl_list(MneNs *ns, uint64_t number);
int mne_ctl_stat(MneNs *ns, uint64_t number, struct stat *out) MNE_CHECKED;
/* -EACCES when it is not for reading (or not for writing). */
int mne_ctl_open(MneNs *ns, uint64_t number, const MneCtlOpen *how,
		 MneCtlFile **out_file) MNE_CHECKED;

/* The parts of the tree. */
extern const MneCtlKind mne_ctl_bookmarks[]; /* ns/ctl_bookmarks.c: list, make, drop */
extern const MneCtlKind mne_ctl_changed[]; /* ns/ctl_changed.c: lists of what changed */
extern const MneCtlKind mne_ctl_basics[]; /* ns/ctl_basics.c: status, log, version … */
extern const MneCtlKind
	mne_ctl_checkpoints[]; /* ns/ctl_checkpoints.c: a directory each */
extern const MneCtlKind mne_ctl_hooks[]; /* ns/ctl_hooks.c */
extern const MneCtlKind mne_ctl_rollback[]; /* ns/ctl_rollback.c */
extern const MneCtlKind mne_ctl_commands[]; /* ns/ctl_commands.c: the file `ctl` */
extern const MneCtlKind mne_ctl_counter[]; /* ns/ctl_counter.c */
extern const MneCtlKind mne_ctl_events[]; /* ns/ctl_events.c */
extern const MneCtlKind mne_ctl_tables[]; /* ns/ctl_tables.c: a directory each */
extern const MneCtlKind mne_ctl_ckpt_traits[]; /* ns/ctl_ckpt_traits.c */
extern const MneCtlKind mne_ctl_proof[]; /* ns/ctl_proof.c: sha256sums, verify */
extern const MneCtlKind mne_ctl_hold[]; /* ns/ctl_hold.c: a file for each checkpoint */

/* For kinds whose first star is a checkpoint, by name or by time: ns/ctl_checkpoints.c. */
bool mne_ctl_ckpt_exists(MneNs *ns, const char *const *args);
void mne_ctl_ckpt_list(MneNs *ns, const char *const *args, GPtrArray *names);
void mne_ctl_ckpt_own(MneNs *ns, const char *const *args, struct stat *io_attr);
/* "7d", "2026-12-31", "never" (0): BAD_CTL. */
int mne_ctl_parse_expiry(const char *text, int64_t *out_ns) MNE_CHECKED;
