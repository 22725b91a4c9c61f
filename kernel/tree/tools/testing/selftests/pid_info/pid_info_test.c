// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): what it tells is compared with what /proc tells of the same
 * task, and what it may not tell with what /proc refuses.
 */
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
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* For machines that are emulated, have all checkers on, or much else to do. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

#ifndef __NR_get_pid_info
#define __NR_get_pid_info	548
#endif

#define SCRATCH		"/mnt"			/* a tmpfs of the test's own */
#define CGROUP		SCRATCH "/cgroup"
#define RESTRICT	"/proc/sys/kernel/pid_info_restrict"
#define USER		4711
#define NOBODY		65534

/* What /proc hides from who may not read the task's memory. */
#define PRIVATE		(PID_INFO_IO | PID_INFO_EXIT | PID_INFO_STACK | \
			 PID_INFO_SP | PID_INFO_ROOT | PID_INFO_CWD)

/* Memory that a test shares with the processes it starts. */
static struct {
	atomic_int word[8];
	int ret[16];
	struct pid_info info[16];
	int ids[16];
} *shared;

static int cgroup;	/* root of the hierarchy */

/*
 * The errors that the call gave in all of the tests, one bit for each. They are
 * printed at the end: those of the man page have to be the same.
 */
static atomic_ulong *errors;
static pid_t main_pid;

static void print_errors(void)
{
	int error;

	if (getpid() != main_pid)
		return;
	for (error = 0; error < 64; error++)
		if (*errors >> error & 1)
			printf("# error of get_pid_info: %s\n", strerrorname_np(error));
}

static int note_error(int ret)
{
	if (ret < 0 && errors)
		*errors |= 1UL << -ret;
	return ret;
}

static void broken(int line, const char *what)
{
	fprintf(stderr, "# %d: %s: %s\n", line, what, strerror(errno));
	_exit(KSFT_FAIL);
}

/* What a test needs before it can look at anything, in any of its processes. */
#define must(condition)							\
	((condition) ? (void)0 : broken(__LINE__, #condition))

/*
 * Tools
 */

static int get_pid_info(pid_t pid, void *info, size_t size, unsigned int flags)
{
	return note_error(syscall(__NR_get_pid_info, pid, info, size, flags) ? -errno : 0);
}

/* Ask for the groups of @mask, with every other byte of *@info set. */
static int ask(pid_t pid, __u64 mask, struct pid_info *info, unsigned int flags)
{
	memset(info, 0xff, sizeof(*info));
	info->mask = mask;
	info->children = 0;
	info->root = 0;
	info->cwd = 0;
	info->children_cap = 0;
	info->root_cap = 0;
	info->cwd_cap = 0;
	return get_pid_info(pid, info, sizeof(*info), flags);
}

/* The fields from @first on, before @next. */
#define FIELDS(bit, first, next)					\
	{ bit, offsetof(struct pid_info, first), offsetof(struct pid_info, next) }

static const struct fields {
	__u64 bit;
	size_t start;
	size_t end;
} groups[] = {
	FIELDS(PID_INFO_IDENT, pid, uid),
	FIELDS(PID_INFO_CREDS, uid, start_ns),
	FIELDS(PID_INFO_TIMES, start_ns, policy),
	FIELDS(PID_INFO_SCHED, policy, min_flt),
	FIELDS(PID_INFO_FAULTS, min_flt, rss),
	FIELDS(PID_INFO_MEM, rss, rchar),
	FIELDS(PID_INFO_IO, rchar, sig_pending),
	FIELDS(PID_INFO_SIGNALS, sig_pending, cgroup_id),
	FIELDS(PID_INFO_CGROUP, cgroup_id, stack),
	FIELDS(PID_INFO_STACK, stack, sp),
	FIELDS(PID_INFO_SP, sp, children),
	FIELDS(PID_INFO_CHILDREN, children_count, root_cap),
	FIELDS(PID_INFO_ROOT, root_len, cwd_cap),
	FIELDS(PID_INFO_CWD, cwd_len, exit_code),
	FIELDS(PID_INFO_EXIT, exit_code, reserved),
	{ 0, offsetof(struct pid_info, reserved), PID_INFO_SIZE_VER0 },
};

/* Bytes that are not 0 in fields that were not filled. */
static unsigned int stale_bytes(const struct pid_info *info)
{
	const unsigned char *bytes = (const void *)info;
	unsigned int i, count = 0;
	size_t at;

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		if (info->mask & groups[i].bit)
			continue;
		for (at = groups[i].start; at < groups[i].end; at++)
			count += !!bytes[at];
	}
	return count;
}

static void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	nanosleep(&time, NULL);
}

static __u64 clock_ns(clockid_t clock)
{
	struct timespec time;

	clock_gettime(clock, &time);
	return time.tv_sec * 1000000000ULL + time.tv_nsec;
}

static void poll_again(__u64 end, int line, const char *what)
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
static void doze(void)
{
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	for (;;)
		pause();
}

static pid_t spawn(void)
{
	pid_t pid = fork();

	must(pid >= 0);
	return pid;
}

static pid_t spawn_in(unsigned long namespaces)
{
	pid_t pid = syscall(__NR_clone, namespaces | SIGCHLD, 0, 0, 0, 0);

	must(pid >= 0);
	return pid;
}

static int reap(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, 0) == pid);
	return status;
}

static void finish(pid_t pid)
{
	must(!kill(pid, SIGKILL));
	reap(pid);
}

static void await_zombie(pid_t pid)
{
	siginfo_t info;

	must(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
}

static void become(uid_t uid)
{
	must(!setgroups(0, NULL));
	must(!setresgid(uid, uid, uid));
	must(!setresuid(uid, uid, uid));
}

static bool write_file(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);
	ssize_t done;

	if (fd < 0)
		return false;
	done = write(fd, text, strlen(text));
	close(fd);
	return done == (ssize_t)strlen(text);
}

/*
 * The witness: what /proc says of a task
 */

/* Fields of /proc/PID/stat, as proc(5) numbers them. */
enum {
	PPID = 4,
	PGRP = 5,
	SESSION = 6,
	MIN_FLT = 10,
	MAJ_FLT = 12,
	UTIME = 14,
	STIME = 15,
	PRIORITY = 18,
	NICE = 19,
	NUM_THREADS = 20,
	START = 22,
	VSIZE = 23,
	RSS = 24,
	STACK = 28,
	RT_PRIORITY = 40,
	POLICY = 41,
	EXIT_CODE = 52,
	STAT_FIELDS
};

struct witness {
	__u64 stat[STAT_FIELDS];
	char state;
	char comm[64];
	__u64 tgid, uid, euid, gid, egid;
	__u64 pending, shared_pending, blocked, ignored, caught, queued, queue_limit;
	__u64 nvcsw, nivcsw;
	int io_error;
	__u64 rchar, wchar, read_bytes, write_bytes;
	__u64 sp;
	__u64 cgroup_id;
	int root_len, cwd_len;
	char root[PATH_MAX], cwd[PATH_MAX];
};

/* Read a file of the task's folder @dir in /proc. */
static int read_at(int dir, const char *name, char *text, size_t size)
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
static const char *line_of(const char *text, const char *key)
{
	size_t len = strlen(key);

	while (text && strncmp(text, key, len)) {
		text = strchr(text, '\n');
		text += !!text;
	}
	return text ? text + len : NULL;
}

static __u64 number_of(const char *text, const char *key, int base)
{
	const char *at = line_of(text, key);

	must(at);
	return strtoull(at, NULL, base);
}

/* Length of the link's target, or an error. */
static int link_at(int dir, const char *name, char *path)
{
	ssize_t len = readlinkat(dir, name, path, PATH_MAX);

	return len < 0 ? -errno : len;
}

