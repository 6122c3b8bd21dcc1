/* SPDX-License-Identifier: Apache-2.0
 *
 * fs-tests/faults/killer.c - run a program, and kill it at its n-th system call
 *
 *	killer [-a] NR N COUNTS COMMAND [ARGUMENT...]
 *
 * NR is the number of a system call, or -1 for any.  The program gets SIGKILL when a thread
 * enters the N-th such call, counted over all threads; with -a, when that call is about to
 * return.  N 0: it is left alone.  COUNTS is a file where the end of the program leaves a
 * line "NUMBER CALLS" for each system call it made, and "killed NUMBER" if it was killed
 * here.  Processes that the program starts are not followed.  Ends as the program does; if
 * it is itself killed, so is the program.
 */
#define _GNU_SOURCE

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/types.h>
#include <sys/wait.h>
#include <unistd.h>

enum { NUMBERS = 1024 };

typedef struct {
	pid_t pid;
	long number; /* of the call; -1: any */
	unsigned long nth;
	bool after;
	bool has_begun; /* it is the program that runs, and no more we */
	pid_t chosen; /* the thread that is to die when its call returns … */
	long entered; /* … which is this one */
	long killed; /* in which call; -1: not yet */
	unsigned long all, calls[NUMBERS];
} Killer;

static void fail(const char *what)
{
	perror(what);
	exit(120);
}

static void shoot(Killer *killer, long number)
{
	killer->killed = number;
	kill(killer->pid, SIGKILL);
}

static void note_entry(Killer *killer, pid_t thread, long number)
{
	unsigned long count;

	if (!killer->has_begun || number < 0 || number >= NUMBERS)
		return;
	killer->all++;
	killer->calls[number]++;
	if (killer->number >= 0 && killer->number != number)
		return;
	count = killer->number < 0 ? killer->all : killer->calls[number];
	if (count != killer->nth || killer->killed >= 0)
		return;
	if (killer->after)
		killer->chosen = thread;
	else
		shoot(killer, number);
}

static void note_call(Killer *killer, pid_t thread)
{
	struct __ptrace_syscall_info info;

	if (ptrace(PTRACE_GET_SYSCALL_INFO, thread, sizeof(info), &info) <= 0)
		return; /* it is dying */
	if (info.op == PTRACE_SYSCALL_INFO_ENTRY) {
		note_entry(killer, thread, (long)info.entry.nr);
		if (killer->chosen == thread && killer->killed < 0)
			killer->entered = (long)info.entry.nr;
	} else if (info.op == PTRACE_SYSCALL_INFO_EXIT && killer->chosen == thread &&
		   killer->killed < 0) {
		shoot(killer, killer->entered);
	}
}

/* Which signal goes on to the thread; the rest of what stops it is for us. */
static int signal_after(Killer *killer, pid_t thread, int status)
{
	int event = status >> 16, number = WSTOPSIG(status);

	if (number == (SIGTRAP | 0x80)) {
		note_call(killer, thread);
		return 0;
	}
	if (event == PTRACE_EVENT_EXEC)
		killer->has_begun = true;
	return event != 0 ? 0 : number;
}

/* Until the program has ended; how. */
static int watch(Killer *killer)
{
	int status, number;
	pid_t thread;

	while (true) {
		thread = waitpid(-1, &status, __WALL);
		if (thread < 0 && errno == EINTR)
			continue;
		if (thread < 0)
			fail("waitpid");
		if (!WIFSTOPPED(status)) {
			if (thread == killer->pid)
				return status;
			continue;
		}
		number = signal_after(killer, thread, status);
		ptrace(PTRACE_SYSCALL, thread, 0, number); /* or it is dead by now */
	}
}

static void leave_counts(const Killer *killer, const char *path)
{
	FILE *to = fopen(path, "w");

	if (!to)
		fail(path);
	for (int n = 0; n < NUMBERS; n++)
		if (killer->calls[n] > 0)
			fprintf(to, "%d %lu\n", n, killer->calls[n]);
	if (killer->killed >= 0)
		fprintf(to, "killed %ld\n", killer->killed);
	if (fclose(to) != 0)
		fail(path);
}

/* It waits until it is traced. */
static pid_t start(char **command)
{
	int gate[2];
	pid_t pid = -1;
	char byte;

	if (pipe(gate) < 0 || (pid = fork()) < 0)
		fail("start");
	if (pid == 0) {
		close(gate[1]);
		if (read(gate[0], &byte, 1) != 1)
			_exit(120);
		close(gate[0]);
		execvp(command[0], command);
		perror(command[0]);
		_exit(120);
	}
	close(gate[0]);
	if (ptrace(PTRACE_SEIZE, pid, 0,
		   PTRACE_O_EXITKILL | PTRACE_O_TRACECLONE | PTRACE_O_TRACEEXEC |
			   PTRACE_O_TRACESYSGOOD) < 0 ||
	    ptrace(PTRACE_INTERRUPT, pid, 0, 0) < 0)
		fail("ptrace");
	if (write(gate[1], "x", 1) != 1)
		fail("start");
	close(gate[1]);
	return pid;
}

int main(int argc, char **argv)
{
	Killer killer = { .killed = -1 };
	int status;

	if (argc > 1 && strcmp(argv[1], "-a") == 0) {
		killer.after = true;
		argv++;
		argc--;
	}
	if (argc < 5) {
		fprintf(stderr,
			"usage: killer [-a] NR N COUNTS COMMAND [ARGUMENT...]\n");
		return 120;
	}
	killer.number = strtol(argv[1], NULL, 10);
	killer.nth = strtoul(argv[2], NULL, 10);
	killer.pid = start(argv + 4);
	status = watch(&killer);
	leave_counts(&killer, argv[3]);
	if (!WIFSIGNALED(status))
		return WEXITSTATUS(status);
	signal(WTERMSIG(status), SIG_DFL);
	raise(WTERMSIG(status));
	return 120;
}
