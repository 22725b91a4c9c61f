// SPDX-License-Identifier: GPL-2.0
/*
 * get_pid_info(): what it tells of tasks of every kind is compared with what /proc
 * and the native calls tell, and with what was set up for them to tell.
 */
#include "pid_info_test.h"

#include <linux/capability.h>
#include <linux/filter.h>
#include <linux/io_uring.h>
#include <linux/magic.h>
#include <linux/seccomp.h>
#include <linux/securebits.h>
#include <sys/fsuid.h>
#include <sys/ioctl.h>
#include <sys/ptrace.h>
#include <sys/sysmacros.h>

#include "proc.h"

#ifndef PID_FS_MAGIC
#define PID_FS_MAGIC	0x50494446
#endif

#ifndef PIDFD_THREAD
#define PIDFD_THREAD	O_EXCL
#endif

#define MIB		0x100000UL

/*
 * Tools
 */

static void nothing(int sig)
{
}

static void *map_anon(size_t size, int kind)
{
	void *at = mmap(NULL, size, PROT_READ | PROT_WRITE, kind | MAP_ANONYMOUS, -1, 0);

	must(at != MAP_FAILED);
	/* Fails where there are none. */
	madvise(at, size, MADV_NOHUGEPAGE);
	return at;
}

static void burn_ms(clockid_t clock, unsigned int ms)
{
	__u64 end = clock_ns(clock) + ms * 1000000ULL;

	while (clock_ns(clock) < end)
		;
}

/* Start @body as a child; it is there when that has called ready(). */
static pid_t spawn_body(void (*body)(void))
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		body();
		_exit(KSFT_FAIL);
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

static void ready(void)
{
	shared->word[0] = 1;
	doze();
}

static char *const no_environment[] = { NULL };

/* A child that executes @path, which is this program, as its helper. */
static pid_t spawn_helper(const char *path, char *const argv[], char *const envp[])
{
	char file[32], text[32];
	pid_t pid = spawn();

	if (!pid) {
		execve(path, argv, envp);
		_exit(KSFT_FAIL);
	}
	snprintf(file, sizeof(file), "/proc/%d/comm", pid);
	until(!read_at(AT_FDCWD, file, text, sizeof(text)) && !strcmp(text, "helper\n") &&
	      state_of(pid) == 'S');
	return pid;
}

/* Are the groups @mask told, but for those that this kernel has not got? */
static bool told(__u64 mask, const struct pid_info *info)
{
	return (info->supported & mask) == (info->filled & mask);
}

/*
 * Processes in their states
 */

/* A sleeper with something in every field that can be set from outside. */
static void colourful(void)
{
	struct rlimit limit = { 1234, 1234 };
	struct sched_param none = {};
	char buffer[1000] = "";
	sigset_t set;
	int fd;

	must(!setpgid(0, 0));
	must(!prctl(PR_SET_NAME, "a (strange)\n name"));
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
	fd = open(SCRATCH "/file", O_RDWR | O_CREAT | O_TRUNC, 0600);
	must(write(fd, buffer, 997) == 997);
	must(pread(fd, buffer, 503, 0) == 503);
	memset(map_anon(MIB, MAP_PRIVATE), 1, MIB);
	burn_ms(CLOCK_PROCESS_CPUTIME_ID, 50);
	must(!sched_setscheduler(0, SCHED_BATCH, &none));
	must(!setpriority(PRIO_PROCESS, 0, 7));
	must(!chdir(SCRATCH "/cgroup"));
	must(!setresgid(11, 12, 13));
	setfsgid(13);
	must(!setresuid(14, 15, 16));
	setfsuid(16);
	ready();
}

TEST(sleeping)
{
	const __u64 clock_before = clock_ns(CLOCK_BOOTTIME);
	struct pid_info info;
	pid_t pid;

	place();
	pid = spawn_body(colourful);
	EXPECT_EQ(0, compare(pid));

	/* And not only equal, but what was set up. */
	EXPECT_EQ(0, ask(pid, ALL, &info, 0));
	EXPECT_EQ(LIVING & info.supported, info.filled);
	EXPECT_EQ(0, info.denied);
	EXPECT_STREQ("a (strange)\n na", info.comm);
	EXPECT_EQ('S', info.state);
	EXPECT_EQ(pid, info.pid);
	EXPECT_EQ(pid, info.tgid);
	EXPECT_EQ(pid, info.pgid);
	EXPECT_EQ(getpid(), info.ppid);
	EXPECT_EQ(getsid(0), info.sid);
	EXPECT_EQ(getpgid(pid), info.pgid);
	EXPECT_EQ(getsid(pid), info.sid);
	EXPECT_EQ(SIGCHLD, info.exit_signal);
	EXPECT_LE(clock_before, info.start_ns);
	EXPECT_EQ(14, info.uid);
	EXPECT_EQ(15, info.euid);
	EXPECT_EQ(16, info.suid);
	EXPECT_EQ(16, info.fsuid);
	EXPECT_EQ(11, info.gid);
	EXPECT_EQ(12, info.egid);
	EXPECT_EQ(13, info.sgid);
	EXPECT_EQ(13, info.fsgid);
	EXPECT_EQ(1ULL << (SIGUSR2 - 1), info.sig_pending);
	EXPECT_EQ(1ULL << (SIGUSR1 - 1) | 1ULL << (SIGRTMAX - 2), info.sig_shared_pending);
	EXPECT_EQ(1ULL << (SIGUSR1 - 1) | 1ULL << (SIGUSR2 - 1) | 1ULL << (SIGRTMAX - 2),
		  info.sig_blocked);
	EXPECT_EQ(1ULL << (SIGHUP - 1) | 1ULL << (SIGRTMAX - 1), info.sig_ignored);
	EXPECT_EQ(1ULL << (SIGINT - 1) | 1ULL << (SIGRTMIN + 4), info.sig_caught);
	EXPECT_EQ(1234, info.sigq_limit);
	EXPECT_TRUE(told(PID_INFO_IO | PID_INFO_BLOCKIO, &info));
	if (info.filled & PID_INFO_IO) {
		EXPECT_EQ(997, info.wchar);
		EXPECT_LE(503, info.rchar);
	}
	if (info.filled & PID_INFO_BLOCKIO) {
		EXPECT_EQ(1, info.syscw);
		EXPECT_LE(1, info.syscr);
	}
	EXPECT_LE(MIB, info.rss);
	EXPECT_LE(50000000, info.utime_ns + info.stime_ns);
	EXPECT_LE(50000000, info.runtime_ns);
	finish(pid);
}

TEST(stopped)
{
	pid_t pid;
	struct pid_info info;

	place();
	pid = spawn_doze();
	must(!kill(pid, SIGSTOP));
	until(state_of(pid) == 'T');
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_SP, &info, 0));
	EXPECT_EQ('T', info.state);
	EXPECT_TRUE(told(PID_INFO_SP, &info));
	finish(pid);
}

/* The stack pointer is the one that a tracer is told, and the tracer is told. */
TEST(traced)
{
	struct __ptrace_syscall_info call;
	struct pid_info info;
	pid_t pid, tracer;

	place();
	pid = spawn_doze();
	shared->word[0] = 0;
	tracer = spawn();
	if (!tracer) {
		must(!ptrace(PTRACE_SEIZE, pid, 0, 0));
		must(!ptrace(PTRACE_INTERRUPT, pid, 0, 0));
		must(waitpid(pid, NULL, __WALL) == pid);
		must(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(call), &call) > 0);
		memcpy(shared->text, &call, sizeof(call));
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 't');
	memcpy(&call, shared->text, sizeof(call));
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_SP | PID_INFO_TRACER, &info, 0));
	EXPECT_EQ(tracer, info.tracer_pid);
	EXPECT_EQ(getpid(), info.ppid);
	EXPECT_TRUE(told(PID_INFO_SP, &info));
	if (info.filled & PID_INFO_SP)
		EXPECT_EQ(call.stack_pointer, info.sp);
	EXPECT_NE(0, call.stack_pointer);
	finish(tracer);
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
		EXPECT_EQ(0, ask(pid, ALL, &info, 0));
		EXPECT_EQ('R', info.state);
		EXPECT_EQ(LIVING & ~PID_INFO_SP & info.supported, info.filled);
		EXPECT_EQ(0, info.denied);
		EXPECT_LE(before, info.utime_ns);
		EXPECT_EQ(0, stale_bytes(&info));
		before = info.utime_ns;
	}
	EXPECT_LT(0, before);
	finish(pid);
}

