// SPDX-License-Identifier: GPL-2.0
/*
 * many P T: P processes with T threads, their main ones among them. Says "ready", and
 * ends them when its standard input does.
 */
#define _GNU_SOURCE
#include <pthread.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ft.h"

#define STACK	(64 << 10)

static void *wait_forever(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static void be_one(int threads)
{
	pthread_attr_t attr;
	pthread_t thread;

	prctl(PR_SET_PDEATHSIG, SIGKILL);
	CHECK(!pthread_attr_init(&attr) && !pthread_attr_setstacksize(&attr, STACK));
	while (--threads)
		CHECK(!pthread_create(&thread, &attr, wait_forever, NULL));
}

int main(int argc, char **argv)
{
	int processes = argc == 3 ? atoi(argv[1]) : 0, ready[2], i;
	int threads = processes ? atoi(argv[2]) / processes : 0;
	pid_t *pids = calloc(processes + 1, sizeof(*pids));
	char byte;

	CHECK(processes > 0 && threads > 0 && pids && !pipe(ready));
	for (i = 0; i < processes; i++) {
		pids[i] = fork();
		CHECK(pids[i] >= 0);
		if (!pids[i]) {
			be_one(threads);
			CHECK(write(ready[1], "r", 1) == 1);
			wait_forever(NULL);
		}
	}
	for (i = 0; i < processes; i++)
		CHECK(read(ready[0], &byte, 1) == 1);
	printf("ready\n");
	fflush(stdout);
	while (read(0, &byte, 1) > 0)
		;
	for (i = 0; i < processes; i++)
		CHECK(!kill(pids[i], SIGKILL));
	for (i = 0; i < processes; i++)
		CHECK(waitpid(pids[i], NULL, 0) == pids[i]);
	return 0;
}
