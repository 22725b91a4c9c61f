// SPDX-License-Identifier: GPL-2.0
/*
 * A known number of calls of each kind. A worker uses the ft_* calls; meanwhile
 * its parent forks, signals and reaps by the native ones and prints how often.
 * Every result is checked.
 */
#include <signal.h>
#include <stdbool.h>
#include <sys/wait.h>

#include "ft.h"

#define FORKS		211
#define KILLS		503
#define KILLS_NOBODY	101	/* of a process that does not exist */
#define KILLS_DENIED	53	/* of another user's process */
#define NATIVE_ROUNDS	97
#define NOBODY		65534

static volatile sig_atomic_t taken;

static void take(int sig)
{
	(void)sig;
	taken++;
}

/* A child that handles KILLS signals, one delivery each, and ends. */
static pid_t start_target(int sig)
{
	struct sigaction action = { .sa_handler = take };
	sigset_t block, old;
	pid_t pid;

	sigemptyset(&block);
	sigaddset(&block, sig);
	CHECK(!sigprocmask(SIG_BLOCK, &block, &old));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!sigaction(sig, &action, NULL));
		while (taken < KILLS)
			sigsuspend(&old);
		_exit(taken == KILLS ? 0 : 1);
	}
	CHECK(!sigprocmask(SIG_SETMASK, &old, NULL));
	return pid;
}

static int reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status));
	return WEXITSTATUS(status);
}

/* Native forks made here: the target, the dead one and nobody's. */
#define WORKER_FORKS	3

static void worker(void)
{
	int sig = SIGRTMIN + 1, status, i;
	pid_t target, gone, denied;

	target = start_target(sig);
	for (i = 0; i < KILLS; i++)
		CHECK(ft_kill(target, sig) == 0);
	CHECK(reap(target) == 0);

	gone = fork();
	CHECK(gone >= 0);
	if (!gone)
		_exit(0);
	reap(gone);
	for (i = 0; i < KILLS_NOBODY; i++)
		CHECK(ft_kill(gone, SIGTERM) == -1 && errno == ESRCH);

	denied = fork();
	CHECK(denied >= 0);
	if (!denied) {
		CHECK(!setuid(NOBODY));
		for (i = 0; i < KILLS_DENIED; i++)
			CHECK(ft_kill(1, SIGTERM) == -1 && errno == EPERM);
		_exit(0);
	}
	CHECK(reap(denied) == 0);

	for (i = 0; i < FORKS; i++) {
		long child = ft_fork();

		CHECK(child >= 0);
		if (!child)
			_exit(7);
		CHECK(ft_wait(&status) == child);
		CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 7);
	}
}

int main(void)
{
	bool working = true;
	int rounds = 0, status;
	pid_t pid, worker_pid;

	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	worker_pid = fork();
	CHECK(worker_pid >= 0);
	if (!worker_pid) {
		worker();
		_exit(0);
	}
	while (working || rounds < NATIVE_ROUNDS) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid)
			_exit(0);
		reap(pid);
		CHECK(!kill(getpid(), SIGUSR1));
		rounds++;
		if (working && waitpid(worker_pid, &status, WNOHANG) > 0) {
			CHECK(WIFEXITED(status) && !WEXITSTATUS(status));
			working = false;
		}
	}
	printf("{\"native_forks\": %d, \"native_kills\": %d}\n",
	       rounds + WORKER_FORKS + 1, rounds);
	return 0;
}