/* Fill *@w from @path, a task's folder below the directory @proc. */
static bool witness(int proc, const char *path, struct witness *w)
{
	int dir = openat(proc, path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char text[8192], *at, *end;
	struct stat group;
	int i;

	memset(w, 0, sizeof(*w));
	if (dir < 0)
		return false;

	must(!read_at(dir, "stat", text, sizeof(text)));
	at = strchr(text, '(') + 1;
	end = strrchr(text, ')');
	memcpy(w->comm, at, end - at);
	w->state = end[2];
	at = end + 3;
	for (i = PPID; i < STAT_FIELDS; i++)
		w->stat[i] = strtoull(at, &at, 10);

	must(!read_at(dir, "status", text, sizeof(text)));
	w->tgid = number_of(text, "Tgid:", 10);
	must(sscanf(line_of(text, "Uid:"), "%llu %llu", &w->uid, &w->euid) == 2);
	must(sscanf(line_of(text, "Gid:"), "%llu %llu", &w->gid, &w->egid) == 2);
	w->pending = number_of(text, "SigPnd:", 16);
	w->shared_pending = number_of(text, "ShdPnd:", 16);
	w->blocked = number_of(text, "SigBlk:", 16);
	w->ignored = number_of(text, "SigIgn:", 16);
	w->caught = number_of(text, "SigCgt:", 16);
	must(sscanf(line_of(text, "SigQ:"), "%llu/%llu", &w->queued, &w->queue_limit) == 2);
	w->nvcsw = number_of(text, "voluntary_ctxt_switches:", 10);
	w->nivcsw = number_of(text, "nonvoluntary_ctxt_switches:", 10);

	w->io_error = read_at(dir, "io", text, sizeof(text));
	if (!w->io_error) {
		w->rchar = number_of(text, "rchar:", 10);
		w->wchar = number_of(text, "wchar:", 10);
		w->read_bytes = number_of(text, "read_bytes:", 10);
		w->write_bytes = number_of(text, "write_bytes:", 10);
	}

	/* The last but one, if any: "running" has no numbers. */
	if (!read_at(dir, "syscall", text, sizeof(text))) {
		end = strrchr(text, ' ');
		if (end) {
			*end = '\0';
			at = strrchr(text, ' ');
			w->sp = strtoull(at, NULL, 16);
		}
	}

	if (!read_at(dir, "cgroup", text, sizeof(text)) && line_of(text, "0::")) {
		char where[512];

		snprintf(where, sizeof(where), ".%.*s",
			 (int)strcspn(line_of(text, "0::"), "\n"), line_of(text, "0::"));
		if (!fstatat(cgroup, where, &group, 0))
			w->cgroup_id = group.st_ino;
	}

	w->root_len = link_at(dir, "root", w->root);
	w->cwd_len = link_at(dir, "cwd", w->cwd);
	close(dir);
	return true;
}

/* Tell that /proc and the call differ. Returns whether they do. */
static bool differ(const char *path, const char *what, __u64 proc, __u64 told)
{
	if (proc != told)
		fprintf(stderr, "# %s: %s: %llu in /proc, told %llu\n", path, what, proc,
			told);
	return proc != told;
}

/*
 * Ask for all of @pid and compare it with the folder @path of @proc. Returns how
 * many differences there are. What both tell changes while a task runs: take a
 * moment in which /proc said the same before and after.
 */
static unsigned int compare_at(pid_t pid, int proc, const char *path)
{
	const __u64 page = sysconf(_SC_PAGESIZE), tick = 1000000000 / sysconf(_SC_CLK_TCK);
	static char root[PATH_MAX], cwd[PATH_MAX];
	static struct witness w, after;
	unsigned int i, count = 0;
	struct pid_info info;
	int tries = 50;

	do {
		must(witness(proc, path, &w));
		memset(&info, 0xff, sizeof(info));
		info.mask = PID_INFO_ALL;
		info.children_cap = 0;
		info.root = (uintptr_t)root;
		info.root_cap = sizeof(root);
		info.cwd = (uintptr_t)cwd;
		info.cwd_cap = sizeof(cwd);
		must(!get_pid_info(pid, &info, sizeof(info), 0));
		must(witness(proc, path, &after));
	} while (memcmp(&w, &after, sizeof(w)) && --tries);
	must(tries);

	const struct {
		const char *name;
		__u64 bit;
		__u64 proc;
		__u64 told;
	} rows[] = {
		{ "state", PID_INFO_IDENT, w.state, info.state },
		{ "pid", PID_INFO_IDENT, pid, info.pid },
		{ "tgid", PID_INFO_IDENT, w.tgid, info.tgid },
		{ "ppid", PID_INFO_IDENT, w.stat[PPID], info.ppid },
		{ "pgid", PID_INFO_IDENT, w.stat[PGRP], info.pgid },
		{ "sid", PID_INFO_IDENT, w.stat[SESSION], info.sid },
		{ "num_threads", PID_INFO_IDENT, w.stat[NUM_THREADS], info.num_threads },
		{ "uid", PID_INFO_CREDS, w.uid, info.uid },
		{ "euid", PID_INFO_CREDS, w.euid, info.euid },
		{ "gid", PID_INFO_CREDS, w.gid, info.gid },
		{ "egid", PID_INFO_CREDS, w.egid, info.egid },
		{ "start", PID_INFO_TIMES, w.stat[START], info.start_ns / tick },
		{ "utime", PID_INFO_TIMES, w.stat[UTIME], info.utime_ns / tick },
		{ "stime", PID_INFO_TIMES, w.stat[STIME], info.stime_ns / tick },
		{ "policy", PID_INFO_SCHED, w.stat[POLICY], info.policy },
		{ "nice", PID_INFO_SCHED, w.stat[NICE], info.nice },
		{ "priority", PID_INFO_SCHED, w.stat[PRIORITY], info.priority },
		{ "rt_priority", PID_INFO_SCHED, w.stat[RT_PRIORITY], info.rt_priority },
		{ "nvcsw", PID_INFO_SCHED, w.nvcsw, info.nvcsw },
		{ "nivcsw", PID_INFO_SCHED, w.nivcsw, info.nivcsw },
		{ "min_flt", PID_INFO_FAULTS, w.stat[MIN_FLT], info.min_flt },
		{ "maj_flt", PID_INFO_FAULTS, w.stat[MAJ_FLT], info.maj_flt },
		{ "rss", PID_INFO_MEM, w.stat[RSS], info.rss / page },
		{ "vsize", PID_INFO_MEM, w.stat[VSIZE], info.vsize },
		{ "rchar", PID_INFO_IO, w.rchar, info.rchar },
		{ "wchar", PID_INFO_IO, w.wchar, info.wchar },
		{ "read_bytes", PID_INFO_IO, w.read_bytes, info.read_bytes },
		{ "write_bytes", PID_INFO_IO, w.write_bytes, info.write_bytes },
		{ "sig_pending", PID_INFO_SIGNALS, w.pending, info.sig_pending },
		{ "sig_shared_pending", PID_INFO_SIGNALS, w.shared_pending,
		  info.sig_shared_pending },
		{ "sig_blocked", PID_INFO_SIGNALS, w.blocked, info.sig_blocked },
		{ "sig_ignored", PID_INFO_SIGNALS, w.ignored, info.sig_ignored },
		{ "sig_caught", PID_INFO_SIGNALS, w.caught, info.sig_caught },
		{ "sigq_len", PID_INFO_SIGNALS, w.queued, info.sigq_len },
		{ "sigq_limit", PID_INFO_SIGNALS, w.queue_limit, info.sigq_limit },
		{ "cgroup_id", PID_INFO_CGROUP, w.cgroup_id, info.cgroup_id },
		{ "stack", PID_INFO_STACK, w.stat[STACK], info.stack },
		{ "sp", PID_INFO_SP, w.sp, info.sp },
		/* What is in there before the end is a stop signal. */
		{ "exit_code", PID_INFO_EXIT, w.state == 'Z' ? w.stat[EXIT_CODE] : 0,
		  info.exit_code },
		{ "root_len", PID_INFO_ROOT, w.root_len < 0 ? 0 : w.root_len + 1,
		  info.root_len },
		{ "cwd_len", PID_INFO_CWD, w.cwd_len < 0 ? 0 : w.cwd_len + 1, info.cwd_len },
	};

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		count += differ(path, rows[i].name, rows[i].proc, rows[i].told);
		/* What /proc knows has to be in the mask. */
		if (rows[i].proc)
			count += differ(path, rows[i].name, true, !!(info.mask & rows[i].bit));
	}
	count += differ(path, "io is told", !w.io_error, !!(info.mask & PID_INFO_IO));
	count += differ(path, "exit_code is told", w.state == 'Z' && w.root_len != -EACCES,
			!!(info.mask & PID_INFO_EXIT));
	/* Of a kernel thread /proc shows a longer name. */
	count += differ(path, "comm", 0, strncmp(w.comm, info.comm, PID_INFO_COMM_LEN - 1));
	count += differ(path, "root", 0, info.root_len && strcmp(w.root, root));
	count += differ(path, "cwd", 0, info.cwd_len && strcmp(w.cwd, cwd));
	count += differ(path, "size", sizeof(info), info.size);
	count += differ(path, "stale bytes", 0, stale_bytes(&info));
	return count;
}

static unsigned int compare(pid_t pid)
{
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return compare_at(pid, AT_FDCWD, path);
}

static char state_of(pid_t pid)
{
	static struct witness w;
	char path[32];

	snprintf(path, sizeof(path), "/proc/%d", pid);
	return witness(AT_FDCWD, path, &w) ? w.state : 0;
}

static pid_t spawn_doze(void)
{
	pid_t pid = spawn();

	if (!pid)
		doze();
	until(state_of(pid) == 'S');
	return pid;
}

/*
 * The call: sizes, flags, masks, pointers
 */