/* Every kind of end, as waitpid() tells it. */
TEST(zombie)
{
	const struct {
		int sig;
		int code;
		int status;
	} rows[] = {
		{ 0, 0, 0 }, { 0, 7, 7 << 8 }, { 0, 255, 255 << 8 },
		{ SIGTERM, 0, SIGTERM }, { SIGKILL, 0, SIGKILL },
		{ SIGRTMIN + 3, 0, 37 }, { SIGSEGV, 0, SIGSEGV }, { SIGABRT, 0, SIGABRT },
	};
	const struct rlimit core = { RLIM_INFINITY, RLIM_INFINITY };
	char pattern[256] = "";
	struct pid_info info;
	unsigned int i;
	int status;

	place();
	must(!chdir(SCRATCH) && !setrlimit(RLIMIT_CORE, &core));
	/* Without it there are no core dumps. */
	read_at(AT_FDCWD, "/proc/sys/kernel/core_pattern", pattern, sizeof(pattern));

	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		const bool dumps = rows[i].sig == SIGSEGV || rows[i].sig == SIGABRT;
		pid_t pid = spawn();

		if (!pid) {
			if (rows[i].sig) {
				signal(rows[i].sig, SIG_DFL);
				kill(getpid(), rows[i].sig);
			}
			_exit(rows[i].code);
		}
		await_zombie(pid);
		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask(pid, ALL, &info, 0));
		EXPECT_EQ('Z', info.state);
		EXPECT_EQ(1, info.num_threads);
		EXPECT_EQ(PID_INFO_F_EXITING, info.flags & KINDS);
		EXPECT_EQ(0, info.filled & (PID_INFO_MEM | PID_INFO_MEMSTAT | PID_INFO_STACK |
			  PID_INFO_SP | PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_EXE |
			  PID_INFO_CMDLINE | PID_INFO_NAMESPACES | PID_INFO_FILES));
		EXPECT_EQ(PID_INFO_EXIT, info.filled & PID_INFO_EXIT);
		status = reap(pid);
		EXPECT_EQ(rows[i].status, status & ~0x80);
		EXPECT_EQ(status, info.exit_code);
		EXPECT_EQ(-ESRCH, ask(pid, 0, &info, 0));
		/* A file of a plain name is written where the process is. */
		if (!dumps || (*pattern && !strchr("|/@\n", *pattern)))
			EXPECT_EQ(dumps, !!WCOREDUMP(status));
	}
}

static int go_on[2];

static void *end_with_seven(void *unused)
{
	char byte;

	shared->word[1] = syscall(__NR_gettid);
	must(read(go_on[0], &byte, 1) == 1);
	syscall(__NR_exit_group, 7);
	return unused;
}

/*
 * A process goes on without its main thread, has the memory that its threads have,
 * and no exit status before the last of them has ended.
 */
TEST(leader_gone)
{
	const __u64 memory = PID_INFO_MEM | PID_INFO_MEMSTAT | PID_INFO_STACK | PID_INFO_EXE |
			     PID_INFO_CMDLINE;
	const __u64 gone = PID_INFO_ROOT | PID_INFO_CWD | PID_INFO_SP | PID_INFO_FILES |
			   PID_INFO_NAMESPACES;
	struct pid_info info;
	pid_t pid, tid;
	int status;

	place();
	must(!pipe(go_on));
	shared->word[1] = 0;
	pid = spawn();
	if (!pid) {
		pthread_t thread;

		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		memset(map_anon(MIB, MAP_PRIVATE), 1, MIB);
		must(!pthread_create(&thread, NULL, end_with_seven, NULL));
		syscall(__NR_exit, 0);
	}
	until((tid = shared->word[1]) && state_of(pid) == 'Z' && state_of(tid) == 'S');

	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, compare_thread(pid, pid));
	EXPECT_EQ(0, compare_thread(pid, tid));
	EXPECT_EQ(0, ask(pid, ALL, &info, 0));
	EXPECT_EQ('Z', info.state);
	EXPECT_EQ(2, info.num_threads);
	EXPECT_EQ(LIVING & ~gone & info.supported, info.filled);
	EXPECT_LE(MIB, info.rss);
	EXPECT_LE(MIB, info.data);
	/* The main thread alone has none of it. */
	EXPECT_EQ(0, ask(pid, ALL, &info, PID_INFO_THREAD));
	EXPECT_EQ(LIVING & ~gone & ~memory & info.supported, info.filled);
	EXPECT_EQ(0, waitpid(pid, &status, WNOHANG));

	must(write(go_on[1], "7", 1) == 1);
	await_zombie(pid);
	EXPECT_EQ(0, ask(pid, ALL, &info, 0));
	EXPECT_EQ(PID_INFO_EXIT, info.filled & (PID_INFO_EXIT | memory));
	EXPECT_EQ(1, info.num_threads);
	EXPECT_EQ(0x700, info.exit_code);
	EXPECT_EQ(0x700, reap(pid));
}

TEST(kernel_thread)
{
	struct pid_info info;

	place();
	EXPECT_EQ(0, compare(2));
	EXPECT_EQ(0, ask(2, ALL, &info, 0));
	EXPECT_STREQ("kthreadd", info.comm);
	EXPECT_EQ(0, info.ppid);
	EXPECT_EQ(PID_INFO_F_KTHREAD, info.flags & KINDS);
	EXPECT_EQ(0, info.filled & (PID_INFO_MEM | PID_INFO_MEMSTAT | PID_INFO_STACK |
		  PID_INFO_SP | PID_INFO_EXE | PID_INFO_CMDLINE | PID_INFO_EXIT));
	EXPECT_EQ(0, info.denied);
	EXPECT_LT(3 * sizeof(__s32), info.children.size);
}

/* The name in /proc/PID/stat; false when the process has gone. */
static bool long_name(pid_t pid, char *name)
{
	struct stat_line line;
	char path[32];
	bool there;
	int dir;

	snprintf(path, sizeof(path), "/proc/%d", pid);
	dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (dir < 0)
		return false;
	there = read_stat(dir, &line);
	close(dir);
	memcpy(name, line.comm, sizeof(line.comm));
	return there;
}

/*
 * Ask for the name of @pid, at a moment when /proc says the same before and after:
 * workers change theirs with the work. False when there was none.
 */
static bool ask_name(pid_t pid, char *proc, struct pid_info *info, char *buffer, __u32 size)
{
	char after[64];
	int tries;

	for (tries = 0; tries < 100; tries++) {
		if (!long_name(pid, proc) ||
		    ask_into(pid, PID_INFO_NAME, info, 0, buffer, size) ||
		    !long_name(pid, after))
			return false;
		if (!strcmp(proc, after))
			return true;
	}
	return false;
}

/* A kernel thread can have a name that is longer than its comm. */
TEST(long_names)
{
	static __s32 ids[1 << 16];
	unsigned int count = list_ids("/proc", ids, ARRAY_SIZE(ids)), i, compared = 0, longer = 0;
	char buffer[72];
	char proc[64];
	struct pid_info info;

	for (i = 0; i < count; i++) {
		if (!ask_name(ids[i], proc, &info, buffer, sizeof(buffer)))
			continue;
		EXPECT_EQ(PID_INFO_NAME | PID_INFO_IDENT, info.filled);
		EXPECT_EQ(strlen(proc) + 1, info.name.size);
		EXPECT_EQ(0, info.name.offset);
		EXPECT_STREQ(proc, buffer);
		compared++;
		longer += strlen(proc) >= PID_INFO_COMM_LEN;
		if (!(info.flags & PID_INFO_F_KTHREAD))
			EXPECT_STREQ(proc, info.comm);
	}
	EXPECT_LT(3, compared);
	EXPECT_LT(0, longer);
}

