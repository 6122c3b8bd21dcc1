/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/reopen.c - who came too late to open a file finds its successor open
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/reopen.h"

#include "txn/file.h"
#include "util/lock.h"

#define MOST   64u
#define FOR_US G_USEC_PER_SEC

typedef struct {
	pid_t pid;
	int64_t since; /* monotonic */
	MneFile *file; /* one handle, for reading; NULL: not found yet */
} Reopen;

struct MneReopens {
	MneLock lock;
	GQueue all; /* of Reopen, owned; oldest first */
	_Atomic unsigned count;
};

static void reopen_free(void *data)
{
	Reopen *reopen = data;

	if (reopen->file)
		(void)mne_file_close(reopen->file, false);
	g_free(reopen);
}

MneReopens *mne_reopens_new(void)
{
	MneReopens *reopens = g_new0(MneReopens, 1);

	mne_lock_init(&reopens->lock, MNE_RANK_QUEUE);
	g_queue_init(&reopens->all);
	return reopens;
}

void mne_reopens_free(MneReopens *reopens)
{
	g_queue_clear_full(&reopens->all, reopen_free);
	mne_lock_clear(&reopens->lock);
	g_free(reopens);
}

/* Caller holds the lock. */
static GList *find(MneReopens *reopens, pid_t pid)
{
	for (GList *link = reopens->all.head; link; link = link->next)
		if (((Reopen *)link->data)->pid == pid)
			return link;
	return NULL;
}

/* Caller holds the lock, and frees it after that. */
static Reopen *take(MneReopens *reopens, GList *link)
{
	Reopen *reopen = link->data;

	g_queue_delete_link(&reopens->all, link);
	reopens->count--;
	return reopen;
}

static Reopen *take_of(MneReopens *reopens, pid_t pid)
{
	MNE_WITH_LOCK(&reopens->lock);
	GList *link = find(reopens, pid);

	return link ? take(reopens, link) : NULL;
}

static Reopen *take_old(MneReopens *reopens, unsigned most)
{
	int64_t now = g_get_monotonic_time();

	MNE_WITH_LOCK(&reopens->lock);
	GList *oldest = reopens->all.head;

	if (!oldest ||
	    (reopens->count <= most && now - ((Reopen *)oldest->data)->since < FOR_US))
		return NULL;
	return take(reopens, oldest);
}

static void put(MneReopens *reopens, pid_t pid, MneFile *file)
{
	Reopen *reopen = g_new(Reopen, 1);

	*reopen = (Reopen){ pid, g_get_monotonic_time(), file };
	MNE_WITH_LOCK(&reopens->lock);
	g_queue_push_tail(&reopens->all, reopen);
	reopens->count++;
}

void mne_reopen_failed(MneNs *ns, pid_t pid)
{
	mne_reopen_done(ns, pid);
	put(ns->reopens, pid, NULL);
	mne_reopens_expire(ns);
}

bool mne_reopen_is_awaited(MneNs *ns, pid_t pid)
{
	MneReopens *reopens = ns->reopens;

	if (reopens->count == 0)
		return false;
	MNE_WITH_LOCK(&reopens->lock);
	return find(reopens, pid) != NULL;
}

int mne_reopen_keep(MneNs *ns, pid_t pid, MneInode *inode)
{
	MneIdentity self = mne_inode_identity(inode);
	MneFile *file;
	MneFinding finding;
	int err;

	if (self.object != MNE_OBJECT_LIVE || self.is_dir || self.tx)
		return 0;
	mne_inode_find(ns->inodes, inode, &finding);
	do
		err = mne_file_open(ns->store, &finding.place, false, false, &file);
	while (mne_inode_retry(ns->inodes, inode, err, &finding));
	if (mne_err_is(err, ESTALE) || mne_err_is(err, ENOENT))
		return -ESTALE;
	if (err < 0)
		return 0; /* no regular file: whatever it is, open will say */
	mne_reopen_done(ns, pid);
	put(ns->reopens, pid, file);
	return 0;
}

void mne_reopen_done(MneNs *ns, pid_t pid)
{
	Reopen *reopen;

	if (ns->reopens->count == 0)
		return;
	while ((reopen = take_of(ns->reopens, pid)))
		reopen_free(reopen);
}

void mne_reopens_expire(MneNs *ns)
{
	Reopen *reopen;

	if (ns->reopens->count == 0)
		return;
	while ((reopen = take_old(ns->reopens, MOST)))
		reopen_free(reopen);
}
