/* SPDX-License-Identifier: GPL-2.0 */
/*
 * What the tests of get_pid_info() share. What the call tells is compared with
 * what /proc and the native calls tell of the same task, and what it may not tell
 * with what they refuse.
 *
 * Each test is a process of its own: what it changes for itself ends with it.
 */
#ifndef PID_INFO_TEST_H
#define PID_INFO_TEST_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <linux/pid_info.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* For machines that are emulated, have all checkers on, or much else to do. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	600

#ifndef __NR_get_pid_info
#define __NR_get_pid_info	548
#endif

#define SCRATCH		"/mnt"			/* where scratch() mounts a tmpfs */
#define CGROUP		SCRATCH "/cgroup"	/* and the default hierarchy */
#define HIDEPID		"/proc/sys/kernel/pid_info_hidepid"
#define HIDEPID_GID	"/proc/sys/kernel/pid_info_gid"
#define USER		4711
#define NOBODY		65534

/* The groups that this header knows. */
#define ALL		(PID_INFO_LIMITS | (PID_INFO_LIMITS - 1))

/* Groups that a living process can have; it sleeps, else there is no SP. */
#define LIVING		(ALL & ~PID_INFO_EXIT)

/* Those that PTRACE_MODE_READ_FSCREDS is asked for, and the one of ATTACH. */
#define READ_GROUPS	(PID_INFO_IO | PID_INFO_EXIT | PID_INFO_STACK | \
			 PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_EXE | \
			 PID_INFO_BLOCKIO | PID_INFO_NAMESPACES | \
			 PID_INFO_FILES)
#define ATTACH_GROUPS	PID_INFO_SP
#define PRIVATE		(READ_GROUPS | ATTACH_GROUPS)

/* Those with a piece in the buffer. */
#define PIECES		(PID_INFO_CHILDREN | PID_INFO_ROOT | PID_INFO_CWD | \
			 PID_INFO_EXE | PID_INFO_CMDLINE | PID_INFO_NAME | \
			 PID_INFO_GROUPS | PID_INFO_NSPIDS)

#define ROUND_UP_8(size)	(((size) + 7) & ~7UL)

/* Memory that a test shares with the processes it starts. */
static struct {
	atomic_int word[8];
	atomic_int failures;	/* of want() */
	int ret[16];
	struct pid_info info[16];
	int ids[16];
	char text[16][256];
} *shared;

/*
 * The errors that the call gave in all of the tests. They are printed at the end:
 * those of the man page have to be the same.
 */
#define ERRORS	134	/* EHWPOISON is the last */

static atomic_bool *errors;
static pid_t main_pid;

static inline void print_errors(void)
{
	int error;

	if (getpid() != main_pid)
		return;
	for (error = 0; error < ERRORS; error++)
		if (errors[error])
			printf("# error of get_pid_info: %s\n", strerrorname_np(error));
}

static inline int note_error(int ret)
{
	if (ret < 0)
		errors[-ret] = true;
	return ret;
}

static inline void broken(int line, const char *what)
{
	fprintf(stderr, "# %d: %s: %s\n", line, what, strerror(errno));
	_exit(KSFT_FAIL);
}

