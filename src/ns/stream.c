/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/stream.c - an open directory: entries at positions that stay valid
 *
 * Names are listed in order, so "after the entry at position n" is "names > name(n)".  When
 * a part is listed again, names that were handed out before keep their positions, and new
 * ones get new positions at the end: positions need not ascend.
 *
 * Hidden names, if they are listed at all, come before the records.
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/stream.h"

#include "ns/ctl.h"
#include "ns/delta.h"
#include "ns/frags.h"
#include "ns/kept.h"
#include "util/lock.h"

#define DOTS MNE_SHOWN_DOTS

struct MneStream {
	GList link; /* in ns->streams */
	MneNs *ns; /* borrowed */
	MneInode *inode; /* borrowed */
	MneIdentity self;
	MneNamePlace place; /* of hidden names */

	MneLock lock; /* of busy */
	MneCond idle;
	bool busy;

	/* What follows belongs to who made it busy. */
	MneShown own;
	MneShown *shown; /* own, or that of kept */
	MneKeptUse kept;
	uint64_t position; /* of the entry before the next one */
	uint64_t known; /* names from here on may come again */
	MneSlice after; /* list names > this; points to what follows */
	uint8_t after_bytes[256];
	unsigned next_hidden; /* number of the next hidden name */
	MneListing *listing; /* LIVE, PAST; owned */
	GPtrArray *fixed; /* CKPTS, CTL: all names */
	unsigned next_fixed;
	MneNode node; /* of the entry in hand */
	MneInode *held; /* its lookup, if not taken */
};

static void enter(MneStream *stream)
{
	stream->link.data = stream;
	MNE_WITH_LOCK(&stream->ns->open_lock);
	g_queue_push_head_link(&stream->ns->streams, &stream->link);
}

static void leave(MneStream *stream)
{
	MNE_WITH_LOCK(&stream->ns->open_lock);
	g_queue_unlink(&stream->ns->streams, &stream->link);
}

/* Only asked for where hidden names are listed. */
static MneNamePlace place_of(MneNs *ns, MneInode *inode)
{
	MneIdentity self = mne_inode_identity(inode);
	g_auto(MneNode) node = { 0 };
	MneFinding finding;

	if (self.table == MNE_ROOT_TABLE)
		return MNE_AT_ROOT;
	if (self.object != MNE_OBJECT_LIVE || ns->options.ctl != MNE_CTL_VISIBLE ||
	    mne_ns_node(ns, inode, &finding, &node) < 0)
		return MNE_BELOW_TABLE;
	return node.parent == MNE_ROOT_DIR ? MNE_IN_TABLE : MNE_BELOW_TABLE;
}

int mne_stream_open(MneNs *ns, MneInode *inode, MneStream **out_stream)
{
	MneStream *stream;

	MNE_TRY(mne_ns_require_valid(inode));
	if (!mne_inode_identity(inode).is_dir)
		return -ENOTDIR;
	stream = g_new0(MneStream, 1);
	stream->ns = ns;
	stream->inode = inode;
	stream->self = mne_inode_identity(inode);
	stream->place = place_of(ns, inode);
	mne_lock_init(&stream->lock, MNE_RANK_HANDLE);
	mne_cond_init(&stream->idle);
	mne_shown_init(&stream->own);
	stream->shown = &stream->own;
	enter(stream);
	*out_stream = stream;
	return 0;
}

void mne_stream_close(MneStream *stream)
{
	leave(stream);
	mne_kept_close(&stream->kept);
	mne_lock_clear(&stream->lock);
	mne_cond_clear(&stream->idle);
	mne_shown_free(&stream->own);
	g_free(stream);
}

static void acquire(MneStream *stream)
{
	MNE_WITH_LOCK(&stream->lock);
	while (stream->busy)
		mne_cond_wait(&stream->idle, &stream->lock);
	stream->busy = true;
}