TEST(sizes)
{
	const size_t page = sysconf(_SC_PAGESIZE), ver0 = PID_INFO_SIZE_VER0;
	const struct {
		size_t size;
		size_t mark;	/* where a byte is not 0 */
		int expected;
	} rows[] = {
		{ 0, 0, -EINVAL },
		{ 1, 0, -EINVAL },
		{ ver0 - 8, 0, -EINVAL },
		{ ver0 - 1, 0, -EINVAL },
		{ ver0, 0, 0 },
		{ ver0, ver0, 0 },
		{ ver0 + 1, 0, 0 },
		{ ver0 + 1, ver0, -E2BIG },
		{ ver0 + 8, 0, 0 },
		{ ver0 + 8, ver0, -E2BIG },
		{ ver0 + 8, ver0 + 7, -E2BIG },
		{ ver0 + 8, ver0 + 8, 0 },
		{ page, 0, 0 },
		{ page, page - 1, -E2BIG },
		{ page + 1, 0, -E2BIG },
		{ SIZE_MAX, 0, -E2BIG },
	};
	static unsigned char buffer[16384];
	struct pid_info *info = (void *)buffer;
	unsigned int i;
	size_t at;

	EXPECT_EQ(ver0, sizeof(*info));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		memset(buffer, 0, sizeof(buffer));
		info->mask = PID_INFO_FIXED;
		if (rows[i].mark)
			buffer[rows[i].mark] = 0x80;
		EXPECT_EQ(rows[i].expected, get_pid_info(getpid(), buffer, rows[i].size, 0))
			TH_LOG("size %zu, mark at %zu", rows[i].size, rows[i].mark);
		EXPECT_EQ(rows[i].expected ? 0 : getpid(), info->pid);
		EXPECT_EQ(rows[i].expected ? 0 : sizeof(*info), info->size);
		for (at = ver0; at < sizeof(buffer); at++)
			if (buffer[at] && at != rows[i].mark)
				break;
		EXPECT_EQ(sizeof(buffer), at);
	}
}

TEST(flags)
{
	struct pid_info info = {};
	int bit;

	EXPECT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), 0));
	EXPECT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), PID_INFO_NEXT));
	for (bit = 1; bit < 32; bit++) {
		EXPECT_EQ(-EINVAL, get_pid_info(getpid(), &info, sizeof(info), 1U << bit))
			TH_LOG("bit %d", bit);
		EXPECT_EQ(-EINVAL, get_pid_info(getpid(), &info, sizeof(info),
						1U << bit | PID_INFO_NEXT))
			TH_LOG("bit %d with PID_INFO_NEXT", bit);
	}
}

/* What was asked for is filled, and nothing else is touched. */
TEST(masks)
{
	unsigned int i;
	struct pid_info info;
	int bit;

	EXPECT_EQ(0, ask(getpid(), 0, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT, info.mask);
	EXPECT_EQ(0, stale_bytes(&info));
	EXPECT_EQ(getpid(), info.pid);
	EXPECT_EQ('R', info.state);

	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		__u64 bit = groups[i].bit;

		EXPECT_EQ(0, ask(getpid(), bit, &info, 0));
		EXPECT_EQ((bit & ~PID_INFO_EXIT) | PID_INFO_IDENT, info.mask)
			TH_LOG("group %llx", bit);
		EXPECT_EQ(0, stale_bytes(&info))
			TH_LOG("group %llx", bit);
	}

	EXPECT_EQ(0, ask(getpid(), ~0ULL, &info, 0));
	EXPECT_EQ(PID_INFO_ALL & ~PID_INFO_EXIT, info.mask);
	EXPECT_EQ(0, stale_bytes(&info));
	for (bit = 15; bit < 64; bit++) {
		EXPECT_EQ(0, ask(getpid(), 1ULL << bit, &info, 0));
		EXPECT_EQ(PID_INFO_IDENT, info.mask);
		EXPECT_EQ(0, stale_bytes(&info));
	}
}

/* What the caller gave comes back, and what was not asked for is not used. */
TEST(caller_fields)
{
	struct pid_info info;

	memset(&info, 0xff, sizeof(info));
	info.mask = PID_INFO_FIXED;
	EXPECT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), 0));
	EXPECT_EQ(~0ULL, info.children);
	EXPECT_EQ(~0ULL, info.root);
	EXPECT_EQ(~0ULL, info.cwd);
	EXPECT_EQ(~0U, info.children_cap);
	EXPECT_EQ(~0U, info.root_cap);
	EXPECT_EQ(~0U, info.cwd_cap);
	EXPECT_EQ(0, stale_bytes(&info));
}

TEST(pointers)
{
	const size_t page = sysconf(_SC_PAGESIZE), size = sizeof(struct pid_info);
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	char *readonly, *pages;
	struct pid_info *info;

	readonly = mmap(NULL, page, PROT_READ, flags, -1, 0);
	ASSERT_NE(MAP_FAILED, readonly);
	pages = mmap(NULL, 2 * page, prot, flags, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	ASSERT_EQ(0, munmap(pages + page, page));

	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), NULL, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), (void *)8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), (void *)-8L, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), (void *)LONG_MIN, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), readonly, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), pages + page, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), pages + page - 8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), pages + page - size + 8, size, 0));
	EXPECT_EQ(-EFAULT, get_pid_info(getpid(), pages + page - size, size + 8, 0));

	info = (void *)(pages + page - size);
	EXPECT_EQ(0, get_pid_info(getpid(), info, size, 0));
	EXPECT_EQ(getpid(), info->pid);
	/* Aligned to nothing: the call takes what memcpy() would. */
	info = (void *)(pages + 1);
	EXPECT_EQ(0, get_pid_info(getpid(), info, size, 0));
}

/* Ask for the group @bit with its buffer at @at, of room for @cap. */
static int ask_at(__u64 bit, struct pid_info *info, uintptr_t at, unsigned int cap)
{
	memset(info, 0, sizeof(*info));
	info->mask = bit;
	info->children = at;
	info->root = at;
	info->cwd = at;
	info->children_cap = cap;
	info->root_cap = cap;
	info->cwd_cap = cap;
	return get_pid_info(getpid(), info, sizeof(*info), 0);
}

/* Buffers: who cannot take the answer gets none. */
TEST(buffer_pointers)
{
	const struct {
		__u64 bit;
		size_t size;		/* of the answer, below */
		unsigned int cap;	/* no more than that */
	} rows[] = {
		{ PID_INFO_CHILDREN, 2 * sizeof(__s32), 2 },
		{ PID_INFO_ROOT, sizeof("/"), sizeof("/") },
		{ PID_INFO_CWD, sizeof(SCRATCH), sizeof(SCRATCH) },
	};
	const size_t page = sysconf(_SC_PAGESIZE);
	const int prot = PROT_READ | PROT_WRITE, flags = MAP_PRIVATE | MAP_ANONYMOUS;
	struct pid_info info;
	pid_t children[2];
	char *readonly, *pages, *end;
	unsigned int i, j;

	readonly = mmap(NULL, page, PROT_READ, flags, -1, 0);
	ASSERT_NE(MAP_FAILED, readonly);
	pages = mmap(NULL, 2 * page, prot, flags, -1, 0);
	ASSERT_NE(MAP_FAILED, pages);
	end = pages + page;
	ASSERT_EQ(0, munmap(end, page));
	must(!chdir(SCRATCH));
	for (i = 0; i < 2; i++)
		children[i] = spawn_doze();

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const uintptr_t bad[] = {
			0, 8, -8L, LONG_MIN, (uintptr_t)readonly, (uintptr_t)end,
			(uintptr_t)end - rows[i].size + 1,
		};
		__u64 bit = rows[i].bit;

		for (j = 0; j < ARRAY_SIZE(bad); j++) {
			/* Without room nothing is written, wherever it points. */
			EXPECT_EQ(0, ask_at(bit, &info, bad[j], 0));
			EXPECT_EQ(bit | PID_INFO_IDENT, info.mask);
			EXPECT_EQ(-EFAULT, ask_at(bit, &info, bad[j], ~0U))
				TH_LOG("group %llx at %lx", bit, bad[j]);
			/* The structure is as it was given. */
			EXPECT_EQ(bit, info.mask);
			EXPECT_EQ(0, info.pid | info.children_count | info.root_len |
				  info.cwd_len);
		}
		/* Up to the last byte before the end. */
		EXPECT_EQ(0, ask_at(bit, &info, (uintptr_t)end - rows[i].size, ~0U));
		EXPECT_EQ(bit | PID_INFO_IDENT, info.mask);
		/* Less room than the answer would have: no more is touched. */
		memset(pages, '#', page);
		EXPECT_EQ(0, ask_at(bit, &info, (uintptr_t)end - rows[i].size,
				    rows[i].cap - 1));
		EXPECT_EQ(bit | PID_INFO_IDENT, info.mask);
		EXPECT_EQ('#', end[-1]);
	}
	for (i = 0; i < 2; i++)
		finish(children[i]);
}

#ifdef __x86_64__
#define X32	0x40000000	/* arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT */

/* An x32 program's call on a kernel without x32, which has no call of that number. */
TEST(x32)
{
	struct pid_info info = {};

	if (syscall(X32 + __NR_getppid) > 0)
		SKIP(return, "this kernel has x32");
	EXPECT_EQ(-1, syscall(X32 + __NR_get_pid_info, 0, &info, sizeof(info), 0));
	note_error(-errno);
	EXPECT_STREQ("ENOSYS", strerrorname_np(errno));
}
#endif

