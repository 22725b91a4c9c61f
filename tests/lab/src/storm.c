// SPDX-License-Identifier: GPL-2.0
/*
 * storm signals N | storm lives N: N signals from 2 senders to 3 targets, one that
 * handles them, one that ignores them and one that blocks them; or N processes that
 * end at once, every third by a signal. Prints what the calls said was done.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "ft.h"

#define TARGETS	3
#define SENDERS	2

static void handle(int sig)
{
	(void)sig;
}

static pid_t target(int kind)
{
	sigset_t set;
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (pid)
		return pid;
	prctl(PR_SET_NAME, "storm-target");
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	signal(SIGUSR1, kind == 0 ? handle : SIG_IGN);
	if (kind == 2) {
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigprocmask(SIG_BLOCK, &set, NULL);
		signal(SIGUSR1, handle);
	}
	for (;;)
		pause();
}

static int signals(long total)
{
	long *sent = mmap(NULL, 4096, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t targets[TARGETS], senders[SENDERS];
	long i;
	int k;

	CHECK(sent != MAP_FAILED);
	for (k = 0; k < TARGETS; k++)
		targets[k] = target(k);
	usleep(300000);
	for (k = 0; k < SENDERS; k++) {
		senders[k] = fork();
		if (senders[k])
			continue;
		for (i = k; i < total; i += SENDERS) {
			CHECK(!kill(targets[i % TARGETS], SIGUSR1));
			__atomic_fetch_add(&sent[i % TARGETS], 1, __ATOMIC_RELAXED);
		}
		_exit(0);
	}
	for (k = 0; k < SENDERS; k++)
		CHECK(waitpid(senders[k], NULL, 0) == senders[k]);
	for (k = 0; k < TARGETS; k++) {
		kill(targets[k], SIGKILL);
		waitpid(targets[k], NULL, 0);
	}
	printf("{\"handled\": %ld, \"ignored\": %ld, \"blocked\": %ld}\n", sent[0], sent[1], sent[2]);
	return 0;
}

/* vfork(), as it is the quickest. */
static pid_t spawn(int is_killed)
{
	pid_t pid = vfork();

	CHECK(pid >= 0);
	if (!pid) {
		if (is_killed)
			kill(getpid(), SIGKILL);
		_exit(0);
	}
	return pid;
}

static int lives(long total)
{
	long exited = 0, signaled = 0, i;
	int status;

	for (i = 0; i < total; i++) {
		pid_t pid = spawn(i % 3 == 0);

		CHECK(waitpid(pid, &status, 0) == pid);
		if (WIFSIGNALED(status))
			signaled++;
		else
			exited++;
	}
	printf("{\"exited\": %ld, \"signaled\": %ld}\n", exited, signaled);
	return 0;
}

int main(int argc, char **argv)
{
	CHECK(argc == 3 && atol(argv[2]) > 0);
	return argv[1][0] == 's' ? signals(atol(argv[2])) : lives(atol(argv[2]));
}