/* What a test needs before it can look at anything, in any of its processes. */
#define must(condition)							\
	((condition) ? (void)0 : broken(__LINE__, #condition))

/* EXPECT_EQ() for the processes that a test starts: run_in() tells of failures. */
#define want(expected, seen)						\
	do {								\
		long long __expected = (expected), __seen = (seen);	\
									\
		if (__expected != __seen) {				\
			shared->failures++;				\
			fprintf(stderr, "# %d: expected %s (%lld) == %s (%lld)\n", \
				__LINE__, #expected, __expected, #seen, __seen); \
		}							\
	} while (0)

static inline void *map_shared(size_t size)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS,
			-1, 0);

	must(at != MAP_FAILED);
	return at;
}

/* To be called first of all. Skips the tests where they cannot be run. */
static inline void setup(void)
{
	if (syscall(__NR_get_pid_info, 0, NULL, 0, 0) < 0 &&
	    !strcmp(strerrorname_np(errno), "ENOSYS")) {
		ksft_print_header();
		ksft_exit_skip("this kernel has no get_pid_info()\n");
	}
	if (geteuid()) {
		ksft_print_header();
		ksft_exit_skip("only root can run these tests\n");
	}
	shared = map_shared(sizeof(*shared));
	errors = map_shared(ERRORS * sizeof(*errors));
	main_pid = getpid();
	atexit(print_errors);
}

/* Give the test a file system of its own, at SCRATCH. */
static inline void scratch(void)
{
	must(!unshare(CLONE_NEWNS));
	must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(!mount("scratch", SCRATCH, "tmpfs", 0, "mode=0755"));
}

/* The root of the default hierarchy of cgroups, mounted within scratch()'s. */
static inline int mount_cgroup(void)
{
	int dir;

	must(!mkdir(CGROUP, 0755));
	must(!mount("cgroup2", CGROUP, "cgroup2", 0, NULL));
	dir = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(dir >= 0);
	return dir;
}

/*
 * The call
 */

static inline int get_pid_info(pid_t pid, void *info, size_t size, unsigned int flags)
{
	long ret = syscall(__NR_get_pid_info, pid, info, size, flags);

	return note_error(ret < 0 ? -errno : ret);
}

/*
 * Ask for the groups of @wanted, with room for pieces at @buffer. What is not part
 * of the question has every bit set.
 */
static inline int ask_into(pid_t pid, __u64 wanted, struct pid_info *info,
			   unsigned int flags, void *buffer, __u32 size)
{
	memset(info, 0xff, sizeof(*info));
	info->wanted = wanted;
	info->buffer = (uintptr_t)buffer;
	info->buffer_size = size;
	info->match_inode = 0;
	info->match_start_ns = 0;
	info->string_max = 0;
	return get_pid_info(pid, info, sizeof(*info), flags);
}

static inline int ask(pid_t pid, __u64 wanted, struct pid_info *info, unsigned int flags)
{
	return ask_into(pid, wanted, info, flags, NULL, 0);
}

/*
 * Ask for many records, from the cursor of @request on, which the answer moves.
 * All else in *@request is set up here, and what is not part of the question has
 * every bit set.
 */
static inline int ask_many(pid_t pid, __u64 wanted, struct pid_info *request,
			   unsigned int flags, void *buffer, __u32 size)
{
	__s32 cursor = request->cursor;

	memset(request, 0xff, sizeof(*request));
	request->wanted = wanted;
	request->buffer = (uintptr_t)buffer;
	request->buffer_size = size;
	request->match_inode = 0;
	request->match_start_ns = 0;
	request->string_max = 0;
	request->cursor = cursor;
	return get_pid_info(pid, request, sizeof(*request), flags | PID_INFO_MANY);
}

static inline struct pid_info *next_record(struct pid_info *record)
{
	return (void *)((char *)record + record->size);
}

/* Where a piece is, in a buffer or a record that starts at @base; NULL without it. */
static inline void *piece(void *base, struct pid_info_data data)
{
	return data.offset == PID_INFO_NO_ROOM ? NULL : (char *)base + data.offset;
}

/*
 * The groups of fields
 */

/* A group that starts with the field @first, and ends where the next one starts. */
#define FIELDS(bit, first)	{ bit, offsetof(struct pid_info, first) }

static const struct fields {
	__u64 bit;
	size_t start;
} groups[] = {
	FIELDS(PID_INFO_IDENT, state),
	FIELDS(PID_INFO_PGRP, pgid),
	FIELDS(PID_INFO_SESSION, sid),
	FIELDS(PID_INFO_INODE, inode),
	FIELDS(PID_INFO_CREDS, uid),
	FIELDS(PID_INFO_TIMES, utime_ns),
	FIELDS(PID_INFO_SCHED, policy),
	FIELDS(PID_INFO_SWITCHES, nvcsw),
	FIELDS(PID_INFO_FAULTS, min_flt),
	FIELDS(PID_INFO_MEM, rss),
	FIELDS(PID_INFO_IO, rchar),
	FIELDS(PID_INFO_SIGNALS, sig_pending),
	FIELDS(PID_INFO_CGROUP, cgroup_id),
	FIELDS(PID_INFO_STACK, stack),
	FIELDS(PID_INFO_SP, sp),
	FIELDS(PID_INFO_EXIT, exit_code),
	FIELDS(0, reserved),
	FIELDS(PID_INFO_CHILDREN, children),
	FIELDS(PID_INFO_ROOT, root),
	FIELDS(PID_INFO_CWD, cwd),
	FIELDS(PID_INFO_EXE, exe),
	FIELDS(PID_INFO_CMDLINE, cmdline),
	FIELDS(PID_INFO_NAME, name),
	FIELDS(PID_INFO_GROUPS, groups),
	FIELDS(PID_INFO_NSPIDS, nspids),
	FIELDS(PID_INFO_CAPS, cap_inheritable),
	FIELDS(PID_INFO_SECCOMP, no_new_privs),
	FIELDS(PID_INFO_CTIMES, cutime_ns),
	FIELDS(PID_INFO_CPU, runtime_ns),
	FIELDS(PID_INFO_MEMSTAT, oom_score_adj),
	FIELDS(PID_INFO_BLOCKIO, syscr),
	FIELDS(PID_INFO_TTY, tty),
	FIELDS(PID_INFO_TRACER, tracer_pid),
	FIELDS(PID_INFO_FILES, open_files),
	FIELDS(PID_INFO_NAMESPACES, ns_cgroup),
	FIELDS(PID_INFO_LIMITS, limits),
};

static inline size_t group_end(unsigned int i)
{
	return i + 1 < ARRAY_SIZE(groups) ? groups[i + 1].start : PID_INFO_SIZE_VER1;
}

/* The groups that lie within a structure of @size bytes. */
static inline __u64 groups_within(size_t size)
{
	__u64 mask = 0;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(groups); i++)
		if (group_end(i) <= size)
			mask |= groups[i].bit;
	return mask;
}

