// SPDX-License-Identifier: GPL-2.0
/*
 * probe_cost NAME...: nanoseconds of processor time of what the probes see, as lines
 * "name nanoseconds": getppid, a system call that no probe is about; a signal that is
 * ignored; one that is handled; and life, fork + exec + exit + wait of an empty static
 * program. The fastest of ROUNDS counts: what disturbs a round only ever makes it
 * slower.
 */
#define _GNU_SOURCE
#include <stdint.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef ROUNDS
#define ROUNDS	5
#endif

static uint64_t ns_of(int who)
{
	struct rusage usage;

	getrusage(who, &usage);
	return (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) * 1000000000ull +
	       (usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) * 1000ull;
}

/* Of this process and of the children that it waited for. */
static uint64_t now(void)
{
	return ns_of(RUSAGE_SELF) + ns_of(RUSAGE_CHILDREN);
}

static void nothing(int sig)
{
	(void)sig;
}

static char **args;

static void getppid_only(void)
{
	syscall(SYS_getppid);
}

static void ignored(void)
{
	kill(getpid(), SIGUSR1);
}

static void handled(void)
{
	kill(getpid(), SIGUSR2);
}

static void life(void)
{
	pid_t pid = fork();

	if (!pid) {
		execl(args[0], args[0], "exit", NULL);
		_exit(1);
	}
	waitpid(pid, NULL, 0);
}

static const struct {
	const char *name;
	void (*run)(void);
	int repeat;
} contests[] = {
	{ "getppid", getppid_only, 50000 },
	{ "ignored", ignored, 2000 },
	{ "handled", handled, 1000 },
	{ "life", life, 40 },
};

/* Nanoseconds of each time that the contest of this name runs. */
static uint64_t measure(const char *name)
{
	uint64_t best = -1;
	int round, i, n;

	for (i = 0; strcmp(contests[i].name, name); i++)
		if (i == 3)
			exit(2);
	for (round = 0; round < ROUNDS; round++) {
		uint64_t start = now(), took;

		for (n = 0; n < contests[i].repeat; n++)
			contests[i].run();
		took = (now() - start) / contests[i].repeat;
		if (took < best)
			best = took;
	}
	return best;
}

int main(int argc, char **argv)
{
	cpu_set_t one;
	int i;

	if (argc == 2 && !strcmp(argv[1], "exit"))
		_exit(0);
	args = argv;
	CPU_ZERO(&one);
	CPU_SET(0, &one);
	sched_setaffinity(0, sizeof(one), &one);
	signal(SIGUSR1, SIG_IGN);
	signal(SIGUSR2, nothing);
	for (i = 1; i < argc; i++)
		printf("%s %llu\n", argv[i], (unsigned long long)measure(argv[i]));
	return 0;
}