TEST(whom)
{
	struct pid_info info;
	pid_t gone = spawn();

	if (!gone)
		_exit(0);
	reap(gone);

	const struct {
		pid_t pid;
		unsigned int flags;
		int expected;
	} rows[] = {
		{ gone, 0, -ESRCH },
		{ 0, 0, -ESRCH },
		{ -1, 0, -EINVAL },
		{ -getpid(), 0, -EINVAL },
		{ INT_MIN, 0, -EINVAL },
		{ INT_MAX, 0, -ESRCH },
		{ 1, 0, 0 },
		{ getpid(), 0, 0 },
		{ 0, PID_INFO_NEXT, 0 },
		{ 1, PID_INFO_NEXT, 0 },
		{ -1, PID_INFO_NEXT, -EINVAL },
		{ 1 << 22, PID_INFO_NEXT, -ESRCH },
		{ INT_MAX, PID_INFO_NEXT, -ESRCH },
	};
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		EXPECT_EQ(rows[i].expected, ask(rows[i].pid, 0, &info, rows[i].flags))
			TH_LOG("PID %d", rows[i].pid);
	}
	EXPECT_EQ(0, ask(0, 0, &info, PID_INFO_NEXT));
	EXPECT_EQ(1, info.pid);
}

/*
 * Agreement with /proc
 */

static void nothing(int sig)
{
}

/* A sleeper with something in every field that can be set from outside. */
static pid_t spawn_colourful(void)
{
	struct rlimit limit = { 1234, 1234 };
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		struct sched_param param = { .sched_priority = 7 };
		char buffer[1000];
		sigset_t set;
		int fd;

		must(!setpgid(0, 0));
		must(!prctl(PR_SET_NAME, "a (strange) name"));
		must(!setrlimit(RLIMIT_SIGPENDING, &limit));
		signal(SIGHUP, SIG_IGN);
		signal(SIGRTMAX, SIG_IGN);
		signal(SIGINT, nothing);
		signal(SIGRTMIN + 5, nothing);
		sigemptyset(&set);
		sigaddset(&set, SIGUSR1);
		sigaddset(&set, SIGUSR2);
		sigaddset(&set, SIGRTMAX - 1);
		must(!sigprocmask(SIG_BLOCK, &set, NULL));
		must(!kill(getpid(), SIGUSR1));
		must(!kill(getpid(), SIGRTMAX - 1));
		must(!kill(getpid(), SIGRTMAX - 1));
		must(!syscall(__NR_tgkill, getpid(), getpid(), SIGUSR2));
		fd = open(SCRATCH "/colourful", O_RDWR | O_CREAT | O_TRUNC, 0600);
		memset(buffer, 0, sizeof(buffer));
		must(write(fd, buffer, 997) == 997);
		must(pread(fd, buffer, 503, 0) == 503);
		memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE |
			    MAP_ANONYMOUS, -1, 0), 1, 1 << 20);
		while (clock_ns(CLOCK_PROCESS_CPUTIME_ID) < 50000000)
			;
		if (sched_setscheduler(0, SCHED_FIFO, &param)) {
			struct sched_param none = {};

			must(!sched_setscheduler(0, SCHED_BATCH, &none));
			must(nice(7) == 7);
		}
		must(!chdir("/proc/self"));
		must(!setresgid(11, 12, 13));
		must(!setresuid(14, 15, 16));
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

TEST(sleeping)
{
	pid_t pid = spawn_colourful();
	struct pid_info info;

	EXPECT_EQ(0, compare(pid));

	/* And not only equal, but what was set up. */
	EXPECT_EQ(0, ask(pid, PID_INFO_ALL, &info, 0));
	EXPECT_EQ(PID_INFO_ALL & ~PID_INFO_EXIT, info.mask);
	EXPECT_STREQ("a (strange) nam", info.comm);
	EXPECT_EQ(pid, info.pid);
	EXPECT_EQ(pid, info.pgid);
	EXPECT_EQ(getpid(), info.ppid);
	EXPECT_EQ(getsid(0), info.sid);
	EXPECT_EQ(14, info.uid);
	EXPECT_EQ(15, info.euid);
	EXPECT_EQ(11, info.gid);
	EXPECT_EQ(12, info.egid);
	EXPECT_EQ(1ULL << (SIGUSR2 - 1), info.sig_pending);
	EXPECT_EQ(1ULL << (SIGUSR1 - 1) | 1ULL << (SIGRTMAX - 2), info.sig_shared_pending);
	EXPECT_EQ(1ULL << (SIGHUP - 1) | 1ULL << (SIGRTMAX - 1), info.sig_ignored);
	EXPECT_EQ(1ULL << (SIGINT - 1) | 1ULL << (SIGRTMIN + 4), info.sig_caught);
	EXPECT_EQ(1234, info.sigq_limit);
	EXPECT_EQ(997, info.wchar);
	EXPECT_LE(503, info.rchar);
	EXPECT_LE(1 << 20, info.rss);
	EXPECT_LE(50000000, info.utime_ns + info.stime_ns);
	finish(pid);
}

TEST(stopped)
{
	pid_t pid = spawn_doze();

	must(!kill(pid, SIGSTOP));
	until(state_of(pid) == 'T');
	EXPECT_EQ(0, compare(pid));
	finish(pid);
}

/* Of a task that runs there is no stack pointer; all else goes on changing. */
TEST(running)
{
	struct pid_info info;
	__u64 before = 0;
	pid_t pid = spawn();
	int i;

	if (!pid) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		for (;;)
			;
	}
	for (i = 0; i < 5; i++) {
		sleep_ms(20);
		EXPECT_EQ(0, ask(pid, PID_INFO_ALL, &info, 0));
		EXPECT_EQ('R', info.state);
		EXPECT_EQ(PID_INFO_ALL & ~PID_INFO_EXIT & ~PID_INFO_SP, info.mask);
		EXPECT_LE(before, info.utime_ns);
		EXPECT_EQ(0, stale_bytes(&info));
		before = info.utime_ns;
	}
	EXPECT_LT(0, before);
	finish(pid);
}

TEST(zombie)
{
	static const struct {
		int sig;
		int code;
		int status;
	} rows[] = {
		{ 0, 0, 0 }, { 0, 7, 7 << 8 }, { 0, 255, 255 << 8 },
		{ SIGTERM, 0, SIGTERM }, { SIGKILL, 0, SIGKILL },
	};
	struct pid_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = spawn();

		if (!pid) {
			if (rows[i].sig)
				kill(getpid(), rows[i].sig);
			_exit(rows[i].code);
		}
		await_zombie(pid);
		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask(pid, PID_INFO_ALL, &info, 0));
		EXPECT_EQ('Z', info.state);
		EXPECT_EQ(rows[i].status, info.exit_code);
		EXPECT_EQ(PID_INFO_FIXED & ~PID_INFO_STACK & ~PID_INFO_SP,
			  info.mask & PID_INFO_FIXED & ~PID_INFO_STACK & ~PID_INFO_SP);
		EXPECT_EQ(0, info.mask & (PID_INFO_STACK | PID_INFO_SP | PID_INFO_ROOT |
					  PID_INFO_CWD));
		EXPECT_EQ(0, info.rss);
		EXPECT_EQ(0, info.vsize);
		EXPECT_EQ(rows[i].status, reap(pid));
		EXPECT_EQ(-ESRCH, ask(pid, 0, &info, 0));
	}
}

TEST(kernel_thread)
{
	struct pid_info info;

	EXPECT_EQ(0, compare(2));
	EXPECT_EQ(0, ask(2, PID_INFO_ALL, &info, 0));
	EXPECT_STREQ("kthreadd", info.comm);
	EXPECT_EQ(0, info.ppid);
	EXPECT_EQ(0, info.rss);
	EXPECT_EQ(0, info.mask & (PID_INFO_STACK | PID_INFO_SP | PID_INFO_EXIT));
	EXPECT_LT(3, info.children_count);
}

/* The start and the age are those of the boot clock, to the nanosecond. */
TEST(times)
{
	__u64 before, after, asked, answered;
	struct pid_info info;
	pid_t pid;

	before = clock_ns(CLOCK_BOOTTIME);
	pid = spawn_doze();
	after = clock_ns(CLOCK_BOOTTIME);
	asked = clock_ns(CLOCK_BOOTTIME);
	EXPECT_EQ(0, ask(pid, PID_INFO_TIMES, &info, 0));
	answered = clock_ns(CLOCK_BOOTTIME);
	EXPECT_LE(before, info.start_ns);
	EXPECT_GE(after, info.start_ns);
	EXPECT_LE(asked, info.start_ns + info.age_ns);
	EXPECT_GE(answered, info.start_ns + info.age_ns);
	finish(pid);
}

