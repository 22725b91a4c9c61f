// SPDX-License-Identifier: GPL-2.0
/*
 * failnth: makes the 1st, 2nd, 3rd... point of each call fail at which the kernel
 * can inject a failure (slab, pages, copies from and to user), until one runs
 * through. Each answer has to be a success or an error that the call may give.
 * Prints, for each call, how many points failed it and how many it survived.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pid_info.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/wait.h>

#include "ft.h"

static int fail_nth;

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY);

	CHECK(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	close(fd);
}

static void arm(int nth)
{
	char text[16];
	int size = snprintf(text, sizeof(text), "%d", nth);

	CHECK(pwrite(fail_nth, text, size, 0) == size);
}

/*
 * Whether the point was not reached; disarms it. The asking has a copy to user of its
 * own, and the disarming one from user: what is still armed may fail them instead.
 */
static bool was_left(void)
{
	char text[16] = "";

	if (pread(fail_nth, text, sizeof(text) - 1, 0) <= 0) {
		CHECK(errno == EFAULT);
		return true;
	}
	if (!atoi(text))
		return false;
	if (pwrite(fail_nth, "0", 1, 0) != 1) {
		CHECK(errno == EFAULT);
		CHECK(pwrite(fail_nth, "0", 1, 0) == 1);
	}
	return true;
}

static long try_info(void)
{
	static char buffer[1 << 16];
	struct pid_info info = {
		.wanted = ~0ULL, .buffer = (uintptr_t)buffer, .buffer_size = sizeof(buffer),
	};

	return syscall(548, getppid(), &info, sizeof(info), 0);
}

/* Two records in all of the processes' groups, from this one on. */
static long try_many(void)
{
	static uint64_t buffer[1024];
	struct pid_info info = {
		.wanted = ~0ULL, .buffer = (uintptr_t)buffer, .buffer_size = sizeof(buffer),
		.cursor = getpid(),
	};

	return syscall(548, 0, &info, sizeof(info), PID_INFO_MANY);
}

static long try_kill(void)
{
	return ft_kill(getpid(), SIGRTMIN + 1);
}

static long try_fork(void)
{
	long pid = ft_fork();

	if (!pid)
		_exit(0);
	return pid;
}

static long try_wait(void)
{
	int status;

	return ft_wait(&status);
}

static const struct {
	const char *name;
	long (*run)(void);
	int errors[4];
} calls[] = {
	{ "get_pid_info", try_info, { ENOMEM, EFAULT } },
	{ "get_pid_info_many", try_many, { ENOMEM, EFAULT } },
	{ "ft_kill", try_kill, { } },
	{ "ft_fork", try_fork, { ENOMEM, EAGAIN } },
	{ "ft_wait", try_wait, { EFAULT } },
};

int main(void)
{
	unsigned int i, nth, failed, survived, e;
	sigset_t set;

	put("/sys/kernel/debug/failslab/ignore-gfp-wait", "N");
	put("/sys/kernel/debug/failslab/verbose", "0");
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-wait", "N");
	put("/sys/kernel/debug/fail_page_alloc/ignore-gfp-highmem", "N");
	put("/sys/kernel/debug/fail_page_alloc/min-order", "0");
	put("/sys/kernel/debug/fail_page_alloc/verbose", "0");
	put("/sys/kernel/debug/fail_usercopy/verbose", "0");
	fail_nth = open("/proc/thread-self/fail-nth", O_RDWR);
	CHECK(fail_nth >= 0);
	sigemptyset(&set);
	sigaddset(&set, SIGRTMIN + 1);
	sigprocmask(SIG_BLOCK, &set, NULL);

	for (i = 0; i < sizeof(calls) / sizeof(*calls); i++) {
		failed = survived = 0;
		for (nth = 1;; nth++) {
			long ret;
			int error;

			if (calls[i].run == try_wait)
				CHECK(try_fork() > 0);
			arm(nth);
			ret = calls[i].run();
			error = errno;
			if (was_left())
				break;
			if (ret >= 0) {
				survived++;
			} else {
				failed++;
				for (e = 0; e < 4 && calls[i].errors[e] != error; e++)
					;
				errno = error;
				CHECK(e < 4);
			}
			while (waitpid(-1, NULL, 0) > 0)
				;
		}
		while (waitpid(-1, NULL, 0) > 0)
			;
		printf("%s failed %u survived %u\n", calls[i].name, failed, survived);
	}
	return 0;
}
