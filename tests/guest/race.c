// SPDX-License-Identifier: GPL-2.0
/*
 * race SECONDS: processes fork, exec, exit, reparent and change their directory,
 * root and namespaces, while others sweep, look at and signal all of them. Whatever
 * the calls answer has to be an answer or one of the errors that they may give.
 * Prints how much was done.
 */
#define _GNU_SOURCE
#include <linux/pid_info.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "ft.h"

#define FAMILIES	6
#define WATCHERS	3

struct counts {
	unsigned long families;
	unsigned long records;
	unsigned long gone;
	unsigned long signals;
};

static struct counts *done;
static time_t end;

static bool is_time(void)
{
	return time(NULL) < end;
}

static void add(unsigned long *count)
{
	__atomic_fetch_add(count, 1, __ATOMIC_RELAXED);
}

/* A child that changes what the watchers look at, and its own child, orphaned. */
static void live(char **argv, int kind)
{
	switch (kind % 5) {
	case 0:
		CHECK(!chdir("/usr/lib") && !chdir("/tmp"));
		break;
	case 1:
		CHECK(!unshare(CLONE_NEWNS | CLONE_NEWUTS));
		CHECK(!chroot("/usr") && !chdir("/"));
		break;
	case 2:
		CHECK(!unshare(CLONE_NEWPID));
		break;
	case 3:
		execl(argv[0], argv[0], "exit", NULL);
		CHECK(!"exec");
		break;
	case 4:
		CHECK(!setuid(65534));
		break;
	}
	if (!ft_fork()) {
		usleep(kind * 37 % 500);
		_exit(0);
	}
	_exit(kind % 100);
}

static void family(char **argv, int number)
{
	int status, kind = number, i;

	/* Some reap their grandchildren, too. */
	if (number & 1)
		prctl(PR_SET_CHILD_SUBREAPER, 1);
	while (is_time()) {
		for (i = 0; i < 5; i++, kind++)
			if (!ft_fork())
				live(argv, kind);
		while (ft_wait(&status) > 0)
			;
		CHECK(errno == ECHILD);
		add(&done->families);
	}
	_exit(0);
}

/* All in many records; each that was found is looked at once more in full. */
static void watch(void)
{
	static uint64_t many[64 * PID_INFO_SIZE_VER0 / 8];
	static char buffer[1 << 16];
	struct pid_info request, info;
	pid_t parent = getppid(), last = 0;
	long count, i;

	request = (struct pid_info){
		.wanted = ~0ULL, .buffer = (uintptr_t)many, .buffer_size = sizeof(many),
		.string_max = 1,
	};
	while (is_time()) {
		count = syscall(548, 0, &request, PID_INFO_SIZE_VER0, PID_INFO_MANY);
		CHECK(count >= 0);
		if (!count) {
			request.cursor = last = 0;
			continue;
		}
		for (i = 0; i < count; i++) {
			char *at = (char *)many + i * PID_INFO_SIZE_VER0;
			pid_t pid = ((struct pid_info *)at)->pid;

			CHECK(((struct pid_info *)at)->size == PID_INFO_SIZE_VER0);
			CHECK(pid > last);
			last = pid;
			info = (struct pid_info){
				.wanted = ~0ULL, .buffer = (uintptr_t)buffer,
				.buffer_size = sizeof(buffer),
				.match_start_ns = ((struct pid_info *)at)->start_ns,
			};
			if (syscall(548, pid, &info, sizeof(info), 0)) {
				CHECK(errno == ESRCH);
				add(&done->gone);
				continue;
			}
			CHECK(info.pid == pid && info.comm[0]);
			CHECK(!(info.filled & PID_INFO_CWD) || buffer[info.cwd.offset] == '/');
			add(&done->records);
			if (info.ppid != parent && info.uid == 65534) {
				CHECK(!ft_kill(pid, SIGWINCH) || errno == ESRCH);
				add(&done->signals);
			}
		}
	}
	_exit(0);
}

int main(int argc, char **argv)
{
	int status, i, failed = 0;

	CHECK(argc == 2);
	if (!strcmp(argv[1], "exit"))
		return 0;
	end = time(NULL) + atoi(argv[1]);
	done = mmap(NULL, sizeof(*done), PROT_READ | PROT_WRITE,
		    MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	CHECK(done != MAP_FAILED);
	for (i = 0; i < FAMILIES + WATCHERS; i++)
		if (!fork()) {
			if (i < FAMILIES)
				family(argv, i);
			watch();
		}
	while (wait(&status) > 0)
		failed |= status;
	printf("families %lu records %lu gone %lu signals %lu\n", done->families,
	       done->records, done->gone, done->signals);
	return !!failed;
}
