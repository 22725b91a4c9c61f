// SPDX-License-Identifier: GPL-2.0
/*
 * headless: a process whose main thread has left. A thread with a name of its own forks
 * 5 children and sends its parent 11 signals; then the parent sends the process 7
 * signals that it ignores, and kills it. Prints the process's PID, its children's and
 * the parent's.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "roles.h"

#define CHILD		"headless-one"
#define FORKS		5
#define TO_PARENT	11
#define FROM_PARENT	7

static int output;

static char state_of(pid_t pid)
{
	char path[32], text[512], *end;
	FILE *file;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	file = fopen(path, "r");
	CHECK(file && fgets(text, sizeof(text), file) && !fclose(file));
	end = strrchr(text, ')');
	CHECK(end);
	return end[2];
}

static void *outlive(void *unused)
{
	int i, status;
	pid_t pid;

	prctl(PR_SET_NAME, "headless-thread");
	while (state_of(getpid()) != 'Z')
		usleep(1000);
	for (i = 0; i < FORKS; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			_exit(3);
		CHECK(waitpid(pid, &status, 0) == pid);
		CHECK(write(output, &pid, sizeof(pid)) == sizeof(pid));
	}
	for (i = 0; i < TO_PARENT; i++)
		CHECK(!kill(getppid(), SIGUSR2));
	CHECK(!close(output));
	for (;;)
		pause();
	return unused;
}

static void be_headless(void)
{
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(!pthread_create(&thread, NULL, outlive, NULL));
	syscall(SYS_exit, 0);
}

int main(int argc, char **argv)
{
	const char *path;
	pid_t pid, child;
	int ends[2], i;
	char fd[8];

	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, SIG_IGN);
	if (argc == 2 && !strcmp(role_of(argv[0]), CHILD)) {
		output = atoi(argv[1]);
		be_headless();
	}
	path = role_path(CHILD);
	CHECK(!pipe(ends));
	snprintf(fd, sizeof(fd), "%d", ends[1]);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		execl(path, path, fd, NULL);
		CHECK(!"exec");
	}
	CHECK(!close(ends[1]));
	printf("{\"pid\": %d, \"parent\": %d, \"children\": [", pid, getpid());
	for (i = 0; read(ends[0], &child, sizeof(child)) > 0; i++)
		printf("%s%d", i ? ", " : "", child);
	printf("]}\n");
	CHECK(i == FORKS);
	for (i = 0; i < FROM_PARENT; i++)
		CHECK(!kill(pid, SIGUSR1));
	CHECK(!kill(pid, SIGKILL));
	CHECK(waitpid(pid, &i, 0) == pid && WTERMSIG(i) == SIGKILL);
	forget_role(CHILD);
	return 0;
}