/* A thread of the kernel within a process: it has no user stack of its own. */
TEST(user_worker)
{
	struct io_uring_params params = { .flags = IORING_SETUP_SQPOLL, .sq_thread_idle = 1 };
	int ring = syscall(__NR_io_uring_setup, 1, &params);
	const char *error = ring < 0 ? strerrorname_np(errno) : "none";
	__s32 ids[8];
	struct pid_info info;
	char path[64];
	pid_t pid;

	if (!strcmp(error, "ENOSYS") || !strcmp(error, "EPERM"))
		SKIP(return, "no io_uring: %s", error);
	must(ring >= 0);
	close(ring);

	place();
	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		memset(&params, 0, sizeof(params));
		params.flags = IORING_SETUP_SQPOLL;
		params.sq_thread_idle = 1;
		must(syscall(__NR_io_uring_setup, 1, &params) >= 0);
		ready();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	snprintf(path, sizeof(path), "/proc/%d/task", pid);
	ASSERT_EQ(2, list_ids(path, ids, ARRAY_SIZE(ids)));
	ASSERT_EQ(pid, ids[0]);
	until(state_of(ids[1]) == 'S');

	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, compare_thread(pid, ids[1]));
	EXPECT_EQ(0, ask(ids[1], ALL, &info, PID_INFO_THREAD));
	EXPECT_EQ(PID_INFO_F_USER_WORKER, info.flags & KINDS);
	EXPECT_EQ(pid, info.tgid);
	EXPECT_EQ(0, strncmp("iou-sqp-", info.comm, 8));
	EXPECT_EQ(LIVING & ~PID_INFO_SP & info.supported, info.filled);
	EXPECT_EQ(0, info.denied);
	EXPECT_EQ(0, ask(pid, ALL, &info, 0));
	EXPECT_EQ(0, info.flags & KINDS);
	EXPECT_EQ(LIVING & info.supported, info.filled);
	finish(pid);
}

/*
 * Threads and processes
 */

static void *thread_main(void *unused)
{
	int i, fd = open("/dev/null", O_WRONLY);
	char buffer[601] = "";

	must(!prctl(PR_SET_NAME, "thread"));
	must(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
	memset(map_anon(MIB, MAP_PRIVATE), 1, MIB);
	burn_ms(CLOCK_THREAD_CPUTIME_ID, 30);
	for (i = 0; i < 53; i++)
		sleep_ms(1);
	shared->word[1] = syscall(__NR_gettid);
	doze();
	return unused;
}

static void two_threads(void)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, thread_main, NULL));
	ready();
}

/* A thread is asked for its own, a process for that of all of its threads. */
TEST(threads)
{
	struct pid_info process, leader, thread;
	pid_t pid, tid;

	place();
	shared->word[1] = 0;
	pid = spawn_body(two_threads);
	until((tid = shared->word[1]) && state_of(tid) == 'S');

	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, compare_thread(pid, pid));
	EXPECT_EQ(0, compare_thread(pid, tid));

	EXPECT_EQ(-ESRCH, ask(tid, 0, &thread, 0));
	EXPECT_EQ(0, ask(pid, ALL, &process, 0));
	EXPECT_EQ(0, ask(pid, ALL, &leader, PID_INFO_THREAD));
	EXPECT_EQ(0, ask(tid, ALL, &thread, PID_INFO_THREAD));
	EXPECT_EQ(LIVING & thread.supported, thread.filled);
	EXPECT_EQ(pid, leader.pid);
	EXPECT_EQ(tid, thread.pid);
	EXPECT_EQ(pid, thread.tgid);
	EXPECT_EQ(getpid(), thread.ppid);
	EXPECT_EQ(2, thread.num_threads);
	EXPECT_EQ(-1, thread.exit_signal);
	EXPECT_STREQ("thread", thread.comm);
	EXPECT_LE(leader.start_ns, thread.start_ns);
	EXPECT_EQ(process.start_ns, leader.start_ns);

	EXPECT_LE(53, thread.nvcsw);
	EXPECT_LE(MIB / sysconf(_SC_PAGESIZE), thread.min_flt);
	EXPECT_LE(30000000, thread.runtime_ns);
	EXPECT_EQ(leader.nvcsw + thread.nvcsw, process.nvcsw);
	EXPECT_EQ(leader.nivcsw + thread.nivcsw, process.nivcsw);
	EXPECT_EQ(leader.min_flt + thread.min_flt, process.min_flt);
	EXPECT_EQ(leader.maj_flt + thread.maj_flt, process.maj_flt);
	EXPECT_EQ(leader.runtime_ns + thread.runtime_ns, process.runtime_ns);
	EXPECT_EQ(process.rss, thread.rss);
	EXPECT_TRUE(told(PID_INFO_IO, &thread));
	if (thread.filled & PID_INFO_IO) {
		EXPECT_EQ(601, thread.wchar);
		EXPECT_EQ(0, leader.wchar);
		EXPECT_EQ(601, process.wchar);
		EXPECT_EQ(leader.rchar + thread.rchar, process.rchar);
	}
	finish(pid);
}

static void *ending_thread(void *unused)
{
	int i, fd = open("/dev/null", O_WRONLY);
	char buffer[307] = "";

	must(write(fd, buffer, sizeof(buffer)) == sizeof(buffer));
	memset(map_anon(MIB, MAP_PRIVATE), 1, MIB);
	burn_ms(CLOCK_THREAD_CPUTIME_ID, 30);
	for (i = 0; i < 53; i++)
		sleep_ms(1);
	return unused;
}

static void ended_thread(void)
{
	pthread_t thread;

	must(!pthread_create(&thread, NULL, ending_thread, NULL));
	must(!pthread_join(thread, NULL));
	ready();
}

/* What a thread used is its process's after it has ended, too. */
TEST(ended_threads)
{
	struct pid_info process, leader;
	struct rusage usage;
	pid_t pid;

	place();
	pid = spawn_body(ended_thread);
	until(!ask(pid, 0, &process, 0) && process.num_threads == 1);
	EXPECT_EQ(0, compare_thread(pid, pid));
	/* In this order, as it may not sleep yet. */
	EXPECT_EQ(0, ask(pid, ALL, &leader, PID_INFO_THREAD));
	EXPECT_EQ(0, ask(pid, ALL, &process, 0));
	EXPECT_LE(leader.nvcsw + 53, process.nvcsw);
	EXPECT_LE(leader.min_flt + MIB / sysconf(_SC_PAGESIZE), process.min_flt);
	EXPECT_LE(leader.runtime_ns + 30000000, process.runtime_ns);
	EXPECT_EQ(process_runtime(pid), process.runtime_ns);
	if (process.filled & PID_INFO_IO) {
		EXPECT_EQ(0, leader.wchar);
		EXPECT_EQ(307, process.wchar);
	}

	must(!kill(pid, SIGKILL));
	await_zombie(pid);
	/* It is a zombie before its last switch is counted. */
	sleep_ms(50);
	EXPECT_EQ(0, ask(pid, ALL, &process, 0));
	must(wait4(pid, NULL, 0, &usage) == pid);
	EXPECT_EQ(usage.ru_nvcsw, process.nvcsw);
	EXPECT_EQ(usage.ru_nivcsw, process.nivcsw);
	EXPECT_EQ(usage.ru_minflt, process.min_flt);
	EXPECT_EQ(usage.ru_majflt, process.maj_flt);
	EXPECT_EQ(usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec,
		  process.utime_ns / 1000);
	EXPECT_EQ(usage.ru_stime.tv_sec * 1000000LL + usage.ru_stime.tv_usec,
		  process.stime_ns / 1000);
}