static void release(MneStream *stream)
{
	MNE_WITH_LOCK(&stream->lock);
	stream->busy = false;
	mne_cond_signal(&stream->idle);
}

static bool at_root(const MneStream *stream)
{
	return stream->self.table == MNE_ROOT_TABLE;
}

/* Where listing goes on after name: among the hidden names, or behind them. */
static void set_after(MneStream *stream, MneSlice name)
{
	const char *hidden;

	if (name.len > 0)
		memcpy(stream->after_bytes, name.data, name.len);
	stream->after = mne_slice(stream->after_bytes, name.len);
	stream->next_hidden = 0;
	if (stream->self.object != MNE_OBJECT_LIVE ||
	    mne_name_kind(name) == MNE_NAME_ORDINARY) {
		stream->next_hidden = name.len > 0 ? G_MAXUINT : 0;
		return;
	}
	stream->after = MNE_SLICE_EMPTY;
	for (unsigned i = 0; (hidden = mne_name_visible(i, stream->place)); i++)
		if (mne_slice_equal(name, mne_slice_str(hidden)))
			stream->next_hidden = i + 1;
}

/* The records of a directory, or of one fragment of it. */
static int open_records(MneStream *stream)
{
	const MneIdentity *self = &stream->self;
	MneFragmentOf what = { self->table, self->rec, mne_frag_number(self) };

	if (!self->ckpt)
		return mne_live_list_fragment(mne_ns_store_of(stream->ns, self), &what,
					      stream->after, &stream->listing);
	MNE_TRY(mne_ns_require_valid(stream->inode));
	return mne_view_list_fragment(&self->ckpt->view, &what, stream->after,
				      &stream->listing);
}

static int open_listing(MneStream *stream)
{
	const MneIdentity *self = &stream->self;

	switch (self->object) {
	case MNE_OBJECT_LIVE:
	case MNE_OBJECT_PAST:
		if (self->ckpt && mne_delta_is(self->via)) {
			MNE_TRY(mne_ns_require_valid(stream->inode));
			stream->next_fixed = 0;
			return mne_delta_list(stream->ns->deltas, self->via, self->rec,
					      &stream->fixed);
		}
		if (self->tx || !mne_frags_are_listed(stream->ns, self))
			return open_records(stream);
		MNE_TRY(mne_frag_dir_list(stream->ns, self, &stream->fixed));
		break;
	case MNE_OBJECT_FRAG: return open_records(stream);
	case MNE_OBJECT_FRAGS:
		MNE_TRY(mne_ns_require_valid(stream->inode));
		MNE_TRY(mne_frag_dir_list(stream->ns, self, &stream->fixed));
		break;
	case MNE_OBJECT_CKPTS:
		stream->fixed = mne_ckpts_dir_list(stream->ns, self);
		break;
	case MNE_OBJECT_TXS:
		stream->fixed = mne_ns_tx_list(stream->ns, self->tx);
		break;
	case MNE_OBJECT_TXCTL: return -ENOTDIR;
	case MNE_OBJECT_CTL: stream->fixed = mne_ctl_list(stream->ns, self->rec); break;
	}
	stream->next_fixed = 0;
	return 0;
}

/* May the kernel keep what it reads?  Not where records have several paths, or move with
 * nobody asking for it. */
static bool may_be_kept(const MneStream *stream)
{
	const MneIdentity *self = &stream->self;

	return self->object == MNE_OBJECT_LIVE && !self->tx && !at_root(stream) &&
	       self->frag == 0 && !mne_ns_is_shared(stream->ns, self->table);
}

static MneKeptState state_of(MneStream *stream)
{
	MneKeptState state = {
		.named = mne_live_waiting_changes(stream->ns->store, stream->self.rec),
	};
	g_auto(MneNode) node = { 0 };
	MneFinding finding;

	if (may_be_kept(stream) &&
	    mne_ns_node(stream->ns, stream->inode, &finding, &node) == 0)
		state.seq = node.seq;
	return state;
}