TEST(time_namespace)
{
	struct pid_info *outside = &shared->info[0], *inside = &shared->info[1];
	pid_t pid, target = spawn_doze();

	EXPECT_EQ(0, ask(target, PID_INFO_TIMES, outside, 0));
	must(!unshare(CLONE_NEWTIME));
	must(write_file("/proc/self/timens_offsets", "7 1000 5"));
	pid = spawn();
	if (!pid) {
		shared->ret[0] = ask(target, PID_INFO_TIMES, inside, 0);
		_exit(!!compare(target));
	}
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, shared->ret[0]);
	EXPECT_EQ(outside->start_ns + 1000000000005ULL, inside->start_ns);
	EXPECT_LE(outside->age_ns, inside->age_ns);
	EXPECT_GT(outside->age_ns + 60000000000ULL, inside->age_ns);
	finish(target);
}

static void *thread_main(void *unused)
{
	must(!prctl(PR_SET_NAME, "thread"));
	/* Faults and time of the thread's own. */
	memset(mmap(NULL, 1 << 20, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS,
		    -1, 0), 1, 1 << 20);
	spawn_doze();
	shared->word[1] = syscall(__NR_gettid);
	doze();
	return unused;
}

/* A thread's id answers for the thread, the process's for all of them. */
TEST(threads)
{
	struct pid_info info;
	char path[64];
	pid_t pid, tid;

	shared->word[1] = 0;
	pid = spawn();
	if (!pid) {
		pthread_t thread;

		must(!pthread_create(&thread, NULL, thread_main, NULL));
		doze();
	}
	until(shared->word[1] && state_of(pid) == 'S' && state_of(shared->word[1]) == 'S');
	tid = shared->word[1];

	EXPECT_EQ(0, compare(pid));
	snprintf(path, sizeof(path), "/proc/%d/task/%d", pid, tid);
	EXPECT_EQ(0, compare_at(tid, AT_FDCWD, path));

	EXPECT_EQ(0, ask(tid, PID_INFO_ALL, &info, 0));
	EXPECT_EQ(tid, info.pid);
	EXPECT_EQ(pid, info.tgid);
	EXPECT_EQ(getpid(), info.ppid);
	EXPECT_EQ(2, info.num_threads);
	EXPECT_STREQ("thread", info.comm);
	/* A child of the thread is the process's. */
	EXPECT_EQ(1, info.children_count);
	EXPECT_EQ(0, ask(pid, PID_INFO_CHILDREN, &info, 0));
	EXPECT_EQ(1, info.children_count);
	/* No id of a process. */
	EXPECT_EQ(0, ask(tid, 0, &info, PID_INFO_NEXT));
	EXPECT_LT(tid, info.pid);
	finish(pid);
}

/*
 * Children
 */

TEST(children)
{
	enum { MANY = 997 };
	static const unsigned int rooms[] = { 0, 1, 2, MANY - 1, MANY, MANY + 1, 2 * MANY };
	static __s32 ids[2 * MANY + 1], made[MANY];
	struct pid_info info = {};
	unsigned int i, j, count;

	for (count = 0; count <= MANY; count++) {
		/* The first and the last of them all, and none of those between. */
		if (count > 1 && count < MANY)
			goto next;
		for (i = 0; i < ARRAY_SIZE(rooms); i++) {
			unsigned int filled = rooms[i] < count ? rooms[i] : count;

			memset(ids, 0xff, sizeof(ids));
			info.mask = PID_INFO_CHILDREN;
			info.children = (uintptr_t)ids;
			info.children_cap = rooms[i];
			ASSERT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), 0));
			EXPECT_EQ(count, info.children_count);
			EXPECT_EQ(rooms[i], info.children_cap);
			EXPECT_EQ(0, memcmp(ids, made, filled * sizeof(*ids)));
			for (j = filled; j < ARRAY_SIZE(ids); j++)
				if (ids[j] != -1)
					break;
			EXPECT_EQ(ARRAY_SIZE(ids), j);
		}
next:
		if (count < MANY) {
			made[count] = spawn();
			if (!made[count])
				doze();
		}
	}
	for (i = 0; i < MANY; i++)
		must(!kill(made[i], SIGKILL));
	for (i = 0; i < MANY; i++)
		reap(made[i]);
}

/*
 * Who has no memory left for the list of children gets an error, and the call
 * as soon as there is some. Nobody in its cgroup may be killed for it.
 */
TEST(no_memory)
{
	enum { MANY = 1009 };	/* more than one page of the cgroup's */
	const char *group = CGROUP "/pid_info_test";
	pid_t pid, made[MANY];
	unsigned int i;

	must(write_file(CGROUP "/cgroup.subtree_control", "+memory"));
	must(!mkdir(group, 0700));
	must(write_file(CGROUP "/pid_info_test/memory.max", "0"));
	for (i = 0; i < MANY; i++) {
		made[i] = spawn();
		if (!made[i])
			doze();
	}
	pid = spawn();
	if (!pid) {
		int in = open(CGROUP "/pid_info_test/cgroup.procs", O_WRONLY);
		int out = open(CGROUP "/cgroup.procs", O_WRONLY);
		static __s32 ids[MANY + 1];
		struct pid_info *info = shared->info;
		int ret;

		for (i = 0; i < 3; i++) {
			memset(&info[i], 0, sizeof(*info));
			info[i].mask = PID_INFO_CHILDREN;
			info[i].children = (uintptr_t)ids;
			info[i].children_cap = i ? ARRAY_SIZE(ids) : 0;
		}
		must(write_file("/proc/self/oom_score_adj", "-1000"));
		/* No page fault in there: it would wait for memory. */
		must(!mlockall(MCL_CURRENT));
		ret = write(in, "0", 1);
		for (i = 0; i < 2; i++)
			shared->ret[i] = get_pid_info(getppid(), &info[i], sizeof(*info), 0);
		must(ret == 1 && write(out, "0", 1) == 1);
		shared->ret[2] = get_pid_info(getppid(), &info[2], sizeof(*info), 0);
		_exit(0);
	}
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, shared->ret[0]);
	EXPECT_EQ(MANY + 1, shared->info[0].children_count);
	EXPECT_EQ(-ENOMEM, shared->ret[1]);
	EXPECT_EQ(PID_INFO_CHILDREN, shared->info[1].mask);
	EXPECT_EQ(0, shared->info[1].children_count);
	EXPECT_EQ(0, shared->ret[2]);
	EXPECT_EQ(MANY + 1, shared->info[2].children_count);
	for (i = 0; i < MANY; i++)
		must(!kill(made[i], SIGKILL));
	for (i = 0; i < MANY; i++)
		reap(made[i]);
	EXPECT_EQ(0, rmdir(group));
}

/* A zombie is a child until it is reaped; an orphan is another's. */
TEST(children_come_and_go)
{
	struct pid_info info = {};
	__s32 ids[8] = {};
	pid_t pid;

	must(!prctl(PR_SET_CHILD_SUBREAPER, 1));
	pid = spawn();
	if (!pid) {
		shared->word[0] = spawn_doze();
		_exit(0);
	}
	await_zombie(pid);
	info.mask = PID_INFO_CHILDREN;
	info.children = (uintptr_t)ids;
	info.children_cap = ARRAY_SIZE(ids);
	EXPECT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), 0));
	EXPECT_EQ(2, info.children_count);
	EXPECT_EQ(pid, ids[0]);
	EXPECT_EQ(shared->word[0], ids[1]);
	reap(pid);
	EXPECT_EQ(0, get_pid_info(getpid(), &info, sizeof(info), 0));
	EXPECT_EQ(1, info.children_count);
	EXPECT_EQ(shared->word[0], ids[0]);
	EXPECT_EQ(0, ask(shared->word[0], 0, &info, 0));
	EXPECT_EQ(getpid(), info.ppid);
	finish(shared->word[0]);
}

/*
 * Paths
 */

/* Ask for a path of @pid that is @length long, with more and less room. */
static void check_path(struct __test_metadata *_metadata, pid_t pid, __u64 bit,
		       size_t length)
{
	static char room[2 * PATH_MAX], path[2 * PATH_MAX];
	const unsigned int caps[] = { 0, 1, length, length + 1, length + 2, sizeof(room) };
	struct pid_info info = {};
	unsigned int i;

	snprintf(path, sizeof(path), "/proc/%d/%s", pid, bit == PID_INFO_ROOT ? "root" : "cwd");
	ASSERT_EQ(length, readlink(path, room, sizeof(room)));
	memcpy(path, room, length);
	path[length] = '\0';
	for (i = 0; i < ARRAY_SIZE(caps); i++) {
		bool fits = caps[i] > length;
		size_t at = fits ? length + 1 : 0;

		memset(room, '#', sizeof(room));
		info.mask = bit;
		info.root = (uintptr_t)room;
		info.root_cap = caps[i];
		info.cwd = (uintptr_t)room;
		info.cwd_cap = caps[i];
		ASSERT_EQ(0, get_pid_info(pid, &info, sizeof(info), 0));
		EXPECT_EQ(PID_INFO_IDENT | bit, info.mask);
		EXPECT_EQ(bit == PID_INFO_ROOT ? length + 1 : 0, info.root_len);
		EXPECT_EQ(bit == PID_INFO_CWD ? length + 1 : 0, info.cwd_len);
		EXPECT_FALSE(fits && strcmp(path, room));
		while (at < sizeof(room) && room[at] == '#')
			at++;
		EXPECT_EQ(sizeof(room), at);
	}
}