static void busy_parent(void)
{
	struct rusage usage;
	pid_t pid = spawn();

	if (!pid) {
		memset(map_anon(MIB, MAP_PRIVATE), 1, MIB);
		burn_ms(CLOCK_PROCESS_CPUTIME_ID, 50);
		_exit(0);
	}
	reap(pid);
	must(!getrusage(RUSAGE_CHILDREN, &usage));
	memcpy(shared->text, &usage, sizeof(usage));
	ready();
}

/* Children count once they have been waited for. */
TEST(children_times)
{
	struct rusage usage;
	struct pid_info info;
	pid_t pid;

	place();
	pid = spawn_body(busy_parent);
	memcpy(&usage, shared->text, sizeof(usage));
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_CTIMES, &info, 0));
	EXPECT_EQ(usage.ru_utime.tv_sec * 1000000LL + usage.ru_utime.tv_usec,
		  info.cutime_ns / 1000);
	EXPECT_EQ(usage.ru_stime.tv_sec * 1000000LL + usage.ru_stime.tv_usec,
		  info.cstime_ns / 1000);
	EXPECT_EQ(usage.ru_minflt, info.cmin_flt);
	EXPECT_EQ(usage.ru_majflt, info.cmaj_flt);
	EXPECT_LE(MIB / sysconf(_SC_PAGESIZE), info.cmin_flt);
	EXPECT_LE(30000000, info.cutime_ns + info.cstime_ns);
	finish(pid);
}

/*
 * Clocks and schedulers
 */

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
	EXPECT_EQ(0, ask(pid, 0, &info, 0));
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
	pid_t pid, target;

	place();
	target = spawn_doze();
	EXPECT_EQ(0, ask(target, 0, outside, 0));
	if (unshare(CLONE_NEWTIME))
		SKIP(return, "no time namespaces: %s", strerrorname_np(errno));
	must(write_file("/proc/self/timens_offsets", "7 1000 5"));
	pid = spawn();
	if (!pid) {
		want(0, ask(target, 0, inside, 0));
		want(0, compare(target));
		_exit(0);
	}
	EXPECT_EQ(0, reap(pid));
	EXPECT_EQ(0, shared->failures);
	EXPECT_EQ(outside->start_ns + 1000000000005ULL, inside->start_ns);
	EXPECT_LE(outside->age_ns, inside->age_ns);
	EXPECT_GT(outside->age_ns + 60000000000ULL, inside->age_ns);
	finish(target);
}

/* As sched_setattr(2) takes it, whose header fights that of the C library. */
struct attributes {
	__u32 size;
	__u32 policy;
	__u64 flags;
	__s32 nice;
	__u32 priority;
	__u64 runtime;
	__u64 deadline;
	__u64 period;
};

TEST(policies)
{
	static const struct attributes rows[] = {
		{ .policy = SCHED_OTHER }, { .policy = SCHED_OTHER, .nice = -5 },
		{ .policy = SCHED_BATCH, .nice = 19 }, { .policy = SCHED_IDLE },
		{ .policy = SCHED_FIFO, .priority = 7 }, { .policy = SCHED_RR, .priority = 97 },
		{ .policy = 6, .runtime = 1009000, .deadline = 101000000, .period = 103000000 },
	};
	unsigned int i;

	place();
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		struct attributes set = rows[i], native = {};
		pid_t pid = spawn_doze();
		struct pid_info info;

		set.size = sizeof(set);
		ASSERT_EQ(0, syscall(__NR_sched_setattr, pid, &set, 0))
			TH_LOG("policy %u: %s", set.policy, strerror(errno));
		must(!syscall(__NR_sched_getattr, pid, &native, sizeof(native), 0));
		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask(pid, PID_INFO_SCHED, &info, 0));
		EXPECT_EQ(rows[i].policy, info.policy);
		EXPECT_EQ(native.policy, info.policy);
		/* Of another policy sched_getattr() tells no nice value. */
		if (set.policy == SCHED_OTHER || set.policy == SCHED_BATCH) {
			EXPECT_EQ(native.nice, info.nice);
			EXPECT_EQ(rows[i].nice, info.nice);
		}
		EXPECT_EQ(rows[i].priority, info.rt_priority);
		finish(pid);
	}
}

/* The group CPU against /proc's schedstat. */
static void compare_schedstat(struct __test_metadata *_metadata, pid_t pid, pid_t tid)
{
	unsigned long long runtime, delay, slices;
	char path[64], text[128];
	struct pid_info info;

	snprintf(path, sizeof(path), "/proc/%d/task/%d/schedstat", pid, tid);
	must(!read_at(AT_FDCWD, path, text, sizeof(text)));
	must(sscanf(text, "%llu %llu %llu", &runtime, &delay, &slices) == 3);
	EXPECT_EQ(0, ask(tid, PID_INFO_CPU, &info, PID_INFO_THREAD));
	EXPECT_EQ(PID_INFO_CPU | PID_INFO_IDENT, info.filled);
	EXPECT_EQ(runtime, info.runtime_ns);
	EXPECT_EQ(delay, info.run_delay_ns);
	EXPECT_EQ(slices, info.timeslices);
	EXPECT_LT(0, slices);
	if (tid == pid) {
		/* Waiting is a process's main thread's. */
		EXPECT_EQ(0, ask(pid, PID_INFO_CPU, &info, 0));
		EXPECT_EQ(delay, info.run_delay_ns);
		EXPECT_EQ(slices, info.timeslices);
		EXPECT_EQ(process_runtime(pid), info.runtime_ns);
	}
}

TEST(cpu)
{
	const char *setting = "/proc/sys/kernel/task_delayacct";
	bool has_setting = !access(setting, W_OK);
	struct guard old;
	cpu_set_t may, only;
	struct pid_info info;
	pid_t pid, tid;
	int cpu, last = -1;

	must(!ask(0, PID_INFO_CPU, &info, 0));
	if (!(info.supported & PID_INFO_CPU))
		SKIP(return, "this kernel does not tell of the CPU");
	place();
	/* schedstat has only zeros as long as nobody wants delays to be accounted. */
	if (has_setting) {
		old = guard(setting);
		must(write_file(setting, "1"));
	}
	must(!sched_getaffinity(0, sizeof(may), &may));
	for (cpu = 0; cpu < CPU_SETSIZE; cpu++)
		if (CPU_ISSET(cpu, &may))
			last = cpu;
	CPU_ZERO(&only);
	CPU_SET(last, &only);
	must(!sched_setaffinity(0, sizeof(only), &only));
	shared->word[1] = 0;
	pid = spawn_body(two_threads);
	until((tid = shared->word[1]) && state_of(tid) == 'S');

	EXPECT_EQ(0, ask(pid, PID_INFO_CPU, &info, 0));
	EXPECT_EQ(last, info.cpu);
	EXPECT_EQ(0, compare(pid));
	compare_schedstat(_metadata, pid, pid);
	compare_schedstat(_metadata, pid, tid);
	finish(pid);
	if (has_setting)
		unguard(old);
}

/*
 * Rights
 */

static void many_groups(void)
{
	static gid_t list[300], *ids;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(list); i++)
		list[i] = 1000003 - 997 * i;
	must(!setgroups(ARRAY_SIZE(list), list));
	ids = (void *)shared->text;
	must(getgroups(ARRAY_SIZE(list), ids) == ARRAY_SIZE(list));
	ready();
}

static void no_groups(void)
{
	must(!setgroups(0, NULL));
	ready();
}