MneStreamKeeps mne_stream_keeps(MneStream *stream)
{
	MneKepts *kepts = mne_inodes_kepts(stream->ns->inodes);
	MneKeptState now;
	bool is_good;

	if (!may_be_kept(stream))
		return MNE_STREAM_KEEPS_NOT;
	now = state_of(stream);
	is_good = mne_kept_open(kepts, stream->self.table, stream->self.rec, now,
				&stream->kept);
	if (!stream->kept.kept)
		return MNE_STREAM_PASSES_BY;
	return is_good ? MNE_STREAM_GOES_ON : MNE_STREAM_BEGINS;
}

/* Earlier positions stay good, unless that gets too much: those who listen to a directory
 * for long do not keep positions. */
static MneShown *begin(MneStream *stream, bool at_start)
{
	MneKeptState before;

	if (stream->kept.kept && mne_kept_wants_state(&stream->kept, at_start)) {
		before = state_of(stream);
		return mne_kept_begin(&stream->kept, at_start, &before);
	}
	if (stream->kept.kept)
		return mne_kept_begin(&stream->kept, at_start, NULL);
	if (at_start && mne_shown_rewind(&stream->own))
		mne_shown_clear(&stream->own);
	return &stream->own;
}

int mne_stream_start(MneStream *stream, uint64_t position)
{
	int err;

	acquire(stream);
	stream->shown = begin(stream, position == 0);
	stream->known = mne_shown_before(stream->shown, position);
	stream->position = position < DOTS     ? position
			   : stream->known > 0 ? mne_shown_position(stream->shown,
								    stream->known - 1)
					       : DOTS;
	set_after(stream, stream->known > 0
				  ? mne_shown_get(stream->shown, stream->known - 1)
				  : MNE_SLICE_EMPTY);
	err = open_listing(stream);
	if (err < 0)
		mne_stream_stop(stream);
	return err;
}

MneKeptEnd mne_stream_end(MneStream *stream)
{
	return stream->kept.kept ? mne_kept_end(&stream->kept, state_of(stream))
				 : MNE_KEPT_WHOLE;
}

/* The lookup of the entry before was counted in vain. */
static void give_back(MneStream *stream)
{
	if (stream->held)
		mne_inodes_forget(stream->ns->inodes, stream->held, 1);
	stream->held = NULL;
}

void mne_stream_stop(MneStream *stream)
{
	give_back(stream);
	mne_node_clear(&stream->node);
	g_clear_pointer(&stream->listing, mne_listing_free);
	g_clear_pointer(&stream->fixed, g_ptr_array_unref);
	if (stream->kept.kept)
		mne_kept_finish(&stream->kept);
	release(stream);
}

/* The number of a name: that which it had, or the next. */
static uint64_t number_of(MneStream *stream, MneSlice name)
{
	MneShown *shown = stream->shown;
	int order = 1;

	while (stream->known < shown->count && order > 0) {
		order = mne_slice_compare(name, mne_shown_get(shown, stream->known));
		stream->known += order > 0;
	}
	return order == 0 ? stream->known : shown->count;
}

static int next_dot(MneStream *stream, MneStreamEntry *out_entry)
{
	g_auto(MneNode) node = { 0 };
	MneFinding finding;

	out_entry->is_dot = true;
	out_entry->position = stream->position + 1;
	out_entry->name = mne_slice("..", (size_t)out_entry->position);
	MNE_TRY(mne_ns_stat(stream->ns, stream->inode, &out_entry->found));
	if (out_entry->found.attr.st_nlink == 0) /* removed */
		return 0;
	if (stream->position == 0 || stream->self.object != MNE_OBJECT_LIVE ||
	    at_root(stream))
		return 1;
	MNE_TRY(mne_ns_node(stream->ns, stream->inode, &finding, &node));
	out_entry->found.attr.st_ino = node.parent;
	return 1;
}

