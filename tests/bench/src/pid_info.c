// SPDX-License-Identifier: GPL-2.0
/*
 * pid_info one | sweep N: nanoseconds of get_pid_info(2), and of what it stands
 * against, as lines "name nanoseconds". Each is timed in turn, ROUNDS times, and the
 * fastest round counts: what disturbs a round only ever makes it slower.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <linux/pid_info.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <time.h>

#include "ft.h"

#ifndef ROUNDS
#define ROUNDS	7
#endif

static uint64_t now(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000000000ull + time.tv_nsec;
}

/* The first edition's groups of fields, and the wider ones beside them; no strings. */
#define FIRST	(PID_INFO_IDENT | PID_INFO_PGRP | PID_INFO_SESSION | PID_INFO_CREDS | \
		 PID_INFO_TIMES | PID_INFO_SCHED | PID_INFO_SWITCHES | PID_INFO_FAULTS | \
		 PID_INFO_MEM | PID_INFO_IO | PID_INFO_SIGNALS | PID_INFO_EXIT | \
		 PID_INFO_CGROUP | PID_INFO_STACK | PID_INFO_SP)
#define WIDE	(PID_INFO_CAPS | PID_INFO_SECCOMP | PID_INFO_CTIMES | PID_INFO_CPU | \
		 PID_INFO_MEMSTAT | PID_INFO_BLOCKIO | PID_INFO_TTY | PID_INFO_TRACER | \
		 PID_INFO_NAMESPACES | PID_INFO_FILES | PID_INFO_LIMITS)

static void call(pid_t pid, uint64_t wanted, size_t size)
{
	static struct pid_info info;

	info.wanted = wanted;
	CHECK(!syscall(548, pid, &info, size, 0));
}

/* The fixed fields in /proc: open, read, close and parse, as a tool in C would. */
static uint64_t sum;

static void parse(const char *text)
{
	char *end;

	for (; *text; text++) {
		if ((*text < '0' || *text > '9') && *text != '-')
			continue;
		sum += strtoull(text, &end, 10);
		text = end > text ? end - 1 : text;
	}
}

static bool read_file(pid_t pid, const char *name)
{
	char path[64], text[4096];
	ssize_t size;
	int fd;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, name);
	fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	size = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (size < 0)
		return false;
	text[size] = 0;
	parse(text);
	return true;
}

static const char *const files[] = { "stat", "status", "io", "cgroup", "syscall" };

static void procfs(pid_t pid)
{
	size_t i;

	for (i = 0; i < sizeof(files) / sizeof(*files); i++)
		read_file(pid, files[i]);
}

static void one_call(pid_t pid)
{
	call(pid, FIRST, PID_INFO_SIZE_VER0);
}

static void one_wide(pid_t pid)
{
	call(pid, FIRST | WIDE, sizeof(struct pid_info));
}

static void one_sched_getattr(pid_t pid)
{
	char attr[56];

	CHECK(!syscall(315, pid, attr, sizeof(attr), 0));
}

static void one_getppid(pid_t pid)
{
	(void)pid;
	syscall(110);
}

/* The processes of this one's, each by a call; and all processes by many records. */
static pid_t *started;
static int nr_started;

static void sweep_single(pid_t pid)
{
	int i;

	for (i = 0; i < nr_started; i++)
		call(started[i], FIRST, PID_INFO_SIZE_VER0);
	(void)pid;
}

static void sweep_many(pid_t pid)
{
	static uint64_t buffer[256 * PID_INFO_SIZE_VER0 / 8];
	struct pid_info request = {
		.wanted = FIRST, .buffer = (uintptr_t)buffer, .buffer_size = sizeof(buffer),
		.cursor = started[0],
	};
	int count = 0, ret;

	while ((ret = syscall(548, 0, &request, PID_INFO_SIZE_VER0, PID_INFO_MANY)) > 0)
		count += ret;
	CHECK(!ret && count >= nr_started);
	(void)pid;
}

static void sweep_procfs(pid_t pid)
{
	struct dirent *entry;
	DIR *dir = opendir("/proc");

	CHECK(dir);
	while ((entry = readdir(dir))) {
		pid = atoi(entry->d_name);
		if (pid > 0)
			procfs(pid);
	}
	closedir(dir);
}

struct contest {
	const char *name;
	void (*run)(pid_t pid);
	int repeat;
};

static const struct contest single[] = {
	{ "getppid", one_getppid, 20000 },
	{ "sched_getattr", one_sched_getattr, 20000 },
	{ "get_pid_info", one_call, 20000 },
	{ "get_pid_info_wide", one_wide, 20000 },
	{ "procfs", procfs, 500 },
	{ }
};

static const struct contest sweeps[] = {
	{ "sweep_single", sweep_single, 1 },
	{ "sweep_many", sweep_many, 1 },
	{ "sweep_procfs", sweep_procfs, 1 },
	{ }
};

static void measure(const struct contest *contests, pid_t pid)
{
	uint64_t best[8];
	int round, i, n;

	memset(best, 0xff, sizeof(best));
	for (round = 0; round < ROUNDS; round++)
		for (i = 0; contests[i].run; i++) {
			uint64_t start = now(), took;

			for (n = 0; n < contests[i].repeat; n++)
				contests[i].run(pid);
			took = (now() - start) / contests[i].repeat;
			if (took < best[i])
				best[i] = took;
		}
	for (i = 0; contests[i].run; i++)
		printf("%s %llu\n", contests[i].name, (unsigned long long)best[i]);
}

int main(int argc, char **argv)
{
	int count = argc == 3 ? atoi(argv[2]) : 1, i;
	pid_t pid = 0;

	CHECK(argc >= 2 && count > 0);
	started = calloc(count, sizeof(*started));
	CHECK(started);
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < count; i++) {
		pid = fork();
		CHECK(pid >= 0);
		if (!pid) {
			prctl(PR_SET_PDEATHSIG, SIGKILL);
			for (;;)
				pause();
		}
		started[nr_started++] = pid;
	}
	sleep(1);
	measure(!strcmp(argv[1], "sweep") ? sweeps : single, pid);
	fprintf(stderr, "(read %llu)\n", (unsigned long long)sum);
	return 0;
}