TEST(supplementary_groups)
{
	static __u32 ids[300];
	struct pid_info info;
	unsigned int i;
	pid_t pid;

	place();
	pid = spawn_body(many_groups);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask_into(pid, PID_INFO_GROUPS, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(sizeof(ids), info.groups.size);
	EXPECT_EQ(0, info.groups.offset);
	EXPECT_EQ(0, memcmp(ids, shared->text, sizeof(ids)));
	for (i = 1; i < ARRAY_SIZE(ids); i++)
		EXPECT_LT(ids[i - 1], ids[i]);
	finish(pid);

	pid = spawn_body(no_groups);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask_into(pid, PID_INFO_GROUPS, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(PID_INFO_GROUPS | PID_INFO_IDENT, info.filled);
	EXPECT_EQ(0, info.groups.size);
	finish(pid);
}

static void few_capabilities(void)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2] = {};
	struct pid_info *answers = shared->info;
	int cap, ret;

	must(!prctl(PR_CAPBSET_DROP, CAP_SYS_TIME));
	must(!prctl(PR_CAPBSET_DROP, CAP_BPF));
	must(!prctl(PR_SET_SECUREBITS, SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP));
	data[0].permitted = 1U << CAP_KILL | 1U << CAP_NET_RAW | 1U << CAP_SETPCAP;
	data[0].effective = 1U << CAP_KILL;
	data[0].inheritable = 1U << CAP_NET_RAW | 1U << CAP_SETPCAP;
	data[1].permitted = 1U << (CAP_PERFMON - 32);
	must(!syscall(__NR_capset, &header, data));
	must(!prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, CAP_NET_RAW, 0, 0));

	memset(answers, 0, sizeof(*answers));
	for (cap = 0; cap < 64; cap++) {
		ret = prctl(PR_CAPBSET_READ, cap);
		if (ret < 0)
			break;
		answers->cap_bounding |= (__u64)ret << cap;
		ret = prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_IS_SET, cap, 0, 0);
		answers->cap_ambient |= (__u64)ret << cap;
	}
	answers->securebits = prctl(PR_GET_SECUREBITS);
	ready();
}

TEST(capabilities)
{
	struct __user_cap_header_struct header = { _LINUX_CAPABILITY_VERSION_3, 0 };
	struct __user_cap_data_struct data[2];
	const struct pid_info *answers = shared->info;
	struct pid_info info;
	pid_t pid;

	place();
	pid = spawn_body(few_capabilities);
	header.pid = pid;
	must(!syscall(__NR_capget, &header, data));
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_CAPS, &info, 0));
	EXPECT_EQ(data[0].permitted | (__u64)data[1].permitted << 32, info.cap_permitted);
	EXPECT_EQ(data[0].effective | (__u64)data[1].effective << 32, info.cap_effective);
	EXPECT_EQ(data[0].inheritable | (__u64)data[1].inheritable << 32,
		  info.cap_inheritable);
	EXPECT_EQ(answers->cap_bounding, info.cap_bounding);
	EXPECT_EQ(answers->cap_ambient, info.cap_ambient);
	EXPECT_EQ(answers->securebits, info.securebits);

	EXPECT_EQ(1ULL << CAP_KILL | 1ULL << CAP_NET_RAW | 1ULL << CAP_SETPCAP |
		  1ULL << CAP_PERFMON, info.cap_permitted);
	EXPECT_EQ(1ULL << CAP_NET_RAW, info.cap_ambient);
	EXPECT_EQ(0, info.cap_bounding & (1ULL << CAP_SYS_TIME | 1ULL << CAP_BPF));
	EXPECT_NE(0, info.cap_bounding & 1ULL << CAP_NET_ADMIN);
	EXPECT_EQ(SECBIT_NOROOT | SECBIT_NO_SETUID_FIXUP, info.securebits);
	finish(pid);
}

static void filtered(void)
{
	struct sock_filter allow = BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW);
	struct sock_fprog program = { 1, &allow };
	int i;

	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	for (i = 0; i < 3; i++)
		must(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program));
	ready();
}

static void strict(void)
{
	char byte;

	must(!prctl(PR_SET_SECCOMP, SECCOMP_MODE_STRICT));
	shared->word[0] = 1;
	if (read(go_on[0], &byte, 1))
		syscall(__NR_exit, 0);
}

static void no_new_privs(void)
{
	must(!prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0));
	ready();
}

TEST(seccomp)
{
	const struct {
		void (*body)(void);
		__u32 no_new_privs, mode, filters;
	} rows[] = {
		{ ready, 0, SECCOMP_MODE_DISABLED, 0 },
		{ no_new_privs, 1, SECCOMP_MODE_DISABLED, 0 },
		{ strict, 0, SECCOMP_MODE_STRICT, 0 },
		{ filtered, 1, SECCOMP_MODE_FILTER, 3 },
	};
	struct pid_info info;
	unsigned int i;

	/* These tests may run in a sandbox themselves. */
	if (prctl(PR_GET_SECCOMP))
		SKIP(return, "no seccomp, or in use");
	place();
	must(!pipe(go_on));
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = spawn_body(rows[i].body);

		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask(pid, PID_INFO_SECCOMP, &info, 0));
		EXPECT_EQ(rows[i].no_new_privs, info.no_new_privs);
		EXPECT_EQ(rows[i].mode, info.seccomp_mode);
		EXPECT_EQ(rows[i].filters, info.seccomp_filters);
		finish(pid);
	}
}

/*
 * Surroundings
 */

TEST(inode)
{
	pid_t pid, tid;
	struct pid_info info, thread;
	struct stat stat;
	struct statfs fs;
	int fd;

	shared->word[1] = 0;
	pid = spawn_body(two_threads);
	until((tid = shared->word[1]));
	fd = pidfd_open(pid);
	must(!fstatfs(fd, &fs) && !fstat(fd, &stat));
	EXPECT_EQ(0, ask(pid, PID_INFO_INODE, &info, 0));
	/* Before there was a pidfs all pidfds had one inode. */
	EXPECT_EQ(fs.f_type == PID_FS_MAGIC ? PID_INFO_INODE : 0,
		  info.supported & PID_INFO_INODE);
	EXPECT_TRUE(told(PID_INFO_INODE, &info));
	if (info.supported & PID_INFO_INODE) {
		EXPECT_EQ(stat.st_ino, info.inode);
		close(fd);
		fd = syscall(__NR_pidfd_open, tid, PIDFD_THREAD);
		must(fd >= 0 && !fstat(fd, &stat));
		EXPECT_EQ(0, ask(tid, PID_INFO_INODE, &thread, PID_INFO_THREAD));
		EXPECT_EQ(stat.st_ino, thread.inode);
		EXPECT_NE(info.inode, thread.inode);
	}
	close(fd);
	finish(pid);
}

TEST(control_group)
{
	const char *group = CGROUP "/pid_info_fields";
	struct pid_info info, other;
	struct stat stat;
	char text[16];
	pid_t pid;

	must(!ask(0, PID_INFO_CGROUP, &info, 0));
	if (!(info.supported & PID_INFO_CGROUP))
		SKIP(return, "no cgroups");
	place();
	pid = spawn_doze();
	must(!mkdir(group, 0700) || errno == EEXIST);
	snprintf(text, sizeof(text), "%d", pid);
	must(write_file(CGROUP "/pid_info_fields/cgroup.procs", text));
	must(!fstatat(AT_FDCWD, group, &stat, 0));
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_CGROUP, &info, 0));
	EXPECT_EQ(0, ask(0, PID_INFO_CGROUP, &other, 0));
	EXPECT_EQ(stat.st_ino, info.cgroup_id);
	EXPECT_NE(other.cgroup_id, info.cgroup_id);
	finish(pid);
	until(!rmdir(group));
}

static void in_namespaces(void)
{
	static const int kinds[] = {
		CLONE_NEWCGROUP, CLONE_NEWIPC, CLONE_NEWNET, CLONE_NEWUTS, CLONE_NEWTIME,
		CLONE_NEWPID, CLONE_NEWNS,
	};
	unsigned int i;

	/* One that is not in the kernel is 0 here and missing there. */
	for (i = 0; i < ARRAY_SIZE(kinds); i++)
		must(!unshare(kinds[i]) || errno == EINVAL);
	ready();
}

static void in_user_namespace(void)
{
	must(!unshare(CLONE_NEWUSER));
	ready();
}

static void with_first_process(void)
{
	must(!unshare(CLONE_NEWPID));
	if (!spawn())
		doze();
	ready();
}