/* Bytes that are not 0 in fields that were not filled, of the first @size bytes. */
static inline unsigned int stale_bytes_within(const struct pid_info *info, size_t size)
{
	const unsigned char *bytes = (const void *)info;
	unsigned int i, count = 0;
	size_t at;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		if (info->filled & groups[i].bit)
			continue;
		for (at = groups[i].start; at < group_end(i) && at < size; at++)
			count += !!bytes[at];
	}
	return count;
}

static inline unsigned int stale_bytes(const struct pid_info *info)
{
	return stale_bytes_within(info, sizeof(*info));
}

/* What is wrong with the masks of an answer to @wanted, as a text; NULL if nothing. */
static inline const char *mask_fault(const struct pid_info *info, __u64 wanted)
{
	__u64 told = info->filled | info->denied;

	if (info->wanted != wanted)
		return "wanted is not what was asked";
	if (!(info->filled & PID_INFO_IDENT))
		return "IDENT is not filled";
	if (info->filled & info->denied)
		return "filled and denied";
	if (told & ~(wanted | PID_INFO_IDENT))
		return "told without being asked";
	if (told & ~info->supported)
		return "told without being supported";
	return NULL;
}

/*
 * Processes
 */

static inline void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

static inline __u64 clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static inline void poll_again(__u64 end, int line, const char *what)
{
	if (clock_ns(CLOCK_MONOTONIC) > end)
		broken(line, what);
	sleep_ms(2);
}

#define until(condition)						\
	do {								\
		__u64 __end = clock_ns(CLOCK_MONOTONIC) + 30000000000ULL; \
									\
		while (!(condition))					\
			poll_again(__end, __LINE__, #condition);	\
	} while (0)

/* Be there until killed, or left alone by a parent that failed. */
static inline void doze(void)
{
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (;;)
		pause();
}

static inline pid_t spawn(void)
{
	pid_t pid = fork();

	must(pid >= 0);
	return pid;
}

static inline pid_t spawn_in(unsigned long namespaces)
{
	pid_t pid = syscall(__NR_clone, namespaces | SIGCHLD, 0, 0, 0, 0);

	must(pid >= 0);
	return pid;
}

static inline int reap(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, __WALL) == pid);
	return status;
}

static inline void finish(pid_t pid)
{
	must(!kill(pid, SIGKILL));
	reap(pid);
}

static inline void await_zombie(pid_t pid)
{
	siginfo_t info;

	must(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
}

/* A child that has ended with @code and is not reaped. */
static inline pid_t spawn_zombie(int code)
{
	pid_t pid = spawn();

	if (!pid)
		_exit(code);
	await_zombie(pid);
	return pid;
}

/* An id that was a process's. */
static inline pid_t spawn_gone(void)
{
	pid_t pid = spawn_zombie(0);

	reap(pid);
	return pid;
}

/*
 * Run @body as a child in new @namespaces, with /proc of its PID namespace.
 * Returns its status, which is not 0 when a want() failed.
 */
static inline int run_in(unsigned long namespaces, void (*body)(void))
{
	int failures = shared->failures;
	pid_t pid = spawn_in(namespaces);

	if (pid)
		return reap(pid);
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	if (namespaces & CLONE_NEWNS)
		must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	if (namespaces & CLONE_NEWPID)
		must(!mount("proc", "/proc", "proc", 0, NULL));
	body();
	_exit(shared->failures != failures);
}

static inline void become(uid_t uid)
{
	must(!setgroups(0, NULL));
	must(!setresgid(uid, uid, uid));
	must(!setresuid(uid, uid, uid));
}

static inline bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text));
	close(fd);
	return done == (ssize_t)strlen(text);
}

