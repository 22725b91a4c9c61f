// SPDX-License-Identifier: GPL-2.0
/*
 * timers N: N interval timers that expire in processes busy with sending signals, so
 * that many expire while a probe of that CPU runs. Each is armed by the handler of the
 * one before. Prints how many were handled.
 */
#include <signal.h>
#include <sys/time.h>
#include <sys/wait.h>

#include "ft.h"

#define PROCESSES	3

static volatile sig_atomic_t left, handled;

static void arm(void)
{
	struct itimerval soon = { .it_value.tv_usec = 100 };

	CHECK(!setitimer(ITIMER_REAL, &soon, NULL));
}

static void handle(int sig)
{
	(void)sig;
	handled++;
	if (--left)
		arm();
}

static void be_busy(int output, int count)
{
	int total;

	left = count;
	CHECK(signal(SIGALRM, handle) != SIG_ERR);
	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	arm();
	while (left)
		kill(getpid(), SIGUSR1);
	total = handled;
	CHECK(write(output, &total, sizeof(total)) == sizeof(total));
	_exit(0);
}

int main(int argc, char **argv)
{
	int total = argc == 2 ? atoi(argv[1]) : 0, sum = 0, ends[2], k, count;
	pid_t pid;

	CHECK(total > 0 && !pipe(ends));
	for (k = 0; k < PROCESSES; k++) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			be_busy(ends[1], (total + k) / PROCESSES);
	}
	for (k = 0; k < PROCESSES; k++) {
		CHECK(read(ends[0], &count, sizeof(count)) == sizeof(count));
		sum += count;
		CHECK(wait(NULL) > 0);
	}
	printf("{\"handled\": %d}\n", sum);
	return 0;
}
