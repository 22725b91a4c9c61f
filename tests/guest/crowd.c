// SPDX-License-Identifier: GPL-2.0
/*
 * crowd terminated|dead|waiting N: N processes at once: with a SIGTERM pending, or
 * dead and not reaped, or (patched kernel) in ft_wait(). Says "ready", and ends
 * them when its standard input does.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ft.h"

static void be_one(const char *what)
{
	sigset_t all;
	int status;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	if (!strcmp(what, "dead"))
		_exit(0);
	sigfillset(&all);
	CHECK(!sigprocmask(SIG_SETMASK, &all, NULL));
	if (!strcmp(what, "terminated"))
		CHECK(!raise(SIGTERM));
	if (!strcmp(what, "waiting")) {
		pid_t child = fork();

		if (child)
			ft_wait(&status);
		prctl(PR_SET_PDEATHSIG, SIGKILL);
	}
	for (;;)
		pause();
}

int main(int argc, char **argv)
{
	int total = argc == 3 ? atoi(argv[2]) : 0, i;
	pid_t *pids = calloc(total + 1, sizeof(*pids));
	siginfo_t info;
	char byte;

	CHECK(total > 0 && pids);
	for (i = 0; i < total; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (!pids[i])
			be_one(argv[1]);
		if (!strcmp(argv[1], "dead"))
			CHECK(!waitid(P_PID, pids[i], &info, WEXITED | WNOWAIT));
	}
	if (strcmp(argv[1], "dead"))
		usleep(300000);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (i = 0; i < total; i++) {
		kill(pids[i], SIGKILL);
		CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
	}
	return 0;
}