/* A child whose root is its parent's working directory. */
static pid_t spawn_in_root(void)
{
	pid_t pid = spawn();

	if (!pid) {
		must(!chroot("."));
		doze();
	}
	until(state_of(pid) == 'S');
	return pid;
}

TEST(path_lengths)
{
	char name[NAME_MAX + 1];
	struct pid_info info;
	size_t length;
	pid_t child;

	must(!chdir("/"));
	check_path(_metadata, getpid(), PID_INFO_CWD, 1);
	check_path(_metadata, getpid(), PID_INFO_ROOT, 1);
	must(!chdir(SCRATCH));
	length = strlen(SCRATCH);
	check_path(_metadata, getpid(), PID_INFO_CWD, length);
	check_path(_metadata, getpid(), PID_INFO_ROOT, 1);

	/* Down to a path that fills PATH_MAX with its NUL. */
	memset(name, 'd', sizeof(name));
	while (length < PATH_MAX - 1) {
		size_t left = PATH_MAX - 1 - length - 1, part = left;

		if (part > NAME_MAX)
			part = NAME_MAX;
		if (left - part == 1)	/* no room for a slash and a name */
			part--;
		name[part] = '\0';
		must(!mkdir(name, 0700) && !chdir(name));
		name[part] = 'd';
		length += 1 + part;
	}
	check_path(_metadata, getpid(), PID_INFO_CWD, PATH_MAX - 1);
	child = spawn_in_root();
	check_path(_metadata, child, PID_INFO_ROOT, PATH_MAX - 1);
	check_path(_metadata, child, PID_INFO_CWD, PATH_MAX - 1);
	finish(child);

	/* And one too long for anybody. */
	must(!mkdir("e", 0700) && !chdir("e"));
	EXPECT_EQ(-1, readlink("/proc/self/cwd", name, 1));
	EXPECT_EQ(ENAMETOOLONG, errno);
	EXPECT_EQ(0, ask(getpid(), PID_INFO_CWD | PID_INFO_ROOT, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT | PID_INFO_ROOT, info.mask);
	EXPECT_EQ(0, stale_bytes(&info));
	child = spawn_in_root();
	EXPECT_EQ(0, ask(child, PID_INFO_CWD | PID_INFO_ROOT, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT, info.mask);
	EXPECT_EQ(0, compare(child));
	finish(child);
}

TEST(path_deleted)
{
	const char *gone = SCRATCH "/gone";
	pid_t child;

	must(!mkdir(gone, 0700) && !chdir(gone));
	child = spawn_in_root();
	must(!rmdir(gone));
	check_path(_metadata, getpid(), PID_INFO_CWD, strlen(SCRATCH "/gone (deleted)"));
	check_path(_metadata, child, PID_INFO_ROOT, strlen(SCRATCH "/gone (deleted)"));
	finish(child);
}

/* Paths of a task in another root, and in another mount namespace. */
TEST(path_elsewhere)
{
	const char *jail = SCRATCH "/jail";
	pid_t jailed, mounted, pid;
	int proc;

	must(!mkdir(jail, 0700) && !mkdir(SCRATCH "/jail/in", 0700));
	must(!mkdir(SCRATCH "/over", 0700));
	jailed = spawn();
	if (!jailed) {
		must(!chroot(jail) && !chdir("/in"));
		doze();
	}
	until(state_of(jailed) == 'S');
	EXPECT_EQ(0, compare(jailed));

	mounted = spawn();
	if (!mounted) {
		must(!unshare(CLONE_NEWNS));
		must(!mount("over", SCRATCH "/over", "tmpfs", 0, NULL));
		must(!mkdir(SCRATCH "/over/here", 0700));
		must(!chdir(SCRATCH "/over/here"));
		shared->word[2] = 1;
		doze();
	}
	until(shared->word[2] && state_of(mounted) == 'S');
	EXPECT_EQ(0, compare(mounted));

	/* A looker in a root of its own. */
	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	must(proc >= 0);
	pid = spawn();
	if (!pid) {
		const pid_t pids[] = { jailed, mounted, getppid() };
		unsigned int i, count = 0;
		char path[16];

		must(!chroot(jail) && !chdir("/"));
		for (i = 0; i < ARRAY_SIZE(pids); i++) {
			snprintf(path, sizeof(path), "%d", pids[i]);
			count += compare_at(pids[i], proc, path);
		}
		_exit(!!count);
	}
	EXPECT_EQ(0, reap(pid));
	finish(jailed);
	finish(mounted);
}

/*
 * Permission
 */

/* What the user @uid is told of @pid, into *@info in shared memory. */
static int look_as(uid_t uid, pid_t pid, struct pid_info *info, unsigned int flags)
{
	pid_t looker = spawn();

	if (!looker) {
		become(uid);
		shared->ret[15] = ask(pid, PID_INFO_ALL, info, flags);
		_exit(0);
	}
	must(!reap(looker));
	return shared->ret[15];
}

/* Compare what the user @uid is told with what it sees in /proc. */
static int compare_as(uid_t uid, pid_t pid)
{
	pid_t looker = spawn();

	if (!looker) {
		become(uid);
		_exit(!!compare(pid));
	}
	return reap(looker);
}

/* A child of the user @uid, of whom others may know as @dumpable says. */
static pid_t spawn_user(uid_t uid, int dumpable)
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		become(uid);
		must(!prctl(PR_SET_DUMPABLE, dumpable));
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

TEST(permission)
{
	const __u64 all = PID_INFO_ALL & ~PID_INFO_EXIT;
	struct pid_info *info = &shared->info[0], *by_root = &shared->info[1];
	const struct {
		uid_t looker;
		uid_t owner;
		int dumpable;
		__u64 expected;
	} rows[] = {
		{ 0, 0, 1, all },
		{ 0, USER, 0, all },
		{ USER, USER, 1, all },
		{ USER, USER, 0, all & ~PRIVATE },
		{ NOBODY, USER, 1, all & ~PRIVATE },
		{ NOBODY, 0, 1, all & ~PRIVATE },
	};
	unsigned int i, j;
	size_t start, size;
	pid_t zombie;

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = spawn_user(rows[i].owner, rows[i].dumpable);

		EXPECT_EQ(0, look_as(rows[i].looker, pid, info, 0));
		EXPECT_EQ(rows[i].expected, info->mask)
			TH_LOG("row %u", i);
		EXPECT_EQ(0, stale_bytes(info));
		EXPECT_EQ(0, compare_as(rows[i].looker, pid));

		/* Who sees a group sees in it what root sees. */
		EXPECT_EQ(0, ask(pid, PID_INFO_ALL, by_root, 0));
		by_root->age_ns = 0;
		info->age_ns = 0;
		for (j = 0; j < ARRAY_SIZE(groups); j++) {
			if (!(info->mask & groups[j].bit))
				continue;
			start = groups[j].start;
			size = groups[j].end - start;
			EXPECT_EQ(0, memcmp((char *)info + start, (char *)by_root + start, size))
				TH_LOG("row %u, group %llx", i, groups[j].bit);
		}
		finish(pid);
	}

	/* init, a kernel thread, a zombie of root */
	EXPECT_EQ(0, look_as(NOBODY, 1, info, 0));
	EXPECT_EQ(all & ~PRIVATE, info->mask);
	EXPECT_EQ(0, look_as(NOBODY, 2, info, 0));
	EXPECT_EQ(all & ~PRIVATE, info->mask);
	EXPECT_EQ(0, compare_as(NOBODY, 2));

	zombie = spawn();
	if (!zombie)
		_exit(3);
	await_zombie(zombie);
	EXPECT_EQ(0, look_as(NOBODY, zombie, info, 0));
	EXPECT_EQ(0, info->mask & PRIVATE);
	EXPECT_EQ(0, info->exit_code);
	EXPECT_EQ(0, compare_as(NOBODY, zombie));
	reap(zombie);
}

/* Each private group alone is refused too. */
TEST(permission_by_group)
{
	pid_t pid = spawn_user(0, 1), looker = spawn();
	struct pid_info info;
	unsigned int i;

	if (!looker) {
		become(NOBODY);
		for (i = 0; i < ARRAY_SIZE(groups); i++) {
			shared->ret[i] = ask(pid, groups[i].bit, &info, 0);
			shared->info[i] = info;
		}
		_exit(0);
	}
	ASSERT_EQ(0, reap(looker));
	for (i = 0; i < ARRAY_SIZE(groups); i++) {
		EXPECT_EQ(0, shared->ret[i]);
		EXPECT_EQ((groups[i].bit & ~PRIVATE) | PID_INFO_IDENT, shared->info[i].mask);
		EXPECT_EQ(0, stale_bytes(&shared->info[i]));
	}
	finish(pid);
}

FIXTURE(restricted)
{
};

FIXTURE_SETUP(restricted)
{
	ASSERT_TRUE(write_file(RESTRICT, "1"));
}

FIXTURE_TEARDOWN(restricted)
{
	EXPECT_TRUE(write_file(RESTRICT, "0"));
}

/* What hidepid=2 is for /proc. */
TEST_F(restricted, sysctl)
{
	struct pid_info *info = &shared->info[0];
	pid_t other = spawn_user(USER, 1), mine = spawn_user(NOBODY, 1);
	pid_t hidden = spawn_user(NOBODY, 0);

	EXPECT_EQ(0, ask(other, PID_INFO_ALL, info, 0));
	EXPECT_EQ(0, look_as(NOBODY, mine, info, 0));
	EXPECT_EQ(PID_INFO_ALL & ~PID_INFO_EXIT, info->mask);
	EXPECT_EQ(-ESRCH, look_as(NOBODY, other, info, 0));
	EXPECT_EQ(-ESRCH, look_as(NOBODY, hidden, info, 0));
	EXPECT_EQ(-ESRCH, look_as(NOBODY, 1, info, 0));
	EXPECT_EQ(-ESRCH, look_as(NOBODY, 2, info, 0));
	/* The first that is visible is the own, then the looker itself. */
	EXPECT_EQ(0, look_as(NOBODY, 1, info, PID_INFO_NEXT));
	EXPECT_EQ(mine, info->pid);
	EXPECT_EQ(0, look_as(NOBODY, mine + 1, info, PID_INFO_NEXT));
	EXPECT_LT(hidden, info->pid);
	EXPECT_EQ(getpid(), info->ppid);
	EXPECT_FALSE(write_file(RESTRICT, "2"));
	EXPECT_FALSE(write_file(RESTRICT, "-1"));
	finish(other);
	finish(mine);
	finish(hidden);
}

/*
 * Namespaces
 */

/* Inside, ids are those of inside, and who is outside is 0 or not there. */
TEST(pid_namespace)
{
	struct pid_info *info = shared->info;
	pid_t outside = spawn_doze(), init;
	__s32 ids[8] = {};
	int i;

	memset(shared, 0, sizeof(*shared));
	init = spawn_in(CLONE_NEWPID | CLONE_NEWNS);
	if (!init) {
		pid_t child;

		must(!mount("proc", "/proc", "proc", 0, NULL));
		child = spawn();
		if (!child) {
			must(setsid() == 2);
			if (!spawn())
				doze();
			shared->word[1] = 1;
			doze();
		}
		until(shared->word[1] && state_of(child) == 'S');
		shared->ret[8] = compare(child);
		for (i = 0; i < 4; i++)
			shared->ret[i] = ask(i, PID_INFO_ALL, &info[i], 0);
		shared->ret[4] = ask(outside, 0, &info[4], 0);
		shared->ret[5] = ask(1, 0, &info[5], PID_INFO_NEXT);
		shared->ret[6] = ask(3, 0, &info[6], PID_INFO_NEXT);
		shared->ret[7] = ask(4, 0, &info[7], PID_INFO_NEXT);
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0]);
	EXPECT_EQ(0, shared->ret[8]);
	EXPECT_EQ(-ESRCH, shared->ret[0]);

	EXPECT_EQ(0, shared->ret[1]);
	EXPECT_EQ(1, info[1].pid);
	EXPECT_EQ(0, info[1].ppid);
	EXPECT_EQ(0, info[1].pgid);
	EXPECT_EQ(0, info[1].sid);
	EXPECT_EQ(1, info[1].children_count);

	EXPECT_EQ(0, shared->ret[2]);
	EXPECT_EQ(2, info[2].pid);
	EXPECT_EQ(1, info[2].ppid);
	EXPECT_EQ(2, info[2].pgid);
	EXPECT_EQ(2, info[2].sid);
	EXPECT_EQ(1, info[2].children_count);

	EXPECT_EQ(0, shared->ret[3]);
	EXPECT_EQ(2, info[3].ppid);
	EXPECT_EQ(2, info[3].sid);

	/* The PIDs of outside are far above. */
	EXPECT_EQ(-ESRCH, shared->ret[4]);
	EXPECT_EQ(0, shared->ret[5]);
	EXPECT_EQ(1, info[5].pid);
	EXPECT_EQ(3, info[6].pid);
	EXPECT_EQ(-ESRCH, shared->ret[7]);

	/* From outside all have ids of outside. */
	memset(&info[0], 0, sizeof(info[0]));
	info[0].mask = PID_INFO_ALL;
	info[0].children = (uintptr_t)ids;
	info[0].children_cap = ARRAY_SIZE(ids);
	EXPECT_EQ(0, get_pid_info(init, &info[0], sizeof(info[0]), 0));
	EXPECT_EQ(init, info[0].pid);
	EXPECT_EQ(init, info[0].tgid);
	EXPECT_EQ(getpid(), info[0].ppid);
	EXPECT_EQ(1, info[0].children_count);
	EXPECT_EQ(init + 1, ids[0]);
	EXPECT_EQ(0, compare(init));
	EXPECT_EQ(0, compare(ids[0]));
	finish(init);
	finish(outside);
}