static int look_up_name(MneStream *stream, const char *name, MneStreamEntry *out_entry)
{
	out_entry->name = mne_slice_str(name);
	return mne_ns_lookup(stream->ns, stream->inode, out_entry->name,
			     &out_entry->found);
}

static const char *hidden_name(MneStream *stream)
{
	if (stream->self.object != MNE_OBJECT_LIVE ||
	    stream->ns->options.ctl != MNE_CTL_VISIBLE || stream->self.tx ||
	    stream->next_hidden == G_MAXUINT)
		return NULL;
	return mne_name_visible(stream->next_hidden++, stream->place);
}

/* Does name come after where the stream stands?  Only records are listed from there. */
static bool is_passed(const MneStream *stream, const char *name)
{
	return stream->after.len > 0 &&
	       mne_slice_compare(mne_slice_str(name), stream->after) <= 0;
}

static int next_fixed(MneStream *stream, MneStreamEntry *out_entry)
{
	while (stream->next_fixed < stream->fixed->len) {
		const char *name = g_ptr_array_index(stream->fixed,
						     stream->next_fixed++);
		int err;

		if (is_passed(stream, name))
			continue;
		err = look_up_name(stream, name, out_entry);
		if (err < 0 && mne_err_is(err, ENOENT)) /* dropped meanwhile */
			continue;
		return err < 0 ? err : 1;
	}
	return 0;
}

static int next_record(MneStream *stream, MneStreamEntry *out_entry)
{
	const MneIdentity *self = &stream->self;
	MneEntry entry;
	int got;

	mne_node_clear(&stream->node);
	got = mne_listing_next(stream->listing, &entry,
			       self->tx ? NULL : &stream->node);
	if (got == 0)
		return mne_ns_require_valid(stream->inode);
	MNE_TRY(got);

	out_entry->name = entry.name;
	if (!self->ckpt && self->tx) {
		/* Who lists names in a transaction has not read what they name. */
		out_entry->found.attr.st_ino = entry.rec;
		out_entry->found.attr.st_mode = entry.mode;
		return 1;
	}
	if (!self->ckpt)
		mne_ns_found_live(stream->ns, self, entry.table, &stream->node,
				  entry.name, &out_entry->found);
	else
		MNE_TRY(mne_ns_found_past(stream->ns, self, entry.table, &stream->node,
					  entry.name, &out_entry->found));
	return 1;
}

static int next_listed(MneStream *stream, MneStreamEntry *out_entry)
{
	const char *hidden = hidden_name(stream);

	if (hidden) {
		MNE_TRY(look_up_name(stream, hidden, out_entry));
		return 1;
	}
	return stream->fixed ? next_fixed(stream, out_entry)
			     : next_record(stream, out_entry);
}

int mne_stream_next(MneStream *stream, MneStreamEntry *out_entry)
{
	int got;

	give_back(stream);
	*out_entry = (MneStreamEntry){ 0 };
	if (stream->position < DOTS)
		return next_dot(stream, out_entry);
	got = next_listed(stream, out_entry);
	if (got <= 0)
		return got;
	stream->held = out_entry->found.inode;
	out_entry->position = mne_shown_position(stream->shown,
						 number_of(stream, out_entry->name));
	return 1;
}

void mne_stream_take(MneStream *stream, MneStreamEntry *entry, bool keep_lookup)
{
	MneShown *shown = stream->shown;

	stream->position = entry->position;
	mne_kept_hand_out(&stream->kept, !entry->is_dot && !keep_lookup);
	if (entry->is_dot)
		return;
	if (keep_lookup)
		stream->held = NULL;
	/* Those handed out before keep their places; this one is new. */
	if (entry->position == mne_shown_position(shown, shown->count)) {
		stream->known += stream->known == shown->count;
		mne_shown_add(shown, entry->name);
	}
}
