// SPDX-License-Identifier: GPL-2.0
/* Sleeps, with a zombie for a child, whose PID it prints. */
#include <sys/wait.h>

#include "ft.h"

int main(void)
{
	siginfo_t info;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child)
		_exit(7);
	CHECK(!waitid(P_PID, child, &info, WEXITED | WNOWAIT));
	printf("%d\n", child);
	fflush(stdout);
	for (;;)
		pause();
}
