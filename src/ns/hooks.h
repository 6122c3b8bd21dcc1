/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/hooks.h - programs and processes that are told of checkpoints
 *
 * A hook is asked to prepare before a checkpoint, and told afterwards how it ended: whether
 * it was made or not, and whatever became of preparing.  It may also be told that tables were
 * rolled back.  Hooks are registered in an order, files of the directory by name before
 * processes by when they joined; prepare goes through them in reverse, after in order.
 *
 *	ROUND:	prepare n … prepare 1 -> the checkpoint, or not -> after 1 … after n
 *
 * One round at a time.  Nothing is locked while hooks run, so they may use the mount.
 *
 * Threads: all functions, any thread.
 */
#pragma once

#include "util/error.h"
#include "util/lock.h"
#include "util/ref.h"

#include <stdatomic.h>

#include <glib.h>

typedef enum {
	MNE_HOOK_READY, /* it did what it was asked for */
	MNE_HOOK_REFUSED, /* it said no, or ended with another status than 0 */
	MNE_HOOK_LATE, /* its time was up */
	MNE_HOOK_BROKEN, /* it could not be asked, or went away */
} MneHookEnd;

typedef struct {
	MneHookEnd end;
	char *reason; /* for people; NULL: none */
	GPtrArray *tables; /* char *, owned: to be covered, too */
	int64_t took; /* ms */
} MneHookAnswer;

void mne_hook_answer_clear(MneHookAnswer *answer);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneHookAnswer, mne_hook_answer_clear)
const char *mne_hook_end_name(MneHookEnd end);
/* "exit 1 "replica lag"", or "was late". */
char *mne_hook_answer_text(const MneHookAnswer *answer);

typedef struct {
	const char *phase; /* "prepare", or "after" */
	const char *checkpoint;
	const char *result; /* "ok", "failed", "rolledback"; NULL with prepare */
	int64_t timeout; /* ms */
	const _Atomic bool *stop; /* give up at once */
} MneHookCall;

typedef struct MneHook MneHook;

typedef struct {
	const char *kind; /* "file", "process" */
	/* Fills an empty answer. */
	void (*call)(MneHook *hook, const MneHookCall *call, MneHookAnswer *out);
	void (*free)(MneHook *hook);
} MneHookOps;

/* Hooks embed this first. */
struct MneHook {
	const MneHookOps *ops;
	MneRef ref;
	char *name; /* owned by the hook */
	_Atomic bool required; /* without it no checkpoint is made */
};

MneHook *mne_hook_ref(MneHook *hook);
void mne_hook_unref(MneHook *hook);

typedef struct {
	const char *dir; /* of executable files; may be absent */
	int64_t timeout; /* ms, of each call */
	const char *mount_point, *store; /* for the environment of the files */
} MneHooksOptions;

typedef struct MneHooks MneHooks;

/* Options are copied. */
MneHooks *mne_hooks_new(const MneHooksOptions *options);
void mne_hooks_free(MneHooks *hooks);
/* Calls are not made any more; on return no round is under way. */
void mne_hooks_stop(MneHooks *hooks);
bool mne_hooks_is_stopped(const MneHooks *hooks);
const MneHooksOptions *mne_hooks_options(const MneHooks *hooks);

void mne_hooks_join(MneHooks *hooks, MneHook *hook);
void mne_hooks_leave(MneHooks *hooks, MneHook *hook);

/* In order of registration: an array of MneHook *, with references. */
GPtrArray *mne_hooks_list(MneHooks *hooks);

/* A round: of all hooks there are when it begins. */
typedef struct {
	MneHooks *hooks;
	GPtrArray *list;
	const char *checkpoint; /* borrowed */
	GPtrArray *tables; /* char *, owned: that hooks asked for */
	bool risky; /* one that is not required did not get ready */
	char *refusal; /* a required one did not: what the log says; or NULL */
} MneHookRound;

/* Waits for the round before it. */
void mne_hook_round_begin(MneHookRound *round, MneHooks *hooks, const char *checkpoint);
void mne_hook_round_prepare(MneHookRound *round);
void mne_hook_round_after(MneHookRound *round, const char *result);
void mne_hook_round_end(MneHookRound *round);
G_DEFINE_AUTO_CLEANUP_CLEAR_FUNC(MneHookRound, mne_hook_round_end)

/* One call, by hand. */
void mne_hooks_call(MneHooks *hooks, MneHook *hook, const char *phase,
		    const char *checkpoint, const char *result, MneHookAnswer *out);
/* How its last call of this mount ended: a line for people, new; NULL: never called. */
char *mne_hooks_last(MneHooks *hooks, const char *name);

/* ns/hook_file.c: the files of a directory, appended in order; and why others are not. */
void mne_hook_files(const MneHooksOptions *options, GPtrArray *hooks);
