// SPDX-License-Identifier: GPL-2.0
/*
 * autoreap: children that leave no zombie (CLONE_AUTOREAP, since 7.1): ENDED that end by
 * themselves, and KILLED that the kernel kills as their pidfd is closed (autokill). Nobody
 * waits for them. Prints how many of each, and of waits that found no child.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

#define ENDED	101
#define KILLED	53

#define AUTOREAP	(1ull << 34)
#define NNP		(1ull << 35)
#define AUTOKILL	(1ull << 36)
#define PIDFD		0x1000

static pid_t start(uint64_t flags, int *pidfd)
{
	uint64_t args[8] = { flags, (uintptr_t)pidfd };
	pid_t pid = syscall(SYS_clone3, args, sizeof(args));

	CHECK(pid >= 0);
	return pid;
}

int main(void)
{
	int i, pidfd, none = 0;

	for (i = 0; i < ENDED; i++) {
		if (!start(AUTOREAP, NULL))
			_exit(i % 2);
		/* There is a child, and then there is none: without a zombie in between. */
		if (wait(NULL) < 0 && errno == ECHILD)
			none++;
	}
	for (i = 0; i < KILLED; i++) {
		if (!start(AUTOREAP | AUTOKILL | NNP | PIDFD, &pidfd))
			for (;;)
				pause();
		close(pidfd);
		if (wait(NULL) < 0 && errno == ECHILD)
			none++;
	}
	printf("{\"ended\": %d, \"killed\": %d, \"none\": %d}\n", ENDED, KILLED, none);
	return 0;
}
