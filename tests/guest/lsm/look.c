// SPDX-License-Identifier: GPL-2.0
/*
 * look [seccomp | landlock | landlock-files] PID | child
 *
 * What get_pid_info() tells this caller of a process, asked in every way, and the groups
 * that the reference would tell it: /proc, or the native call where there is one. As JSON.
 * "child" is one that it makes for this; before it looks, it may lock itself into a
 * sandbox: a filter that refuses the call, or a Landlock domain, without rules or with
 * one that lets it read no file.
 */
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/landlock.h>
#include <linux/pid_info.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <signal.h>
#include <stddef.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "ft.h"

#define ALL_GROUPS (2 * PID_INFO_LIMITS - 1)
#define ABSENT (-1)	/* in place of an errno: not among the many records */

static pid_t target;
static char text[4096];
static __attribute__((aligned(8))) char buffer[1 << 18];

/* The reference. */

static const char *path(const char *name)
{
	static char made[64];

	snprintf(made, sizeof(made), "/proc/%d/%s", target, name);
	return made;
}

static int may_read(const char *name)
{
	int fd = open(path(name), O_RDONLY);
	ssize_t length = -1;

	if (fd >= 0) {
		length = read(fd, text, sizeof(text) - 1);
		close(fd);
	}
	text[length < 0 ? 0 : length] = 0;
	return length >= 0;
}

static int may_follow(const char *name)
{
	return readlink(path(name), text, sizeof(text)) > 0;
}

/* A field of /proc/PID/stat, which has 0 for who may not know. */
static int is_told(int number)
{
	const char *at;

	if (!may_read("stat"))
		return 0;
	at = strrchr(text, ')');
	for (number -= 2; number; number--)
		at = strchr(at + 1, ' ');
	return atoll(at) != 0;
}

static __u64 reference(void)
{
	__u64 told = 0;

	if (may_read("status"))
		told = PID_INFO_IDENT | PID_INFO_INODE | PID_INFO_CREDS | PID_INFO_TIMES |
		       PID_INFO_SWITCHES | PID_INFO_FAULTS | PID_INFO_MEM | PID_INFO_SIGNALS |
		       PID_INFO_CGROUP | PID_INFO_CHILDREN | PID_INFO_CMDLINE | PID_INFO_NAME |
		       PID_INFO_GROUPS | PID_INFO_NSPIDS | PID_INFO_CAPS | PID_INFO_SECCOMP |
		       PID_INFO_CTIMES | PID_INFO_MEMSTAT | PID_INFO_TTY | PID_INFO_TRACER;
	if (getpgid(target) >= 0)
		told |= PID_INFO_PGRP;
	if (getsid(target) >= 0)
		told |= PID_INFO_SESSION;
	if (sched_getscheduler(target) >= 0)
		told |= PID_INFO_SCHED | PID_INFO_CPU;
	/* The files of a zombie are root's: who may read it is told its exit code. */
	if (may_read("io") || is_told(52))
		told |= PID_INFO_IO | PID_INFO_BLOCKIO;
	if (may_read("limits"))
		told |= PID_INFO_LIMITS;
	if (may_read("syscall"))
		told |= PID_INFO_SP;
	if (may_follow("root"))
		told |= PID_INFO_ROOT;
	if (may_follow("cwd"))
		told |= PID_INFO_CWD;
	if (may_follow("exe"))
		told |= PID_INFO_EXE;
	if (may_follow("fd/0"))
		told |= PID_INFO_FILES;
	if (may_follow("ns/user"))
		told |= PID_INFO_NAMESPACES;
	if (is_told(28))
		told |= PID_INFO_STACK;
	if (is_told(52))
		told |= PID_INFO_EXIT;
	return told;
}

/* The call. */

static void print_way(const char *name, int error, const struct pid_info *info)
{
	static const char *comma = "";

	printf("%s\"%s\": {\"error\": %d, \"filled\": %llu, \"denied\": %llu, \"supported\": %llu}",
	       comma, name, error, info->filled, info->denied, info->supported);
	comma = ", ";
}

static long ask(int pid, struct pid_info *info, unsigned int flags)
{
	memset(info, 0, sizeof(*info));
	info->wanted = ALL_GROUPS;
	info->buffer = (unsigned long)buffer;
	info->buffer_size = sizeof(buffer);
	info->cursor = flags & PID_INFO_MANY ? target : 0;
	return syscall(548, pid, info, sizeof(*info), flags);
}

static void look_at_one(const char *name, int pid, unsigned int flags)
{
	struct pid_info info;
	int error = ask(pid, &info, flags) ? errno : 0;

	print_way(name, error, &info);
}

static void look_among_many(const char *name, int pid, unsigned int flags)
{
	const struct pid_info none = { 0 }, *record = (void *)buffer;
	struct pid_info request;
	long count = ask(pid, &request, flags | PID_INFO_MANY);

	if (count < 0) {
		print_way(name, errno, &none);
		return;
	}
	for (; count && record->pid != target; count--)
		record = (void *)record + record->size;
	if (count)
		print_way(name, 0, record);
	else
		print_way(name, ABSENT, &none);
}

/* The sandboxes. */

static void refuse_the_call(void)
{
	struct sock_filter filter[] = {
		BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
		BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, 548, 0, 1),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM),
		BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
	};
	struct sock_fprog program = { sizeof(filter) / sizeof(filter[0]), filter };

	CHECK(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
}

static void enter_landlock(__u64 handled)
{
	struct landlock_ruleset_attr attr = { .handled_access_fs = handled };
	int fd = syscall(SYS_landlock_create_ruleset, &attr, sizeof(attr), 0);

	CHECK(fd >= 0);
	CHECK(!syscall(SYS_landlock_restrict_self, fd, 0));
	close(fd);
}

static void enter(const char *sandbox)
{
	CHECK(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	if (!strcmp(sandbox, "seccomp"))
		return refuse_the_call();
	if (!strcmp(sandbox, "landlock"))
		return enter_landlock(LANDLOCK_ACCESS_FS_MAKE_SOCK);
	CHECK(!strcmp(sandbox, "landlock-files"));
	enter_landlock(LANDLOCK_ACCESS_FS_READ_FILE | LANDLOCK_ACCESS_FS_READ_DIR);
}

static pid_t make_child(void)
{
	char state = 0;
	pid_t child = fork();

	CHECK(child >= 0);
	if (!child) {
		prctl(PR_SET_PDEATHSIG, SIGKILL);
		for (;;)
			pause();
	}
	target = child;
	while (state != 'S') {
		CHECK(may_read("stat"));
		state = strrchr(text, ')')[2];
	}
	return child;
}

int main(int argc, char **argv)
{
	const char *who = argv[argc - 1];
	int fd;

	CHECK(argc == 2 || argc == 3);
	target = strcmp(who, "child") ? atoi(who) : make_child();
	CHECK(target > 0);
	fd = syscall(SYS_pidfd_open, target, 0);
	CHECK(fd >= 0);
	if (argc == 3)
		enter(argv[1]);

	printf("{\"ways\": {");
	look_at_one("pid", target, 0);
	look_at_one("thread", target, PID_INFO_THREAD);
	look_at_one("pidfd", fd, PID_INFO_PIDFD);
	look_among_many("many", 0, 0);
	look_among_many("threads", target, PID_INFO_THREAD);
	look_among_many("threads of a pidfd", fd, PID_INFO_THREAD | PID_INFO_PIDFD);
	look_among_many("all threads", 0, PID_INFO_THREAD);
	printf("}, \"reference\": %llu}\n", reference());
	return 0;
}
