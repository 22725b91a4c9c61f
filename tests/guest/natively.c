// SPDX-License-Identifier: GPL-2.0
/*
 * natively: forks, kills and waits by the native system calls alone, in each form
 * another prime number of times. Prints how many of each, and what becomes of it with
 * a witness: "native" where an ft_* call would have done the same.
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <string.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

static const char *comma = "[";

static void tell(const char *call, const char *way, int count)
{
	printf("%s[\"%s\", \"%s\", %d]", comma, call, way, count);
	comma = ", ";
}

static int forked;

static long do_fork(void)
{
	return syscall(SYS_fork);
}

static long do_clone(void)
{
	return syscall(SYS_clone, SIGCHLD, 0, NULL, NULL, 0);
}

static long do_clone_tids(void)
{
	static pid_t tid;

	return syscall(SYS_clone, CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID |
		       CLONE_PARENT_SETTID | SIGCHLD, 0, &tid, &tid, 0);
}

static long do_clone_flags(void)
{
	return syscall(SYS_clone, CLONE_FS | SIGCHLD, 0, NULL, NULL, 0);
}

static long do_clone_other_signal(void)
{
	return syscall(SYS_clone, SIGUSR1, 0, NULL, NULL, 0);
}

static long do_clone3(void)
{
	struct clone_args args = { .exit_signal = SIGCHLD };

	return syscall(SYS_clone3, &args, sizeof(args));
}

static void forks(int count, long (*call)(void))
{
	int i;

	for (i = 0; i < count; i++) {
		long pid = call();

		CHECK(pid >= 0);
		if (!pid)
			syscall(SYS_exit_group, 0);
		forked++;
	}
}

static void spawns(int count)
{
	char *argv[] = { "true", NULL };
	pid_t pid;
	int i;

	for (i = 0; i < count; i++)
		CHECK(!posix_spawn(&pid, "/bin/true", NULL, NULL, argv, argv + 1));
	forked += count;
}

static void *nothing(void *unused)
{
	return unused;
}

static void threads(int count)
{
	pthread_t thread;
	int i;

	for (i = 0; i < count; i++) {
		CHECK(!pthread_create(&thread, NULL, nothing, NULL));
		CHECK(!pthread_join(thread, NULL));
	}
}

/* When there is nobody to wait for. */
static void waits(int count, pid_t pid, int options, struct rusage *usage)
{
	int i;

	for (i = 0; i < count; i++)
		CHECK(syscall(SYS_wait4, pid, NULL, options, usage) < 0 && errno == ECHILD);
}

int main(void)
{
	char usage[1024];
	int i;

	CHECK(signal(SIGUSR1, SIG_IGN) != SIG_ERR);
	forks(101, do_fork);
	forks(97, do_clone);
	forks(89, do_clone_tids);
	forks(83, do_clone_flags);
	forks(79, do_clone_other_signal);
	forks(73, do_clone3);
	spawns(71);
	threads(67);
	for (i = 0; i < forked; i++)
		CHECK(!syscall(SYS_waitid, P_ALL, 0, NULL, WEXITED | __WALL, NULL));
	for (i = 0; i < 61; i++)
		CHECK(!syscall(SYS_kill, getpid(), 0));
	waits(59, -1, 0, NULL);
	waits(53, getppid(), 0, NULL);
	waits(47, 0, 0, NULL);
	waits(43, -1, WNOHANG, NULL);
	waits(41, -1, WUNTRACED, NULL);
	waits(37, -1, 0, (struct rusage *)usage);

	tell("fork", "native", 101);
	tell("clone", "native", 97 + 89);
	tell("clone", "flags", 83 + 79);
	tell("clone3", "clone3", 73);
	tell("clone3", "spawn", 71);
	tell("clone3", "thread", 67);
	tell("waitid", "waitid", forked);
	tell("kill", "native", 61);
	tell("wait4", "native", 59);
	tell("wait4", "pid", 53);
	tell("wait4", "group", 47);
	tell("wait4", "nohang", 43);
	tell("wait4", "options", 41);
	tell("wait4", "rusage", 37);
	puts("]");
	return 0;
}