TEST(namespaces)
{
	struct pid_info info, own;
	pid_t pid;

	place();
	must(!ask(0, PID_INFO_NAMESPACES, &own, 0));

	pid = spawn_body(in_namespaces);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_NAMESPACES, &info, 0));
	EXPECT_NE(own.ns_mnt, info.ns_mnt);
	EXPECT_EQ(own.ns_pid, info.ns_pid);
	EXPECT_EQ(own.ns_time, info.ns_time);
	EXPECT_EQ(own.ns_user, info.ns_user);
	/* No process in there yet. */
	EXPECT_EQ(0, info.ns_pid_for_children);
	finish(pid);

	pid = spawn_body(with_first_process);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_NAMESPACES, &info, 0));
	EXPECT_EQ(own.ns_pid, info.ns_pid);
	EXPECT_NE(own.ns_pid, info.ns_pid_for_children);
	EXPECT_NE(0, info.ns_pid_for_children);
	EXPECT_EQ(own.ns_mnt, info.ns_mnt);
	finish(pid);

	pid = spawn_body(in_user_namespace);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_NAMESPACES, &info, 0));
	EXPECT_NE(own.ns_user, info.ns_user);
	EXPECT_EQ(own.ns_pid, info.ns_pid);
	finish(pid);
}

/* The ids from here down to the task's own namespace. */
TEST(nested_ids)
{
	__s32 ids[4];
	struct pid_info info;
	pid_t init;

	place();
	memset(shared, 0, sizeof(*shared));
	init = spawn_in(CLONE_NEWPID);
	if (!init) {
		must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
		/* As 2 start a process whose child, 3, is the third's init. */
		if (!spawn()) {
			must(!unshare(CLONE_NEWPID));
			if (!spawn()) {
				char name[16] = "";

				/* /proc is that of outside. */
				must(readlink("/proc/self", name, sizeof(name) - 1) > 0);
				shared->word[1] = atoi(name);
				ready();
			}
			doze();
		}
		doze();
	}
	until(shared->word[0] && state_of(shared->word[1]) == 'S');
	EXPECT_EQ(0, compare(shared->word[1]));
	EXPECT_EQ(0, ask_into(shared->word[1], PID_INFO_NSPIDS, &info, 0, ids, sizeof(ids)));
	EXPECT_EQ(3 * sizeof(*ids), info.nspids.size);
	EXPECT_EQ(0, info.nspids.offset);
	EXPECT_EQ(shared->word[1], ids[0]);
	EXPECT_EQ(3, ids[1]);
	EXPECT_EQ(1, ids[2]);
	finish(init);
}

static void on_terminal(void)
{
	int master = open(SCRATCH "/pts/ptmx", O_RDWR | O_NOCTTY), unlock = 0, slave;
	struct stat stat;
	pid_t pid;

	must(setsid() > 0);
	must(master >= 0 && !ioctl(master, TIOCSPTLCK, &unlock));
	slave = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY);
	must(slave >= 0 && !ioctl(slave, TIOCSCTTY, 0) && !fstat(slave, &stat));
	pid = spawn();
	if (!pid)
		doze();
	must(!setpgid(pid, pid));
	must(!tcsetpgrp(slave, pid));
	shared->ids[0] = major(stat.st_rdev);
	shared->ids[1] = minor(stat.st_rdev);
	shared->ids[2] = tcgetpgrp(slave);
	shared->ids[3] = pid;
	ready();
}

static void without_terminal(void)
{
	must(setsid() > 0);
	ready();
}

TEST(terminal)
{
	struct pid_info info;
	pid_t pid;

	place();
	must(!mkdir(SCRATCH "/pts", 0755));
	if (mount("devpts", SCRATCH "/pts", "devpts", 0, "newinstance,ptmxmode=0666"))
		SKIP(return, "no pseudo terminals: %s", strerrorname_np(errno));
	/* So that the number of ours is not 0. */
	must(open(SCRATCH "/pts/ptmx", O_RDWR | O_NOCTTY) >= 0);
	pid = spawn_body(on_terminal);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_TTY | PID_INFO_SESSION, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT | PID_INFO_TTY | PID_INFO_SESSION, info.filled);
	EXPECT_EQ(shared->ids[0] << 8 | shared->ids[1], info.tty);
	EXPECT_NE(0, shared->ids[1]);
	EXPECT_EQ(shared->ids[2], info.tpgid);
	EXPECT_EQ(shared->ids[3], info.tpgid);
	EXPECT_EQ(pid, info.sid);
	finish(pid);

	pid = spawn_body(without_terminal);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_TTY, &info, 0));
	EXPECT_EQ(PID_INFO_IDENT | PID_INFO_TTY, info.filled);
	EXPECT_EQ(0, info.tty);
	EXPECT_EQ(-1, info.tpgid);
	finish(pid);
}

TEST(limits)
{
	struct pid_info info;
	struct rlimit limit;
	unsigned int i, finite = 0, infinite = 0;
	pid_t pid;

	place();
	pid = spawn_doze();
	for (i = 0; i < PID_INFO_LIMITS_LEN; i++) {
		/* No more files may be allowed than fs.nr_open, nor too little of the rest. */
		limit.rlim_cur = i == RLIMIT_NOFILE ? 1009 : (1UL << 30) + 4096 * i;
		limit.rlim_max = i % 3 ? RLIM_INFINITY : limit.rlim_cur + 8192;
		if (i == RLIMIT_NOFILE)
			limit.rlim_max = 2003;
		else if (i % 5 == 1)
			limit.rlim_cur = limit.rlim_max;
		must(!prlimit(pid, i, &limit, NULL));
	}
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_LIMITS, &info, 0));
	for (i = 0; i < PID_INFO_LIMITS_LEN; i++) {
		must(!prlimit(pid, i, NULL, &limit));
		EXPECT_EQ(limit.rlim_cur == RLIM_INFINITY ? ~0ULL : limit.rlim_cur,
			  info.limits[i].soft);
		EXPECT_EQ(limit.rlim_max == RLIM_INFINITY ? ~0ULL : limit.rlim_max,
			  info.limits[i].hard);
		infinite += info.limits[i].soft == ~0ULL;
		finite += info.limits[i].hard != ~0ULL;
	}
	EXPECT_EQ(2, infinite);
	EXPECT_LT(3, finite);
	finish(pid);
}

static void with_files(void)
{
	unsigned int i, count = 0;

	for (i = 0; i < 211; i++)
		must(open("/dev/null", O_RDONLY | O_CLOEXEC) >= 0);
	must(dup2(0, 1013) == 1013);
	close(101);
	for (i = 0; i < 4096; i++)
		count += fcntl(i, F_GETFD) >= 0;
	shared->word[1] = count;
	ready();
}

TEST(files)
{
	struct rlimit limit = { 4096, 4096 };
	struct pid_info info;
	pid_t pid;

	place();
	must(!setrlimit(RLIMIT_NOFILE, &limit));
	pid = spawn_body(with_files);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_FILES, &info, 0));
	EXPECT_EQ(shared->word[1], info.open_files);
	EXPECT_LE(211, info.open_files);
	finish(pid);
}

static void with_memory(void)
{
	const struct rlimit limit = { RLIM_INFINITY, RLIM_INFINITY };
	void *large, *locked;

	must(!setrlimit(RLIMIT_MEMLOCK, &limit));
	must(write_file("/proc/self/oom_score_adj", "457"));
	large = map_anon(64 * MIB, MAP_PRIVATE);
	memset(large, 1, 32 * MIB);
	must(!munmap(large, 64 * MIB));
	locked = map_anon(MIB, MAP_PRIVATE);
	must(!mlock(locked, MIB));
	memset(map_anon(7 * MIB, MAP_PRIVATE), 1, 5 * MIB);
	memset(map_anon(3 * MIB, MAP_SHARED), 1, 3 * MIB);
	ready();
}

