// SPDX-License-Identifier: GPL-2.0
/*
 * execs CONTEXT PROGRAM COUNT
 *
 * COUNT times a child executes PROGRAM, which is set-uid root and this one by another
 * name, in an SELinux context, while get_pid_info() is asked for the child, in each way in
 * turn, until it is refused or shows the program. Of each what it came to, as JSON.
 */
#define _GNU_SOURCE
#include <fcntl.h>
#include <linux/pid_info.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

#define GROUPS (PID_INFO_CREDS | PID_INFO_EXE | PID_INFO_CMDLINE | PID_INFO_CAPS)
/* How often it is asked again when it was refused: it has to stay so. */
#define AGAIN 7

static const char *name;	/* the last part of PROGRAM */
static unsigned long before, refused, shown;

static __attribute__((aligned(8))) char buffer[4096];

/* Of the program's text, user and names nothing may be in an answer that was refused. */
static int shows(const struct pid_info *info, const char *base)
{
	const char *exe = base + info->exe.offset;

	if ((info->filled & PID_INFO_EXE) && info->exe.offset != PID_INFO_NO_ROOM &&
	    !strcmp(strrchr(exe, '/') + 1, name))
		return 1;
	return !info->euid || !strcmp(info->comm, name);
}

enum answer { BEFORE, REFUSED, SHOWN };

static enum answer ask(pid_t child, int way)
{
	struct pid_info info = {
		.wanted = GROUPS, .buffer = (unsigned long)buffer, .buffer_size = sizeof(buffer),
	}, *told = &info;
	long result;

	switch (way) {
	case 0:
		result = syscall(548, child, &info, sizeof(info), 0);
		break;
	case 1:
		result = syscall(548, child, &info, sizeof(info), PID_INFO_THREAD);
		break;
	default:
		info.cursor = child;
		told = (void *)buffer;
		result = syscall(548, 0, &info, sizeof(info), PID_INFO_MANY);
		CHECK(result >= 0);
		if (!result || told->pid != child)
			return REFUSED;
		result = 0;
	}
	if (result) {
		CHECK(errno == EACCES);
		return REFUSED;
	}
	CHECK(told->pid == child && told->state != 'Z' && (told->filled & PID_INFO_CREDS));
	return shows(told, buffer) ? SHOWN : BEFORE;
}

static void start(const char *context, const char *program, int end)
{
	int fd = open("/proc/self/attr/exec", O_WRONLY);

	CHECK(fd >= 0);
	CHECK(write(fd, context, strlen(context)) == (ssize_t)strlen(context));
	close(fd);
	CHECK(dup2(end, 0) == 0);
	execl(program, program, (char *)NULL);
	CHECK(!"executed");
}

static void once(const char *context, const char *program, int way)
{
	enum answer answer;
	pid_t child;
	int ends[2], i;

	CHECK(!pipe2(ends, O_CLOEXEC));
	child = fork();
	CHECK(child >= 0);
	if (!child)
		start(context, program, ends[0]);
	while ((answer = ask(child, way)) == BEFORE)
		before++;
	for (i = 0; answer == REFUSED && i < AGAIN; i++)
		answer = ask(child, way) == REFUSED ? REFUSED : SHOWN;
	if (answer == SHOWN)
		shown++;
	else
		refused++;
	close(ends[0]);
	close(ends[1]);
	CHECK(waitpid(child, NULL, 0) == child);
}

int main(int argc, char **argv)
{
	char byte;
	int i;

	if (argc == 1)	/* as PROGRAM: until it is let go */
		return read(0, &byte, 1) != 0;
	CHECK(argc == 4);
	name = strrchr(argv[2], '/') + 1;
	for (i = 0; i < atoi(argv[3]); i++)
		once(argv[1], argv[2], i % 3);
	printf("{\"before\": %lu, \"refused\": %lu, \"shown\": %lu}\n", before, refused, shown);
	return 0;
}
