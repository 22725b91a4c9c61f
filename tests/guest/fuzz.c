// SPDX-License-Identifier: GPL-2.0
/*
 * fuzz SECONDS SEED: the four calls with random arguments, in a PID namespace of
 * their own, as root and as nobody. What they answer does not matter, that the
 * kernel lives does. Prints how many calls were made.
 */
#define _GNU_SOURCE
#include <linux/pid_info.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

#include "ft.h"

#define WORKERS	4

static unsigned long *calls;
static unsigned char *page;	/* the page behind it is not mapped */
static const char read_only[4096] = "text";
static uint64_t state;

/* xorshift64* */
static uint64_t rnd(void)
{
	state ^= state >> 12;
	state ^= state << 25;
	state ^= state >> 27;
	return state * 2685821657736338717ull;
}

static uint64_t address(void)
{
	switch (rnd() % 6) {
	case 0:
		return 0;
	case 1:
		return (uintptr_t)page;
	case 2:
		return (uintptr_t)page + rnd() % 4096;
	case 3:
		return (uintptr_t)read_only;
	case 4:
		return rnd();
	default:
		return 0xffffffff80000000ull + rnd() % (1 << 24);
	}
}

static uint64_t length(void)
{
	static const uint64_t edges[] = {
		0, 1, 407, 408, 409, 1000, 4095, 4096, 4097, UINT32_MAX, UINT64_MAX,
	};

	return rnd() % 3 ? edges[rnd() % 11] : rnd() % 8192;
}

static pid_t some_pid(void)
{
	static const pid_t edges[] = { 0, 1, 2, -1, INT32_MIN, INT32_MAX };

	return rnd() % 3 ? (pid_t)(rnd() % 64) : edges[rnd() % 6];
}

static void fill(struct pid_info *info)
{
	info->wanted = rnd() % 4 ? ~0ULL : rnd();
	info->buffer = rnd() % 2 ? (uintptr_t)page : address();
	info->buffer_size = rnd() % 2 ? 4096 : length();
	info->string_max = rnd() % 4 ? 0 : length();
	info->cursor = rnd() % 2 ? 0 : some_pid();
	info->match_start_ns = rnd() % 16 ? 0 : rnd();
	info->match_inode = rnd() % 16 ? 0 : rnd();
}

static void one_call(void)
{
	struct pid_info info = {};
	long ret;

	switch (rnd() % 8) {
	case 0:
		ret = ft_fork();
		if (!ret)
			_exit(rnd());
		break;
	case 1:
		/* Never without a child that ends: it would sleep for ever. */
		ret = ft_fork();
		if (!ret)
			_exit(0);
		ft_wait((int *)address());
		break;
	case 2:
	case 3:
		/* Signals that would end the workers are blocked or left out. */
		ret = rnd() % 3 ? rnd() % 70 : rnd();
		if (ret != SIGKILL && ret != SIGSTOP)
			ft_kill(some_pid(), ret);
		break;
	case 4:
		syscall(548, some_pid(), address(), length(), rnd() % 2 ? 0 : rnd());
		break;
	default:
		fill(&info);
		ret = syscall(548, rnd() % 2 ? 0 : some_pid(), &info,
			      rnd() % 4 ? sizeof(info) : length(), rnd() % 8);
		CHECK(ret < 0 || !(info.filled & info.denied));
	}
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void work(uint64_t seed, time_t end)
{
	struct rlimit few = { 200, 200 };
	sigset_t all;

	state = seed * 0x9e3779b97f4a7c15ull | 1;
	sigfillset(&all);
	sigprocmask(SIG_BLOCK, &all, NULL);
	setrlimit(RLIMIT_NPROC, &few);
	if (seed & 1)
		CHECK(!setuid(65534));
	prctl(PR_SET_PDEATHSIG, SIGKILL);
	while (time(NULL) < end) {
		one_call();
		__atomic_fetch_add(calls, 1, __ATOMIC_RELAXED);
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	time_t end = time(NULL) + (argc == 3 ? atoi(argv[1]) : 0);
	int status, i;
	pid_t init;

	CHECK(argc == 3);
	calls = mmap(NULL, sizeof(*calls), PROT_READ | PROT_WRITE,
		     MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	page = mmap(NULL, 8192, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	CHECK(calls != MAP_FAILED && page != MAP_FAILED && !munmap(page + 4096, 4096));
	CHECK(!unshare(CLONE_NEWPID));
	init = fork();
	CHECK(init >= 0);
	if (!init) {
		/* Its group is this program's, out of the namespace, otherwise. */
		CHECK(setsid() == 1);
		for (i = 0; i < WORKERS; i++)
			if (!fork())
				work(strtoull(argv[2], NULL, 0) * WORKERS + i, end);
		while (time(NULL) < end)
			if (waitpid(-1, NULL, WNOHANG) <= 0)
				usleep(1000);
		_exit(0);	/* and all of its namespace with it */
	}
	CHECK(waitpid(init, &status, 0) == init && !status);
	printf("calls %lu\n", *calls);
	return !*calls;
}
