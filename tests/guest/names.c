// SPDX-License-Identifier: GPL-2.0
/*
 * names N: N programs of as many names, each of which forks once and sends itself a
 * signal that it ignores; the children end with up to 256 statuses. So more keys than
 * a small map has room for. Prints the forks, execs, exits and ignored signals that
 * this took, its own included.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/wait.h>

#include "roles.h"

#define PREFIX	"name-"

static int reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && WIFEXITED(status));
	return WEXITSTATUS(status);
}

static int named(int number)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		_exit(number & 255);
	CHECK(reap(pid) == (number & 255));
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR && !raise(SIGUSR1));
	return 0;
}

int main(int argc, char **argv)
{
	const char *role = role_of(argv[0]), *path;
	char name[16];
	int total, i;
	pid_t pid;

	if (!strncmp(role, PREFIX, strlen(PREFIX)))
		return named(atoi(role + strlen(PREFIX)));
	CHECK(argc == 2);
	total = atoi(argv[1]);
	CHECK(total > 0 && total < 10000);
	for (i = 0; i < total; i++) {
		snprintf(name, sizeof(name), PREFIX "%d", i);
		path = role_path(name);
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			execl(path, path, NULL);
			CHECK(!"exec");
		}
		CHECK(reap(pid) == 0);
	}
	for (i = 0; i < total; i++) {
		snprintf(name, sizeof(name), PREFIX "%d", i);
		forget_role(name);
	}
	printf("{\"forks\": %d, \"execs\": %d, \"exits\": %d, \"ignored\": %d}\n", 2 * total,
	       total + 1, 2 * total + 1, total);
	return 0;
}
