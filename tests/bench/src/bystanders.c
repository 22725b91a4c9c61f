// SPDX-License-Identifier: GPL-2.0
/*
 * bystanders ROUNDS LIVES: nanoseconds that a life takes (fork, exec of a program that only
 * exits, and wait, LIVES of them, all root's, on the first processor) while nobody does one
 * thing in a loop on the second: getpgid(2); get_pid_info(2) for all that it may have; that,
 * of itself; or reading /proc/PID/cmdline. Lines of "target" and the nanoseconds beside each
 * of the four, ROUNDS for each target, the first of the four changing from round to round.
 * All targets are root's.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <grp.h>
#include <linux/pid_info.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>

#include "ft.h"

#define THREADS		6000
#define CHILDREN	5000
#define NOBODY		65534

static struct shared {
	volatile pid_t living;		/* the life of now */
	volatile uint64_t asked;	/* calls of the looker that were answered */
	volatile bool ready;
} *shared;

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static void pin(int cpu)
{
	cpu_set_t set;

	CPU_ZERO(&set);
	CPU_SET(cpu, &set);
	CHECK(!sched_setaffinity(0, sizeof(set), &set));
}

/* A child that ends with this program. */
static pid_t start(void)
{
	pid_t pid = fork();

	CHECK(pid >= 0);
	if (!pid)
		CHECK(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	return pid;
}

static void *sleeps(void *unused)
{
	for (;;)
		pause();
	return unused;
}

static pid_t with_threads(void)
{
	pthread_attr_t small;
	pthread_t thread;
	pid_t pid;
	int i;

	shared->ready = false;
	pid = start();
	if (!pid) {
		CHECK(!pthread_attr_init(&small));
		CHECK(!pthread_attr_setstacksize(&small, 16384));
		for (i = 1; i < THREADS; i++)
			CHECK(!pthread_create(&thread, &small, sleeps, NULL));
		shared->ready = true;
		sleeps(NULL);
	}
	while (!shared->ready)
		usleep(1000);
	return pid;
}

static pid_t with_children(void)
{
	pid_t pid;
	int i;

	shared->ready = false;
	pid = start();
	if (!pid) {
		for (i = 0; i < CHILDREN; i++)
			if (!start())
				sleeps(NULL);
		shared->ready = true;
		sleeps(NULL);
	}
	while (!shared->ready)
		usleep(1000);
	return pid;
}

enum target { ONE_WITH_THREADS, ONE_WITH_CHILDREN, ONE_THAT_EXECS, ALL, TARGETS };

static const char *const names[] = { "threads", "children", "execs", "all" };

enum kind { GETPGID, GET_PID_INFO, ITSELF, CMDLINE, KINDS };

static long read_cmdline(pid_t pid, char *buffer, size_t size)
{
	char path[32];
	long ret;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/cmdline", pid);
	fd = open(path, O_RDONLY);
	if (fd < 0)
		return -1;
	ret = read(fd, buffer, size);
	close(fd);
	return ret;
}

/* Ask as nobody until killed: of @pid, of whoever is living now, or of all in one call. */
static void ask(enum target target, pid_t pid, enum kind kind)
{
	static char buffer[1 << 20] __attribute__((aligned(8)));

	pin(1);
	CHECK(!setgroups(0, NULL) && !setresgid(NOBODY, NOBODY, NOBODY) &&
	      !setresuid(NOBODY, NOBODY, NOBODY));
	for (;;) {
		pid_t whom = target == ONE_THAT_EXECS ? shared->living : pid;
		struct pid_info info = {
			.wanted = ~0ULL,
			.buffer = (uintptr_t)buffer,
			.buffer_size = sizeof(buffer),
		};
		long ret;

		if (kind == GETPGID)
			ret = syscall(SYS_getpgid, whom);
		else if (kind == CMDLINE)
			ret = read_cmdline(whom, buffer, sizeof(buffer));
		else if (kind == ITSELF)
			ret = syscall(548, 0, &info, sizeof(info), 0);
		else if (target == ALL)
			ret = syscall(548, 0, &info, sizeof(info), PID_INFO_MANY);
		else
			ret = syscall(548, whom, &info, sizeof(info), 0);
		if (ret >= 0)
			shared->asked++;
	}
}

static uint64_t lives(int count, char *self)
{
	char *const argv[] = { self, NULL }, *const environment[] = { NULL };
	uint64_t since = now();
	int i, status;

	for (i = 0; i < count; i++) {
		pid_t pid = fork();

		CHECK(pid >= 0);
		if (!pid) {
			shared->living = getpid();
			execve(self, argv, environment);
			_exit(1);
		}
		CHECK(waitpid(pid, &status, 0) == pid && !status);
	}
	return (now() - since) / count;
}

static uint64_t beside(enum target target, pid_t pid, enum kind kind, int count, char *self)
{
	pid_t looker;
	uint64_t ns;

	shared->living = getpid();
	shared->asked = 0;
	looker = start();
	if (!looker)
		ask(target, pid, kind);
	while (!shared->asked)
		usleep(1000);
	ns = lives(count, self);
	CHECK(!kill(looker, SIGKILL) && waitpid(looker, NULL, 0) == looker);
	return ns;
}

int main(int argc, char **argv)
{
	int rounds, count, i;
	pid_t pids[TARGETS];

	/* A life. */
	if (argc == 1)
		return 0;
	CHECK(argc == 3 && (rounds = atoi(argv[1])) > 0 && (count = atoi(argv[2])) > 0);
	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
		      -1, 0);
	CHECK(shared != MAP_FAILED);
	pin(0);
	pids[ONE_WITH_THREADS] = with_threads();
	pids[ONE_WITH_CHILDREN] = with_children();
	pids[ONE_THAT_EXECS] = pids[ALL] = getpid();
	for (i = 0; i < rounds; i++) {
		enum target target;

		for (target = 0; target < TARGETS; target++) {
			uint64_t ns[KINDS];
			int turn;

			for (turn = 0; turn < KINDS; turn++) {
				enum kind kind = (turn + i) % KINDS;

				ns[kind] = beside(target, pids[target], kind, count, argv[0]);
			}
			printf("%s %ju %ju %ju %ju\n", names[target], ns[GETPGID],
			       ns[GET_PID_INFO], ns[ITSELF], ns[CMDLINE]);
			fflush(stdout);
		}
	}
	return 0;
}