/* One process as those of three PID namespaces, one in the other, know it. */
TEST(pid_namespace_nested)
{
	struct pid_info *info = shared->info;
	char text[8192], line[64];
	pid_t init;
	int dir;

	memset(shared, 0, sizeof(*shared));
	init = spawn_in(CLONE_NEWPID);
	if (!init) {
		/* As 2 start a process whose child, 3, is the third's init. */
		if (!spawn()) {
			must(!unshare(CLONE_NEWPID));
			if (!spawn()) {
				shared->ret[0] = ask(1, PID_INFO_ALL, &info[0], 0);
				shared->ret[1] = ask(2, PID_INFO_ALL, &info[1], 0);
				shared->word[0] = 1;
				doze();
			}
			doze();
		}
		until(shared->word[0]);
		shared->ret[2] = ask(2, PID_INFO_ALL, &info[2], 0);
		shared->ret[3] = ask(3, PID_INFO_ALL, &info[3], 0);
		shared->word[0] = 2;
		doze();
	}
	until(shared->word[0] == 2);

	/* Inside of it. */
	EXPECT_EQ(0, shared->ret[0]);
	EXPECT_EQ(1, info[0].pid);
	EXPECT_EQ(1, info[0].tgid);
	EXPECT_EQ(0, info[0].ppid);
	EXPECT_EQ(0, info[0].pgid);
	EXPECT_EQ(0, info[0].sid);
	EXPECT_EQ(-ESRCH, shared->ret[1]);
	/* One above. */
	EXPECT_EQ(0, shared->ret[2]);
	EXPECT_EQ(1, info[2].children_count);
	EXPECT_EQ(0, shared->ret[3]);
	EXPECT_EQ(3, info[3].pid);
	EXPECT_EQ(3, info[3].tgid);
	EXPECT_EQ(2, info[3].ppid);
	/* Here, where /proc has its ids in all of them. */
	EXPECT_EQ(0, compare(init + 2));
	dir = open("/proc", O_RDONLY | O_DIRECTORY);
	snprintf(line, sizeof(line), "%d/status", init + 2);
	must(!read_at(dir, line, text, sizeof(text)));
	snprintf(line, sizeof(line), "\nNSpid:\t%d\t3\t1\n", init + 2);
	EXPECT_NE(NULL, strstr(text, line));
	close(dir);
	finish(init);
}

TEST(user_namespace)
{
	pid_t target = spawn_user(USER, 1), looker;

	looker = spawn_in(CLONE_NEWUSER);
	if (!looker) {
		must(!ask(target, PID_INFO_ALL, &shared->info[0], 0));
		_exit(!!compare(target));
	}
	EXPECT_EQ(0, reap(looker));
	/* Nobody is mapped, and root in there is root over nobody of here. */
	EXPECT_EQ(NOBODY, shared->info[0].uid);
	EXPECT_EQ(NOBODY, shared->info[0].egid);
	EXPECT_EQ(0, shared->info[0].mask & PRIVATE);
	finish(target);
}

/*
 * Races
 */

/* The processes of /proc, in its order; the number of them. */
static unsigned int list_proc(pid_t *pids, unsigned int room)
{
	DIR *dir = opendir("/proc");
	struct dirent *entry;
	unsigned int count = 0;

	must(dir);
	while ((entry = readdir(dir))) {
		if (atoi(entry->d_name) > 0) {
			must(count < room);
			pids[count++] = atoi(entry->d_name);
		}
	}
	closedir(dir);
	return count;
}

static bool has(const pid_t *pids, unsigned int count, pid_t pid)
{
	while (count--)
		if (pids[count] == pid)
			return true;
	return false;
}

/* What a sweep found, compared with /proc from before and after it. */
struct sweeps {
	int listed, swept;	/* while nothing else happens */
	int differ;
	int missed;		/* there before and after */
	int unknown;		/* not there before, and not of those who come and go */
	int bad;
	int came, went;
};

