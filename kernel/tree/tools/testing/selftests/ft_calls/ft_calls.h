/* SPDX-License-Identifier: GPL-2.0 */
/*
 * ft_fork(), ft_kill() and ft_wait() must do what fork(), kill() and wait() do.
 *
 * A case is a function that is given the three calls, uses them, and tells what
 * it saw and what it should have seen. It runs twice, with the native calls and
 * with ours: the first run must see what is expected, so that no case is
 * vacuous, and the second must see the same.
 *
 * Each run has PID and mount namespaces of its own, as process 2 below an init
 * that only reaps. Nothing outlives it, kill(-1) is harmless, and the ids of
 * processes are the same in both runs, so that they can be compared too.
 */
#ifndef FT_CALLS_H
#define FT_CALLS_H

#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <limits.h>
#include <poll.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "kselftest_harness.h"

/* For machines that are emulated, have all checkers on, or much else to do. */
#undef TEST_TIMEOUT_DEFAULT
#define TEST_TIMEOUT_DEFAULT	120

#ifndef __NR_ft_fork
#define __NR_ft_fork	549
#define __NR_ft_kill	550
#define __NR_ft_wait	551
#endif

#define SIGNALS		64
#define NOBODY		65534

/* What a call returns within the kernel when a signal came first. */
#define ERESTARTSYS	512
#define ERESTARTNOINTR	513

/* The three calls; an error is returned as the kernel does, negative. */
struct ops {
	pid_t (*fork)(void);
	int (*kill)(pid_t pid, int sig);
	pid_t (*wait)(int *status);
};

static inline long raw(long ret)
{
	return ret < 0 ? -errno : ret;
}

static inline pid_t native_fork(void)
{
#ifdef __NR_fork
	return raw(syscall(__NR_fork));
#else
	return raw(syscall(__NR_clone, SIGCHLD, 0, 0, 0, 0));
#endif
}

static inline int native_kill(pid_t pid, int sig)
{
	return raw(syscall(__NR_kill, pid, sig));
}

static inline pid_t native_wait(int *status)
{
	return raw(syscall(__NR_wait4, -1, status, 0, NULL));
}

/*
 * The errors that our calls gave in all of a program's cases, one bit for each.
 * They are printed at the end: those of the man pages have to be the same.
 */
enum { FORK, KILL, WAIT, CALLS };

static atomic_ulong *errors;

static inline long note_error(int call, long ret)
{
	if (ret < 0 && errors)
		errors[call] |= 1UL << -ret;
	return ret;
}

static inline pid_t ft_fork(void)
{
	return note_error(FORK, raw(syscall(__NR_ft_fork)));
}

static inline int ft_kill(pid_t pid, int sig)
{
	return note_error(KILL, raw(syscall(__NR_ft_kill, pid, sig)));
}

static inline pid_t ft_wait(int *status)
{
	return note_error(WAIT, raw(syscall(__NR_ft_wait, status)));
}

static const struct ops native_ops = { native_fork, native_kill, native_wait };
static const struct ops ft_ops = { ft_fork, ft_kill, ft_wait };

/*
 * What a run saw, in memory that all of its processes share.
 */

/* Expected by nobody in particular: only has to be the same in both runs. */
#define SAME		LONG_MIN

struct sight {
	char what[56];
	long value;
	long expected;
};

struct caught {
	pid_t by;	/* thread */
	int sig;
	int code;
	pid_t pid;
	uid_t uid;
	int status;
};

struct record {
	atomic_uint sights;
	atomic_uint catching;	/* begun */
	atomic_uint catches;	/* done */
	struct sight sight[1024];
	struct caught caught[128];
	char broken[160];
	int outer_proc;
	atomic_int word[8];	/* for the processes of a case among themselves */
};

static struct record *record;

/* Tell that @value was seen where @expected should be. */
static inline void see(long value, long expected, const char *what, ...)
{
	unsigned int nr = record->sights++;
	struct sight *sight = &record->sight[nr];
	va_list args;

	if (nr >= ARRAY_SIZE(record->sight))
		return;
	va_start(args, what);
	vsnprintf(sight->what, sizeof(sight->what), what, args);
	va_end(args);
	sight->value = value;
	sight->expected = expected;
}