static inline int pidfd_open(pid_t pid)
{
	int fd = syscall(__NR_pidfd_open, pid, 0);

	must(fd >= 0);
	return fd;
}

/*
 * The witness: what /proc says of a task
 */

/* Fields of /proc/PID/stat, as proc(5) numbers them. */
enum {
	PPID = 4,
	PGRP = 5,
	SESSION = 6,
	TTY_NR = 7,
	TPGID = 8,
	MIN_FLT = 10,
	CMIN_FLT = 11,
	MAJ_FLT = 12,
	CMAJ_FLT = 13,
	UTIME = 14,
	STIME = 15,
	CUTIME = 16,
	CSTIME = 17,
	PRIORITY = 18,
	NICE = 19,
	NUM_THREADS = 20,
	START = 22,
	VSIZE = 23,
	RSS = 24,
	STACK = 28,
	EXIT_SIGNAL = 38,
	CPU = 39,
	RT_PRIORITY = 40,
	POLICY = 41,
	EXIT_CODE = 52,
	STAT_FIELDS
};

struct stat_line {
	__u64 field[STAT_FIELDS];
	char state;
	char comm[64];
};

/* Read the file @name below @dir. Returns 0 or an error. */
static inline int read_at(int dir, const char *name, char *text, size_t size)
{
	int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t ret;

	text[0] = '\0';
	if (fd < 0)
		return -errno;
	while ((ret = read(fd, text + done, size - 1 - done)) > 0)
		done += ret;
	text[done] = '\0';
	ret = ret < 0 ? -errno : 0;
	close(fd);
	return ret;
}

/* What follows @key at the start of a line. */
static inline const char *line_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && strncmp(text, key, len)) {
		text = strchr(text, '\n');
		text += !!text;
	}
	return text ? text + len : NULL;
}

/* The number there: of /proc/PID/status, /proc/PID/io and the like. */
static inline __u64 number_of(const char *text, const char *key, int base)
{
	const char *at = line_of(text, key);

	must(at);
	return strtoull(at, NULL, base);
}

/* Length of the link's target, or an error. */
static inline int link_at(int dir, const char *name, char *path)
{
	ssize_t len = readlinkat(dir, name, path, PATH_MAX);

	return len < 0 ? -errno : len;
}

/* Fill *@line from the file stat of a task's folder @dir. */
static inline bool read_stat(int dir, struct stat_line *line)
{
	char text[2048], *at, *end;
	int i;

	memset(line, 0, sizeof(*line));
	if (read_at(dir, "stat", text, sizeof(text)))
		return false;
	at = strchr(text, '(') + 1;
	end = strrchr(text, ')');
	memcpy(line->comm, at, end - at);
	line->state = end[2];
	at = end + 3;
	for (i = PPID; i < STAT_FIELDS; i++)
		line->field[i] = strtoull(at, &at, 10);
	return true;
}

/* The letter of a task's state, 0 when it is not there. */
static inline char state_of(pid_t pid)
{
	struct stat_line line;
	char path[32];
	bool there;
	int dir;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return 0;
	there = read_stat(dir, &line);
	close(dir);
	return there ? line.state : 0;
}

static inline pid_t spawn_doze(void)
{
	pid_t pid = spawn();

	if (!pid)
		doze();
	until(state_of(pid) == 'S');
	return pid;
}

static inline int compare_ids(const void *a, const void *b)
{
	__s32 left = *(const __s32 *)a, right = *(const __s32 *)b;

	return (left > right) - (left < right);
}

static inline void sort_ids(__s32 *ids, unsigned int count)
{
	qsort(ids, count, sizeof(*ids), compare_ids);
}

/* The ids that are names in the folder @path, ascending; the number of them. */
static inline unsigned int list_ids(const char *path, __s32 *ids, unsigned int room)
{
	DIR *dir = opendir(path);
	struct dirent *entry;
	unsigned int count = 0;

	must(dir);
	while ((entry = readdir(dir))) {
		if (atoi(entry->d_name) > 0) {
			must(count < room);
			ids[count++] = atoi(entry->d_name);
		}
	}
	closedir(dir);
	sort_ids(ids, count);
	return count;
}

#endif /* PID_INFO_TEST_H */
