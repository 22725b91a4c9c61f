// SPDX-License-Identifier: GPL-2.0
/*
 * What a program may expect of fork(), vfork(), kill() and wait(), and what a
 * bare system call in their place would break: glibc's idea of the thread's id,
 * robust mutexes, handlers, locks, cancellation. Passes with and without the
 * library preloaded. The numbers of calls are fixed: see test_preload.py.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <malloc.h>
#include <pthread.h>
#include <pty.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#define NOBODY	65534

#define CHECK(condition) do {						\
	if (!(condition)) {						\
		fprintf(stderr, "%s:%d: not so: %s (errno %d, %s)\n",	\
			__FILE__, __LINE__, #condition, errno,		\
			strerror(errno));				\
		_exit(1);						\
	}								\
} while (0)

/* Of the only child. */
static int status_of(pid_t pid)
{
	int status = -1;

	CHECK(wait(&status) == pid);
	return status;
}

/* The child runs @work and ends by exit(0); its status. */
static int in_child(void (*work)(void))
{
	pid_t pid;

	fflush(NULL);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		work();
		exit(0);
	}
	return status_of(pid);
}

static void nothing(void)
{
}

static void allocate(void)
{
	int i;

	for (i = 1; i < 1000; i++) {
		void *volatile memory = malloc(i * 97);

		CHECK(memory);
		if (i % 3)
			free(memory);
	}
}

/* The id that glibc has for the thread is the kernel's. */
static void check_tid(void)
{
	pthread_mutex_t mutex = PTHREAD_ERRORCHECK_MUTEX_INITIALIZER_NP;

	CHECK(!pthread_mutex_lock(&mutex));
	CHECK(mutex.__data.__owner == gettid());
	CHECK(gettid() == getpid());
	CHECK(pthread_mutex_lock(&mutex) == EDEADLK);
	CHECK(!pthread_mutex_unlock(&mutex));
}

static void raise_usr1(void)
{
	raise(SIGUSR1);
}

static pthread_mutex_t *robust;

static void make_robust(void)
{
	pthread_mutexattr_t attributes;

	robust = mmap(NULL, sizeof(*robust), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(robust != MAP_FAILED);
	CHECK(!pthread_mutexattr_init(&attributes));
	CHECK(!pthread_mutexattr_setpshared(&attributes,
					    PTHREAD_PROCESS_SHARED));
	CHECK(!pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST));
	CHECK(!pthread_mutex_init(robust, &attributes));
}

static void die_with_robust(void)
{
	CHECK(!pthread_mutex_lock(robust));
	_exit(0);
}

static void check_robust(void)
{
	make_robust();

	/* The kernel finds what the child holds when it dies. */
	CHECK(in_child(die_with_robust) == 0);
	CHECK(pthread_mutex_lock(robust) == EOWNERDEAD);
	CHECK(!pthread_mutex_consistent(robust));

	/* The child does not hold what its parent does. */
	CHECK(in_child(nothing) == 0);
	CHECK(robust->__data.__owner == getpid());
	CHECK(!pthread_mutex_unlock(robust));
	CHECK(!pthread_mutex_lock(robust));
	CHECK(!pthread_mutex_unlock(robust));
}

static pthread_t main_thread;

static void *join_main(void *argument)
{
	(void)argument;
	CHECK(!pthread_join(main_thread, NULL));
	exit(5);
}

/* The kernel tells of the end of the child's first thread. */
static void end_first_thread(void)
{
	pthread_t thread;

	main_thread = pthread_self();
	CHECK(!pthread_create(&thread, NULL, join_main, NULL));
	pthread_exit(NULL);
}

static void check_mask(void)
{
	sigset_t set, now;

	sigemptyset(&set);
	sigaddset(&set, SIGUSR2);
	CHECK(!sigprocmask(SIG_SETMASK, &set, NULL));
	CHECK(in_child(nothing) == 0);
	CHECK(!sigprocmask(SIG_SETMASK, NULL, &now));
	CHECK(!memcmp(&set, &now, sizeof(long)));
	sigemptyset(&set);
	CHECK(!sigprocmask(SIG_SETMASK, &set, NULL));
}

static void interrupt(int sig)
{
	(void)sig;
}

static void check_errors(void)
{
	struct sigaction action = { .sa_handler = interrupt };
	struct rlimit limit = { 1, 1 };
	int status;
	pid_t pid;

	CHECK(wait(&status) == -1 && errno == ECHILD);
	CHECK(waitpid(-1, &status, WNOHANG) == -1 && errno == ECHILD);
	CHECK(kill(getpid(), 65) == -1 && errno == EINVAL);
	CHECK(killpg(-2, 0) == -1 && errno == EINVAL);
	CHECK(!kill(0, 0) && !kill(-getpgrp(), 0) && !killpg(0, 0));

	/* A signal without SA_RESTART ends the wait. */
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		pause();
		_exit(1);
	}
	CHECK(!sigaction(SIGALRM, &action, NULL));
	alarm(1);
	CHECK(wait(&status) == -1 && errno == EINTR);
	CHECK(!kill(pid, SIGKILL));
	CHECK(wait3(&status, 0, NULL) == pid && WTERMSIG(status) == SIGKILL);
	CHECK(kill(pid, 0) == -1 && errno == ESRCH);

	/* At the limit of processes, which root does not have. */
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!setuid(NOBODY));
		CHECK(kill(1, SIGTERM) == -1 && errno == EPERM);
		CHECK(!setrlimit(RLIMIT_NPROC, &limit));
		CHECK(fork() == -1 && errno == EAGAIN);
		exit(0);
	}
	CHECK(wait4(-1, &status, 0, NULL) == pid && !status);
}

