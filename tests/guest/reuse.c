// SPDX-License-Identifier: GPL-2.0
/*
 * reuse N: N processes one after the other with one PID, each started right after the
 * one before was reaped, thus before the kernel has freed that one. By turns one exits
 * after it handled a SIGTERM, one is killed when it has lived for longer than a task
 * waits to be freed, and one becomes another program, which exits. Prints that PID.
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <signal.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "roles.h"

#define NEXT	"reuse-next"

static void nothing(int sig)
{
	(void)sig;
}

static void live(int number)
{
	const char *path;
	char code[8];

	switch (number % 3) {
	case 0:
		CHECK(signal(SIGTERM, nothing) != SIG_ERR && !kill(getpid(), SIGTERM));
		_exit(number);
	case 1:
		for (;;)
			pause();
	default:
		path = role_path(NEXT);
		snprintf(code, sizeof(code), "%d", number);
		execl(path, path, code, NULL);
		CHECK(!"exec");
	}
}

static void reap(pid_t pid, int number)
{
	int status;

	if (number % 3 == 1) {
		usleep(100000);
		CHECK(!kill(pid, SIGKILL));
	}
	CHECK(waitpid(pid, &status, 0) == pid);
	if (number % 3 == 1)
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
	else
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == number);
}

int main(int argc, char **argv)
{
	int total = argc == 2 ? atoi(argv[1]) : 0, i;
	pid_t first = 0, pid;
	struct clone_args args = { .exit_signal = SIGCHLD };

	if (!strcmp(role_of(argv[0]), NEXT))
		return total;	/* its number */
	CHECK(total > 0 && total < 256);
	role_path(NEXT);
	for (i = 0; i < total; i++) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		CHECK(pid >= 0);
		if (!pid)
			live(i);
		CHECK(!first || pid == first);
		first = pid;
		args.set_tid = (uintptr_t)&first;
		args.set_tid_size = 1;
		reap(pid, i);
	}
	forget_role(NEXT);
	printf("%d\n", first);
	return 0;
}
