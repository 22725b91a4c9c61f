// SPDX-License-Identifier: GPL-2.0
/* ft_loop N: N times a child by ft_fork, ended by ft_kill, reaped by ft_wait. */
#include <signal.h>
#include <sys/wait.h>

#include "ft.h"

int main(int argc, char **argv)
{
	int rounds = argc > 1 ? atoi(argv[1]) : 20000;
	int status, i;

	for (i = 0; i < rounds; i++) {
		long child = ft_fork();

		CHECK(child >= 0);
		if (!child) {
			pause();
			_exit(1);
		}
		CHECK(ft_kill(child, SIGTERM) == 0);
		CHECK(ft_wait(&status) == child);
		CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGTERM);
	}
	CHECK(ft_wait(&status) == -1 && errno == ECHILD);
	return 0;
}