TEST(memory)
{
	struct pid_info info, plain;
	pid_t pid, other;

	place();
	other = spawn_body(ready);
	EXPECT_EQ(0, ask(other, PID_INFO_MEM | PID_INFO_MEMSTAT, &plain, 0));
	pid = spawn_body(with_memory);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_MEM | PID_INFO_MEMSTAT, &info, 0));
	EXPECT_EQ(457, info.oom_score_adj);
	EXPECT_EQ(MIB, info.locked);
	/* These depend on nothing but the maps. */
	EXPECT_EQ(plain.vsize + 11 * MIB, info.vsize);
	EXPECT_LE(info.vsize + 53 * MIB, info.vsize_peak);
	EXPECT_EQ(plain.data + 8 * MIB, info.data);
	EXPECT_EQ(plain.stack_size, info.stack_size);
	EXPECT_EQ(plain.text, info.text);
	EXPECT_LT(0, info.text);
	EXPECT_LT(0, info.page_tables);
	/* These are counted where it is cheap: see is_near(). */
	EXPECT_TRUE(is_near(plain.rss_anon + 6 * MIB, info.rss_anon));
	EXPECT_TRUE(is_near(plain.rss_shmem + 3 * MIB, info.rss_shmem));
	EXPECT_TRUE(is_near(plain.rss + 9 * MIB, info.rss));
	EXPECT_LE(28 * MIB, info.rss_peak);
	finish(pid);
	finish(other);
}

static void with_disk(void)
{
	const char *path = "/var/tmp/pid_info_fields";
	int fd = open(path, O_RDWR | O_CREAT | O_TRUNC, 0600);
	void *buffer = map_anon(MIB, MAP_PRIVATE);
	struct statfs fs;

	must(fd >= 0 && !unlink(path) && !fstatfs(fd, &fs));
	memset(buffer, 1, MIB);
	must(write(fd, buffer, MIB) == (ssize_t)MIB);
	must(!ftruncate(fd, 0));
	shared->word[1] = fs.f_type == TMPFS_MAGIC || fs.f_type == RAMFS_MAGIC;
	ready();
}

/* What is written to a file, and cut off again. */
TEST(disk)
{
	struct pid_info info;
	pid_t pid;

	must(!ask(0, PID_INFO_IO | PID_INFO_BLOCKIO, &info, 0));
	if (!(info.supported & PID_INFO_IO))
		SKIP(return, "this kernel does not account I/O");
	if (access("/var/tmp", W_OK))
		SKIP(return, "no /var/tmp");
	place();
	pid = spawn_body(with_disk);
	EXPECT_EQ(0, compare(pid));
	EXPECT_EQ(0, ask(pid, PID_INFO_IO | PID_INFO_BLOCKIO, &info, 0));
	EXPECT_EQ(MIB, info.wchar);
	/* No storage is behind these file systems. */
	EXPECT_EQ(!shared->word[1], info.write_bytes >= MIB);
	finish(pid);
}

/*
 * Paths
 */

#define PATH_ROOM	(80 << 10)

/* Go to a directory of a path of @length bytes, and tell that in @path. */
static void descend(char *path, size_t length)
{
	size_t at = snprintf(path, PATH_ROOM, SCRATCH);
	char name[NAME_MAX + 1];

	must(!chdir(SCRATCH));
	while (at < length) {
		size_t left = length - at - 1, part = left;

		if (part > NAME_MAX)
			part = NAME_MAX;
		if (left - part == 1)	/* no room for a slash and a name */
			part--;
		memset(name, 'd', part);
		name[part] = '\0';
		must(!mkdir(name, 0755) || errno == EEXIST);
		must(!chdir(name));
		path[at] = '/';
		memcpy(path + at + 1, name, part + 1);
		at += 1 + part;
	}
}

/* The path @path of @pid, with more and with less room than it takes. */
static void check_path(struct __test_metadata *_metadata, pid_t pid, __u64 bit,
		       const char *path, __u32 flags)
{
	static char room[PATH_ROOM];
	const size_t size = strlen(path) + 1;
	const __u32 sizes[] = { 0, 1, size - 1, size, size + 1, sizeof(room) };
	struct pid_info info;
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(sizes); i++) {
		const struct pid_info_data *data = bit == PID_INFO_ROOT ? &info.root :
						   bit == PID_INFO_CWD ? &info.cwd : &info.exe;
		bool fits = sizes[i] >= size;
		size_t at = fits ? size : 0;

		memset(room, '#', sizeof(room));
		ASSERT_EQ(0, ask_into(pid, bit, &info, 0, room, sizes[i]));
		EXPECT_EQ(PID_INFO_IDENT | bit, info.filled);
		EXPECT_EQ(flags, info.flags);
		EXPECT_EQ(size, data->size);
		EXPECT_EQ(fits ? 0 : PID_INFO_NO_ROOM, data->offset);
		EXPECT_EQ(ROUND_UP_8(size), info.buffer_needed);
		EXPECT_FALSE(fits && strcmp(path, room));
		while (at < sizeof(room) && room[at] == '#')
			at++;
		EXPECT_EQ(sizeof(room), at)
			TH_LOG("%u bytes of room for %zu", sizes[i], size);
	}
}

/* A child whose root is its parent's working directory. */
static pid_t spawn_in_root(void)
{
	pid_t pid;

	shared->word[0] = 0;
	pid = spawn();
	if (!pid) {
		must(!chroot("."));
		shared->word[0] = 1;
		doze();
	}
	until(shared->word[0] && state_of(pid) == 'S');
	return pid;
}

/* Every length is told, up to where the kernel's own buffer ends. */
TEST(path_lengths)
{
	static const size_t lengths[] = {
		997, PATH_MAX - 2, PATH_MAX - 1, PATH_MAX, 5025, 60013, 65535
	};
	static char path[PATH_ROOM];
	struct pid_info info;
	char target[8];
	unsigned int i;
	pid_t child;

	place();
	must(!chdir("/"));
	check_path(_metadata, getpid(), PID_INFO_CWD, "/", 0);
	check_path(_metadata, getpid(), PID_INFO_ROOT, "/", 0);
	for (i = 0; i < ARRAY_SIZE(lengths); i++) {
		descend(path, lengths[i]);
		/* A link says no more than this. */
		EXPECT_EQ(lengths[i] < PATH_MAX ? (ssize_t)sizeof(target) : -1,
			  readlink("/proc/self/cwd", target, sizeof(target)));
		check_path(_metadata, getpid(), PID_INFO_CWD, path, 0);
		child = spawn_in_root();
		check_path(_metadata, child, PID_INFO_ROOT, path, 0);
		check_path(_metadata, child, PID_INFO_CWD, path, 0);
		EXPECT_EQ(0, compare(child));
		finish(child);
	}
	/* With string_max it is left out, as if there were no room. */
	memset(&info, 0, sizeof(info));
	info.wanted = PID_INFO_CWD;
	info.buffer = (uintptr_t)path;
	info.buffer_size = sizeof(path);
	info.string_max = 65535;
	EXPECT_EQ(0, get_pid_info(0, &info, sizeof(info), 0));
	EXPECT_EQ(PID_INFO_NO_ROOM, info.cwd.offset);
	EXPECT_EQ(65536, info.cwd.size);
	info.string_max = 65536;
	EXPECT_EQ(0, get_pid_info(0, &info, sizeof(info), 0));
	EXPECT_EQ(0, info.cwd.offset);

	descend(path, 65536);
	EXPECT_EQ(0, ask_into(0, PID_INFO_CWD | PID_INFO_ROOT, &info, 0, path, sizeof(path)));
	EXPECT_EQ(PID_INFO_IDENT | PID_INFO_CWD | PID_INFO_ROOT, info.filled);
	EXPECT_EQ(PID_INFO_NO_ROOM, info.cwd.offset);
	EXPECT_EQ(PID_INFO_TOO_LONG, info.cwd.size);
	EXPECT_EQ(sizeof("/"), info.root.size);
	EXPECT_EQ(0, stale_bytes(&info));
}