static void check_vfork(void)
{
	char *argv[] = { "sh", "-c", "exit 11", NULL };
	int status;
	pid_t pid;

	pid = vfork();
	CHECK(pid >= 0);
	if (!pid) {
		execv("/bin/sh", argv);
		_exit(127);
	}
	CHECK(waitpid(-1, &status, 0) == pid && WEXITSTATUS(status) == 11);
}

/* Functions of the C library that fork inside of it. */
static void check_inside(void)
{
	int terminal, pipes[2];
	char byte;
	pid_t pid;

	pid = forkpty(&terminal, NULL, NULL, NULL);
	CHECK(pid >= 0);
	if (!pid)
		_exit(isatty(0) ? 0 : 1);
	CHECK(status_of(pid) == 0);
	close(terminal);

	/* The daemon is nobody's child here: it tells through a pipe. */
	CHECK(!pipe(pipes));
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		CHECK(!daemon(1, 1));
		CHECK(write(pipes[1], "d", 1) == 1);
		_exit(0);
	}
	close(pipes[1]);
	CHECK(status_of(pid) == 0);
	CHECK(read(pipes[0], &byte, 1) == 1 && byte == 'd');
	close(pipes[0]);
}

static void check_passed_on(void)
{
	struct rusage usage;
	int status;
	pid_t pid;

	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(13);
	CHECK(waitpid(pid, &status, 0) == pid && WEXITSTATUS(status) == 13);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(17);
	usage.ru_maxrss = -1;
	CHECK(wait4(-1, &status, 0, &usage) == pid && usage.ru_maxrss >= 0);
	pid = fork();
	CHECK(pid >= 0);
	if (!pid)
		_exit(19);
	CHECK(waitpid(-getpgrp(), &status, 0) == pid);
	CHECK(waitpid(-1, &status, WUNTRACED) == -1 && errno == ECHILD);
}

static void check_dlopen(const char *path)
{
	void *library = dlopen(path, RTLD_NOW);
	int *status;

	CHECK(library);
	status = dlsym(library, "constructor_status");
	CHECK(status && WIFEXITED(*status) && WEXITSTATUS(*status) == 7);
	CHECK(in_child(nothing) == 0);	/* the lock is free again */
}

static int prepared, in_parent, in_forked;

static void prepare(void)
{
	prepared++;
}

static void parent(void)
{
	in_parent++;
}

static void child(void)
{
	in_forked++;
}

static void check_handlers_in_child(void)
{
	CHECK(prepared == 1 && !in_parent && in_forked == 1);
}

static void check_handlers(void)
{
	CHECK(!pthread_atfork(prepare, parent, child));
	CHECK(in_child(check_handlers_in_child) == 0);
	CHECK(prepared == 1 && in_parent == 1 && !in_forked);
}

static atomic_bool stop;

static void *allocate_on(void *argument)
{
	void *volatile memory;

	while (!stop) {
		memory = malloc(2000 + (size_t)argument);
		free(memory);
	}
	return NULL;
}

static void *wait_in_thread(void *argument)
{
	(void)argument;
	wait(NULL);
	return NULL;
}

static void check_threads(void)
{
	pthread_t threads[3], waiting;
	void *result;
	pid_t pid;
	long i;

	/* One lock for all threads, which the child finds taken. */
	CHECK(mallopt(M_ARENA_MAX, 1) == 1);
	for (i = 0; i < 3; i++)
		CHECK(!pthread_create(&threads[i], NULL, allocate_on,
				      (void *)i));
	for (i = 0; i < 23; i++)
		CHECK(in_child(allocate) == 0);
	stop = true;
	for (i = 0; i < 3; i++)
		CHECK(!pthread_join(threads[i], NULL));

	/* wait() is where a thread can be cancelled. */
	pid = fork();
	CHECK(pid >= 0);
	if (!pid) {
		pause();
		_exit(1);
	}
	CHECK(!pthread_create(&waiting, NULL, wait_in_thread, NULL));
	usleep(200000);
	CHECK(!pthread_cancel(waiting));
	CHECK(!pthread_join(waiting, &result));
	CHECK(result == PTHREAD_CANCELED);
	CHECK(!kill(pid, SIGKILL));
	CHECK(wait(NULL) == pid);
}

int main(int argc, char **argv)
{
	int i;

	CHECK(argc == 2);
	for (i = 0; i < 101; i++)
		CHECK(in_child(nothing) == 0);
	CHECK(in_child(allocate) == 0);
	CHECK(in_child(check_tid) == 0);
	CHECK(WTERMSIG(in_child(raise_usr1)) == SIGUSR1);
	check_tid();
	check_robust();
	CHECK(WEXITSTATUS(in_child(end_first_thread)) == 5);
	check_mask();
	check_errors();
	check_vfork();
	check_inside();
	check_passed_on();
	check_dlopen(argv[1]);
	/* In a process of its own: it never is single-threaded again. */
	CHECK(in_child(check_threads) == 0);
	check_handlers();
	puts("done");
	return 0;
}
