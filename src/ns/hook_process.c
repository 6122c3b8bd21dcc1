/* SPDX-License-Identifier: Apache-2.0
 *
 * ns/hook_process.c - hooks that are processes: who holds `.mnefs/hooks/join` open
 *
 * It reads `prepare NAME`, and writes `ready`, or `refuse REASON`; before that, for each table
 * to be covered, too, `add TABLE`.  It reads `after NAME ok|failed|rolledback`, which needs
 * no answer.  At any time it may write `required` or `optional`.
 *
 *	IDLE ---prepare---> ASKED ---ready, refuse, time up---> IDLE
 *	  `---------------------`-------close-------> GONE
 */
#define G_LOG_DOMAIN "mne-ns"

#include "config.h"

#include "ns/hook_process.h"

#include "ns/hooks.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>

#define UNREAD_MOST 65536u
#define SLICE_MS    50u

typedef enum { IDLE, ASKED, GONE } State;

typedef struct {
	MneHook hook;
	MneHooks *hooks; /* borrowed */
	MneLock lock;
	MneCond changed; /* there is something to read, an answer, or a reason to look */
	State state;
	GString *unread; /* what it has not read yet */
	MneBell bell; /* of who polls for that */
	GString *line; /* what it wrote without a newline yet */
	MneHookAnswer answer; /* while ASKED */
	bool answered;
} Process;

/* The open file: the hook may outlive it while it is being asked. */
typedef struct {
	MneCtlFile base;
	Process *process; /* reference */
} Join;

static void process_free(MneHook *hook)
{
	Process *process = (Process *)hook;

	mne_hook_answer_clear(&process->answer);
	g_string_free(process->unread, TRUE);
	g_string_free(process->line, TRUE);
	mne_cond_clear(&process->changed);
	mne_lock_clear(&process->lock);
	g_free(process->hook.name);
	g_free(process);
}

/* Caller holds the lock. */
static void say(Process *process, const MneHookCall *call)
{
	g_string_append_printf(process->unread, "%s %s%s%s\n", call->phase,
			       call->checkpoint, call->result ? " " : "",
			       call->result ? call->result : "");
	mne_cond_broadcast(&process->changed);
	mne_bell_ring(&process->bell);
}

static void gone(MneHookAnswer *out)
{
	out->end = MNE_HOOK_BROKEN;
	out->reason = g_strdup("it went away");
}

/* Caller holds the lock. */
static void await_answer(Process *process, const MneHookCall *call)
{
	int64_t until = g_get_monotonic_time() + call->timeout * 1000;

	while (!process->answered && process->state == ASKED &&
	       !atomic_load(call->stop) && g_get_monotonic_time() < until)
		(void)mne_cond_wait_ms(&process->changed, &process->lock, SLICE_MS);
}

/* Caller holds the lock. */
static void ask(Process *process, const MneHookCall *call, MneHookAnswer *out)
{
	process->state = ASKED;
	process->answered = false;
	process->answer =
		(MneHookAnswer){ .tables = g_ptr_array_new_with_free_func(g_free) };
	say(process, call);
	await_answer(process, call);
	if (process->answered) {
		g_ptr_array_unref(out->tables);
		*out = process->answer;
		process->answer = (MneHookAnswer){ 0 };
	} else if (process->state == GONE) {
		gone(out);
	} else {
		out->end = MNE_HOOK_LATE;
	}
	mne_hook_answer_clear(&process->answer);
	if (process->state == ASKED)
		process->state = IDLE;
}

static void process_call(MneHook *hook, const MneHookCall *call, MneHookAnswer *out)
{
	Process *process = (Process *)hook;

	MNE_WITH_LOCK(&process->lock);
	if (process->state == GONE) {
		gone(out);
	} else if (process->unread->len > UNREAD_MOST) {
		out->end = MNE_HOOK_LATE;
		out->reason = g_strdup("it does not read");
	} else if (call->result) {
		say(process, call);
	} else {
		ask(process, call, out);
	}
}

/* --- what it writes ---------------------------------------------------------- */

/* Caller holds the lock. */
static int answer(Process *process, MneHookEnd end, const char *reason)
{
	if (process->state != ASKED || process->answered)
		return mne_throw(BAD_CTL, "nothing was asked, or its time was up");
	process->answered = true;
	process->answer.end = end;
	process->answer.reason = *reason ? g_strndup(reason, 200) : NULL;
	mne_cond_broadcast(&process->changed);
	return 0;
}