TEST(path_of_program)
{
	char *const argv[] = { "helper", NULL };
	static char path[PATH_ROOM];
	char target[8];
	char link[32];
	pid_t pid;

	place();
	descend(path, 5025);
	copy_self("program", 0, 0, 0755);
	strcat(path, "/program");
	pid = spawn_helper("./program", argv, no_environment);
	snprintf(link, sizeof(link), "/proc/%d/exe", pid);
	EXPECT_EQ(-1, readlink(link, target, sizeof(target)));
	EXPECT_EQ(ENAMETOOLONG, errno);
	check_path(_metadata, pid, PID_INFO_EXE, path, 0);
	EXPECT_EQ(0, compare(pid));
	finish(pid);

	copy_self(SCRATCH "/gone", 0, 0, 0755);
	pid = spawn_helper(SCRATCH "/gone", argv, no_environment);
	check_path(_metadata, pid, PID_INFO_EXE, SCRATCH "/gone", 0);
	must(!unlink(SCRATCH "/gone"));
	check_path(_metadata, pid, PID_INFO_EXE, SCRATCH "/gone (deleted)",
		   PID_INFO_F_EXE_DELETED);
	EXPECT_EQ(0, compare(pid));
	finish(pid);
}

TEST(path_deleted)
{
	const char *gone = SCRATCH "/gone", *name = SCRATCH "/there (deleted)";
	pid_t child;

	place();
	must(!mkdir(gone, 0700) && !chdir(gone));
	child = spawn_in_root();
	must(!rmdir(gone));
	check_path(_metadata, getpid(), PID_INFO_CWD, SCRATCH "/gone (deleted)",
		   PID_INFO_F_CWD_DELETED);
	check_path(_metadata, child, PID_INFO_ROOT, SCRATCH "/gone (deleted)",
		   PID_INFO_F_ROOT_DELETED);
	EXPECT_EQ(0, compare(child));
	finish(child);

	/* A name can look like that: the flag tells. */
	must(!mkdir(name, 0700) && !chdir(name));
	check_path(_metadata, getpid(), PID_INFO_CWD, name, 0);
}

#define OUTSIDE		(PID_INFO_F_ROOT_OUTSIDE | PID_INFO_F_CWD_OUTSIDE | \
			 PID_INFO_F_EXE_OUTSIDE)

static void jailed(void)
{
	must(!chroot(SCRATCH "/jail") && !chdir("/in"));
	ready();
}

static void mounted(void)
{
	must(!unshare(CLONE_NEWNS));
	must(!mount("over", SCRATCH "/over", "tmpfs", 0, NULL));
	must(!mkdir(SCRATCH "/over/here", 0700) && !chdir(SCRATCH "/over/here"));
	ready();
}

/* Paths of a task in another root and in another mount namespace, and from there. */
TEST(path_outside)
{
	/* This program has been started in a mount namespace that place() has left. */
	static const __u32 from_here[] = { PID_INFO_F_EXE_OUTSIDE, OUTSIDE, 0 };
	static const __u32 from_jail[] = { PID_INFO_F_EXE_OUTSIDE, OUTSIDE, OUTSIDE };
	char *const argv[] = { "helper", NULL };
	struct pid_info info;
	pid_t pids[3], looker;
	unsigned int i;
	int proc;

	place();
	must(!mkdir(SCRATCH "/jail", 0700) && !mkdir(SCRATCH "/jail/in", 0700));
	must(!mkdir(SCRATCH "/over", 0700) && !chdir("/"));
	copy_self(SCRATCH "/program", 0, 0, 0755);
	pids[0] = spawn_body(jailed);
	pids[1] = spawn_body(mounted);
	pids[2] = spawn_helper(SCRATCH "/program", argv, no_environment);
	for (i = 0; i < ARRAY_SIZE(pids); i++) {
		EXPECT_EQ(0, ask(pids[i], ALL, &info, 0));
		EXPECT_EQ(from_here[i], info.flags);
		EXPECT_EQ(0, compare(pids[i]));
	}

	proc = open("/proc", O_RDONLY | O_DIRECTORY);
	must(proc >= 0);
	looker = spawn();
	if (!looker) {
		char path[16];

		must(!chroot(SCRATCH "/jail") && !chdir("/"));
		for (i = 0; i < ARRAY_SIZE(pids); i++) {
			want(0, ask(pids[i], ALL, &info, 0));
			want(from_jail[i], info.flags);
			snprintf(path, sizeof(path), "%d", pids[i]);
			want(0, compare_at(pids[i], 0, proc, path));
		}
		_exit(0);
	}
	EXPECT_EQ(0, reap(looker));
	EXPECT_EQ(0, shared->failures);
	for (i = 0; i < ARRAY_SIZE(pids); i++)
		finish(pids[i]);
}

/*
 * Arguments
 */

TEST(cmdline)
{
	static char large[50021], middle[4097];
	char *const rows[][12] = {
		{ "helper", NULL },
		{ "helper", "", "b", "", "", "c", "", NULL },
		{ "helper", "a b\nc\t\\", "\xff\xfe", "\"", NULL },
		{ "helper", large, large, middle, "", "end", NULL },
		{ "helper", middle, NULL },
	};
	static char buffer[CMDLINE_ROOM];
	struct pid_info info;
	unsigned int i, j;

	place();
	memset(large, 'x', sizeof(large) - 1);
	memset(middle, 'y', sizeof(middle) - 1);
	for (i = 0; i < ARRAY_SIZE(rows); i++) {
		pid_t pid = spawn_helper("/proc/self/exe", rows[i], no_environment);
		size_t at = 0;

		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask_into(pid, PID_INFO_CMDLINE, &info, 0, buffer,
				      sizeof(buffer)));
		EXPECT_EQ(PID_INFO_IDENT | PID_INFO_CMDLINE, info.filled);
		for (j = 0; rows[i][j]; j++) {
			EXPECT_EQ(0, strcmp(rows[i][j], buffer + at));
			at += strlen(buffer + at) + 1;
		}
		EXPECT_EQ(at, info.cmdline.size);
		EXPECT_EQ(ROUND_UP_8(at), info.buffer_needed);
		finish(pid);
	}
}

/*
 * What a helper writes over its arguments, which take 15 bytes: less, just as many
 * without a NUL, and on into its environment.
 */
static const char *const titles[] = {
	"short", "exactly fifteen", "more than the room that the arguments had",
};

TEST(title)
{
	char *const environment[] = {
		"ONE=long enough for a title", "TWO=that goes on", NULL
	};
	char digit[] = "0", *const argv[] = { "helper", "title", digit, NULL };
	char buffer[256];
	struct pid_info info;
	unsigned int i;

	place();
	for (i = 0; i < ARRAY_SIZE(titles); i++) {
		pid_t pid;

		digit[0] = '0' + i;
		pid = spawn_helper("/proc/self/exe", argv, environment);
		EXPECT_EQ(0, compare(pid));
		EXPECT_EQ(0, ask_into(pid, PID_INFO_CMDLINE, &info, 0, buffer,
				      sizeof(buffer)));
		EXPECT_EQ(PID_INFO_IDENT | PID_INFO_CMDLINE, info.filled);
		EXPECT_STREQ(titles[i], buffer);
		EXPECT_EQ(i ? strlen(titles[i]) + 1 : 15, info.cmdline.size);
		finish(pid);
	}
}

/* As setproctitle() does: from the first argument on, whatever is there. */
static void set_title(char **argv, const char *title)
{
	memset(argv[0], 0, argv[2] + strlen(argv[2]) + 1 - argv[0]);
	memcpy(argv[0], title, strlen(title) + 1);
}

static int helper(int argc, char **argv)
{
	must(!prctl(PR_SET_NAME, "helper"));
	if (argc == 3 && !strcmp(argv[1], "title"))
		set_title(argv, titles[argv[2][0] - '0']);
	doze();
	return KSFT_FAIL;
}

int main(int argc, char **argv)
{
	if (!strcmp(argv[0], "helper"))
		return helper(argc, argv);
	setup();
	return test_harness_run(argc, argv);
}
