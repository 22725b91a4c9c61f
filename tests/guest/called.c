// SPDX-License-Identifier: GPL-2.0
/*
 * called N M: two processes whose PIDs are 65536 apart make N and M calls of called(),
 * where the tests put probes, by turns.
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

#define APART	65536
#define FIRST	301	/* include/linux/pid.h: RESERVED_PIDS, and one */

__attribute__((noinline)) void called(void)
{
	asm volatile("");
}

/* A process with that PID, which calls when it is told to; 0 when the PID is taken. */
static pid_t caller(pid_t wanted, int told, int done)
{
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&wanted,
		.set_tid_size = 1,
	};
	pid_t pid = syscall(SYS_clone3, &args, sizeof(args));
	char c;

	if (pid < 0) {
		CHECK(errno == EEXIST);
		return 0;
	}
	if (!pid)
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (!pid && read(told, &c, 1) == 1 && c) {
		called();
		CHECK(write(done, &c, 1) == 1);
	}
	if (!pid)
		_exit(0);
	return pid;
}

static void end(int tell, pid_t pid)
{
	int status;

	CHECK(write(tell, "", 1) == 1);
	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

int main(int argc, char **argv)
{
	int tell[2][2], done[2], calls[2], i, turn;
	pid_t pids[2] = {}, first;
	char c;

	CHECK(argc == 3 && !pipe(tell[0]) && !pipe(tell[1]) && !pipe(done));
	for (first = FIRST; first < APART && !pids[1]; first++) {
		pids[0] = caller(first, tell[0][0], done[1]);
		if (!pids[0])
			continue;
		pids[1] = caller(first + APART, tell[1][0], done[1]);
		if (!pids[1])
			end(tell[0][1], pids[0]);
	}
	CHECK(pids[1]);
	for (i = 0; i < 2; i++)
		calls[i] = atoi(argv[1 + i]);
	for (turn = 0; turn < calls[0] || turn < calls[1]; turn++) {
		for (i = 0; i < 2; i++) {
			if (turn >= calls[i])
				continue;
			CHECK(write(tell[i][1], "c", 1) == 1 && read(done[0], &c, 1) == 1);
		}
	}
	for (i = 0; i < 2; i++)
		end(tell[i][1], pids[i]);
	return 0;
}
