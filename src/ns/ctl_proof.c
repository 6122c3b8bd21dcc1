/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/ctl_proof.c - `.mnefs/checkpoints/C/sha256sums` and `verify`
 *
 * Both are made while they are read, one step of a walk after the other, and never stand in
 * memory as a whole: only the text of the last steps does.  Who reads before that begins the
 * walk again (digests are known by then).
 *
 *	START: at offset 0, nothing made
 *	walk --step--> walk: text grows by the lines of an entry
 *	walk --end, or a failure that is final--> ENDED
 *
 * A read belongs to one reader at a time (busy).
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/ctl.h"
#include "ns/ctl_text.h"
#include "ns/digest.h"
#include "ns/walk.h"

#include <fcntl.h>
#include <string.h>

#define ENOUGH        65536u /* bytes that a read waits for */
#define PROGRESS_US   (G_USEC_PER_SEC / 5)
#define SLICE_US      (G_USEC_PER_SEC / 2) /* … but not for longer, once it has some */
#define ENTRIES_CHECK 1024u

typedef struct Proof Proof;

struct Proof {
	MneCtlFile base;
	MneNs *ns; /* borrowed */
	MneCkpt *ckpt; /* reference */
	/* Append what comes next: 1, or 0 at the end. */
	int (*step)(Proof *proof, const _Atomic bool *over);

	MneLock lock; /* of busy */
	MneCond idle;
	bool busy;

	/* What follows belongs to who made it busy. */
	MneWalk *walk;
	GString *text;
	uint64_t start; /* offset of the text */
	bool ended;
	bool counted; /* verify: its first line is made */
	uint64_t files, bytes, damaged;
	int64_t told; /* verify: when progress was told */
};

static void acquire(Proof *proof)
{
	MNE_WITH_LOCK(&proof->lock);
	while (proof->busy)
		mne_cond_wait(&proof->idle, &proof->lock);
	proof->busy = true;
}

static void release(Proof *proof)
{
	MNE_WITH_LOCK(&proof->lock);
	proof->busy = false;
	mne_cond_signal(&proof->idle);
}

static void begin(Proof *proof)
{
	g_clear_pointer(&proof->walk, mne_walk_free);
	proof->walk = mne_walk_new(proof->ns, proof->ckpt);
	g_string_truncate(proof->text, 0);
	proof->start = proof->files = proof->bytes = proof->damaged = 0;
	proof->ended = proof->counted = false;
	proof->told = 0;
}

static ssize_t take(const Proof *proof, uint64_t offset, void *buffer, size_t len)
{
	return mne_ctl_text_read(mne_slice(proof->text->str, proof->text->len),
				 offset - proof->start, buffer, len);
}

static int advance(Proof *proof, const _Atomic bool *over)
{
	int got;

	if (over && atomic_load(over))
		return -EINTR;
	got = proof->step(proof, over);
	if (got == 0)
		proof->ended = true;
	return MIN(got, 0);
}

/* Make text until some stands at offset. */
static int make(Proof *proof, uint64_t offset, size_t len, const _Atomic bool *over)
{
	int64_t until = g_get_monotonic_time() + SLICE_US;

	if (offset < proof->start)
		begin(proof);
	while (!proof->ended) {
		uint64_t end = proof->start + proof->text->len;
		int err;

		if (end > offset && (end - offset >= MIN(len, ENOUGH) ||
				     g_get_monotonic_time() > until))
			break;
		if (end <= offset) { /* nobody asks for this any more */
			proof->start = end;
			g_string_truncate(proof->text, 0);
		}
		err = advance(proof, over);
		/* What was made before a failure is handed out first. */
		if (err < 0 && proof->start + proof->text->len <= offset)
			return err;
		if (err < 0)
			break;
	}
	return 0;
}

static ssize_t proof_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			  const MneCtlWait *wait)
{
	Proof *proof = (Proof *)file;
	ssize_t got;

	acquire(proof);
	got = make(proof, offset, len, wait ? &wait->over : NULL);
	if (got == 0)
		got = take(proof, offset, buffer, len);
	release(proof);
	return got;
}

static void proof_close(MneCtlFile *file)
{
	Proof *proof = (Proof *)file;

	g_clear_pointer(&proof->walk, mne_walk_free);
	g_string_free(proof->text, TRUE);
	mne_ckpt_unref(proof->ckpt);
	mne_lock_clear(&proof->lock);
	mne_cond_clear(&proof->idle);
	g_free(proof);
}

/* It looks at `over` between two pieces of a file, anyhow. */
static void proof_wake(MneCtlFile *file)
{
	(void)file;
}

static int open_proof(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		      int (*step)(Proof *, const _Atomic bool *), MneCtlFile **out_file)
{
	static const MneCtlFileOps ops = { .read = proof_read,
					   .close = proof_close,
					   .wake = proof_wake };
	g_autoptr(MneCkpt) ckpt = NULL;
	Proof *proof;

	if ((how->flags & O_ACCMODE) != O_RDONLY)
		return -EACCES;
	MNE_TRY(mne_ns_find_ckpt(ns, mne_slice_str(args[0]), &ckpt));
	proof = g_new0(Proof, 1);
	proof->base.ops = &ops;
	proof->ns = ns;
	proof->ckpt = g_steal_pointer(&ckpt);
	proof->step = step;
	proof->text = g_string_new(NULL);
	mne_lock_init(&proof->lock, MNE_RANK_HANDLE);
	mne_cond_init(&proof->idle);
	begin(proof);
	*out_file = &proof->base;
	return 0;
}

