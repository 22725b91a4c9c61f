// SPDX-License-Identifier: GPL-2.0
/*
 * storm signals N | storm lives N | storm execs N: N signals from 2 senders to 3
 * targets, one that handles them, one that ignores them and one that blocks them; or N
 * processes that end at once, every third by a signal; or N execs by 2 processes, with an
 * argument if one is given. Prints what the calls said was done.
 */
#define _GNU_SOURCE
#include <signal.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>

#include "roles.h"

#define SENDERS	2
#define TARGETS	3

static const char *const senders[SENDERS] = { "storm-1", "storm-2" };
static const char *const targets[TARGETS] = { "storm-handles", "storm-ignores", "storm-blocks" };

static struct shared {
	pid_t targets[TARGETS];
	int ready;
	long total;
	long sent[SENDERS][TARGETS];
	long handled;
} *shared;

static void map_shared(int fd)
{
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
	CHECK(shared != MAP_FAILED);
}

static void handle(int sig)
{
	(void)sig;
	shared->handled++;
}

static void leave(int sig)
{
	(void)sig;
	_exit(0);
}

/* SIGTERM waits until the last SIGUSR1 is handled. */
static void target(int index)
{
	struct sigaction action = { .sa_handler = index == 1 ? SIG_IGN : handle };
	sigset_t set;

	CHECK(signal(SIGTERM, leave) != SIG_ERR);
	sigemptyset(&action.sa_mask);
	sigaddset(&action.sa_mask, SIGTERM);
	CHECK(!sigaction(SIGUSR1, &action, NULL));
	sigemptyset(&set);
	if (index == 2)
		sigaddset(&set, SIGUSR1);
	CHECK(!sigprocmask(SIG_SETMASK, &set, NULL));
	__atomic_fetch_add(&shared->ready, 1, __ATOMIC_RELEASE);
	for (;;)
		pause();
}

static void sender(int index)
{
	long i;

	for (i = index; i < shared->total; i += SENDERS) {
		CHECK(!kill(shared->targets[i % TARGETS], SIGUSR1));
		shared->sent[index][i % TARGETS]++;
	}
}

static pid_t start(const char *role, int fd)
{
	const char *path = role_path(role);
	char argument[16];
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		snprintf(argument, sizeof(argument), "%d", fd);
		execl(path, path, argument, NULL);
		CHECK(!"exec");
	}
	return pid;
}

static void reap(pid_t pid)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid && !status);
}

static void print(void)
{
	int s, t;

	printf("{\"handled\": %ld, \"sent\": [", shared->handled);
	for (s = 0; s < SENDERS; s++)
		for (t = 0; t < TARGETS; t++)
			printf("%s[\"%s\", \"%s\", %ld]", s || t ? ", " : "", senders[s],
			       targets[t], shared->sent[s][t]);
	printf("]}\n");
}

static int signals(long total)
{
	int fd = memfd_create("storm", 0), k;
	pid_t pids[SENDERS];

	CHECK(fd >= 0 && !ftruncate(fd, sizeof(*shared)));
	map_shared(fd);
	shared->total = total;
	for (k = 0; k < TARGETS; k++)
		shared->targets[k] = start(targets[k], fd);
	while (__atomic_load_n(&shared->ready, __ATOMIC_ACQUIRE) < TARGETS)
		usleep(1000);
	for (k = 0; k < SENDERS; k++)
		pids[k] = start(senders[k], fd);
	for (k = 0; k < SENDERS; k++)
		reap(pids[k]);
	for (k = 0; k < TARGETS; k++) {
		CHECK(!kill(shared->targets[k], SIGTERM));
		reap(shared->targets[k]);
	}
	for (k = 0; k < SENDERS; k++)
		forget_role(senders[k]);
	for (k = 0; k < TARGETS; k++)
		forget_role(targets[k]);
	print();
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

#define EXECS	"storm-exec"

/* This program so many times, one after the other in one process. */
static void exec_in_a_row(const char *path, long total, char *argument)
{
	char left[24];

	if (!total)
		_exit(0);
	snprintf(left, sizeof(left), "%ld", total - 1);
	execl(path, path, left, argument, NULL);
	CHECK(!"exec");
}

static int execs(long total, char *argument)
{
	const char *path = role_path(EXECS);
	pid_t pids[2];
	int k;

	for (k = 0; k < 2; k++) {
		pids[k] = fork();
		CHECK(pids[k] >= 0);
		if (!pids[k]) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			exec_in_a_row(path, (total + k) / 2, argument);
		}
	}
	for (k = 0; k < 2; k++)
		reap(pids[k]);
	forget_role(EXECS);
	printf("{\"execs\": %ld}\n", total);
	return 0;
}

int main(int argc, char **argv)
{
	const char *role = role_of(argv[0]);
	int k;

	if (!strcmp(role, EXECS))
		exec_in_a_row(argv[0], atol(argv[1]), argv[2]);
	for (k = 0; k < TARGETS; k++)
		if (argc == 2 && !strcmp(role, targets[k])) {
			map_shared(atoi(argv[1]));
			target(k);
		}
	for (k = 0; k < SENDERS; k++)
		if (argc == 2 && !strcmp(role, senders[k])) {
			map_shared(atoi(argv[1]));
			sender(k);
			return 0;
		}
	CHECK(argc >= 3 && atol(argv[2]) > 0);
	if (argv[1][0] == 'e')
		return execs(atol(argv[2]), argv[3]);	/* or NULL */
	return argv[1][0] == 's' ? signals(atol(argv[2])) : lives(atol(argv[2]));
}
