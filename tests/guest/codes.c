// SPDX-License-Identifier: GPL-2.0
/* codes N: N processes of one name that end with as many exit codes, from 0 on. */
#include <sys/wait.h>

#include "ft.h"

int main(int argc, char **argv)
{
	int total = argc == 2 ? atoi(argv[1]) : 0, status, i;
	pid_t pid;

	CHECK(total > 0 && total <= 256);
	for (i = 0; i < total; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			_exit(i);
		CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == i);
	}
	return 0;
}