/* Caller holds the lock. */
static int take_line(Process *process, const char *line)
{
	if (strcmp(line, "ready") == 0)
		return answer(process, MNE_HOOK_READY, "");
	if (strcmp(line, "refuse") == 0 || g_str_has_prefix(line, "refuse "))
		return answer(process, MNE_HOOK_REFUSED,
			      line[6] ? line + 7 : "it gave no reason");
	if (strcmp(line, "required") == 0 || strcmp(line, "optional") == 0) {
		process->hook.required = line[0] == 'r';
		return 0;
	}
	if (!g_str_has_prefix(line, "add ") || !line[4])
		return mne_throw(BAD_CTL,
				 "a hook says ready, refuse, add, required or "
				 "optional, not %.64s",
				 line);
	if (process->state != ASKED || process->answered)
		return mne_throw(BAD_CTL, "tables are added between prepare and ready");
	g_ptr_array_add(process->answer.tables, g_strdup(line + 4));
	return 0;
}

static int join_write(MneCtlFile *file, MneSlice bytes,
		      const MneCtlWait *wait G_GNUC_UNUSED)
{
	Process *process = ((Join *)file)->process;
	const char *newline;

	if (bytes.len > UNREAD_MOST ||
	    (bytes.len > 0 && memchr(bytes.data, 0, bytes.len)))
		return mne_throw(BAD_CTL, "a hook writes short lines of text");
	MNE_WITH_LOCK(&process->lock);
	g_string_append_len(process->line, (const char *)bytes.data, (gssize)bytes.len);
	while ((newline = strchr(process->line->str, '\n'))) {
		gsize len = (gsize)(newline - process->line->str);
		g_autofree char *line = g_strndup(process->line->str, len);

		g_string_erase(process->line, 0, (gssize)len + 1);
		if (*line)
			MNE_TRY(take_line(process, line));
	}
	if (process->line->len > UNREAD_MOST)
		g_string_truncate(process->line, 0);
	return 0;
}

/* --- the file ---------------------------------------------------------------- */

static ssize_t join_read(MneCtlFile *file, uint64_t offset, void *buffer, size_t len,
			 const MneCtlWait *wait)
{
	Process *process = ((Join *)file)->process;

	(void)offset; /* it is a stream */
	MNE_WITH_LOCK(&process->lock);
	while (process->unread->len == 0) {
		if (!wait)
			return -EAGAIN;
		if (wait->over)
			return -EINTR;
		mne_cond_wait(&process->changed, &process->lock);
	}
	len = MIN(len, process->unread->len);
	memcpy(buffer, process->unread->str, len);
	g_string_erase(process->unread, 0, (gssize)len);
	return (ssize_t)len;
}

static void join_wake(MneCtlFile *file)
{
	Process *process = ((Join *)file)->process;

	MNE_WITH_LOCK(&process->lock);
	mne_cond_broadcast(&process->changed);
}

static bool join_poll(MneCtlFile *file, MneBell *io_bell)
{
	Process *process = ((Join *)file)->process;

	MNE_WITH_LOCK(&process->lock);
	if (process->unread->len > 0)
		return true;
	mne_bell_hang(&process->bell, io_bell);
	return false;
}

static void say_goodbye(Process *process)
{
	MNE_WITH_LOCK(&process->lock);
	mne_bell_clear(&process->bell); /* before the file goes */
	process->state = GONE;
	mne_cond_broadcast(&process->changed);
}

static void join_close(MneCtlFile *file)
{
	Join *join = (Join *)file;

	say_goodbye(join->process);
	mne_hooks_leave(join->process->hooks, &join->process->hook);
	mne_hook_unref(&join->process->hook);
	g_free(join);
}

/* "rsync[4121]": of the process that opened it. */
static char *name_of(pid_t pid)
{
	g_autofree char *path = g_strdup_printf("/proc/%d/comm", (int)pid);
	g_autofree char *text = NULL;

	if (!g_file_get_contents(path, &text, NULL, NULL))
		return g_strdup_printf("process[%d]", (int)pid);
	g_strchomp(text);
	return g_strdup_printf("%s[%d]", text, (int)pid);
}

static Process *process_new(MneHooks *hooks, pid_t pid)
{
	static const MneHookOps ops = { "process", process_call, process_free };
	Process *process = g_new0(Process, 1);

	process->hook.ops = &ops;
	mne_ref_init(&process->hook.ref);
	process->hook.name = name_of(pid);
	process->hooks = hooks;
	process->unread = g_string_new(NULL);
	process->line = g_string_new(NULL);
	mne_lock_init(&process->lock, MNE_RANK_HANDLE);
	mne_cond_init(&process->changed);
	return process;
}

int mne_hook_join(MneHooks *hooks, const MneCtlOpen *how, MneCtlFile **out_file)
{
	static const MneCtlFileOps ops = { join_read, join_write, join_close, join_wake,
					   join_poll };
	Join *join;

	if ((how->flags & O_ACCMODE) != O_RDWR)
		return mne_throw(BAD_CTL, "a hook joins by opening it for reading and "
					  "writing");
	join = g_new0(Join, 1);
	join->base.ops = &ops;
	join->process = process_new(hooks, how->pid);
	mne_hooks_join(hooks, &join->process->hook);
	*out_file = &join->base;
	return 0;
}