static inline void broken(const char *file, int line, const char *what)
{
	if (!record->broken[0])
		snprintf(record->broken, sizeof(record->broken), "%s:%d: %s: %s",
			 file, line, what, strerror(errno));
	_exit(99);
}

/* What a case needs before it can look at anything. */
#define must(condition)							\
	((condition) ? (void)0 : broken(__FILE__, __LINE__, #condition))

/*
 * Running and comparing
 */

typedef void (*case_fn)(const struct ops *ops);

static inline void run_init(case_fn body, const struct ops *ops)
{
	pid_t pid;
	int status;

	/* The harness may kill the process that waits for us, not us. */
	must(!prctl(PR_SET_PDEATHSIG, SIGKILL));
	must(!mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL));
	must(!mount("proc", "/proc", "proc", 0, NULL));
	pid = fork();
	must(pid >= 0);
	if (!pid) {
		/* A signal to the own group must not leave the namespace. */
		must(!setpgid(0, 0));
		body(ops);
		_exit(0);
	}
	while (waitpid(-1, &status, 0) != pid)
		;
	_exit(status ? 98 : 0);
}

static inline int run(case_fn body, const struct ops *ops, struct record *into)
{
	int status = -1;
	pid_t pid;

	record = into;
	record->outer_proc = open("/proc", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	pid = syscall(__NR_clone, CLONE_NEWPID | CLONE_NEWNS | SIGCHLD, 0, 0, 0, 0);
	if (!pid)
		run_init(body, ops);
	if (pid > 0)
		waitpid(pid, &status, 0);
	close(record->outer_proc);
	return status;
}

static inline void compare(struct __test_metadata *_metadata, case_fn body)
{
	const size_t size = 2 * sizeof(struct record);
	struct record *native, *ft;
	unsigned int i;

	native = mmap(NULL, size, PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	ASSERT_NE(MAP_FAILED, native);
	ft = native + 1;

	EXPECT_EQ(0, run(body, &native_ops, native));
	EXPECT_STREQ("", native->broken);
	EXPECT_LT(0, native->sights);
	EXPECT_GE(ARRAY_SIZE(native->sight), native->sights);
	for (i = 0; i < native->sights; i++) {
		struct sight *sight = &native->sight[i];

		if (sight->expected == SAME)
			continue;
		EXPECT_EQ(sight->expected, sight->value)
			TH_LOG("native: %s", sight->what);
	}

	EXPECT_EQ(0, run(body, &ft_ops, ft));
	EXPECT_STREQ("", ft->broken);
	EXPECT_EQ(native->sights, ft->sights);
	for (i = 0; i < native->sights && i < ft->sights; i++) {
		ASSERT_STREQ(native->sight[i].what, ft->sight[i].what);
		EXPECT_EQ(native->sight[i].value, ft->sight[i].value)
			TH_LOG("ft: %s", ft->sight[i].what);
	}
	munmap(native, size);
}

#define CASE(name)							\
	static void name##_case(const struct ops *ops);			\
	TEST(name)							\
	{								\
		compare(_metadata, name##_case);			\
	}								\
	static void name##_case(const struct ops *ops)

/*
 * Tools of the cases
 */

static inline void sleep_ms(unsigned int ms)
{
	struct timespec time = { ms / 1000, ms % 1000 * 1000000L };

	while (nanosleep(&time, &time) && errno == EINTR)
		;
}

static inline long now_ms(void)
{
	struct timespec time;

	clock_gettime(CLOCK_MONOTONIC, &time);
	return time.tv_sec * 1000 + time.tv_nsec / 1000000;
}

static inline void poll_again(long end, const char *file, int line, const char *what)
{
	if (now_ms() > end || record->broken[0])
		broken(file, line, what);
	sleep_ms(2);
}

/* Poll for what has no event to wait for; generous, as a guest may be slow. */
#define until(condition)						\
	do {								\
		long __end = now_ms() + 30000;				\
									\
		while (!(condition))					\
			poll_again(__end, __FILE__, __LINE__, #condition); \
	} while (0)

static inline void doze(void)
{
	for (;;)
		pause();
}

/* A child, as fork() gives it: 0 in there. */
static inline pid_t spawn(const struct ops *ops)
{
	pid_t pid = ops->fork();

	must(pid >= 0);
	return pid;
}

/* A child in new namespaces, by the native call. */
static inline pid_t spawn_in(unsigned long namespaces)
{
	pid_t pid = syscall(__NR_clone, namespaces | SIGCHLD, 0, 0, 0, 0);

	must(pid >= 0);
	return pid;
}

/* A child that ends with @code. */
static inline pid_t spawn_exit(const struct ops *ops, int code)
{
	pid_t pid = spawn(ops);

	if (!pid)
		_exit(code);
	return pid;
}

/* A child that is there until it is killed. */
static inline pid_t spawn_doze(const struct ops *ops)
{
	pid_t pid = spawn(ops);

	if (!pid)
		doze();
	return pid;
}

/* Wait until @pid is a zombie, and leave it one. */
static inline void await_zombie(pid_t pid)
{
	siginfo_t info;

	must(!waitid(P_PID, pid, &info, WEXITED | WNOWAIT));
}

/* Reap @pid by the native call. Returns its status. */
static inline int reap(pid_t pid)
{
	int status;

	must(waitpid(pid, &status, __WALL) == pid);
	return status;
}

static inline int finish(pid_t pid)
{
	must(!kill(pid, SIGKILL));
	return reap(pid);
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

static inline bool read_file(const char *path, char *text, size_t size)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	size_t done = 0;
	ssize_t ret;

	if (fd < 0)
		return false;
	while (done < size - 1 && (ret = read(fd, text + done, size - 1 - done)) > 0)
		done += ret;
	text[done] = '\0';
	close(fd);
	return true;
}

/* The letter of @pid's state; 0 when it is not there. */
static inline char state_of(pid_t pid)
{
	char path[64], text[512], *end;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_file(path, text, sizeof(text)))
		return 0;
	end = strrchr(text, ')');
	return end ? end[2] : 0;
}

/* What @pid sends its parent when it ends; -1 when it is not there. */
static inline int exit_signal_of(pid_t pid)
{
	char path[64], text[1024], *at;
	int field;

	snprintf(path, sizeof(path), "/proc/%d/stat", pid);
	if (!read_file(path, text, sizeof(text)))
		return -1;
	at = strrchr(text, ')');
	for (field = 2; field < 38; field++)
		at = strchr(at + 1, ' ');
	return atoi(at);
}

/* A line of /proc/PID/status, as a number of base @base; -1 if there is none. */
static inline long status_of(pid_t pid, const char *key, int base)
{
	char path[64], text[4096], *line;
	size_t len = strlen(key);

	snprintf(path, sizeof(path), "/proc/%d/status", pid);
	if (!read_file(path, text, sizeof(text)))
		return -1;
	for (line = text; line; line = strchr(line, '\n')) {
		line += *line == '\n';
		if (!strncmp(line, key, len) && line[len] == ':')
			return strtoull(line + len + 1, NULL, base);
	}
	return -1;
}

static inline long shared_pending(pid_t pid)
{
	return status_of(pid, "ShdPnd", 16);
}

/* Give up every privilege, for the user @uid. */
static inline void become(uid_t uid)
{
	must(!setgroups(0, NULL));
	must(!setresgid(uid, uid, uid));
	must(!setresuid(uid, uid, uid));
}

/* For the signal handlers: who caught what, as it was told. */
static inline void catcher(int sig, siginfo_t *info, void *context)
{
	unsigned int nr = record->catching++;

	if (nr < ARRAY_SIZE(record->caught))
		record->caught[nr] = (struct caught) {
			.by = syscall(__NR_gettid),
			.sig = sig,
			.code = info->si_code,
			.pid = info->si_pid,
			.uid = info->si_uid,
			.status = sig == SIGCHLD ? info->si_status : 0,
		};
	record->catches++;
}

static inline void forget_caught(void)
{
	record->catching = 0;
	record->catches = 0;
}

static inline void catch_signal(int sig, int flags)
{
	struct sigaction action = {
		.sa_sigaction = catcher,
		.sa_flags = SA_SIGINFO | flags,
	};

	must(!sigaction(sig, &action, NULL));
}

static inline void see_caught(unsigned int nr, pid_t by, int sig, int code,
			      pid_t pid, uid_t uid)
{
	struct caught *caught = &record->caught[nr];

	must(nr < record->catches && nr < ARRAY_SIZE(record->caught));
	see(caught->by, by, "catch %u: by whom", nr);
	see(caught->sig, sig, "catch %u: signal", nr);
	see(caught->code, code, "catch %u: si_code", nr);
	see(caught->pid, pid, "catch %u: si_pid", nr);
	see(caught->uid, uid, "catch %u: si_uid", nr);
}

/* By the bare calls: the C library keeps 32 and 33 for itself. */
static inline void block_all(void)
{
	unsigned long all = ~0UL;

	must(!syscall(__NR_rt_sigprocmask, SIG_SETMASK, &all, NULL, sizeof(all)));
}

static inline void set_handler(int sig, __sighandler_t handler)
{
	const struct {
		__sighandler_t handler;
		unsigned long flags;
		void *restorer;
		unsigned long mask;
	} action = { .handler = handler };

	must(!syscall(__NR_rt_sigaction, sig, &action, NULL, sizeof(action.mask)));
}

/*
 * Let @pid, which has called PTRACE_TRACEME and stopped, go on to the entry of
 * its next call, and send it SIGUSR1 there. Returns what the call then returns
 * within the kernel, with @pid stopped at its exit.
 */
static inline long result_after_signal(pid_t pid)
{
	struct __ptrace_syscall_info info;
	int status, i;

	must(!ptrace(PTRACE_SETOPTIONS, pid, 0, PTRACE_O_TRACESYSGOOD));
	for (i = 0; i < 2; i++) {
		must(!ptrace(PTRACE_SYSCALL, pid, 0, 0));
		must(waitpid(pid, &status, 0) == pid && WIFSTOPPED(status));
		must(ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof(info), &info) > 0);
		must(info.op == (i ? PTRACE_SYSCALL_INFO_EXIT : PTRACE_SYSCALL_INFO_ENTRY));
		if (!i)
			must(!kill(pid, SIGUSR1));
	}
	return info.exit.rval;
}

/* Then let it take the signal, or not, and leave it alone. */
static inline void release_to_signal(pid_t pid, bool take)
{
	int status;

	must(!ptrace(PTRACE_CONT, pid, 0, 0));
	must(waitpid(pid, &status, 0) == pid);
	see(status, SIGUSR1 << 8 | 0x7f, "stop for the signal");
	must(!ptrace(PTRACE_DETACH, pid, 0, take ? SIGUSR1 : 0));
}

/*
 * Tracing: an instance of its own, with the events of the caller alone. They are
 * chosen by a filter: set_event_pid would patch every wake-up and switch.
 */

#define TRACING	"/sys/kernel/tracing"

struct trace {
	char dir[96];
	char text[16384];
};

static inline bool trace_write(struct trace *trace, const char *file, const char *text)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", trace->dir, file);
	return write_file(path, text);
}

/* The caller's ids in the PID namespace of the test, where tracing counts. */
static inline int outer_tid(void)
{
	char name[64] = "";

	must(readlinkat(record->outer_proc, "thread-self", name, sizeof(name) - 1) > 0);
	return atoi(strrchr(name, '/') + 1);
}

static inline int outer_pid(void)
{
	char name[16] = "";

	must(readlinkat(record->outer_proc, "self", name, sizeof(name) - 1) > 0);
	return atoi(name);
}

static inline void trace_start(struct trace *trace, const char *const *events)
{
	char file[64], filter[64];

	/* Fails where it is mounted. */
	mount("tracefs", TRACING, "tracefs", 0, NULL);
	snprintf(trace->dir, sizeof(trace->dir), TRACING "/instances/ft_calls.%d",
		 outer_pid());
	must(!mkdir(trace->dir, 0700));
	snprintf(filter, sizeof(filter), "common_pid == %d", outer_pid());
	for (; *events; events++) {
		snprintf(file, sizeof(file), "events/%s/filter", *events);
		must(trace_write(trace, file, filter));
		snprintf(file, sizeof(file), "events/%s/enable", *events);
		must(trace_write(trace, file, "1"));
	}
	must(trace_write(trace, "tracing_on", "1"));
}

/* Stop; the lines are in @trace->text then. */
static inline void trace_stop(struct trace *trace)
{
	char path[128];

	must(trace_write(trace, "tracing_on", "0"));
	snprintf(path, sizeof(path), "%s/trace", trace->dir);
	must(read_file(path, trace->text, sizeof(trace->text)));
	must(trace_write(trace, "events/enable", "0"));
	until(!rmdir(trace->dir) || errno == ENOENT);
}

/*
 * The arguments of the next @event, from *@at on, which is moved behind it; NULL
 * when there are no more.
 */
static inline const char *trace_next(const char **at, const char *event)
{
	const char *found;

	*at = strstr(*at, event);
	if (!*at)
		return NULL;
	found = *at + strlen(event);
	*at = found;
	return found;
}

/* The number behind @key in the line that starts at @args; SAME if there is none. */
static inline long trace_field(const char *args, const char *key)
{
	const char *end = strchrnul(args, '\n');
	const char *found = strstr(args, key);

	return found && found < end ? strtol(found + strlen(key), NULL, 0) : SAME;
}

/*
 * Control groups: a hierarchy of the case's own mount, two groups at most.
 */

struct cgroup {
	char dir[96];
};

static inline bool cgroup_write(struct cgroup *cgroup, const char *file, const char *text)
{
	char path[192];

	snprintf(path, sizeof(path), "%s/%s", cgroup->dir, file);
	return write_file(path, text);
}

/* The number behind @key. */
static inline long cgroup_read(struct cgroup *cgroup, const char *file, const char *key)
{
	char path[192], text[4096], *at;

	snprintf(path, sizeof(path), "%s/%s", cgroup->dir, file);
	must(read_file(path, text, sizeof(text)));
	at = strstr(text, key);
	must(at);
	return strtol(at + strlen(key), NULL, 10);
}

static inline void cgroup_make(struct cgroup *cgroup)
{
	must(!mount("cgroup2", "/mnt", "cgroup2", 0, NULL));
	must(write_file("/mnt/cgroup.subtree_control", "+pids +memory"));
	snprintf(cgroup->dir, sizeof(cgroup->dir), "/mnt/ft_calls.%d", outer_pid());
	must(!mkdir(cgroup->dir, 0700));
}

static inline void cgroup_drop(struct cgroup *cgroup)
{
	until(!rmdir(cgroup->dir) || errno == ENOENT);
	must(!umount2("/mnt", MNT_DETACH));
}

/*
 * The program
 */

static pid_t main_pid;

static inline void print_errors(void)
{
	static const char *const names[CALLS] = { "ft_fork", "ft_kill", "ft_wait" };
	int call, error;

	if (getpid() != main_pid)
		return;
	for (call = 0; call < CALLS; call++)
		for (error = 0; error < 64; error++)
			if (errors[call] >> error & 1)
				printf("# error of %s: %s\n", names[call],
				       strerrorname_np(error));
}

static inline int run_cases(int argc, char **argv)
{
	errors = mmap(NULL, CALLS * sizeof(*errors), PROT_READ | PROT_WRITE,
		      MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	if (errors == MAP_FAILED)
		return KSFT_FAIL;
	main_pid = getpid();
	atexit(print_errors);
	return test_harness_run(argc, argv);
}

#ifdef __x86_64__
#define X32	0x40000000	/* arch/x86/include/uapi/asm/unistd.h: __X32_SYSCALL_BIT */

/*
 * The error of an x32 program's call on a kernel without x32, which has no call of
 * that number; NULL where it has.
 */
static inline const char *x32_error(int call, int nr)
{
	if (syscall(X32 + __NR_getppid) > 0)
		return NULL;
	if (syscall(X32 + nr, 0, 0) >= 0)
		return "none";
	note_error(call, -errno);
	return strerrorname_np(errno);
}
#endif

#endif /* FT_CALLS_H */
