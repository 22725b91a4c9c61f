// SPDX-License-Identifier: GPL-2.0
/*
 * lifecycle: a known number of processes that are hard to count: threads that exec,
 * main threads that end first, vforks, threads, lives of a millisecond, and lives of
 * one PID. Prints how many of each, and that PID.
 */
#define _GNU_SOURCE
#include <linux/sched.h>
#include <pthread.h>
#include <signal.h>
#include <sched.h>
#include <stdint.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "roles.h"

#define EXECS	101	/* by a thread that is not the main one */
#define LEADERS	97	/* of which another thread is the last */
#define VFORKS	89
#define THREADS	83
#define BRIEF	79
#define REUSES	73
#define NEXT	"lifecycle-next"

static void reap(pid_t pid, int code)
{
	int status;

	CHECK(waitpid(pid, &status, 0) == pid);
	CHECK(WIFEXITED(status) && WEXITSTATUS(status) == code);
}

static pid_t start(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	return pid;
}

static void start_thread(void *(*run)(void *))
{
	pthread_t thread;

	CHECK(!pthread_create(&thread, NULL, run, NULL));
}

static void *exec_next(void *unused)
{
	const char *path = role_path(NEXT);

	execl(path, path, NULL);
	CHECK(!"exec");
	return unused;
}

static void *outlive(void *unused)
{
	usleep(1000);
	_exit(5);
	return unused;
}

static void *nothing(void *unused)
{
	return unused;
}

static void execs(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < EXECS; i++) {
		role_path(NEXT);	/* the folder is there before the fork */
		pid = start();
		if (!pid) {
			start_thread(exec_next);
			for (;;)
				pause();
		}
		reap(pid, 3);
	}
	forget_role(NEXT);
}

static void leaders(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < LEADERS; i++) {
		pid = start();
		if (!pid) {
			start_thread(outlive);
			syscall(SYS_exit, 7);
		}
		reap(pid, 5);
	}
}

static void vforks(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < VFORKS; i++) {
		pid = vfork();
		CHECK(pid >= 0);
		if (!pid)
			_exit(0);
		reap(pid, 0);
	}
}

static void threads(void)
{
	pthread_t thread;
	int i;

	for (i = 0; i < THREADS; i++) {
		CHECK(!pthread_create(&thread, NULL, nothing, NULL));
		CHECK(!pthread_join(thread, NULL));
	}
}

static void brief(void)
{
	pid_t pid;
	int i;

	for (i = 0; i < BRIEF; i++) {
		pid = start();
		if (!pid) {
			usleep(1000);
			_exit(0);
		}
		reap(pid, 0);
	}
}

/* One process after another with the PID of the first. */
static pid_t reuses(void)
{
	pid_t first = start(), pid;
	struct clone_args args = {
		.exit_signal = SIGCHLD,
		.set_tid = (uintptr_t)&first,
		.set_tid_size = 1,
	};
	int i;

	if (!first)
		_exit(0);
	reap(first, 0);
	for (i = 1; i < REUSES; i++) {
		pid = syscall(SYS_clone3, &args, sizeof(args));
		CHECK(pid >= 0);
		if (!pid)
			_exit(0);
		CHECK(pid == first);
		reap(pid, 0);
	}
	return first;
}

int main(int argc, char **argv)
{
	pid_t reused;

	if (argc == 1 && !strcmp(role_of(argv[0]), NEXT))
		return 3;
	execs();
	leaders();
	vforks();
	threads();
	brief();
	reused = reuses();
	printf("{\"execs\": %d, \"leaders\": %d, \"vforks\": %d, \"threads\": %d, \"brief\": %d, "
	       "\"reuses\": %d, \"reused\": %d}\n",
	       EXECS, LEADERS, VFORKS, THREADS, BRIEF, REUSES, reused);
	return 0;
}