/* The name as sha256sum writes it: with a backslash before the line when it has one, or a
 * line's end, in it. */
static void add_sum(GString *to, const uint8_t *digest, const char *path)
{
	bool escape = strpbrk(path, "\\\n\r") != NULL;

	if (escape)
		g_string_append_c(to, '\\');
	for (unsigned i = 0; i < MNE_DIGEST_BYTES; i++)
		g_string_append_printf(to, "%02x", digest[i]);
	g_string_append(to, "  ");
	for (; *path; path++) {
		if (*path == '\n')
			g_string_append(to, "\\n");
		else if (*path == '\r')
			g_string_append(to, "\\r");
		else if (*path == '\\')
			g_string_append(to, "\\\\");
		else
			g_string_append_c(to, *path);
	}
	g_string_append_c(to, '\n');
}

/* A file that cannot be read ends it, and does so again: the walk stays there. */
static int sum_step(Proof *proof, const _Atomic bool *over)
{
	uint8_t digest[MNE_DIGEST_BYTES];
	MneWalkEntry entry;
	int got, err;

	got = mne_walk_next(proof->walk, &entry);
	if (got <= 0)
		return got;
	if (!mne_node_is_file(entry.node))
		return 1;
	err = mne_digest_of(proof->ns->digests, proof->ckpt, entry.table, entry.node,
			    over, digest);
	if (err < 0) {
		if (!mne_err_is(err, EINTR))
			g_warning("sha256sums: %s: %s", entry.path,
				  mne_err_sentence(err));
		mne_walk_again(proof->walk);
		return err;
	}
	add_sum(proof->text, digest, entry.path);
	return 1;
}

static int open_sums(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		     MneCtlFile **out_file)
{
	return open_proof(ns, args, how, sum_step, out_file);
}

/* The first line of verify: how much there is to do. */
static int count_all(Proof *proof, const _Atomic bool *over)
{
	g_autoptr(MneWalk) walk = mne_walk_new(proof->ns, proof->ckpt);
	uint64_t files = 0, bytes = 0;
	MneWalkEntry entry;
	int got;

	while ((got = mne_walk_next(walk, &entry)) != 0) {
		if (mne_err_is(got, ESTALE))
			return got;
		if (got > 0 && mne_node_is_file(entry.node))
			bytes += entry.node->size;
		files += got > 0;
		if (files % ENTRIES_CHECK == 0 && over && atomic_load(over))
			return -EINTR;
	}
	g_string_append_printf(proof->text,
			       "total\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT "\n",
			       files, bytes);
	proof->counted = true;
	return 1;
}

static void add_figures(Proof *proof, const char *what)
{
	g_string_append_printf(proof->text,
			       "%s\t%" G_GUINT64_FORMAT "\t%" G_GUINT64_FORMAT
			       "\t%" G_GUINT64_FORMAT "\n",
			       what, proof->files, proof->bytes, proof->damaged);
	proof->told = g_get_monotonic_time();
}

static void add_damage(Proof *proof, const char *path, int err)
{
	g_autofree char *name = g_strdelimit(g_strdup(path), "\t\n", '?');

	proof->damaged++;
	g_string_append_printf(proof->text, "damaged\t%s\t%s\n", name,
			       mne_err_sentence(err));
	g_warning("verify: %s: %s", name, mne_err_sentence(err));
}

/* Its bytes, and its attributes: those in the node were verified when it was decoded. */
static int verify_entry(Proof *proof, const MneWalkEntry *entry,
			const _Atomic bool *over)
{
	g_autoptr(GByteArray) names = g_byte_array_new();
	MneView *view = &proof->ckpt->view;

	if (mne_node_is_file(entry->node))
		MNE_TRY(mne_digest_read(proof->ckpt, entry->table, entry->node, over));
	MNE_TRY(mne_view_xattr_names(view, entry->table, entry->node, names));
	for (guint at = 0; at < names->len;) {
		MneSlice name = mne_slice_str((const char *)names->data + at);
		g_autoptr(GBytes) value = NULL;

		MNE_TRY(mne_view_xattr(view, entry->table, entry->node, name, &value));
		at += (guint)name.len + 1;
	}
	return 0;
}

static int verify_step(Proof *proof, const _Atomic bool *over)
{
	MneWalkEntry entry;
	int got, err;

	if (!proof->counted)
		return count_all(proof, over);
	got = mne_walk_next(proof->walk, &entry);
	if (got == 0) {
		add_figures(proof, "done");
		return 0;
	}
	err = got < 0 ? got : verify_entry(proof, &entry, over);
	if (mne_err_is(err, ESTALE))
		return err;
	if (mne_err_is(err, EINTR)) {
		mne_walk_again(proof->walk);
		return err;
	}
	if (err < 0)
		add_damage(proof, entry.path, err);
	proof->files += got > 0;
	if (got > 0 && mne_node_is_file(entry.node))
		proof->bytes += entry.node->size;
	if (g_get_monotonic_time() - proof->told > PROGRESS_US)
		add_figures(proof, "progress");
	return 1;
}

static int open_verify(MneNs *ns, const char *const *args, const MneCtlOpen *how,
		       MneCtlFile **out_file)
{
	return open_proof(ns, args, how, verify_step, out_file);
}

const MneCtlKind mne_ctl_proof[] = {
	{ .path = "checkpoints/*/sha256sums",
	  .mode = S_IFREG | 0400, /* it tells of files whoever may read them */
	  .open = open_sums },
	{ .path = "checkpoints/*/verify",
	  .mode = S_IFREG | 0400, /* it tells of files whoever may read them */
	  .open = open_verify },
	{ 0 },
};