static unsigned int sweep_into(pid_t *pids, unsigned int room, const pid_t *before,
			       unsigned int listed, struct sweeps *sweeps)
{
	unsigned int count = 0;
	struct pid_info info;
	pid_t pid = 0;

	while (!ask(pid, PID_INFO_FIXED, &info, PID_INFO_NEXT)) {
		bool came = !has(before, listed, info.pid);

		sweeps->bad += info.pid < pid || info.pid != info.tgid ||
			       stale_bytes(&info);
		sweeps->came += came;
		sweeps->unknown += came && strcmp(info.comm, "churn");
		pid = info.pid + 1;
		must(count < room);
		pids[count++] = info.pid;
	}
	return count;
}

/* Fork, exit, and leave orphans, until killed. */
static void churn(void)
{
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	must(!prctl(PR_SET_NAME, "churn"));
	signal(SIGCHLD, SIG_IGN);
	for (;;) {
		if (!spawn()) {
			spawn();
			_exit(0);
		}
		usleep(200);
	}
}

static void compare_sweeps(struct sweeps *sweeps)
{
	enum { STAY = 31, CHANGES = 101, ROOM = 4096 };
	static pid_t before[ROOM], found[ROOM], after[ROOM];
	unsigned int listed, swept, left, i;

	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	must(!mount("proc", "/proc", "proc", 0, NULL));
	/* Orphans are nobody's business. */
	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < STAY; i++)
		spawn_doze();

	listed = list_proc(before, ROOM);
	swept = sweep_into(found, ROOM, before, listed, sweeps);
	sweeps->listed = listed;
	sweeps->swept = swept;
	sweeps->differ = memcmp(before, found, sizeof(before));
	for (i = 1; i < listed; i++)
		sweeps->bad += compare(before[i]);

	if (!spawn())
		churn();
	/* Until enough have come and gone. */
	while (sweeps->came < CHANGES || sweeps->went < CHANGES) {
		listed = list_proc(before, ROOM);
		swept = sweep_into(found, ROOM, before, listed, sweeps);
		left = list_proc(after, ROOM);
		for (i = 0; i < listed; i++) {
			bool stays = has(after, left, before[i]);

			sweeps->went += !stays;
			sweeps->missed += stays && !has(found, swept, before[i]);
		}
	}
}

/*
 * The same as /proc, in a PID namespace where nothing else happens; and of those
 * that stay all, and nobody else, while others come and go.
 */
TEST(sweep)
{
	struct sweeps *sweeps = (void *)shared->info;
	pid_t init;

	memset(sweeps, 0, sizeof(*sweeps));
	init = spawn_in(CLONE_NEWPID | CLONE_NEWNS);
	if (!init) {
		compare_sweeps(sweeps);
		_exit(0);
	}
	EXPECT_EQ(0, reap(init));
	EXPECT_EQ(32, sweeps->listed);
	EXPECT_EQ(32, sweeps->swept);
	EXPECT_EQ(0, sweeps->differ);
	EXPECT_EQ(0, sweeps->missed);
	EXPECT_EQ(0, sweeps->unknown);
	EXPECT_EQ(0, sweeps->bad);
}

/* Who is on its way out gives a right answer or is not there. */
TEST(race_with_exit)
{
	__u64 end = clock_ns(CLOCK_MONOTONIC) + 1000000000ULL;
	unsigned int told = 0, bad = 0, i;
	struct pid_info info;
	int ret;

	signal(SIGCHLD, SIG_IGN);
	for (i = 0; i < 500 && clock_ns(CLOCK_MONOTONIC) < end; i++) {
		pid_t pid = spawn();

		if (!pid)
			_exit(5);
		while (!(ret = ask(pid, PID_INFO_ALL, &info, 0))) {
			told++;
			bad += info.pid != pid || info.tgid != pid || stale_bytes(&info);
			bad += !strchr("RSDZX", info.state);
			bad += (info.mask & PID_INFO_EXIT) && info.exit_code != 5 << 8;
		}
		EXPECT_EQ(-ESRCH, ret);
	}
	EXPECT_LT(0, told);
	EXPECT_EQ(0, bad);
}

static void *exec_next(void *left)
{
	char text[16];

	snprintf(text, sizeof(text), "%d", *(int *)left);
	execl("/proc/self/exe", "pid_info_test", "exec-chain", text, NULL);
	return NULL;
}

/* A thread that is not the leader calls execve(), and so on. */
static int exec_chain(int left)
{
	pthread_t thread;

	if (!left--)
		return 0;
	if (pthread_create(&thread, NULL, exec_next, &left))
		return 1;
	doze();
	return 2;
}

/* A thread that takes over from its leader leaves no moment without a process. */
TEST(race_with_exec)
{
	struct pid_info info;
	pid_t pid = spawn();
	unsigned int told;
	int status;

	if (!pid) {
		execl("/proc/self/exe", "pid_info_test", "exec-chain", "300", NULL);
		_exit(1);
	}
	for (told = 0; !waitpid(pid, &status, WNOHANG); told++) {
		bool next = told % 2;
		int ret = ask(pid, PID_INFO_ALL, &info, next ? PID_INFO_NEXT : 0);

		EXPECT_TRUE(!ret && info.pid == pid && info.tgid == pid)
			TH_LOG("%d, next %d: %d, told %d of %d, state %c, %u threads, mask %llx",
			       pid, next, ret, info.pid, info.tgid, info.state,
			       info.num_threads, info.mask);
		EXPECT_EQ(0, stale_bytes(&info));
	}
	EXPECT_EQ(0, status);
	EXPECT_LT(300, told);
}

static void copy_self(const char *path, mode_t mode)
{
	int from = open("/proc/self/exe", O_RDONLY), to = open(path, O_WRONLY | O_CREAT, 0700);
	char buffer[65536];
	ssize_t got;

	must(from >= 0 && to >= 0);
	while ((got = read(from, buffer, sizeof(buffer))) > 0)
		must(write(to, buffer, got) == got);
	must(!got && !fchmod(to, mode));
	close(from);
	close(to);
}

/*
 * A process becomes a set-uid program while its former owner looks: as long as
 * the private groups are told, it is the former program that they are about.
 */
TEST(race_with_setuid)
{
	const char *program = SCRATCH "/suidprog", *folder = SCRATCH "/secret";
	pid_t looker;
	int *count = shared->ids;

	copy_self(program, 04755);
	must(!mkdir(folder, 0755) && !chmod(SCRATCH, 0755));
	memset(shared, 0, sizeof(*shared));
	looker = spawn();
	if (!looker) {
		__u64 end = clock_ns(CLOCK_MONOTONIC) + 1500000000ULL;
		struct pid_info info;
		char cwd[64];

		become(USER);
		must(!prctl(PR_SET_DUMPABLE, 1));
		must(!chdir("/"));
		while (clock_ns(CLOCK_MONOTONIC) < end) {
			pid_t pid = spawn();

			if (!pid) {
				execl(program, program, "set-uid", folder, NULL);
				_exit(1);
			}
			do {
				bool after;

				memset(&info, 0, sizeof(info));
				memset(cwd, 0, sizeof(cwd));
				info.mask = PID_INFO_ALL;
				info.cwd = (uintptr_t)cwd;
				info.cwd_cap = sizeof(cwd);
				must(!get_pid_info(pid, &info, sizeof(info), 0));
				after = !info.euid || !strcmp(info.comm, "suidprog");
				if (info.state == 'Z')
					break;
				count[0] += !after && info.mask & PID_INFO_CWD;
				count[1] += after && !(info.mask & PRIVATE);
				count[2] += after && info.mask & PRIVATE;
				count[3] += after != !info.euid;
				count[4] += !!strcmp(cwd, info.mask & PID_INFO_CWD ? "/" : "");
			} while (true);
			must(!reap(pid));
		}
		_exit(0);
	}
	ASSERT_EQ(0, reap(looker));
	/* It has been seen before and after, ... */
	EXPECT_LT(0, count[0]);
	EXPECT_LT(0, count[1]);
	/* ... but nothing private of after, nothing of both, not where it went. */
	EXPECT_EQ(0, count[2]);
	EXPECT_EQ(0, count[3]);
	EXPECT_EQ(0, count[4]);
}

/* The set-uid program itself. */
static int set_uid(const char *folder)
{
	if (geteuid() || chdir(folder))
		return 2;
	sleep_ms(3);
	return 0;
}

int main(int argc, char **argv)
{
	if (argc == 3 && !strcmp(argv[1], "exec-chain"))
		return exec_chain(atoi(argv[2]));
	if (argc == 3 && !strcmp(argv[1], "set-uid"))
		return set_uid(argv[2]);

	shared = mmap(NULL, sizeof(*shared), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(shared != MAP_FAILED);
	errors = mmap(NULL, sizeof(*errors), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	must(errors != MAP_FAILED);
	main_pid = getpid();
	atexit(print_errors);
	must(!unshare(CLONE_NEWNS));
	must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(!mount("scratch", SCRATCH, "tmpfs", 0, "mode=0755"));
	must(!mkdir(CGROUP, 0755));
	must(!mount("cgroup2", CGROUP, "cgroup2", 0, NULL));
	cgroup = open(CGROUP, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	must(cgroup >= 0);
	return test_harness_run(argc, argv);
}
