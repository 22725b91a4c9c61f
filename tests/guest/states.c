// SPDX-License-Identifier: GPL-2.0
/*
 * states N: two processes that run, 13 stopped, 7 traced, 11 zombies and sleepers
 * up to N. Prints "ready" when they are; ends, with all of them, at end of input.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

#include "ft.h"

#define RUNNING	2
#define STOPPED	13
#define TRACED	7
#define ZOMBIES	11

static pid_t children[4096];
static int count;

static pid_t spawn(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		children[count++] = pid;
	else
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	return pid;
}

int main(int argc, char **argv)
{
	int total = argc > 1 ? atoi(argv[1]) : 200;
	int status, i;
	pid_t pid;

	CHECK(total > 40 && total < 4096);
	for (i = 0; i < RUNNING; i++)
		if (!spawn())
			for (;;)
				;
	for (i = 0; i < STOPPED; i++) {
		pid = spawn();
		if (!pid) {
			raise(SIGSTOP);
			pause();
		}
		CHECK(waitpid(pid, &status, WUNTRACED) == pid);
	}
	for (i = 0; i < TRACED; i++) {
		pid = spawn();
		if (!pid) {
			ptrace(PTRACE_TRACEME, 0, 0, 0);
			raise(SIGUSR1);
			pause();
		}
		CHECK(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
	}
	for (i = 0; i < ZOMBIES; i++) {
		siginfo_t info;

		pid = spawn();
		if (!pid)
			_exit(7);
		CHECK(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
	}
	while (count < total)
		if (!spawn())
			pause();

	puts("ready");
	fflush(stdout);
	while (getchar() != EOF)
		;
	for (i = 0; i < count; i++)
		kill(children[i], SIGKILL);
	while (wait(NULL) > 0)
		;
	return 0;
}
