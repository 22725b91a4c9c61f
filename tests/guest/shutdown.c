// SPDX-License-Identifier: GPL-2.0
/*
 * shutdown: processes that are sent SIGTERM. 13 exit at it; 7 ignore it and exit two
 * seconds later, for another reason; 11 become another program at it, which SIGKILL
 * ends. Prints the PIDs of the last.
 */
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "roles.h"

#define OBEYS	"shutdown-obeys"
#define IGNORES	"shutdown-ignores"
#define EXECS	"shutdown-execs"
#define NEXT	"shutdown-next"

static int ready[2];
static char fd[8], next[PATH_MAX];

static void leave(int sig)
{
	(void)sig;
	_exit(0);
}

static void become_next(int sig)
{
	(void)sig;
	execl(next, next, fd, NULL);
	CHECK(!"exec");
}

static void be(const char *role)
{
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(signal(SIGUSR1, leave) != SIG_ERR);
	if (!strcmp(role, OBEYS))
		signal(SIGTERM, leave);
	if (!strcmp(role, IGNORES))
		signal(SIGTERM, SIG_IGN);
	if (!strcmp(role, EXECS))
		signal(SIGTERM, become_next);
	CHECK(write(ready[1], "r", 1) == 1);
	for (;;)
		pause();
}

static void expect(int count)
{
	char byte;

	while (count--)
		CHECK(read(ready[0], &byte, 1) == 1);
}

static void start(const char *role, pid_t *pids, int count)
{
	const char *path = role_path(role);
	int i;

	for (i = 0; i < count; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (!pids[i]) {
			execl(path, path, fd, next, NULL);
			CHECK(!"exec");
		}
	}
	expect(count);
	for (i = 0; i < count; i++)
		CHECK(!kill(pids[i], SIGTERM));
}

static void reap(const pid_t *pids, int count, int signal)
{
	int status, i;

	for (i = 0; i < count; i++) {
		if (signal)
			CHECK(!kill(pids[i], signal));
		CHECK(waitpid(pids[i], &status, 0) == pids[i]);
		CHECK(signal == SIGKILL ? WTERMSIG(status) == SIGKILL : !status);
	}
}

int main(int argc, char **argv)
{
	static const char *const all[] = { OBEYS, IGNORES, EXECS, NEXT };
	pid_t obey[13], ignore[7], exec[11];
	int i;

	if (argc > 1) {
		ready[1] = atoi(argv[1]);
		snprintf(fd, sizeof(fd), "%d", ready[1]);
		snprintf(next, sizeof(next), "%s", argc > 2 ? argv[2] : "");
		be(role_of(argv[0]));
	}
	CHECK(!pipe(ready));
	snprintf(fd, sizeof(fd), "%d", ready[1]);
	snprintf(next, sizeof(next), "%s", role_path(NEXT));
	start(OBEYS, obey, 13);
	reap(obey, 13, 0);
	start(IGNORES, ignore, 7);
	sleep(2);
	reap(ignore, 7, SIGUSR1);
	start(EXECS, exec, 11);
	expect(11);
	reap(exec, 11, SIGKILL);
	for (i = 0; i < 4; i++)
		forget_role(all[i]);
	for (i = 0; i < 11; i++)
		printf("%s%d", i ? ", " : "[", exec[i]);
	printf("]\n");
	return 0;
}
